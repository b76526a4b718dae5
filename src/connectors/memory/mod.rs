//! The built-in `memory` connector: remember a passage with its source, recall what is known, and put together
//! what a step should know.

mod block;
mod context;
mod facts;
mod propose;

use std::collections::BTreeMap;

use cairn_store_layout::{
    learned::Learned,
    passage::{Forgotten, Passage, Source, TEXT_BYTES_MAX},
    usage::Used,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, no_operation};
use crate::effects::{Attempt, Done, Fault, RecallQuery, typed};

/// Most hits of one recall.
const HITS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberInput {
    text: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    entity: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    supersedes: Ids,
    #[serde(default)]
    valid_from: Option<Timestamp>,
    #[serde(default)]
    valid_to: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetInput {
    passage: String,
    reason: String,
}

/// One id or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(String),
    Many(Vec<String>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

pub(super) async fn call(attempt: &Attempt<'_>, operation: &str, input: &Value) -> Result<Done, Fault> {
    match operation {
        "recall" => {
            let query: RecallQuery = typed("memory.recall", input)?;
            if query.limit == 0 || query.limit > HITS_MAX {
                return Err(Fault::hard("bad_input", format!("`limit` must be 1 to {HITS_MAX}, not {}", query.limit)));
            }
            let hits = attempt.world.memory.recall(query).await.map_err(|why| Fault::soft("memory", why))?;
            let learned = used(attempt, hits.iter().map(|hit| hit.id.clone()).collect(), Vec::new());
            Ok(Done { learned, ..Done::of(json!({ "hits": hits })) })
        }
        "context" => context::context(attempt, typed("memory.context", input)?).await,
        "remember" => remember(attempt, typed("memory.remember", input)?),
        "forget" => forget(attempt, typed("memory.forget", input)?),
        "propose" => propose::propose(attempt, typed("memory.propose", input)?).await,
        other => {
            let known = ["context", "forget", "propose", "recall", "remember"];
            Err(no_operation("the memory connector", other, &known))
        }
    }
}

/// Hands the passage on; the caller stores it together with the receipt, so that there is never one
/// without the other.
fn remember(attempt: &Attempt<'_>, input: RememberInput) -> Result<Done, Fault> {
    // what was recalled is known, and is never learned again from what quotes it
    let (text, quoted) = cairn_memory::strip_recalled(&input.text);
    let text = text.trim();
    if text.is_empty() && !quoted.is_empty() {
        return Ok(Done::of(json!({ "passage": null, "recalled": quoted })));
    }
    if text.is_empty() {
        return Err(Fault::hard("bad_input", "there is nothing to remember: `text` is empty"));
    }
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("`text` has {} bytes; a passage has at most {TEXT_BYTES_MAX}", text.len());
        return Err(Fault::hard("too_large", message));
    }
    let kind = input.kind.filter(|k| !k.is_empty()).unwrap_or_else(|| "note".to_owned());
    let entity = input.entity.filter(|e| !e.is_empty());
    let passage = Passage {
        id: Passage::derive_id(&kind, entity.as_deref(), text),
        recorded_at: attempt.job.at,
        text: text.to_owned(),
        kind,
        entity,
        labels: input.labels,
        source: source(attempt),
        valid_from: input.valid_from,
        valid_to: input.valid_to,
        supersedes: match input.supersedes {
            Ids::One(id) => vec![id],
            Ids::Many(ids) => ids,
        },
    };
    let output = json!({ "passage": passage.id });
    Ok(Done { learned: vec![Learned::Passage(passage)], ..Done::of(output) })
}

/// A passage is not recalled any more. Forgetting what is not there changes nothing.
fn forget(attempt: &Attempt<'_>, input: ForgetInput) -> Result<Done, Fault> {
    if input.reason.trim().is_empty() {
        return Err(Fault::hard("bad_input", "nothing is forgotten without a `reason`"));
    }
    let output = json!({ "passage": input.passage });
    let (forgets, reason) = (input.passage, input.reason);
    let forgotten = Forgotten { forgets, at: attempt.job.at, source: source(attempt), reason, policy: None };
    Ok(Done { learned: vec![Learned::Forgotten(forgotten)], ..Done::of(output) })
}

/// The step that asks.
fn source(attempt: &Attempt<'_>) -> Source {
    let effect = &attempt.job.effect;
    Source::Run { run: effect.run.clone(), step: effect.step.clone(), iteration: effect.iteration.clone() }
}

/// That the step was given these memories; nothing when it was given none.
fn used(attempt: &Attempt<'_>, passages: Vec<String>, knowledge: Vec<String>) -> Vec<Learned> {
    if passages.is_empty() && knowledge.is_empty() {
        return Vec::new();
    }
    vec![Learned::Used(Used { at: attempt.job.at, source: source(attempt), passages, knowledge })]
}
