//! What happens to a step: its list, its attempts, its timer, what it remembers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, GateId, passage::Passage, payload::EffectContent};

/// One element of a `for_each` list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Unique in the list; names the iteration for ever.
    pub key: String,
    /// The element.
    pub item: Value,
}

/// Leaves: step pending. Reaches: each iteration pending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepExpanded {
    /// The list, in order, after `where`.
    pub items: Vec<Item>,
}

/// Leaves: step pending, waiting, or all iterations final. Reaches: succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSucceeded {
    /// The output. Absent for a `for_each` step, whose output is the map of its iterations'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// Leaves: step or iteration pending, or all iterations final. Reaches: failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFailed {
    /// The failure's class.
    pub class: FailureClass,
    /// Short code, such as `expression`.
    pub code: String,
    /// What went wrong, for a person.
    pub message: String,
}

/// Leaves: step or iteration pending. Reaches: skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSkipped {
    /// Why: its `if` is false, or a step it needs was skipped, denied or failed.
    pub reason: String,
}

/// Leaves: pending, approved or retrying. Reaches: in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// The idempotency key: the same for every attempt of this effect, on every machine.
    pub key: Digest,
    /// Digest of `effect`.
    pub digest: Digest,
    /// What is about to be done.
    pub effect: EffectContent,
}

/// What an attempt used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// US dollars as a decimal string; absent when the call has no price (local agents).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_in: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_out: Option<u64>,
}

/// A payload kept as `artifacts/<ab>/<hash>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// What it is to this attempt: `request`, `reply`, `stdout` ...
    pub name: String,
    /// Hash of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// A file under `files/` that an effect wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWritten {
    /// Its path from the store's root.
    pub path: String,
    /// Hash of its bytes.
    pub digest: Digest,
}

/// Leaves: in flight or unknown. Reaches: succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptSucceeded {
    /// What the effect gave back.
    pub output: Value,
    /// What it used up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// Payloads kept beside the history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactRef>,
    /// Files it wrote into the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileWritten>,
    /// Set when a person said what happened, after `attempt.unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
}

/// How a failure is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// May pass if tried again: retried within bounds.
    Soft,
    /// Will not pass by itself: the step fails.
    Hard,
    /// The world said no for a reason of its own: the step fails, a person should look.
    Business,
}

/// Leaves: in flight or unknown. Reaches: retrying when `retry_at` is set, else failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// The failure's class.
    pub class: FailureClass,
    /// Short code, such as `timeout`, `http_429`, `schema`.
    pub code: String,
    /// What went wrong, for a person.
    pub message: String,
    /// When the next attempt is due, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub retry_at: Option<Timestamp>,
    /// What the failed attempt used up all the same.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage: Usage,
    /// Payloads kept beside the history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactRef>,
    /// Set when a person said that it did not happen, after `attempt.unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
}

/// Leaves: in flight. Reaches: unknown, with a request to the operator to settle it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptUnknown {
    /// The request that settles it.
    pub gate: GateId,
    /// Why nobody knows.
    pub message: String,
}

/// Leaves: pending. Reaches: waiting for the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerSet {
    /// When it fires.
    #[serde(with = "crate::time::at")]
    pub until: Timestamp,
}

/// Leaves: waiting for the time. Reaches: succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerFired {}

/// Changes no state of the run; the passage is in memory from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassageRemembered {
    /// The passage.
    pub passage: Passage,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
