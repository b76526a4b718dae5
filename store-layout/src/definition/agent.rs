//! `agents/<name>.toml`: a capability that steps ask for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Problem, toml_text::read};

/// One agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// What it is for.
    pub description: String,
    /// How it works.
    pub kind: AgentKind,
}

/// How an agent works.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentKind {
    /// Fills the template file that the step names. Local, no key.
    Template,
    /// Finds fields in a text by patterns. Local, no key.
    Extract(Extract),
    /// Puts a text into one of several classes by words. Local, no key.
    Classify(Classify),
    /// Runs a program that reads JSON and writes JSON.
    Command(CommandAgent),
    /// Asks a language model for one structured answer.
    Llm(LlmAgent),
}

impl AgentKind {
    /// The word of the `kind` key.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Extract(_) => "extract",
            Self::Classify(_) => "classify",
            Self::Command(_) => "command",
            Self::Llm(_) => "llm",
        }
    }
}

/// Fields to find.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// The fields by name.
    pub fields: BTreeMap<String, ExtractField>,
}

/// One field to find.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractField {
    /// A regular expression; the first group is the value (the whole match without groups).
    pub pattern: String,
    /// Fail when it is not found; otherwise null.
    #[serde(default)]
    pub required: bool,
}

/// Classes to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classify {
    /// Words and phrases that speak for each class.
    pub classes: BTreeMap<String, Vec<String>>,
    /// The class when nothing speaks for any.
    pub otherwise: String,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAgent {
    /// Program and arguments; never seen by a shell.
    pub argv: Vec<String>,
}

/// A language model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmAgent {
    /// Such as `https://api.openai.com/v1`, without the path of the operation.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// A reference to the key: `secret://name`. Absent for local servers.
    pub api_key: Option<String>,
    /// What the model is told before the step's prompt.
    pub system: Option<String>,
    /// Most tokens it may write.
    pub max_tokens: u32,
    /// 0 to 2; absent: the provider's default.
    pub temperature: Option<f64>,
    /// Ask for the reply as a stream of events.
    pub stream: bool,
    /// What tokens cost; without it a remote call is refused, because an unknown price stops.
    pub price: Option<Price>,
}

/// US dollars per million tokens, as decimal strings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For tokens read.
    pub input_per_million: String,
    /// For tokens written.
    pub output_per_million: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    kind: toml::Spanned<String>,
    #[serde(default)]
    description: String,
    fields: Option<BTreeMap<String, ExtractField>>,
    classes: Option<BTreeMap<String, Vec<String>>>,
    otherwise: Option<String>,
    argv: Option<Vec<String>>,
    base_url: Option<String>,
    model: Option<String>,
    api_key: Option<String>,
    system: Option<String>,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    stream: Option<bool>,
    price: Option<Price>,
}

impl Agent {
    /// Reads an agent from the text of `file`.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let raw: Raw = read(file, text)?;
        let at = Some(super::Position::of(text, raw.kind.span().start));
        let missing =
            |key: &str| Problem::new(file, at, format!("an agent of kind `{}` needs `{key}`", raw.kind.as_ref()));
        let kind = match raw.kind.as_ref().as_str() {
            "template" => AgentKind::Template,
            "extract" => AgentKind::Extract(Extract { fields: raw.fields.clone().ok_or_else(|| missing("fields"))? }),
            "classify" => AgentKind::Classify(Classify {
                classes: raw.classes.clone().ok_or_else(|| missing("classes"))?,
                otherwise: raw.otherwise.clone().ok_or_else(|| missing("otherwise"))?,
            }),
            "command" => {
                let argv = raw.argv.clone().filter(|a| !a.is_empty()).ok_or_else(|| missing("argv"))?;
                AgentKind::Command(CommandAgent { argv })
            }
            "llm" => AgentKind::Llm(LlmAgent {
                base_url: raw.base_url.clone().ok_or_else(|| missing("base_url"))?,
                model: raw.model.clone().ok_or_else(|| missing("model"))?,
                api_key: raw.api_key.clone(),
                system: raw.system.clone(),
                max_tokens: raw.max_tokens.unwrap_or(1024),
                temperature: raw.temperature,
                stream: raw.stream.unwrap_or(false),
                price: raw.price.clone(),
            }),
            other => {
                return Err(Problem::unknown(
                    file,
                    at,
                    "agent kind",
                    other,
                    &["template", "extract", "classify", "command", "llm"],
                ));
            }
        };
        let keys: [(&str, bool, &[&str]); 12] = [
            ("fields", raw.fields.is_some(), &["extract"]),
            ("classes", raw.classes.is_some(), &["classify"]),
            ("otherwise", raw.otherwise.is_some(), &["classify"]),
            ("argv", raw.argv.is_some(), &["command"]),
            ("base_url", raw.base_url.is_some(), &["llm"]),
            ("model", raw.model.is_some(), &["llm"]),
            ("api_key", raw.api_key.is_some(), &["llm"]),
            ("system", raw.system.is_some(), &["llm"]),
            ("max_tokens", raw.max_tokens.is_some(), &["llm"]),
            ("temperature", raw.temperature.is_some(), &["llm"]),
            ("stream", raw.stream.is_some(), &["llm"]),
            ("price", raw.price.is_some(), &["llm"]),
        ];
        if let Some(problem) = Problem::misplaced(file, at, raw.kind.as_ref(), &keys) {
            return Err(problem);
        }
        Ok(Self { description: raw.description, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(text: &str) -> String {
        Agent::parse("agents/a.toml", text).expect_err("a problem").to_string()
    }

    #[test]
    fn a_key_that_would_be_ignored_is_told() {
        assert_eq!(
            told("kind = \"template\"\nbase_url = \"http://localhost:1/v1\"\n"),
            "agents/a.toml:1:8: `base_url` belongs to kind llm; this is of kind `template`\n  hint: set kind = \"llm\", or remove `base_url`"
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        assert!(told("kind = \"llm\"\n").contains("an agent of kind `llm` needs `base_url`"));
        assert!(told("kind = \"lllm\"\n").contains("did you mean `llm`?"));
        assert!(told("kind = \"robot\"\n").contains("known: template, extract, classify, command, llm"));
    }
}
