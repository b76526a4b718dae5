//! What happens to a step: its list, its attempts, its timer, what it remembers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommandId, Digest, GateId, RunId, passage::Passage, payload::EffectContent};

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
    /// Set when a person, or a probe, said what happened, after `attempt.unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
    /// The run whose answer to the same request was taken, instead of asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<RunId>,
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
    /// Set when a person, or a probe, said that it did not happen, after `attempt.unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
    /// What follows when there is no next attempt; absent: the step fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
}

/// What follows a failure that is not retried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// The step counts as skipped.
    Skip,
    /// The operator decides, by this request.
    Ask(GateId),
}

/// What the operator makes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureDecision {
    /// Another attempt.
    Retry,
    /// The step counts as skipped.
    Skip,
    /// The step is done; the operator supplied its output.
    Output,
    /// The step fails.
    Fail,
}

/// Leaves: failed, asked. Reaches: pending, skipped, succeeded or failed, as decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureDecided {
    /// The request.
    pub gate: GateId,
    /// What was decided.
    pub decision: FailureDecision,
    /// The output that the operator supplied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What the next attempt of an agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who decided.
    pub by: String,
}

/// Leaves: done for this round. Reaches: pending for the next, after the pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRepeated {
    /// The round that begins, counted from 1; the first one needs no such event.
    pub round: u32,
    /// When it begins, after a pause.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub due: Option<Timestamp>,
}

/// Leaves: pending. Reaches: succeeded, with the result that an earlier run had for the same request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReused {
    /// The earlier run.
    pub from: RunId,
    /// Digest of the request: step, iteration and this are what results are matched by.
    pub request: Digest,
    /// What it gave.
    pub output: Value,
}

/// Leaves: pending. Reaches: waiting for an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitOpened {
    /// The event's name.
    pub event: String,
    /// When the wait ends without one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub until: Option<Timestamp>,
}

/// Leaves: pending or waiting for an event. Reaches: succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalTaken {
    /// The signal; nobody else takes it.
    pub signal: CommandId,
    /// What came with it.
    pub output: Value,
}

/// Leaves: pending or approved. Reaches: queued. Without a step: the run itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseAsked {
    /// Of those with this key at most `max` may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Share>,
    /// Of those with this key at most `max` may begin in `per`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateShare>,
}

/// A share of something that several steps or runs use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Those with the same key count together.
    pub key: String,
    /// How many at once.
    pub max: u32,
}

/// A share of a rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateShare {
    /// Those with the same key count together.
    pub key: String,
    /// How many may begin.
    pub max: u32,
    /// In which length of time.
    pub per: crate::time::Span,
}

/// Leaves: queued. Reaches: may begin; the share is held until the step, or the run, is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGranted {}

/// Leaves: unknown. Reaches: being probed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeStarted {
    /// What is looked up.
    pub effect: EffectContent,
}

/// Leaves: being probed. Reaches: unknown, and a person settles it. A probe that found out is followed by
/// `attempt.succeeded` or `attempt.failed` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFailed {
    /// Why it did not find out, for a person.
    pub message: String,
}

/// Leaves: succeeded. Reaches: being undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoStarted {
    /// The idempotency key: the same for every attempt.
    pub key: Digest,
    /// Digest of `effect`.
    pub digest: Digest,
    /// What takes it back.
    pub effect: EffectContent,
}

/// Leaves: being undone. Reaches: undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoSucceeded {
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
    /// Set when a person said that it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
}

/// Leaves: being undone. Reaches: retrying when `retry_at` is set, else not undone, for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoFailed {
    /// The failure's class.
    pub class: FailureClass,
    /// Short code.
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
    /// Set when a person said that it did not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
}

/// Leaves: being undone. Reaches: unknown, with a request to the operator to settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoUnknown {
    /// The request that settles it.
    pub gate: GateId,
    /// Why nobody knows.
    pub message: String,
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
