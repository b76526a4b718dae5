//! Files of the inbox: what is asked of the kernel, by whoever can write a file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{CommandId, Digest, EntityId, GateId, RunId, StepId};

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
    /// Start the run of a trigger now; its id will be the command's id.
    #[serde(rename = "trigger.fire")]
    TriggerFire {
        /// The workflow.
        workflow: String,
        /// The trigger's name in it.
        trigger: String,
        /// What it sees: an event's data, a file's path below `files/`, a run's id; nothing for times.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        data: Value,
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
    /// Read a parked run again; end the pauses between attempts.
    #[serde(rename = "run.resume")]
    RunResume {
        /// The run.
        run: RunId,
    },
    /// Begin a new attempt of what failed or pauses.
    #[serde(rename = "run.retry")]
    RunRetry {
        /// The run.
        run: RunId,
        /// The step; absent: every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// The iteration; absent: every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iteration: Option<String>,
    },
    /// Start a run with the input of another one; its id will be the command's id.
    #[serde(rename = "run.rerun")]
    RunRerun {
        /// The earlier run.
        run: RunId,
        /// How.
        #[serde(flatten)]
        again: Again,
        /// Results of the earlier run are taken over where they still answer.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        reuse: bool,
    },
    /// Start a run that goes on from a step of another one, with memory as it was then; its id will be the command's id.
    #[serde(rename = "run.fork")]
    RunFork {
        /// The earlier run.
        run: RunId,
        /// How; `from` must be given.
        #[serde(flatten)]
        again: Again,
    },
    /// Move a run to another version of its definition.
    #[serde(rename = "run.migrate")]
    RunMigrate {
        /// The run.
        run: RunId,
        /// Git tree id of the version; absent: the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
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
    MemoryAdd(NewPassage),
    /// Recall a passage no more.
    #[serde(rename = "memory.forget")]
    MemoryForget {
        /// The passage's id.
        passage: String,
        /// Why.
        reason: String,
    },
    /// Change fields of an entity.
    #[serde(rename = "entity.set")]
    EntitySet(NewChange),
    /// Make two entities one.
    #[serde(rename = "entity.merge")]
    EntityMerge {
        /// The one whose name becomes another name of `into`.
        entity: EntityId,
        /// The one that stays.
        into: EntityId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Take a merge back.
    #[serde(rename = "entity.split")]
    EntitySplit {
        /// The entity that was merged.
        entity: EntityId,
        /// The id of the change that merged it.
        merge: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Record what happened with somebody.
    #[serde(rename = "episode.add")]
    EpisodeAdd(NewEpisode),
    /// Forget and summarise by the policies of memory.
    #[serde(rename = "memory.tidy")]
    MemoryTidy {},
    /// Learn what is proposed.
    #[serde(rename = "proposal.accept")]
    ProposalAccept {
        /// The proposal.
        proposal: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Do not, and do not ask again.
    #[serde(rename = "proposal.reject")]
    ProposalReject {
        /// The proposal.
        proposal: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// A passage that a person wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPassage {
    /// The text.
    pub text: String,
    /// Its kind, such as `note`.
    pub kind: String,
    /// Whom or what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Labels for filters and policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// From when it holds; absent: from now.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub valid_from: Option<Timestamp>,
    /// Until when it holds; absent: until superseded.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub valid_to: Option<Timestamp>,
    /// Ids of the passages that it replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
}

/// A change of an entity that a person wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewChange {
    /// The entity; a new one begins to be.
    pub entity: EntityId,
    /// New values; null takes a field away.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// Values that join a set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, Vec<Value>>,
    /// Values that leave a set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remove: BTreeMap<String, Vec<Value>>,
    /// The version that was read; 0 for an entity that must be new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An episode that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEpisode {
    /// What kind of thing: `call`, `meeting` ...
    pub kind: String,
    /// What happened.
    pub text: String,
    /// With whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<EntityId>,
    /// When it happened; absent: when the command was written. Not `at`, which is the command's own.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::option_at")]
    pub happened: Option<Timestamp>,
    /// Where more of it is found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a run is done again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Again {
    /// This step and all that need it are done anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<StepId>,
    /// With the latest version of the definition, agents and connectors; else with those of the earlier run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latest: bool,
    /// Fields of the input that are other than they were.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub input: Map<String, Value>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde decides the signature")]
fn is_yes(reuse: &bool) -> bool {
    *reuse
}

impl Verb {
    /// The word for the log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::RunStart { .. } => "run.start",
            Self::TriggerFire { .. } => "trigger.fire",
            Self::RunCancel { .. } => "run.cancel",
            Self::RunAdopt { .. } => "run.adopt",
            Self::RunResume { .. } => "run.resume",
            Self::RunRetry { .. } => "run.retry",
            Self::RunRerun { .. } => "run.rerun",
            Self::RunFork { .. } => "run.fork",
            Self::RunMigrate { .. } => "run.migrate",
            Self::GateApprove { .. } => "gate.approve",
            Self::GateDeny { .. } => "gate.deny",
            Self::GateEdit { .. } => "gate.edit",
            Self::AskAnswer { .. } => "ask.answer",
            Self::EventEmit { .. } => "event.emit",
            Self::MemoryAdd(_) => "memory.add",
            Self::MemoryForget { .. } => "memory.forget",
            Self::EntitySet(_) => "entity.set",
            Self::EntityMerge { .. } => "entity.merge",
            Self::EntitySplit { .. } => "entity.split",
            Self::EpisodeAdd(_) => "episode.add",
            Self::MemoryTidy {} => "memory.tidy",
            Self::ProposalAccept { .. } => "proposal.accept",
            Self::ProposalReject { .. } => "proposal.reject",
        }
    }
}

/// Tells whether `name` may name an event: a letter, then up to 99 of `a-z 0-9 . _ -`, in lower case.
#[must_use]
pub fn is_event_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    name.len() <= 100 && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && name.bytes().all(plain)
}
