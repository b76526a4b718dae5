//! `policies/memory.toml`: what memory may do by itself.
//!
//! Without the file nothing is learned unasked, nothing leaves, and vectors are made without a model.

mod accept;
mod embedder;
mod leaving;

pub use accept::{AcceptRule, matches};
pub use embedder::{BATCH_MAX, DIMS_MAX, EmbedderPolicy, RemoteEmbedder};
pub use leaving::{Filter, ForgetRule, KEEP_LABEL, SUMMARY, SummariseRule, Tidy};

use serde::Deserialize;

use super::{Problem, toml_text::read};

/// The file.
pub const MEMORY_POLICY: &str = "policies/memory.toml";
/// The largest one, in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// The most rules of one kind.
const RULES_MAX: usize = 100;

/// The policies of memory.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPolicy {
    /// Which proposals are learned without asking; the first rule that fits decides.
    #[serde(default)]
    pub accept: Vec<AcceptRule>,
    /// How often the kernel tidies by itself.
    #[serde(default)]
    pub tidy: Tidy,
    /// What is forgotten, in the order of the file.
    #[serde(default)]
    pub forget: Vec<ForgetRule>,
    /// What is summarised, in the order of the file.
    #[serde(default)]
    pub summarise: Vec<SummariseRule>,
    /// What turns passages into vectors.
    #[serde(skip)]
    pub embedder: EmbedderPolicy,
    /// The same as written, until it was read.
    #[serde(default, rename = "embedder")]
    written: Option<embedder::RawEmbedder>,
}

impl MemoryPolicy {
    /// Reads the policies from the text of `file`.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        if text.len() > FILE_BYTES_MAX {
            let message = format!("the file has {} bytes; policies have at most {FILE_BYTES_MAX}", text.len());
            return Err(Problem::new(file, None, message));
        }
        let mut policy: Self = read(file, text)?;
        if let Some(written) = policy.written.take() {
            policy.embedder = written.read(file, text)?;
        }
        if policy.accept.len().max(policy.forget.len()).max(policy.summarise.len()) > RULES_MAX {
            return Err(Problem::new(file, None, format!("there are more than {RULES_MAX} rules of one kind")));
        }
        let mut names = std::collections::BTreeSet::new();
        let accept = policy.accept.iter().map(|rule| &rule.name);
        let leaving = policy.forget.iter().map(|rule| &rule.name).chain(policy.summarise.iter().map(|rule| &rule.name));
        if let Some(twice) = accept.chain(leaving).find(|name| !names.insert(*name)) {
            return Err(Problem::new(file, None, format!("two rules are called `{twice}`"))
                .hint("a rule is named in what it does, so each needs a name of its own"));
        }
        Ok(policy)
    }
}
