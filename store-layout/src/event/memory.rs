//! What memory learns: kinds that stand in the history of a run or in the log of a machine.

use serde::{Deserialize, Serialize};

use crate::{
    entity::EntityChange,
    episode::Episode,
    passage::Forgotten,
    proposal::{Decided, Proposal},
    usage::Used,
};

/// The passage is not recalled any more; its text stays in the store's past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassageForgotten {
    /// Which, and why.
    pub forgotten: Forgotten,
}

/// The entity is changed from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityChanged {
    /// The change.
    pub change: EntityChange,
}

/// The episode is in memory from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpisodeRecorded {
    /// The episode.
    pub episode: Episode,
}

/// The proposal waits for a rule or a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalMade {
    /// The proposal.
    pub proposal: Proposal,
}

/// The proposal waits no more. What it proposed, if it was accepted, is the event behind this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposalDecided {
    /// The decision.
    pub decided: Decided,
}

/// A step was given these memories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryUsed {
    /// Which.
    pub used: Used,
}
