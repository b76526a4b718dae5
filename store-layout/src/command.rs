//! Files of the inbox: what is asked of the kernel, by whoever can write a file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommandId, Digest, GateId, RunId};

/// The largest command file.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;
/// The schema every command names.
pub const SCHEMA: &str = "cairn.command/1";

/// One file `inbox/<machine>/<id>.json`: written once (temporary name, fsync, rename), never changed,
/// deleted in the commit that records what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The file's name without `.json`.
    pub id: CommandId,
    /// When it was written, by the writer's clock.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// Who wrote it: a name for the record, no proof.
    pub by: String,
    /// What is asked.
    #[serde(flatten)]
    pub verb: Verb,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb")]
pub enum Verb {
    /// Start a run; its id will be the command's id.
    #[serde(rename = "run.start")]
    RunStart {
        /// The workflow.
        workflow: String,
        /// Its input.
        #[serde(default)]
        input: Value,
    },
    /// End a run before its time.
    #[serde(rename = "run.cancel")]
    RunCancel {
        /// The run.
        run: RunId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What it did is taken back first, where its definition says how.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
    },
    /// Take over a run of an id that this machine has retired.
    #[serde(rename = "run.adopt")]
    RunAdopt {
        /// The run.
        run: RunId,
    },
    /// Let the effect of this digest happen.
    #[serde(rename = "gate.approve")]
    GateApprove {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Do not let it happen.
    #[serde(rename = "gate.deny")]
    GateDeny {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Replace the input of the effect; it still waits for approval, under its new digest.
    #[serde(rename = "gate.edit")]
    GateEdit {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// The input as edited.
        input: Value,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Fill a form, or settle an effect whose outcome is unknown.
    #[serde(rename = "ask.answer")]
    AskAnswer {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// The fields as filled.
        answer: Value,
    },
    /// Tell runs and triggers that something happened.
    #[serde(rename = "event.emit")]
    EventEmit {
        /// Its name, see [`is_event_name`].
        name: String,
        /// What comes with it.
        #[serde(default)]
        data: Value,
        /// The only run it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// Remember a passage that a person wrote.
    #[serde(rename = "memory.add")]
    MemoryAdd {
        /// The text.
        text: String,
        /// Its kind, `note` unless said.
        kind: String,
        /// Whom or what it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entity: Option<String>,
    },
}

impl Verb {
    /// The word for the log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::RunStart { .. } => "run.start",
            Self::RunCancel { .. } => "run.cancel",
            Self::RunAdopt { .. } => "run.adopt",
            Self::GateApprove { .. } => "gate.approve",
            Self::GateDeny { .. } => "gate.deny",
            Self::GateEdit { .. } => "gate.edit",
            Self::AskAnswer { .. } => "ask.answer",
            Self::EventEmit { .. } => "event.emit",
            Self::MemoryAdd { .. } => "memory.add",
        }
    }
}

/// Tells whether `name` may name an event: a letter, then up to 99 of `a-z 0-9 . _ -`, in lower case.
#[must_use]
pub fn is_event_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    name.len() <= 100 && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && name.bytes().all(plain)
}
