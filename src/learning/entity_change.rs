//! What a change of an entity brings with it, whoever asks for it: a step or a person.
//!
//! It is checked here against bounds, the schema of its kind and what is known; whether the version still stands
//! is decided in the loop, where nothing can come between.

use std::path::Path;

use cairn_memory::{AsOf, Memory};
use cairn_store_layout::{
    entity::{Entity, EntityChange},
    learned::Learned,
};

use super::kinds;
use crate::effects::Fault;

/// A change that may be recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    /// The entity as it will be.
    pub(crate) entity: Entity,
    /// The change, and the merges that it gives reason to propose; nothing when it would change nothing.
    pub(crate) learned: Vec<Learned>,
}

/// Prepares a change of fields.
///
/// # Errors
/// Class hard: `bad_input` when it can not be a change, `schema` when its kind does not allow it.
pub(crate) fn prepare(memory: &Memory, root: &Path, change: EntityChange) -> Result<Prepared, Fault> {
    change.check().map_err(|why| Fault::hard("bad_input", why))?;
    let unreadable = |e: cairn_memory::MemoryError| Fault::soft("memory", e.to_string());
    let before = memory.entity(&change.entity, &AsOf::Now).map_err(unreadable)?;
    let after = memory.preview(&change).map_err(unreadable)?;
    let after = after.ok_or_else(|| Fault::hard("bad_input", format!("{} would be nothing", change.entity)))?;
    if let Some(before) = before
        && before.values() == after.values()
        && change.expected_version.is_none_or(|expected| expected == before.version)
    {
        // a run that says every day what is known already would only make the file longer
        return Ok(Prepared { entity: before, learned: Vec::new() });
    }
    kinds::check(root, &after)?;
    let (source, at) = (change.source.clone(), change.at);
    let mut learned = vec![Learned::Entity(change)];
    learned.extend(memory.propose_merges(&after, &source, at).map_err(unreadable)?);
    Ok(Prepared { entity: after, learned })
}
