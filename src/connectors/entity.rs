//! The built-in `entity` connector: what is known of clients, invoices, contracts, and how it changes.
//!
//! A change is prepared here and recorded together with the receipt; whether the version it was made for still
//! stands is decided in the loop, so that of two steps that read the same version one wins and the other is told.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use cairn_memory::{AsOf, Find, Memory, MemoryError};
use cairn_store_layout::{
    Digest, EntityId,
    entity::{Change, Entity, EntityChange},
    learned::Learned,
    passage::Source,
    time,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{blocking, no_operation};
use crate::{
    effects::{Attempt, Done, Fault, typed},
    learning::entity_change,
};

/// Most entities, candidates or changes that one call gives.
const GIVEN_MAX: usize = 500;
/// As many when nothing is said.
const GIVEN: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetInput {
    entity: EntityId,
    #[serde(default)]
    as_of: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindInput {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default = "given")]
    limit: usize,
    #[serde(default)]
    as_of: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveInput {
    fields: Map<String, Value>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default = "given")]
    limit: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryInput {
    entity: EntityId,
    #[serde(default = "given")]
    limit: usize,
    #[serde(default)]
    as_of: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetInput {
    entity: EntityId,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    add: BTreeMap<String, Elements>,
    #[serde(default)]
    remove: BTreeMap<String, Elements>,
    #[serde(default)]
    expected_version: Option<u64>,
    #[serde(default)]
    reason: Option<String>,
}

/// One element of a set, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Elements {
    Many(Vec<Value>),
    One(Value),
}

