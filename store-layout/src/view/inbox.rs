//! What is shown of a request to the operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Digest, GateId, RunId, StepId, definition::Field, event::GateClass, payload::EffectContent, proposal::Proposed,
};

/// What is asked of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ItemKind {
    /// Please fill this form.
    Ask,
    /// Did this effect happen? Its outcome is unknown.
    Settle,
    /// It failed: what does that mean for the run?
    Decide,
    /// May memory learn this?
    Learn,
    /// May this effect happen?
    #[serde(untagged)]
    Gate(GateClass),
}

impl ItemKind {
    /// The class word of the list.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gate(class) => class.word(),
            Self::Ask => "ASK",
            Self::Settle => "SETTLE",
            Self::Decide => "DECIDE",
            Self::Learn => "LEARN",
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ItemState {
    /// Waits for the operator.
    Waiting,
    /// Approved.
    Approved {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Denied.
    Denied {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: Option<String>,
    },
    /// Answered.
    Answered {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Its time ran out.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its run ended first.
    Withdrawn {
        /// When.
        at: Timestamp,
    },
}

/// The form of an `ask`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked.
    pub prompt: String,
    /// The fields to fill.
    pub form: Vec<Field>,
}

/// One request, open or decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboxItem {
    /// Names the request.
    pub id: GateId,
    /// The run that asks; absent for a proposal to memory, which belongs to none.
    pub run: Option<RunId>,
    /// Its workflow.
    pub workflow: String,
    /// The step that asks.
    pub step: Option<StepId>,
    /// The iteration that asks.
    pub iteration: Option<String>,
    /// Which step of how many it is, counted from 1.
    pub position: (u32, u32),
    /// What is asked.
    pub kind: ItemKind,
    /// The digest a decision must name.
    pub digest: Digest,
    /// One line for the list.
    pub summary: String,
    /// Why the definition wants it.
    pub why: Option<String>,
    /// What it was derived from; shown apart.
    pub evidence: Option<Value>,
    /// The exact effect, for a gate.
    pub effect: Option<EffectContent>,
    /// The effect as first proposed, when it was edited since.
    pub proposed: Option<EffectContent>,
    /// What memory would learn, for a proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learns: Option<Box<Proposed>>,
    /// The form, for an ask.
    pub ask: Option<Ask>,
    /// When it was opened.
    #[serde(with = "crate::time::at")]
    pub opened: Timestamp,
    /// When it lapses.
    pub expires: Option<Timestamp>,
    /// What became of it.
    #[serde(flatten)]
    pub state: ItemState,
}

impl InboxItem {
    /// Tells whether it still waits for the operator.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == ItemState::Waiting
    }

    /// The confirmation level of ux section 3: that of its class, one more than that (at most 3)
    /// when its text hides characters.
    #[must_use]
    pub fn level(&self) -> u8 {
        let base = match self.kind {
            ItemKind::Gate(class) => class.level(),
            ItemKind::Ask | ItemKind::Settle | ItemKind::Decide => 1,
            ItemKind::Learn => self.learns.as_deref().map_or(1, super::learns::level),
        };
        let input = self.effect.as_ref().and_then(|e| e.request.input());
        let hidden = input.is_some_and(hides) || self.learns.is_some() && crate::text::has_hidden(&self.text());
        if hidden { 3 } else { base }
    }

    /// The text of the effect as a person reads and edits it; for a proposal, of what would be learned.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(learns) = &self.learns {
            return super::learns::text(learns);
        }
        self.effect.as_ref().map(EffectContent::text).unwrap_or_default()
    }
}

/// The form that settles an effect whose outcome is unknown.
#[must_use]
pub fn settle_form() -> Vec<Field> {
    vec![Field {
        name: "outcome".to_owned(),
        kind: crate::definition::FieldType::Text,
        description: Some("`done` if it happened, `not_done` if it is to be tried again".to_owned()),
        default: None,
        optional: false,
        choices: vec!["done".to_owned(), "not_done".to_owned()],
    }]
}

/// The form by which a person says what a failure means.
#[must_use]
pub fn decide_form() -> Vec<Field> {
    let field = |name: &str, kind, description: &str, choices: &[&str]| Field {
        name: name.to_owned(),
        kind,
        description: Some(description.to_owned()),
        default: None,
        optional: choices.is_empty(),
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
    };
    let (text, json) = (crate::definition::FieldType::Text, crate::definition::FieldType::Json);
    vec![
        field(
            "decision",
            text,
            "`retry`: another attempt; `skip`: go on without it; `output`: it is done, with the output given here; \
             `fail`: the step has failed",
            &["retry", "skip", "output", "fail"],
        ),
        field("output", json, "what the step gives, as JSON; only with `output`", &[]),
        field("comment", text, "what an agent is told for its next attempt; otherwise a note", &[]),
    ]
}

fn hides(value: &Value) -> bool {
    match value {
        Value::String(s) => crate::text::has_hidden(s),
        Value::Array(items) => items.iter().any(hides),
        Value::Object(map) => map.iter().any(|(k, v)| crate::text::has_hidden(k) || hides(v)),
        _ => false,
    }
}
