//! Entities: read from the changes of all machines, kept in step, and guarded when they are to be changed.
//!
//! Truth is `entities/<kind>/<name>/<machine>.jsonl`, which the driver writes from recorded events. This module
//! reads them once, then what was added, and holds what is recorded and not in a file yet, so that a change is
//! visible at once. It folds with the one rule of the layout and refuses only in [`Memory::admit`].

mod admit;
mod find;
mod index;
mod resolve;

pub use admit::Refused;
pub use find::Find;
pub(crate) use index::Entities;
pub use resolve::Candidate;

use std::collections::BTreeMap;

use cairn_store_layout::{
    EntityId,
    entity::{Entity, EntityChange, Entry},
};
use jiff::Timestamp;

use crate::{Memory, error::Result};

/// The moment or the state that a question is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AsOf {
    /// All that is known.
    #[default]
    Now,
    /// What was changed later does not exist yet.
    Time(Timestamp),
    /// What a commit held: its files below `entities/` with their lengths in bytes. Such files only grow, so their
    /// beginnings are what they were.
    Commit(BTreeMap<String, u64>),
}

/// A change of an entity that is dated into the future, or a line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The entity, where one is known.
    pub entity: Option<EntityId>,
    /// What is wrong, for a person.
    pub message: String,
}

impl Memory {
    /// The entity that `id` means, folded from all its changes; `None` when nothing was ever said of it.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn entity(&self, id: &EntityId, as_of: &AsOf) -> Result<Option<Entity>> {
        self.entities.with_one(id, |facts| facts.standing(index::known(as_of)).entity(id))
    }

    /// All names that mean the same as any of `ids`.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn names_of(&self, ids: &[EntityId]) -> Result<Vec<EntityId>> {
        let mut names = Vec::new();
        for id in ids {
            names.push(id.clone());
            let entity = self.entity(id, &AsOf::Now)?;
            names.extend(entity.iter().flat_map(Entity::names).filter(|name| *name != id).cloned());
        }
        Ok(names)
    }

    /// Entities that match, in the order of their names, at most [`Find::limit`] of them.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn entities(&self, find: &Find, as_of: &AsOf) -> Result<Vec<Entity>> {
        self.entities.with_all(|facts| {
            let standing = facts.standing(index::known(as_of));
            standing.entities(find.kind.as_deref()).filter(|entity| find.admits(entity)).take(find.limit).collect()
        })
    }

    /// Every change of the entity that `id` means, in order, those of names merged into it included.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn entity_history(&self, id: &EntityId, as_of: &AsOf) -> Result<Vec<Entry>> {
        self.entities
            .with_one(id, |facts| facts.standing(index::known(as_of)).history(id).into_iter().cloned().collect())
    }

    /// Tells whether a change is known, as of whatever entity.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn has_change(&self, change: &EntityChange) -> Result<bool> {
        self.entities.with_one(&change.entity, |facts| facts.find(&change.id).is_some())
    }

    /// The merge that makes `id` mean another entity, as of now.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn merge_of(&self, id: &EntityId) -> Result<Option<Entry>> {
        self.entities.with_one(id, |facts| facts.standing(|_| true).merge_of(id).cloned())
    }

    /// What the entity would be after `change`, which is not recorded; `None` when it would be nothing.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn preview(&self, change: &EntityChange) -> Result<Option<Entity>> {
        self.entities.with_one(&change.entity, |facts| self.entities.after(facts, change))
    }

    /// What is doubtful about entities: changes from the future, and lines that can not be read.
    ///
    /// # Errors
    /// When the files of entities can not be read.
    pub fn entity_troubles(&self, now: Timestamp) -> Result<Vec<Trouble>> {
        let mut found = self.entities.with_all(|facts| {
            let standing = facts.standing(|_| true);
            let roots: Vec<EntityId> = standing.entities(None).map(|entity| entity.id).collect();
            let ahead = |id: &EntityId| {
                let told = |entry: &Entry| Trouble { entity: Some(id.clone()), message: ahead(entry, now) };
                standing.ahead(id, now).into_iter().map(told).collect::<Vec<_>>()
            };
            roots.iter().flat_map(ahead).collect::<Vec<_>>()
        })?;
        let unreadable = self.entities.unreadable();
        found.extend(unreadable.into_iter().map(|message| Trouble { entity: None, message }));
        Ok(found)
    }
}

/// The sentence about a change that is dated into the future.
#[must_use]
pub fn ahead(entry: &Entry, now: Timestamp) -> String {
    let minutes = entry.line.at.duration_since(now).as_secs() / 60;
    format!(
        "change {} by machine {} is dated {minutes} minutes into the future: a clock was wrong; it outweighs every change before that moment",
        &entry.line.id[..entry.line.id.len().min(8)],
        entry.machine
    )
}
