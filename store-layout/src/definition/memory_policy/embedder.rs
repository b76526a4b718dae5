//! `[embedder]` of `policies/memory.toml`: what turns passages into vectors.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::definition::{Position, Problem};

/// The longest batch of texts in one question to an embedder.
pub const BATCH_MAX: usize = 256;
/// The longest vector.
pub const DIMS_MAX: usize = 4096;

/// How vectors are made. Without the section: [`EmbedderPolicy::Local`].
///
/// Its JSON form is kept beside what was made with it; it holds references to secrets, never a secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EmbedderPolicy {
    /// By the spelling of words and a word list; no key, no network, no model.
    #[default]
    Local,
    /// By a server that speaks `/v1/embeddings`.
    OpenAi(RemoteEmbedder),
    /// By Ollama, `/api/embed`.
    Ollama(RemoteEmbedder),
}

/// A model behind a network address. The text of every passage is sent there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteEmbedder {
    /// Such as `https://api.example.com/v1` or `http://localhost:11434`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// A reference to a key: `secret://name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The length of a vector; absent: as the model answers. Asked of a server that can shorten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dims: Option<usize>,
    /// Texts in one question, 1 to [`BATCH_MAX`].
    pub batch: usize,
    /// The cosine at or below which texts are unrelated to this model.
    pub floor: f32,
}

/// The section as written: one flat table, so that a misplaced key can be told from an unknown one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEmbedder {
    kind: Spanned<String>,
    url: Option<Spanned<String>>,
    model: Option<String>,
    key: Option<Spanned<String>>,
    dims: Option<Spanned<usize>>,
    batch: Option<Spanned<usize>>,
    floor: Option<Spanned<f32>>,
}

const REMOTE: &[&str] = &["openai", "ollama"];

