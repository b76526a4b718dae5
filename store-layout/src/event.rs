//! What can happen to a run: one type per fact, in past tense.
//!
//! These are the live types. [`crate::record`] maps them to lines and back, so that a renamed field
//! here never changes a byte on disk unnoticed: every kind has frozen bytes in its tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{CommandId, Digest, GateId, MachineId, StepId, passage::Passage, payload::EffectContent};

/// One fact about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it was recorded, by the machine's clock that never goes back.
    pub at: Timestamp,
    /// The step it is about, if any.
    pub step: Option<StepId>,
    /// The key of the `for_each` iteration it is about, if any.
    pub iteration: Option<String>,
    /// The attempt it is about, counted from 1.
    pub attempt: Option<u32>,
    /// The command that caused it, if one did.
    pub cause: Option<CommandId>,
    /// What happened.
    pub body: Body,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $variant:ident($ty:ident) = $kind:literal / $v:literal;)*) => {
        /// What happened. See each type for the states it leaves and reaches.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body {
            $($(#[$doc])* $variant($ty),)*
            /// A kind or version this build does not know: carried byte for byte, shown, never dropped.
            Unknown {
                /// The kind as written.
                kind: String,
                /// Its version as written.
                v: u32,
                /// All its fields.
                fields: Map<String, Value>,
            },
        }

        impl Body {
            /// Every kind this build writes, with its version.
            pub const KINDS: &'static [(&'static str, u32)] = &[$(($kind, $v)),*];

            /// The kind and version as written.
            #[must_use]
            pub fn kind(&self) -> (&str, u32) {
                match self {
                    $(Self::$variant(_) => ($kind, $v),)*
                    Self::Unknown { kind, v, .. } => (kind, *v),
                }
            }

            /// The fields of its own, as a JSON object.
            ///
            /// # Errors
            /// Never for the types of this module; the error is serde's.
            pub fn to_fields(&self) -> Result<Map<String, Value>, serde_json::Error> {
                let value = match self {
                    $(Self::$variant(body) => serde_json::to_value(body)?,)*
                    Self::Unknown { fields, .. } => return Ok(fields.clone()),
                };
                match value {
                    Value::Object(map) => Ok(map),
                    _ => Ok(Map::new()),
                }
            }

            /// Reads the body of a line.
            ///
            /// # Errors
            /// When a known kind lacks a field or has one of another type.
            pub fn from_fields(kind: &str, v: u32, fields: Map<String, Value>) -> Result<Self, serde_json::Error> {
                match (kind, v) {
                    $(($kind, $v) => serde_json::from_value(Value::Object(fields)).map(Self::$variant),)*
                    _ => Ok(Self::Unknown { kind: kind.to_owned(), v, fields }),
                }
            }
        }

        $(impl From<$ty> for Body {
            fn from(body: $ty) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

bodies! {
    /// The first event of every history.
    RunStarted(RunStarted) = "run.started"/1;
    /// The run ended well. Last but for nothing.
    RunSucceeded(RunSucceeded) = "run.succeeded"/1;
    /// The run ended with a step that failed.
    RunFailed(RunFailed) = "run.failed"/1;
    /// The run was ended by a person.
    RunCanceled(RunCanceled) = "run.canceled"/1;
    /// A `for_each` list was taken.
    StepExpanded(StepExpanded) = "step.expanded"/1;
    /// A step that needs no attempt (`set`, `wait`, a whole `for_each`) has its output.
    StepSucceeded(StepSucceeded) = "step.succeeded"/1;
    /// A step could not be prepared: an expression failed.
    StepFailed(StepFailed) = "step.failed"/1;
    /// A step or iteration will not be done.
    StepSkipped(StepSkipped) = "step.skipped"/1;
    /// The intent: durable before the effect leaves.
    AttemptStarted(AttemptStarted) = "attempt.started"/1;
    /// The receipt of an effect that was done.
    AttemptSucceeded(AttemptSucceeded) = "attempt.succeeded"/1;
    /// The effect was not done, or its result is not usable.
    AttemptFailed(AttemptFailed) = "attempt.failed"/1;
    /// Nobody knows whether the effect was done; a person decides.
    AttemptUnknown(AttemptUnknown) = "attempt.unknown"/1;
    /// An effect waits for approval.
    GateOpened(GateOpened) = "gate.opened"/1;
    /// The effect under the gate was replaced by an edited one; still waiting.
    GateEdited(GateEdited) = "gate.edited"/1;
    /// The effect of exactly this digest may be done, once.
    GateApproved(GateApproved) = "gate.approved"/1;
    /// The effect will not be done. Not a failure.
    GateDenied(GateDenied) = "gate.denied"/1;
    /// The gate's time ran out: the effect will not be done.
    GateExpired(GateExpired) = "gate.expired"/1;
    /// The run ended before a decision.
    RequestWithdrawn(RequestWithdrawn) = "request.withdrawn"/1;
    /// A form waits for the operator.
    AskOpened(AskOpened) = "ask.opened"/1;
    /// The operator filled the form.
    AskAnswered(AskAnswered) = "ask.answered"/1;
    /// A timer runs.
    TimerSet(TimerSet) = "timer.set"/1;
    /// The timer fired, once.
    TimerFired(TimerFired) = "timer.fired"/1;
    /// A step remembered a passage.
    PassageRemembered(PassageRemembered) = "passage.remembered"/1;
    /// In a machine's log: a command was refused; nothing changed.
    CommandRefused(CommandRefused) = "command.refused"/1;
    /// In a machine's log: a person's passage was remembered.
    PassageAdded(PassageAdded) = "passage.added"/1;
    /// In a machine's log: bytes that were never acknowledged were set aside.
    JournalRepaired(JournalRepaired) = "journal.repaired"/1;
    /// In a machine's log: a run can not be followed and is left alone until somebody has looked at it.
    RunParked(RunParked) = "run.parked"/1;
}

/// Leaves: nothing. Reaches: running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The id of the run (the file's name, repeated so that a history stands alone).
    pub run: crate::RunId,
    /// The workflow's name.
    pub workflow: String,
    /// Git tree id of `workflows/<name>` that the run is pinned to.
    pub definition: String,
    /// Git blob ids of the agents and connectors that the run is pinned to, by path.
    pub pins: BTreeMap<String, String>,
    /// The input, checked and with defaults filled in.
    pub input: Value,
    /// What started it: `manual` so far.
    pub trigger: String,
    /// Who asked for it.
    pub by: String,
    /// The machine that owns the run.
    pub machine: MachineId,
    /// The steps in the order of the definition, so that a history can be read on its own.
    pub steps: Vec<PlannedStep>,
}

/// A step as the definition lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub id: StepId,
    /// The key that says what it does: `agent`, `call`, `run`, `set`, `ask`, `wait`.
    pub does: String,
    /// What it asks for: the agent, the operation or the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The steps it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
}

