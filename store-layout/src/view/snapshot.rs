//! Everything the interface shows at one moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{InboxItem, RunItem};
use crate::{MachineId, RunId, definition::Problem};

/// How the kernel of this store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kernel", rename_all = "lowercase")]
pub enum KernelHealth {
    /// A process holds the lock.
    Running {
        /// Its process id, as it wrote it into the lock file.
        pid: Option<u32>,
    },
    /// Nobody holds the lock.
    Down,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The kernel.
    #[serde(flatten)]
    pub kernel: KernelHealth,
    /// Why a running kernel begins nothing new, if it does not: the disk is full, handles run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// Commands that no kernel has taken yet.
    pub commands_waiting: u32,
    /// Histories that could not be read, and why.
    pub unreadable: Vec<String>,
}

/// How much is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Passages in all.
    pub passages: u64,
}

/// Everything the interface shows at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What people call the store: its folder's name.
    pub store: String,
    /// This machine.
    pub machine: Option<MachineId>,
    /// When it was taken.
    #[serde(with = "crate::time::at")]
    pub as_of: Timestamp,
    /// How the store is.
    pub health: Health,
    /// Requests, open ones first by age, then the latest decided ones.
    pub inbox: Vec<InboxItem>,
    /// Runs, newest first.
    pub runs: Vec<RunItem>,
    /// Definitions that can not be used as they stand.
    pub problems: Vec<Problem>,
    /// Names of the workflows.
    pub workflows: Vec<String>,
    /// What starts runs by itself, by workflow and in the order of its definition.
    #[serde(default)]
    pub triggers: Vec<TriggerItem>,
}

/// One trigger of the last commit's definitions, as it stands on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerItem {
    /// The workflow.
    pub workflow: String,
    /// The trigger's name in it.
    pub trigger: String,
    /// What it goes by, in words.
    pub by: String,
    /// This version is trusted here; otherwise its triggers are off.
    pub on: bool,
    /// When it starts its next run, if it goes by time.
    pub next: Option<Timestamp>,
    /// How many due times have passed with no kernel there.
    pub missed: u64,
    /// A start waits for an earlier run to end.
    pub waits: bool,
    /// What it did last, as far as the latest logs tell.
    pub last: Option<Firing>,
}

/// What a trigger did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The due time, else when it happened.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// The run that it started.
    pub run: Option<RunId>,
    /// Why it started none.
    pub left_out: Option<String>,
}
