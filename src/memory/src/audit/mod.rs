//! What in memory and knowledge deserves a look: stale, contradicting, dangling, doubled, unreadable, never used.
//!
//! A finding is no error and changes nothing. Each says what it is about and what can be done about it.

mod knowledge;
mod passages;
#[cfg(test)]
mod tests;

use cairn_store_layout::definition::Knowledge;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::Ledger;

/// Facts that are dated so far ahead of the clock are worth a look.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Concern {
    /// Its time is over, or nobody has asked for it for long.
    Stale,
    /// Two of them can not both be meant.
    Contradicting,
    /// It names something that is not there.
    Dangling,
    /// It says what another one says.
    Duplicate,
    /// It can not be read.
    Unreadable,
    /// No step was ever given it.
    Unused,
}

/// One thing that deserves a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub concern: Concern,
    /// Ids of passages, entities or knowledge, or places in files.
    pub about: Vec<String>,
    /// What was found, for a person.
    pub message: String,
    /// What to do next.
    pub next: String,
}

/// What the audit looks at beside the ledger.
#[derive(Debug)]
pub struct Beside<'a> {
    /// The files of knowledge that can be read.
    pub knowledge: &'a [Knowledge],
    /// The names of the workflows with their steps.
    pub workflows: &'a [(String, Vec<String>)],
    /// The time.
    pub now: Timestamp,
    /// A passage that was given to no step for so long is stale.
    pub unused: SignedDuration,
}

impl Concern {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 6] =
        [Self::Unreadable, Self::Contradicting, Self::Dangling, Self::Duplicate, Self::Stale, Self::Unused];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Contradicting => "contradicting",
            Self::Dangling => "dangling",
            Self::Duplicate => "duplicate",
            Self::Unreadable => "unreadable",
            Self::Unused => "unused",
        }
    }
}

/// Everything that deserves a look, in the order of [`Concern::ALL`].
#[must_use]
pub fn audit(ledger: &Ledger, beside: &Beside<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in &ledger.unreadable {
        findings.push(Finding {
            concern: Concern::Unreadable,
            about: vec![format!("{}:{}", line.path, line.line)],
            message: line.why.clone(),
            next: "its neighbours are used; `git log -p` of the file says who wrote it".to_owned(),
        });
    }
    passages::look(ledger, beside, &mut findings);
    knowledge::look(ledger, beside, &mut findings);
    let place = |concern| Concern::ALL.iter().position(|c| *c == concern);
    findings.sort_by(|a, b| {
        place(a.concern)
            .cmp(&place(b.concern))
            .then_with(|| a.about.cmp(&b.about))
            .then_with(|| a.message.cmp(&b.message))
    });
    findings
}

/// The first eight characters of a passage's id.
fn short(id: &str) -> &str {
    &id[..id.len().min(8)]
}