impl Elements {
    fn list(self) -> Vec<Value> {
        match self {
            Self::Many(list) => list,
            Self::One(value) => vec![value],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeInput {
    entity: EntityId,
    into: EntityId,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitInput {
    entity: EntityId,
    #[serde(default)]
    merge: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

fn given() -> usize {
    GIVEN
}

/// What an operation works with, apart from the attempt, so that it may block.
struct Ground {
    memory: Arc<Memory>,
    root: PathBuf,
    source: Source,
    key: Digest,
    at: Timestamp,
}

pub(super) async fn call(attempt: &Attempt<'_>, operation: &str, input: &Value) -> Result<Done, Fault> {
    let (job, effect) = (attempt.job, &attempt.job.effect);
    let Some(memory) = attempt.world.memory.layers() else {
        return Err(Fault::hard("no_memory", "there are no entities here"));
    };
    let source =
        Source::Run { run: effect.run.clone(), step: effect.step.clone(), iteration: effect.iteration.clone() };
    let ground = Ground { memory, root: attempt.world.root.clone(), source, key: job.key.clone(), at: job.at };
    let (operation, input) = (operation.to_owned(), input.clone());
    blocking(move || match operation.as_str() {
        "get" => ground.get(&typed("entity.get", &input)?),
        "find" => ground.find(typed("entity.find", &input)?),
        "resolve" => ground.resolve(typed("entity.resolve", &input)?),
        "history" => ground.history(&typed("entity.history", &input)?),
        "set" => ground.set(typed("entity.set", &input)?),
        "merge" => ground.merge(typed("entity.merge", &input)?),
        "split" => ground.split(typed("entity.split", &input)?),
        other => {
            let known = ["find", "get", "history", "merge", "resolve", "set", "split"];
            Err(no_operation("the entity connector", other, &known))
        }
    })
    .await
}

impl Ground {
    fn get(&self, input: &GetInput) -> Result<Done, Fault> {
        let found = self.memory.entity(&input.entity, &as_of(input.as_of)).map_err(|e| unreadable(&e))?;
        Ok(Done::of(match found {
            Some(entity) => document(&entity),
            // version 0 is the one to expect by whoever makes it
            None => json!({ "found": false, "id": input.entity, "version": 0, "fields": {}, "merged": [] }),
        }))
    }

    fn find(&self, input: FindInput) -> Result<Done, Fault> {
        let limit = within(input.limit)?;
        let FindInput { kind, fields, text, as_of: at, .. } = input;
        let find = Find { kind, fields, text, limit };
        let found = self.memory.entities(&find, &as_of(at)).map_err(|e| unreadable(&e))?;
        Ok(Done::of(json!({ "entities": found.iter().map(document).collect::<Vec<_>>() })))
    }

    fn resolve(&self, input: ResolveInput) -> Result<Done, Fault> {
        let limit = within(input.limit)?;
        let fields = Value::Object(input.fields);
        let mut found = self.memory.resolve(input.kind.as_deref(), &fields).map_err(|e| unreadable(&e))?;
        found.truncate(limit);
        let mut sure = found.iter().filter(|candidate| candidate.is_sure());
        // two that are sure contradict each other: a person decides whether they are one
        let entity = match (sure.next(), sure.next()) {
            (Some(one), None) => Some(&one.entity),
            _ => None,
        };
        Ok(Done::of(json!({ "entity": entity, "candidates": found })))
    }

    fn history(&self, input: &HistoryInput) -> Result<Done, Fault> {
        let limit = within(input.limit)?;
        let all = self.memory.entity_history(&input.entity, &as_of(input.as_of)).map_err(|e| unreadable(&e))?;
        let skip = all.len().saturating_sub(limit);
        let changes: Vec<Value> = all.iter().skip(skip).map(|entry| json!(entry.line)).collect();
        Ok(Done::of(json!({ "changes": changes, "version": all.len() })))
    }

    fn set(&self, input: SetInput) -> Result<Done, Fault> {
        let SetInput { entity, set, add, remove, expected_version, reason } = input;
        let lists = |sets: BTreeMap<String, Elements>| sets.into_iter().map(|(name, e)| (name, e.list())).collect();
        let change = Change::Fields { set, add: lists(add), remove: lists(remove) };
        let change = EntityChange { expected_version, ..self.change(entity, change, reason) };
        let prepared = entity_change::prepare(&self.memory, &self.root, change)?;
        let proposed = prepared.learned.iter().filter_map(|learned| match learned {
            Learned::Proposal(proposal) => Some(json!({ "proposal": proposal.id, "why": proposal.why })),
            _ => None,
        });
        let mut output = document(&prepared.entity);
        output["changed"] = json!(!prepared.learned.is_empty());
        output["proposed"] = proposed.collect();
        Ok(Done { learned: prepared.learned, ..Done::of(output) })
    }

    fn merge(&self, input: MergeInput) -> Result<Done, Fault> {
        let change = self.change(input.entity.clone(), Change::Merged { into: input.into.clone() }, input.reason);
        let output = json!({ "id": input.into, "merged": input.entity, "merge": change.id });
        Ok(Done { learned: vec![Learned::Entity(change)], ..Done::of(output) })
    }

    fn split(&self, input: SplitInput) -> Result<Done, Fault> {
        let merge = match input.merge {
            Some(merge) => merge,
            None => match self.memory.merge_of(&input.entity).map_err(|e| unreadable(&e))? {
                Some(entry) => entry.line.id,
                None => return Err(Fault::hard("bad_input", format!("{} is merged into nothing", input.entity))),
            },
        };
        let output = json!({ "id": input.entity, "merge": merge });
        let change = self.change(input.entity, Change::Split { merge }, input.reason);
        Ok(Done { learned: vec![Learned::Entity(change)], ..Done::of(output) })
    }

    /// One change an effect, named by its key: a repeat is the same change.
    fn change(&self, entity: EntityId, change: Change, reason: Option<String>) -> EntityChange {
        EntityChange {
            id: EntityChange::derive_id(self.key.as_str(), 0),
            entity,
            at: self.at,
            source: self.source.clone(),
            change,
            reason: reason.filter(|reason| !reason.trim().is_empty()),
            expected_version: None,
        }
    }
}

/// An entity as steps see it.
fn document(entity: &Entity) -> Value {
    let since: Map<String, Value> =
        entity.fields.iter().map(|(name, field)| (name.clone(), time::write(field.since).into())).collect();
    json!({
        "found": true, "id": entity.id, "version": entity.version, "fields": entity.values(), "since": since,
        "merged": entity.merged, "created": time::write(entity.created), "updated": time::write(entity.updated),
    })
}

fn as_of(at: Option<Timestamp>) -> AsOf {
    at.map_or(AsOf::Now, AsOf::Time)
}

fn within(limit: usize) -> Result<usize, Fault> {
    if (1..=GIVEN_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Fault::hard("bad_input", format!("`limit` must be 1 to {GIVEN_MAX}, not {limit}")))
}

fn unreadable(error: &MemoryError) -> Fault {
    Fault::soft("memory", error.to_string())
}
