//! What is added to memory, in one type: by a step, by a person, or by a policy.
//!
//! Each is an event first, in the history of its run or in the log of its machine, and then one line of a
//! file below `memory/` or `entities/`, in the same commit. The line is derived from the event alone, so a
//! file that lags behind its events after a crash is brought up to them byte for byte.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    MachineId,
    entity::EntityChange,
    episode::Episode,
    event::{
        Body, EntityChanged, EpisodeRecorded, MemoryUsed, PassageAdded, PassageForgotten, PassageRemembered,
        ProposalDecided, ProposalMade,
    },
    passage::{Forgotten, Passage},
    paths,
    proposal::{Decided, Proposal},
    usage::Used,
};

/// One thing that memory learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "learned", rename_all = "kebab-case")]
pub enum Learned {
    /// A text to be recalled.
    Passage(Passage),
    /// A passage that is not to be recalled any more.
    Forgotten(Forgotten),
    /// A change of an entity.
    Entity(EntityChange),
    /// Something that happened with an entity.
    Episode(Episode),
    /// Something that is learned once a rule or a person accepts it.
    Proposal(Proposal),
    /// What became of a proposal.
    Decided(Decided),
    /// Which memories a step was given.
    Used(Used),
}

impl Learned {
    /// What an event adds to memory, if it adds anything.
    #[must_use]
    pub fn of(body: &Body) -> Option<Self> {
        Some(match body {
            Body::PassageRemembered(e) => Self::Passage(e.passage.clone()),
            Body::PassageAdded(e) => Self::Passage(e.passage.clone()),
            Body::PassageForgotten(e) => Self::Forgotten(e.forgotten.clone()),
            Body::EntityChanged(e) => Self::Entity(e.change.clone()),
            Body::EpisodeRecorded(e) => Self::Episode(e.episode.clone()),
            Body::ProposalMade(e) => Self::Proposal(e.proposal.clone()),
            Body::ProposalDecided(e) => Self::Decided(e.decided.clone()),
            Body::MemoryUsed(e) => Self::Used(e.used.clone()),
            _ => return None,
        })
    }

    /// The event that says so in the history of a run.
    #[must_use]
    pub fn in_run(self) -> Body {
        match self {
            Self::Passage(passage) => PassageRemembered { passage }.into(),
            Self::Forgotten(forgotten) => PassageForgotten { forgotten }.into(),
            Self::Entity(change) => EntityChanged { change }.into(),
            Self::Episode(episode) => EpisodeRecorded { episode }.into(),
            Self::Proposal(proposal) => ProposalMade { proposal }.into(),
            Self::Decided(decided) => ProposalDecided { decided }.into(),
            Self::Used(used) => MemoryUsed { used }.into(),
        }
    }

    /// The event that says so in the log of a machine.
    #[must_use]
    pub fn in_log(self) -> Body {
        match self {
            Self::Passage(passage) => PassageAdded { passage }.into(),
            other => other.in_run(),
        }
    }

    /// The file that its line belongs to, written by `machine`.
    #[must_use]
    pub fn path(&self, machine: &MachineId) -> String {
        let by_month = |folder, at| paths::memory(folder, machine, at);
        match self {
            Self::Passage(passage) => by_month(paths::PASSAGES, passage.recorded_at),
            Self::Forgotten(forgotten) => by_month(paths::PASSAGES, forgotten.at),
            Self::Entity(change) => paths::entity(&change.entity, machine),
            Self::Episode(episode) => by_month(paths::EPISODES, episode.recorded_at),
            Self::Proposal(proposal) => by_month(paths::PROPOSALS, proposal.at),
            Self::Decided(decided) => by_month(paths::PROPOSALS, decided.at),
            Self::Used(used) => by_month(paths::USAGE, used.at),
        }
    }

    /// Its line, without a line break.
    #[must_use]
    pub fn line(&self) -> String {
        let line = match self {
            Self::Passage(passage) => serde_json::to_string(passage),
            Self::Forgotten(forgotten) => serde_json::to_string(forgotten),
            Self::Entity(change) => serde_json::to_string(change),
            Self::Episode(episode) => serde_json::to_string(episode),
            Self::Proposal(proposal) => serde_json::to_string(proposal),
            Self::Decided(decided) => serde_json::to_string(decided),
            Self::Used(used) => serde_json::to_string(used),
        };
        line.expect("what is learned has text keys and finite numbers only")
    }

    /// When it was learned, by the clock of its machine.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Passage(passage) => passage.recorded_at,
            Self::Forgotten(forgotten) => forgotten.at,
            Self::Entity(change) => change.at,
            Self::Episode(episode) => episode.recorded_at,
            Self::Proposal(proposal) => proposal.at,
            Self::Decided(decided) => decided.at,
            Self::Used(used) => used.at,
        }
    }
}
