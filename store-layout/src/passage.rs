//! A passage: a piece of text to be recalled later, with where it came from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, RunId, StepId};

/// The longest text of one passage, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// One line of `memory/passages/<machine>/<month>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Derived from kind, entity and text, so that learning it twice keeps one: 26 hex digits.
    pub id: String,
    /// When it was recorded.
    #[serde(with = "crate::time::at")]
    pub recorded_at: Timestamp,
    /// What is to be recalled.
    pub text: String,
    /// What kind of text it is: `note`, `mail`, `fact` ... free, chosen by the writer.
    pub kind: String,
    /// Whom or what it is about, such as `client/brandt-gmbh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Labels for filters and policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where it came from.
    pub source: Source,
    /// From when it holds; absent: from when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Until when it holds; absent: until superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// The passages it replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
}

/// A line of the same files: the passage is not recalled any more. One that is recorded again later is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The passage.
    pub forgets: String,
    /// When.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// Who forgot it.
    pub source: Source,
    /// Why, for a person.
    pub reason: String,
    /// The rule of `policies/memory.toml` that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Where a memory came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A step of a run.
    Run {
        /// The run.
        run: RunId,
        /// The step.
        step: StepId,
        /// The iteration of a `for_each` step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iteration: Option<String>,
    },
    /// A person, by name.
    Person {
        /// Who wrote it.
        person: String,
    },
}

impl Source {
    /// The source in a few words, for lists.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Run { run, step, .. } => format!("run {} {step}", run.short()),
            Self::Person { person } => person.clone(),
        }
    }
}

impl Passage {
    /// A passage without labels that holds from when it is recorded.
    #[must_use]
    pub fn new(at: Timestamp, source: Source, kind: String, entity: Option<String>, text: String) -> Self {
        Self {
            id: Self::derive_id(&kind, entity.as_deref(), &text),
            recorded_at: at,
            text,
            kind,
            entity,
            labels: BTreeMap::new(),
            source,
            valid_from: None,
            valid_to: None,
            supersedes: Vec::new(),
        }
    }

    /// Derives a passage's id from what it says about whom, so that learning the same thing twice,
    /// from another run or another machine, keeps one passage with its first source.
    #[must_use]
    pub fn derive_id(kind: &str, entity: Option<&str>, text: &str) -> String {
        let entity = entity.unwrap_or_default();
        Digest::of(format!("passage\n{kind}\n{entity}\n{text}").as_bytes()).as_str()[..26].to_owned()
    }
}
