//! What is asked of the operator, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, GateId, payload::EffectContent};

/// What kind of change an approval lets through; the words of the Inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GateClass {
    /// Writes files inside the store.
    File,
    /// Changes records inside the store.
    Data,
    /// Runs a program.
    Run,
    /// Sends something to somebody.
    Send,
    /// Spends money.
    Spend,
    /// Changes a rule.
    Rule,
}

impl GateClass {
    /// The word shown to a person.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "FILE",
            Self::Data => "DATA",
            Self::Run => "RUN",
            Self::Send => "SEND",
            Self::Spend => "SPEND",
            Self::Rule => "RULE",
        }
    }

    /// The confirmation level of ux section 3: 1 (reversible, inside the store), 2 or 3.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::File | Self::Data => 1,
            Self::Run | Self::Send | Self::Spend => 2,
            Self::Rule => 3,
        }
    }
}

/// Leaves: pending. Reaches: waiting for a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateOpened {
    /// Names the request.
    pub gate: GateId,
    /// Digest of `effect`; a decision must name it.
    pub digest: Digest,
    /// What kind of change it is.
    pub class: GateClass,
    /// The exact effect that is asked for.
    pub effect: EffectContent,
    /// One line for the list.
    pub summary: String,
    /// Why the definition wants it, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it was derived from: recalled passages and the like. Shown apart, never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// When an unanswered gate lapses.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub expires: Option<Timestamp>,
}

/// Leaves and reaches: waiting for a decision, with another effect. A correction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateEdited {
    /// The request.
    pub gate: GateId,
    /// Digest of the effect that was shown.
    pub before: Digest,
    /// Digest of `effect`.
    pub digest: Digest,
    /// The effect as edited.
    pub effect: EffectContent,
    /// Who edited it.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Leaves: waiting for a decision. Reaches: approved (the attempt starts).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateApproved {
    /// The request.
    pub gate: GateId,
    /// The digest that was shown and approved.
    pub digest: Digest,
    /// Who approved it.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Leaves: waiting for a decision. Reaches: denied (counts as skipped).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateDenied {
    /// The request.
    pub gate: GateId,
    /// The digest that was shown and denied.
    pub digest: Digest,
    /// Who denied it.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Leaves: waiting for a decision. Reaches: denied by time (counts as skipped).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateExpired {
    /// The request.
    pub gate: GateId,
}

/// Leaves: waiting for a decision or an answer. Reaches: skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestWithdrawn {
    /// The request.
    pub gate: GateId,
    /// Why it is no longer asked.
    pub reason: String,
}

/// Leaves: pending. Reaches: waiting for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskOpened {
    /// Names the request.
    pub gate: GateId,
    /// Digest of prompt and form; an answer must name it.
    pub digest: Digest,
    /// What is asked, in the definition's words.
    pub prompt: String,
    /// The fields to fill, in order.
    pub form: Vec<crate::definition::Field>,
}

/// Leaves: waiting for an answer. Reaches: succeeded; the output is `answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskAnswered {
    /// The request.
    pub gate: GateId,
    /// The fields as filled.
    pub answer: Value,
    /// Who answered.
    pub by: String,
}
