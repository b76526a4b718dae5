//! `memory.propose`: what a model or a rule read out of a text, offered to memory.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, source};
use crate::{
    effects::{Attempt, Done, Fault},
    learning::propose::{Item, Proposer},
};

/// Most items of one call.
const ITEMS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposeInput {
    items: Vec<Item>,
    /// Why they should be learned; an item may say more.
    why: String,
    #[serde(default)]
    evidence: Option<Value>,
}

/// Sorts what is known from what is new, lets the rules accept, and leaves the rest to a person.
pub(super) async fn propose(attempt: &Attempt<'_>, input: ProposeInput) -> Result<Done, Fault> {
    if input.items.len() > ITEMS_MAX {
        let message = format!("`items` has {} entries; at most {ITEMS_MAX} are taken at once", input.items.len());
        return Err(Fault::hard("bad_input", message));
    }
    let memory = attempt.world.memory.layers().ok_or_else(|| Fault::soft("memory", "there is no memory here"))?;
    let proposer = Proposer {
        memory,
        root: attempt.world.root.clone(),
        workflow: attempt.job.workflow.clone(),
        source: source(attempt),
        at: attempt.job.at,
        key: attempt.job.key.to_string(),
        why: input.why,
        evidence: input.evidence,
    };
    let (told, learned) = blocking(move || proposer.sort(input.items)).await?;
    Ok(Done { learned, ..Done::of(json!({ "items": told })) })
}
