//! From what was read out of a text to proposals: typed, held against what is known, accepted where a rule says so.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use cairn_memory::{AsOf, Memory, MemoryError};
use cairn_store_layout::{
    EntityId,
    definition::MemoryPolicy,
    entity::{Change, EntityChange},
    episode::Episode,
    learned::Learned,
    passage::{Passage, Source, TEXT_BYTES_MAX},
    proposal::{Decided, Decision, Proposal, Proposed},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{accept, knowledge_file};
use crate::effects::Fault;

/// One thing to learn, as a step gives it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Item {
    /// `{ fact = { entity, set, add } }`: fields of an entity.
    Fact {
        /// The entity.
        entity: EntityId,
        /// New values.
        #[serde(default)]
        set: Map<String, Value>,
        /// Values that join a set, such as `aliases`.
        #[serde(default)]
        add: std::collections::BTreeMap<String, Vec<Value>>,
    },
    /// `{ passage = { text, kind, entity, labels } }`.
    Passage {
        /// The text.
        text: String,
        /// Its kind.
        #[serde(default = "note")]
        kind: String,
        /// Whom it is about.
        #[serde(default)]
        entity: Option<String>,
        /// Labels.
        #[serde(default)]
        labels: std::collections::BTreeMap<String, String>,
    },
    /// `{ episode = { at, kind, text, entities } }`.
    Episode {
        /// When it happened.
        at: Timestamp,
        /// What kind of thing.
        kind: String,
        /// What happened.
        text: String,
        /// With whom.
        #[serde(default)]
        entities: Vec<EntityId>,
    },
    /// `{ merge = { entity, into } }`: two names of one.
    Merge {
        /// The name that goes.
        entity: EntityId,
        /// The name that stays.
        into: EntityId,
    },
    /// `{ knowledge = { path, text } }`: a file below `knowledge/`.
    Knowledge {
        /// Such as `rules/late-fees.md`.
        path: String,
        /// The whole file.
        text: String,
    },
}

