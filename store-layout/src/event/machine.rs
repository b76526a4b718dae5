//! What happens to a machine and to no run: the kinds of its log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommandId, Digest, MachineId, RunId, passage::Passage};

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
    pub run: Option<RunId>,
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

/// Bytes at the end of the journal that a crash cut short now lie in `.cairn/quarantine/`; or damaged
/// entries were restored, and the segment as it was found lies there.
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
    /// How many acknowledged entries were damaged and are whole again; absent for a torn tail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
}

/// The branch was damaged or lost and names a commit again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchRestored {
    /// Its full name.
    pub branch: String,
    /// What was found instead, for a person.
    pub found: String,
    /// The commit that it names now.
    pub commit: String,
    /// A newer commit that was recorded and can not be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// The id that this machine had before is given up: what it knew is known to be incomplete. Its runs wait
/// until they are adopted or canceled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRetired {
    /// The id that was given up.
    pub was: MachineId,
    /// Why, for a person.
    pub message: String,
}

/// The run waits as it is; all others go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunParked {
    /// The run.
    pub run: RunId,
    /// Why it can not be followed, for a person.
    pub message: String,
}

/// Leaves: parked. The run is followed again, because somebody asked to read it once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFollowed {
    /// The run.
    pub run: RunId,
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
}

/// The event was offered to the runs that wait for its name, and to triggers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventReceived {
    /// Names this one event: the id of the command that brought it.
    pub event: CommandId,
    /// Its name.
    pub name: String,
    /// What came with it.
    pub data: Value,
    /// Who or what emitted it.
    pub by: String,
    /// The only run it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// A trigger was due, or saw what it waits for, and started a run or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerFired {
    /// The workflow.
    pub workflow: String,
    /// The trigger's name in it.
    pub trigger: String,
    /// The time that was due, for triggers that go by time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub due: Option<Timestamp>,
    /// The event, the file or the run that it saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
    /// The text that keeps it from being started twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// What was in the file that it saw: the same path with other bytes is another file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// How many due times this stands for, up to `due`; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How many runs started each other by their ends or events before it; absent: none.
    #[serde(default, skip_serializing_if = "super::run::is_zero")]
    pub depth: u32,
    /// The input of a run that waits for an earlier one to end; there is neither `run` nor `left_out` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The run that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}
