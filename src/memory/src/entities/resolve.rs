//! Which entity is meant, and which two may be one.

use std::collections::BTreeSet;

use cairn_store_layout::{
    EntityId,
    entity::{Change, Entity, EntityChange},
    learned::Learned,
    passage::Source,
    proposal::{Proposal, Proposed},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Memory,
    error::Result,
    identity::{LIKELY, Likeness, SURE, Traits},
};

/// At most so many merges are proposed after one change.
const PROPOSED_MAX: usize = 5;

/// An entity that may be meant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The entity.
    pub entity: EntityId,
    /// How sure it is, and why.
    #[serde(flatten)]
    pub likeness: Likeness,
}

impl Candidate {
    /// Tells whether it is the one, by a key that names one party.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.likeness.strong && self.likeness.score >= SURE
    }
}

impl Memory {
    /// Says which country phone numbers without one belong to, as its calling code (`49`). Told once, before the
    /// first question; without it national numbers meet only each other.
    pub fn calls_from(&self, calling_code: &str) {
        self.entities.calls_from(calling_code);
    }

    /// The entities of `kind` that share something with `fields`, the likeliest first.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn resolve(&self, kind: Option<&str>, fields: &Value) -> Result<Vec<Candidate>> {
        let calling_code = self.entities.calling_code();
        let sought = Traits::of(fields, calling_code);
        if sought.is_empty() {
            return Ok(Vec::new());
        }
        self.entities.with_all(|facts| {
            let standing = facts.standing(|_| true);
            let entities = standing.entities(kind);
            let mut found: Vec<Candidate> =
                entities.filter_map(|entity| candidate(&entity, &sought, calling_code)).collect();
            found.sort_by(|a, b| b.likeness.score.total_cmp(&a.likeness.score).then_with(|| a.entity.cmp(&b.entity)));
            found
        })
    }

    /// Merges that `changed`, as it will be, gives reason to propose: with every other entity of its kind that is
    /// likely the same, the likeliest first. Pairs that were proposed before, whatever came of it, and pairs that
    /// were split are left out. The younger of the two is to become the older.
    ///
    /// # Errors
    /// When files of entities or proposals can not be read.
    pub fn propose_merges(&self, changed: &Entity, source: &Source, at: Timestamp) -> Result<Vec<Learned>> {
        let values = changed.values();
        let mut found = self.resolve(Some(changed.id.kind()), &values)?;
        found.retain(|candidate| candidate.entity != changed.id && candidate.likeness.score >= LIKELY);
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let settled = self.settled_pairs()?;
        let mut proposals = Vec::new();
        for candidate in found.into_iter().take(PROPOSED_MAX) {
            let Some(other) = self.entity(&candidate.entity, &super::AsOf::Now)? else { continue };
            let known = changed.names().any(|a| other.names().any(|b| settled.contains(&pair(a, b))));
            if !known {
                proposals.push(Learned::Proposal(proposal(changed, &other, &candidate.likeness, source, at)));
            }
        }
        Ok(proposals)
    }

    /// Pairs of names about which somebody was asked or has decided.
    fn settled_pairs(&self) -> Result<BTreeSet<(EntityId, EntityId)>> {
        let mut pairs = BTreeSet::new();
        for known in self.list_proposals(true)? {
            if let Proposed::Entity(EntityChange { entity, change: Change::Merged { into }, .. }) =
                known.proposal.proposed
            {
                pairs.insert(pair(&entity, &into));
            }
        }
        self.entities.with_all(|facts| {
            let logs = facts.names().flat_map(|id| facts.log(id));
            for entry in logs {
                if let Some(Change::Split { merge }) = &entry.line.change
                    && let Some(made) = facts.find(merge)
                    && let Some(Change::Merged { into }) = &made.line.change
                {
                    pairs.insert(pair(&made.line.entity, into));
                }
            }
        })?;
        Ok(pairs)
    }
}

fn candidate(entity: &Entity, sought: &Traits, calling_code: Option<&str>) -> Option<Candidate> {
    let likeness = sought.likeness(&Traits::of(&entity.values(), calling_code))?;
    Some(Candidate { entity: entity.id.clone(), likeness })
}

fn proposal(changed: &Entity, other: &Entity, likeness: &Likeness, source: &Source, at: Timestamp) -> Proposal {
    let age = |entity: &Entity| (entity.created, entity.id.clone());
    let (from, into) = if age(changed) < age(other) { (other, changed) } else { (changed, other) };
    let change = EntityChange {
        id: EntityChange::derive_id(&format!("merge {} {}", from.id, into.id), 0),
        entity: from.id.clone(),
        at,
        source: source.clone(),
        change: Change::Merged { into: into.id.clone() },
        reason: None,
        expected_version: None,
    };
    let why = format!("{} and {} may be one: {}", from.id, into.id, likeness.reasons.join(", "));
    let evidence = json!({ "score": likeness.score, "reasons": likeness.reasons });
    Proposal::new(at, source.clone(), Proposed::Entity(change), why, Some(evidence))
}

fn pair(a: &EntityId, b: &EntityId) -> (EntityId, EntityId) {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}
