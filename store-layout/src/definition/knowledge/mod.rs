//! `knowledge/{rules,templates,preferences,examples}/<name>.md`: what the operator wants remembered as a rule,
//! in files that people read and edit.
//!
//! Markdown under a head of TOML between `+++` lines. A file says where it applies and where it came from; which
//! of them a step is given is decided in [`select`], from the files and the question alone.

mod applies;
mod parse;
mod select;
#[cfg(test)]
mod tests;

pub use applies::{Applies, Asked, Pattern};
pub use select::{Chosen, LeftOut, Selection, select};

use jiff::civil::Date;

use crate::{GateId, RunId};

/// The largest file of knowledge, in bytes.
pub const KNOWLEDGE_BYTES_MAX: usize = 64 * 1024;
/// The largest head of one, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The most files of knowledge that one store uses; more are a problem, and the first ones by name are used.
pub const KNOWLEDGE_FILES_MAX: usize = 1_000;

/// One file of knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knowledge {
    /// Its path below `knowledge/` without the ending, such as `rules/late-fees`.
    pub id: String,
    /// Where it applies; what is not said is not asked for.
    pub applies: Applies,
    /// Where it came from.
    pub origin: Origin,
    /// What it is about. Of several preferences about one thing the most specific speaks.
    pub topic: Option<String>,
    /// Higher goes first among those that are equally specific; 0 unless said.
    pub priority: i32,
    /// The first day on which it holds; absent: always did.
    pub valid_from: Option<Date>,
    /// The last day on which it holds; absent: until it is changed.
    pub valid_to: Option<Date>,
    /// Ids of knowledge that it stands in for, wherever it applies itself.
    pub replaces: Vec<String>,
    /// What it says.
    pub content: Content,
}

/// The folders below `knowledge/` that hold such files.
pub const FOLDERS: [&str; 4] = ["rules", "templates", "preferences", "examples"];

/// What a file of knowledge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An instruction of the operator.
    Rule(String),
    /// A template for `template` agents.
    Template(String),
    /// One value for one topic, and why.
    Preference {
        /// The value.
        value: String,
        /// A note for people; may be empty.
        note: String,
    },
    /// What was given, and what was wanted.
    Example {
        /// The text above the line `---`.
        given: String,
        /// The text below it.
        wanted: String,
    },
}

/// Where a file of knowledge came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody wrote it on a day.
    Person {
        /// Who.
        person: String,
        /// When.
        day: Date,
    },
    /// A correction at a gate became it.
    Correction {
        /// The run.
        run: RunId,
        /// The gate.
        gate: GateId,
    },
}

impl Knowledge {
    /// Tells whether it holds on `day`.
    #[must_use]
    pub fn holds(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day <= to)
    }

    /// The folder that it lies in: `rules`, `templates`, `preferences` or `examples`.
    #[must_use]
    pub fn folder(&self) -> &'static str {
        match self.content {
            Content::Rule(_) => "rules",
            Content::Template(_) => "templates",
            Content::Preference { .. } => "preferences",
            Content::Example { .. } => "examples",
        }
    }

    /// Its file, from the store's root.
    #[must_use]
    pub fn file(&self) -> String {
        format!("knowledge/{}.md", self.id)
    }

    /// What it says, as a step is given it.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.content {
            Content::Rule(text) | Content::Template(text) => text.clone(),
            Content::Preference { value, .. } => {
                format!("{}: {value}", self.topic.as_deref().expect("a preference has a topic"))
            }
            Content::Example { given, wanted } => format!("Given:\n{given}\nWanted:\n{wanted}"),
        }
    }
}

/// What files of knowledge are called: as definitions are.
#[must_use]
pub fn is_knowledge_id(id: &str) -> bool {
    id.split_once('/').is_some_and(|(folder, name)| FOLDERS.contains(&folder) && crate::paths::is_definition_name(name))
}
