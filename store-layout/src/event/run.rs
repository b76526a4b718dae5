//! What happens to a run as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{MachineId, RunId, StepId};

/// Leaves: nothing. Reaches: running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The id of the run (the file's name, repeated so that a history stands alone).
    pub run: RunId,
    /// The workflow's name.
    pub workflow: String,
    /// Git tree id of `workflows/<name>` that the run is pinned to.
    pub definition: String,
    /// Git blob ids of the agents and connectors that the run is pinned to, by path, and tree ids of the workflows
    /// that it starts, with all that these name.
    pub pins: BTreeMap<String, String>,
    /// The input, checked and with defaults filled in.
    pub input: Value,
    /// What started it: `manual`, `workflow`, `rerun`, `fork`, or the kind of a trigger.
    pub trigger: String,
    /// Who asked for it.
    pub by: String,
    /// The machine that owns the run.
    pub machine: MachineId,
    /// The steps in the order of the definition, so that a history can be read on its own.
    pub steps: Vec<PlannedStep>,
    /// The step that started it and waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run whose results it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What a trigger started it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<Fired>,
}

/// The step that started a child run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The iteration of a `for_each` step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<String>,
    /// The attempt.
    pub attempt: u32,
    /// How deep it stands: 1 for the child of a run that nobody's step started.
    pub depth: u32,
}

/// Where a rerun or a fork takes results from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The earlier run.
    pub run: RunId,
    /// Its records below this number count.
    pub records: u64,
    /// This step, and all that need it, are done anew even if nothing about them changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<StepId>,
    /// A fork: memory and entities are seen as they were then.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub as_of: Option<Timestamp>,
}

/// What a trigger started a run for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// The trigger's name in its workflow.
    pub trigger: String,
    /// The time that was due, for triggers that go by time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub due: Option<Timestamp>,
    /// The text that keeps it from being started twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// How many runs started each other by their ends or events before it; absent: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde decides the signature")]
pub(super) fn is_zero(n: &u32) -> bool {
    *n == 0
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
    /// It follows when all that are not of `finally` are over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
}

/// The run belongs to `machine` from here on, which alone may add to its history. With `asks_again` every gate
/// that waits, or was approved and not used, leaves waiting and is to be opened again; nothing else changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAdopted {
    /// The machine that owns it now.
    pub machine: MachineId,
    /// The machine that owned it before.
    pub from: MachineId,
    /// Who decided it.
    pub by: String,
    /// What was decided since is not known, so nothing that was approved or asked before counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_again: bool,
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

/// Why a run is being stopped before its steps are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopCause {
    /// A step failed.
    Failed,
    /// A person canceled it.
    Canceled,
    /// Its deadline passed.
    Deadline,
}

/// Leaves: running. Reaches: stopping; nothing new begins but what undoes, and `finally`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStopping {
    /// Why.
    pub why: StopCause,
    /// Why, for a person.
    pub message: String,
    /// What was done is taken back where the definition says how.
    pub undo: bool,
    /// Who canceled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why they canceled it, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Leaves and reaches: running, under another version of its definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunMigrated {
    /// Git tree id it was pinned to.
    pub before: String,
    /// Git tree id it is pinned to from here on.
    pub definition: String,
    /// Git blob ids of the agents and connectors from here on, by path.
    pub pins: BTreeMap<String, String>,
    /// The steps from here on.
    pub steps: Vec<PlannedStep>,
    /// Who asked for it.
    pub by: String,
}

/// No state changes by itself: a `wait` may take it, now or later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalReceived {
    /// Names this one signal: the id of the command that brought it.
    pub signal: crate::CommandId,
    /// The name of the event.
    pub name: String,
    /// What came with it.
    pub data: Value,
    /// Who or what emitted it.
    pub by: String,
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
