//! What happens to a run as a whole.

use std::collections::BTreeMap;

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
