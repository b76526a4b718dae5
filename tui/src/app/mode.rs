//! What the bottom rows ask, when they ask something.

use cairn_store_layout::{Digest, GateId, RunId, definition::Field};
use serde_json::Value;

/// A request with the digest that was on the screen when a key was aimed at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Absent for a proposal.
    pub(crate) run: Option<RunId>,
    pub(crate) gate: GateId,
    pub(crate) digest: Digest,
}

/// What a confirmation lets happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Purpose {
    Approve(Target),
    Edit { target: Target, before: Value, after: Value, after_digest: Digest },
    Cancel(RunId),
}

/// What must be typed to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    Digit(char),
    Id(String),
}

/// A question that only a particular key answers with yes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confirm {
    pub(crate) purpose: Purpose,
    pub(crate) proof: Proof,
    pub(crate) typed: String,
    /// What is about to happen, in a sentence.
    pub(crate) words: String,
    /// What it does when confirmed: `approves`, `saves the edit`.
    pub(crate) verb: &'static str,
}

/// The form of an ask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Form {
    pub(crate) target: Target,
    pub(crate) fields: Vec<Field>,
    pub(crate) typed: Vec<String>,
    pub(crate) at: usize,
    /// What is wrong with what was typed.
    pub(crate) wrong: Option<String>,
}

/// What keys mean just now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Mode {
    /// What the key table says.
    #[default]
    Normal,
    /// They are typed into the filter.
    Find,
    /// Only one confirms; any other cancels.
    Confirm(Confirm),
    /// They are typed into the reason of a denial.
    Reason { target: Target, typed: String },
    /// They are typed into a form.
    Form(Form),
    /// A digit copies.
    Copy(Vec<(&'static str, String)>),
    /// They filter the list of keys.
    Help { typed: String, at: usize },
}

impl Mode {
    /// Tells whether the mode takes free text, so that pasting into it makes sense.
    pub(crate) fn takes_text(&self) -> bool {
        matches!(self, Self::Find | Self::Reason { .. } | Self::Form(_) | Self::Help { .. })
    }

    /// Tells whether what is typed decides something, so that keys typed before it was seen must be dropped.
    pub(crate) fn decides(&self) -> bool {
        matches!(self, Self::Confirm(_) | Self::Reason { .. } | Self::Form(_))
    }

    /// Tells whether the keys that move still scroll the pane.
    pub(crate) fn scrolls(&self) -> bool {
        matches!(self, Self::Confirm(Confirm { purpose: Purpose::Edit { .. }, .. }))
    }

    /// The request it is about, if it is about one.
    pub(crate) fn target(&self) -> Option<&Target> {
        match self {
            Self::Confirm(Confirm { purpose: Purpose::Approve(target) | Purpose::Edit { target, .. }, .. })
            | Self::Reason { target, .. } => Some(target),
            Self::Form(form) => Some(&form.target),
            _ => None,
        }
    }
}

/// The digit that confirms what has this digest: it differs from item to item.
pub(crate) fn digit(digest: &Digest) -> char {
    let sum: u32 = digest.as_str().bytes().take(8).map(u32::from).sum();
    char::from_digit(sum % 10, 10).expect("a remainder of ten is a digit")
}

/// The reasons of a denial that have a digit of their own.
pub(crate) const REASONS: [&str; 5] = ["wrong fact", "wrong target", "tone", "not now", "breaks a rule"];
