//! What happens to a machine and to no run: the kinds of its log.

use serde::{Deserialize, Serialize};

use crate::{RunId, passage::Passage};

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
    pub run: RunId,
    /// Why it can not be followed, for a person.
    pub message: String,
}
