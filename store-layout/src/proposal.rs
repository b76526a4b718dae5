//! Proposals: what a model, a rule or a likeness suggests to learn, and nobody has accepted yet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Digest, EntityId, GateId, canonical,
    entity::{Change, EntityChange},
    episode::Episode,
    learned::Learned,
    passage::{Forgotten, Passage, Source},
};

/// The longest text of a proposed file of `knowledge/`, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// One line of `memory/proposals/<machine>/<month>.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Names it in the Inbox: derived from what is proposed, so that proposing it twice asks once.
    pub id: GateId,
    /// When it was made.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// Who or what proposes it.
    pub source: Source,
    /// What would be learned.
    pub proposed: Proposed,
    /// Of the canonical bytes of `proposed`: what a decision names.
    pub digest: Digest,
    /// Why, in words.
    pub why: String,
    /// What it rests on: quotes, passages, scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

/// What would be learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "proposes", rename_all = "kebab-case")]
pub enum Proposed {
    /// A passage.
    Passage(Passage),
    /// A passage is not recalled any more.
    Forgotten(Forgotten),
    /// A change of an entity, also a merge or a split.
    Entity(EntityChange),
    /// An episode.
    Episode(Episode),
    /// A file of `knowledge/` with this text.
    Knowledge {
        /// Below `knowledge/`, such as `rules/late-fees.md`.
        path: String,
        /// The whole file.
        text: String,
    },
}

/// What kind of thing is proposed, as policies name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposedKind {
    /// A passage.
    Passage,
    /// Forgetting one.
    Forgotten,
    /// New values of an entity's fields.
    Entity,
    /// Two entities are one.
    Merge,
    /// They are not.
    Split,
    /// An episode.
    Episode,
    /// A file of `knowledge/`.
    Knowledge,
}

/// What became of a proposal: a line of the same files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The proposal.
    pub proposal: GateId,
    /// When.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// What was decided.
    pub decision: Decision,
    /// The digest that was shown.
    pub digest: Digest,
    /// Who decided: a person, or `rule <name>`.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decision about a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It is learned.
    Accepted,
    /// It is not, and the same is not proposed again.
    Rejected,
}

impl Proposed {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> ProposedKind {
        match self {
            Self::Passage(_) => ProposedKind::Passage,
            Self::Forgotten(_) => ProposedKind::Forgotten,
            Self::Entity(change) => match change.change {
                Change::Fields { .. } => ProposedKind::Entity,
                Change::Merged { .. } => ProposedKind::Merge,
                Change::Split { .. } => ProposedKind::Split,
            },
            Self::Episode(_) => ProposedKind::Episode,
            Self::Knowledge { .. } => ProposedKind::Knowledge,
        }
    }

    /// The entities it is about.
    #[must_use]
    pub fn about(&self) -> Vec<&str> {
        match self {
            Self::Passage(passage) => passage.entity.as_deref().into_iter().collect(),
            Self::Entity(change) => match &change.change {
                Change::Merged { into } => vec![change.entity.as_str(), into.as_str()],
                _ => vec![change.entity.as_str()],
            },
            Self::Episode(episode) => episode.entities.iter().map(EntityId::as_str).collect(),
            Self::Forgotten(_) | Self::Knowledge { .. } => Vec::new(),
        }
    }

    /// The fields of an entity that it changes, if it is such a change.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        match self {
            Self::Entity(EntityChange { change: Change::Fields { set, add, remove }, .. }) => {
                Some(set.keys().chain(add.keys()).chain(remove.keys()).map(String::as_str).collect())
            }
            _ => None,
        }
    }

    /// What is learned when it is accepted; a file of `knowledge/` is written instead.
    #[must_use]
    pub fn learned(&self) -> Option<Learned> {
        match self.clone() {
            Self::Passage(passage) => Some(Learned::Passage(passage)),
            Self::Forgotten(forgotten) => Some(Learned::Forgotten(forgotten)),
            Self::Entity(change) => Some(Learned::Entity(change)),
            Self::Episode(episode) => Some(Learned::Episode(episode)),
            Self::Knowledge { .. } => None,
        }
    }

    /// Of its canonical bytes, without what only says when and by whom: the same proposal has the same digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut value = serde_json::to_value(self).expect("a proposal has text keys and finite numbers only");
        if let Value::Object(map) = &mut value {
            for key in ["id", "at", "recorded_at", "source", "by"] {
                map.remove(key);
            }
        }
        canonical::digest(&value)
    }
}

impl Proposal {
    /// A proposal with its id and digest.
    #[must_use]
    pub fn new(at: Timestamp, source: Source, proposed: Proposed, why: String, evidence: Option<Value>) -> Self {
        let digest = proposed.digest();
        let id = Digest::of(format!("proposal\n{digest}").as_bytes()).as_str()[..12].to_owned();
        let id = GateId::new(id).expect("a digest is hex digits");
        Self { id, at, source, proposed, digest, why, evidence }
    }
}
