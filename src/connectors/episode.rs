//! The built-in `episode` connector: what happened with whom, recorded and listed.

use std::collections::BTreeMap;

use cairn_memory::Range;
use cairn_store_layout::{EntityId, episode::Episode, learned::Learned, passage::Source};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, no_operation};
use crate::effects::{Attempt, Done, Fault, typed};

/// Most episodes that one call gives.
const GIVEN_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddInput {
    kind: String,
    text: String,
    #[serde(default)]
    entities: Entities,
    #[serde(default)]
    at: Option<Timestamp>,
    #[serde(default)]
    refs: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListInput {
    #[serde(default)]
    entities: Entities,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    since: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default = "given")]
    limit: usize,
}

/// One entity or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entities {
    One(EntityId),
    Many(Vec<EntityId>),
}

impl Default for Entities {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Entities {
    fn list(self) -> Vec<EntityId> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

fn given() -> usize {
    50
}

pub(super) async fn call(attempt: &Attempt<'_>, operation: &str, input: &Value) -> Result<Done, Fault> {
    match operation {
        "add" => add(attempt, typed("episode.add", input)?),
        "list" => list(attempt, typed("episode.list", input)?).await,
        other => Err(no_operation("the episode connector", other, &["add", "list"])),
    }
}

fn add(attempt: &Attempt<'_>, input: AddInput) -> Result<Done, Fault> {
    let (job, effect) = (attempt.job, &attempt.job.effect);
    let source =
        Source::Run { run: effect.run.clone(), step: effect.step.clone(), iteration: effect.iteration.clone() };
    let (at, entities, text) = (input.at.unwrap_or(job.at), input.entities.list(), input.text.trim().to_owned());
    let episode = Episode {
        id: Episode::derive_id(&input.kind, at, &entities, &text),
        at,
        recorded_at: job.at,
        kind: input.kind,
        text,
        entities,
        source,
        refs: input.refs,
        labels: input.labels,
    };
    episode.check().map_err(|why| Fault::hard("bad_input", why))?;
    let output = json!({ "episode": episode.id });
    Ok(Done { learned: vec![Learned::Episode(episode)], ..Done::of(output) })
}

async fn list(attempt: &Attempt<'_>, input: ListInput) -> Result<Done, Fault> {
    let Some(memory) = attempt.world.memory.layers() else {
        return Err(Fault::hard("no_memory", "there are no episodes here"));
    };
    let ListInput { entities, kind, since, until, limit } = input;
    if !(1..=GIVEN_MAX).contains(&limit) {
        return Err(Fault::hard("bad_input", format!("`limit` must be 1 to {GIVEN_MAX}, not {limit}")));
    }
    let entities = entities.list();
    blocking(move || {
        let unreadable = |e: cairn_memory::MemoryError| Fault::soft("memory", e.to_string());
        let names = memory.names_of(&entities).map_err(unreadable)?;
        let mut found = memory.episodes(&names, Range { since, until }).map_err(unreadable)?;
        found.retain(|episode| kind.as_ref().is_none_or(|kind| episode.kind == *kind));
        // the latest are what a letter is about
        let skip = found.len().saturating_sub(limit);
        Ok(Done::of(json!({ "episodes": found[skip..] })))
    })
    .await
}