impl RawEmbedder {
    /// What it means.
    pub(super) fn read(self, file: &str, text: &str) -> Result<EmbedderPolicy, Problem> {
        let at = |start: usize| Some(Position::of(text, start));
        let place = at(self.kind.span().start);
        let kind = self.kind.as_ref().as_str();
        let keys: [(&str, bool, &[&str]); 6] = [
            ("url", self.url.is_some(), REMOTE),
            ("model", self.model.is_some(), REMOTE),
            ("key", self.key.is_some(), REMOTE),
            ("dims", self.dims.is_some(), REMOTE),
            ("batch", self.batch.is_some(), REMOTE),
            ("floor", self.floor.is_some(), REMOTE),
        ];
        if !["local", "openai", "ollama"].contains(&kind) {
            let known = ["local", "openai", "ollama"];
            return Err(Problem::unknown(file, place, "kind of embedder", kind, &known));
        }
        if let Some(problem) = Problem::misplaced(file, place, kind, &keys) {
            return Err(problem);
        }
        let missing = |key: &str| Problem::new(file, place, format!("an embedder of kind `{kind}` needs `{key}`"));
        let floor = match &self.floor {
            Some(floor) if (-1.0..=1.0).contains(floor.as_ref()) => *floor.as_ref(),
            Some(floor) => {
                return Err(Problem::new(file, at(floor.span().start), "`floor` is a cosine, -1 to 1"));
            }
            // Models differ; this is below what related texts score with the common ones.
            None => 0.2,
        };
        let bounded = |key: &str, value: &Option<Spanned<usize>>, max: usize| match value {
            Some(n) if !(1..=max).contains(n.as_ref()) => {
                Err(Problem::new(file, at(n.span().start), format!("`{key}` is 1 to {max}, not {}", n.as_ref())))
            }
            value => Ok(value.as_ref().map(|n| *n.as_ref())),
        };
        match kind {
            "local" => Ok(EmbedderPolicy::Local),
            kind => {
                if let Some(key) = self.key.as_ref().filter(|key| !key.as_ref().starts_with("secret://")) {
                    let problem =
                        Problem::new(file, at(key.span().start), "`key` names a secret, it does not hold one");
                    return Err(problem
                        .hint("write key = \"secret://name\" and set CAIRN_SECRET_NAME in the kernel's environment"));
                }
                let url = match (self.url.as_ref(), kind) {
                    (Some(url), _) if url.as_ref().starts_with("http://") || url.as_ref().starts_with("https://") => {
                        url.as_ref().trim_end_matches('/').to_owned()
                    }
                    (Some(url), _) => {
                        let why = "`url` begins with https:// or http://";
                        return Err(Problem::new(file, at(url.span().start), why));
                    }
                    (None, "ollama") => "http://localhost:11434".to_owned(),
                    (None, _) => return Err(missing("url")),
                };
                let remote = RemoteEmbedder {
                    url,
                    model: self.model.clone().ok_or_else(|| missing("model"))?,
                    key: self.key.as_ref().map(|key| key.as_ref().clone()),
                    dims: bounded("dims", &self.dims, DIMS_MAX)?,
                    batch: bounded("batch", &self.batch, BATCH_MAX)?.unwrap_or(32),
                    floor,
                };
                Ok(if kind == "openai" { EmbedderPolicy::OpenAi(remote) } else { EmbedderPolicy::Ollama(remote) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::MemoryPolicy;

    fn read(text: &str) -> Result<EmbedderPolicy, String> {
        MemoryPolicy::parse("policies/memory.toml", text).map(|p| p.embedder).map_err(|e| e.to_string())
    }

    #[test]
    fn each_kind_is_read_with_its_defaults() {
        assert_eq!(read("").unwrap(), EmbedderPolicy::Local);
        let ollama = read("[embedder]\nkind = \"ollama\"\nmodel = \"nomic-embed-text\"\n").unwrap();
        let EmbedderPolicy::Ollama(remote) = &ollama else { panic!("{ollama:?}") };
        assert_eq!((remote.url.as_str(), remote.batch, remote.dims), ("http://localhost:11434", 32, None));
        let text = "[embedder]\nkind = \"openai\"\nurl = \"https://api.example.com/v1/\"\nmodel = \"m\"\nkey = \"secret://embed\"\ndims = 256\nbatch = 8\nfloor = 0.3\n";
        let openai = read(text).unwrap();
        let kept: EmbedderPolicy = serde_json::from_value(serde_json::to_value(&openai).unwrap()).unwrap();
        assert_eq!(kept, openai, "it can be kept and read back");
        let EmbedderPolicy::OpenAi(remote) = openai else { panic!() };
        assert_eq!((remote.url.as_str(), remote.dims, remote.floor), ("https://api.example.com/v1", Some(256), 0.3));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let told = |text: &str, expected: &str| {
            let got = read(text).unwrap_err();
            assert!(got.contains(expected), "{got}");
        };
        told("[embedder]\nkind = \"ollama\"\nmodle = \"m\"\n", "memory.toml:3:1: unknown key `modle`");
        told("[embedder]\nkind = \"olama\"\n", "memory.toml:2:8: there is no kind of embedder `olama`");
        told("[embedder]\nkind = \"local\"\nmodel = \"m\"\n", "`model` belongs to kind openai, ollama");
        told("[embedder]\nkind = \"openai\"\nmodel = \"m\"\n", "an embedder of kind `openai` needs `url`");
        told(
            "[embedder]\nkind = \"ollama\"\nmodel = \"m\"\nkey = \"sk-123456\"\n",
            "memory.toml:4:7: `key` names a secret",
        );
        told("[embedder]\nkind = \"ollama\"\nmodel = \"m\"\nbatch = 0\n", "`batch` is 1 to 256, not 0");
        told("[embedder]\nkind = \"ollama\"\nmodel = \"m\"\nfloor = 2.0\n", "`floor` is a cosine");
        told("[embedder]\nkind = \"ollama\"\nmodel = \"m\"\nurl = \"localhost\"\n", "`url` begins with");
    }
}