fn note() -> String {
    "note".to_owned()
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Told {
    /// The proposal's id; absent for what is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// `waiting`, `accepted`, `known` or `rejected`.
    pub(crate) state: &'static str,
    /// By which rule, since when it is known, or why it is not proposed again.
    pub(crate) why: String,
}

/// Turns items into proposals.
pub(crate) struct Proposer {
    pub(crate) memory: Arc<Memory>,
    pub(crate) root: PathBuf,
    pub(crate) workflow: String,
    pub(crate) source: Source,
    pub(crate) at: Timestamp,
    /// The effect's key: changes of entities are named after it.
    pub(crate) key: String,
    pub(crate) why: String,
    pub(crate) evidence: Option<Value>,
}

impl Proposer {
    /// Sorts `items`; gives what became of each, and what is to be recorded.
    ///
    /// # Errors
    /// Class hard when an item can not be learned as it is, or the policies can not be read; nothing is recorded then.
    pub(crate) fn sort(&self, items: Vec<Item>) -> Result<(Vec<Told>, Vec<Learned>), Fault> {
        let policy = accept::policy(&self.root).map_err(|problem| Fault::hard("bad_policy", problem.to_string()))?;
        let (mut told, mut learned, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (ordinal, item) in items.into_iter().enumerate() {
            let Some(proposed) = self.new_in(ordinal, item)? else {
                told.push(Told { id: None, state: "known", why: "memory says so already".to_owned() });
                continue;
            };
            let proposal =
                Proposal::new(self.at, self.source.clone(), proposed, self.why.clone(), self.evidence.clone());
            let id = Some(proposal.id.to_string());
            if !seen.insert(proposal.id.clone()) {
                told.push(Told { id, state: "known", why: "the same was proposed just now".to_owned() });
                continue;
            }
            if let Some(known) = self.memory.proposal(&proposal.id).map_err(unreadable)? {
                told.push(again(id, known.decided.as_ref()));
                // what was accepted once and is gone since may be asked about again, by hand
                continue;
            }
            self.ask(&policy, proposal, id, &mut told, &mut learned)?;
        }
        Ok((told, learned))
    }

    fn ask(
        &self,
        policy: &MemoryPolicy,
        proposal: Proposal,
        id: Option<String>,
        told: &mut Vec<Told>,
        learned: &mut Vec<Learned>,
    ) -> Result<(), Fault> {
        let entity = match &proposal.proposed {
            Proposed::Entity(change) => self.fields(&change.entity)?,
            _ => Value::Null,
        };
        let rule = accept::rule(policy, &proposal, Some(&self.workflow), &entity);
        let rule = rule.map_err(|why| Fault::hard("bad_policy", why))?.map(str::to_owned);
        // a file speaks in every later run: it is written by nobody but a person
        match rule.filter(|_| proposal.proposed.learned().is_some()) {
            Some(rule) => {
                let accepted = proposal.proposed.learned();
                let decided = Decided {
                    proposal: proposal.id.clone(),
                    at: self.at,
                    decision: Decision::Accepted,
                    digest: proposal.digest.clone(),
                    by: format!("rule {rule}"),
                    reason: None,
                };
                learned.extend([Learned::Proposal(proposal), Learned::Decided(decided)]);
                learned.extend(accepted);
                told.push(Told { id, state: "accepted", why: format!("rule {rule}") });
            }
            None => {
                learned.push(Learned::Proposal(proposal));
                told.push(Told { id, state: "waiting", why: "no rule accepts it; see cairn inbox ls".to_owned() });
            }
        }
        Ok(())
    }

    /// What an item proposes; `None` when memory says so already.
    fn new_in(&self, ordinal: usize, item: Item) -> Result<Option<Proposed>, Fault> {
        let change = |entity, change| EntityChange {
            id: EntityChange::derive_id(&self.key, ordinal),
            entity,
            at: self.at,
            source: self.source.clone(),
            change,
            reason: None,
            expected_version: None,
        };
        Ok(match item {
            Item::Fact { entity, mut set, add } => {
                let known = self.fields(&entity)?;
                set.retain(|field, value| known.get(field.as_str()).unwrap_or(&Value::Null) != value);
                let mut add = add;
                for (field, values) in &mut add {
                    let held = known.get(field.as_str()).and_then(Value::as_array);
                    values.retain(|value| !held.is_some_and(|held| held.contains(value)));
                }
                add.retain(|_, values| !values.is_empty());
                if set.is_empty() && add.is_empty() {
                    return Ok(None);
                }
                let change = change(entity, Change::Fields { set, add, remove: Default::default() });
                change.check().map_err(|why| Fault::hard("bad_input", why))?;
                Some(Proposed::Entity(change))
            }
            Item::Passage { text, kind, entity, labels } => {
                // what was recalled is known, and is never learned again from what quotes it
                let (text, _) = cairn_memory::strip_recalled(&text);
                let text = text.trim().to_owned();
                if text.is_empty() {
                    return Ok(None);
                }
                if text.len() > TEXT_BYTES_MAX {
                    let message = format!("a passage has at most {TEXT_BYTES_MAX} bytes; this one has {}", text.len());
                    return Err(Fault::hard("too_large", message));
                }
                let passage = Passage::new(self.at, self.source.clone(), kind, entity, text);
                let known = self.memory.get(&passage.id).map_err(unreadable)?.is_some();
                (!known).then_some(Proposed::Passage(Passage { labels, ..passage }))
            }
            Item::Episode { at, kind, text, entities } => {
                let id = Episode::derive_id(&kind, at, &entities, &text);
                let known = self.memory.episodes(&entities, Default::default()).map_err(unreadable)?;
                let (recorded_at, source) = (self.at, self.source.clone());
                let (refs, labels) = Default::default();
                let new = !known.iter().any(|episode| episode.id == id);
                new.then_some(Proposed::Episode(Episode {
                    id,
                    at,
                    recorded_at,
                    kind,
                    text,
                    entities,
                    source,
                    refs,
                    labels,
                }))
            }
            Item::Merge { entity, into } => {
                let known = self.memory.entity(&entity, &AsOf::Now).map_err(unreadable)?;
                let stands = self.memory.entity(&into, &AsOf::Now).map_err(unreadable)?;
                let one = known.map(|e| e.id) == stands.map(|e| e.id);
                let change = change(entity, Change::Merged { into });
                change.check().map_err(|why| Fault::hard("bad_input", why))?;
                (!one).then_some(Proposed::Entity(change))
            }
            Item::Knowledge { path, text } => {
                knowledge_file::check(&path, &text).map_err(|why| Fault::hard("bad_input", why))?;
                let file = crate::store::fsutil::read(&self.root.join("knowledge").join(&path));
                let known = file.map_err(|e| Fault::soft("memory", e.to_string()))?;
                (known.as_deref() != Some(text.as_bytes())).then_some(Proposed::Knowledge { path, text })
            }
        })
    }

    fn fields(&self, entity: &EntityId) -> Result<Value, Fault> {
        let known = self.memory.entity(entity, &AsOf::Now).map_err(unreadable)?;
        Ok(known.map_or_else(|| Value::Object(Map::new()), |entity| entity.values()))
    }
}

fn again(id: Option<String>, decided: Option<&Decided>) -> Told {
    match decided {
        None => Told { id, state: "waiting", why: "it was proposed before and waits".to_owned() },
        Some(Decided { decision: Decision::Accepted, by, .. }) => {
            Told { id, state: "known", why: format!("it was accepted before by {by}") }
        }
        Some(Decided { decision: Decision::Rejected, by, .. }) => {
            Told { id, state: "rejected", why: format!("it was rejected before by {by}, and is not asked about again") }
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that `map_err` wants")]
fn unreadable(error: MemoryError) -> Fault {
    Fault::soft("memory", error.to_string())
}