/// Leaves: running. Reaches: succeeded (final).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSucceeded {
    /// The workflow's output, or null.
    pub output: Value,
}

/// Leaves: running. Reaches: failed (final).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFailed {
    /// The steps that failed, in order.
    pub steps: Vec<StepId>,
    /// The first failure, for a person.
    pub message: String,
}

/// Leaves: running. Reaches: canceled (final).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCanceled {
    /// Who canceled it.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

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
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option_at")]
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
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option_at")]
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

/// No state changes: what was asked can not be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRefused {
    /// Name of the command's file.
    pub command: String,
    /// What it asked, such as `gate.approve`; `?` when the file could not be read.
    pub verb: String,
    /// Who asked.
    pub by: String,
    /// The run it was about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<crate::RunId>,
    /// A stable code, such as `stale_digest`.
    pub code: String,
    /// Why not, for a person.
    pub message: String,
}

/// The passage is in memory from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassageAdded {
    /// The passage.
    pub passage: Passage,
}

/// Bytes at the end of the journal that a crash cut short now lie in `.cairn/quarantine/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRepaired {
    /// The segment.
    pub segment: String,
    /// Where the bytes began.
    pub offset: u64,
    /// How many there were.
    pub bytes: u64,
    /// Where they lie now.
    pub kept: String,
}

/// The run waits as it is; all others go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunParked {
    /// The run.
    pub run: crate::RunId,
    /// Why it can not be followed, for a person.
    pub message: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serde form of an optional moment.
mod option_at {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::ref_option, reason = "serde decides the signature")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => s.serialize_str(&crate::time::write(*at)),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        match Option::<String>::deserialize(d)? {
            Some(text) => text.parse().map(Some).map_err(de::Error::custom),
            None => Ok(None),
        }
    }
}
