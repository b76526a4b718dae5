//! The changes of all entities in memory, in step with their files.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use cairn_store_layout::{
    EntityId, MachineId,
    entity::{Entity, EntityChange, Entry, Facts, Line},
    paths,
};

use super::AsOf;
use crate::{
    error::Result,
    lines::{Lines, Look},
};

/// Bits of a place that say where in its file a line ends; the part of the file is above them.
const END_BITS: u32 = 40;
/// The place of what is in no file yet.
const UNWRITTEN: u64 = u64::MAX;

/// All that is known of entities.
pub(crate) struct Entities {
    machine: MachineId,
    calling_code: OnceLock<String>,
    inner: Mutex<Inner>,
}

struct Inner {
    lines: Lines,
    facts: Facts,
    /// Recorded in this process and not met in a file yet, by id.
    early: BTreeMap<String, EntityChange>,
    loaded: bool,
    /// Lines that are no change, each in a sentence.
    unreadable: Vec<String>,
}

impl Entities {
    pub(crate) fn new(root: &Path, machine: &MachineId) -> Self {
        let inner = Inner {
            lines: Lines::new(root),
            facts: Facts::default(),
            early: BTreeMap::new(),
            loaded: false,
            unreadable: Vec::new(),
        };
        Self { machine: machine.clone(), calling_code: OnceLock::new(), inner: Mutex::new(inner) }
    }

    pub(super) fn calls_from(&self, calling_code: &str) {
        // told twice: the store has one, and it is the same
        let _ = self.calling_code.set(calling_code.to_owned());
    }

    pub(super) fn calling_code(&self) -> Option<&str> {
        self.calling_code.get().map(String::as_str)
    }

    /// Makes a recorded change visible before it is in a file.
    pub(crate) fn learn(&self, change: &EntityChange) {
        let mut inner = self.lock();
        if inner.facts.get(&change.entity, &change.id).is_some() {
            return;
        }
        inner.early.insert(change.id.clone(), change.clone());
        if inner.loaded {
            inner.facts.insert(self.machine.clone(), UNWRITTEN, change.clone().into());
        }
    }

    /// Looks at what is known, with everything that any file says by now.
    pub(super) fn with_all<T>(&self, ask: impl FnOnce(&Facts) -> T) -> Result<T> {
        let mut inner = self.lock();
        inner.look(paths::ENTITIES, &self.machine)?;
        Ok(ask(&inner.facts))
    }

    /// Looks at what is known, with what the files of this one entity say by now: the folders of all others cost
    /// too much for the loop. Files of theirs are looked at by whoever asks for many.
    pub(super) fn with_one<T>(&self, id: &EntityId, ask: impl FnOnce(&Facts) -> T) -> Result<T> {
        let mut inner = self.lock();
        if inner.loaded {
            let standing = inner.facts.standing(|_| true);
            let mut names = vec![id.clone()];
            names.extend(standing.entity(id).iter().flat_map(Entity::names).filter(|name| *name != id).cloned());
            drop(standing);
            for name in names {
                if !inner.look(&format!("{}/{name}", paths::ENTITIES), &self.machine)? {
                    break;
                }
            }
        } else {
            inner.look(paths::ENTITIES, &self.machine)?;
        }
        Ok(ask(&inner.facts))
    }

    /// What an entity would be after one change more.
    pub(super) fn after(&self, facts: &Facts, change: &EntityChange) -> Option<Entity> {
        let mut facts = facts.only(&change.entity);
        let mut change = change.clone();
        if let Some(latest) = facts.standing(|_| true).latest(&change.entity) {
            change.at = change.at.max(latest);
        }
        change.entity = facts.standing(|_| true).root(&change.entity);
        let id = change.entity.clone();
        facts.insert(self.machine.clone(), UNWRITTEN, change.into());
        facts.standing(|_| true).entity(&id)
    }

    pub(super) fn unreadable(&self) -> Vec<String> {
        self.lock().unreadable.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            self.inner.clear_poison();
            let mut inner = poisoned.into_inner();
            // a panic may have come between two lines: read all anew
            inner.loaded = false;
            inner
        })
    }
}

impl Inner {
    /// Takes in what the files below `dir` say; `false` when everything was read anew instead.
    fn look(&mut self, dir: &str, machine: &MachineId) -> Result<bool> {
        if self.loaded {
            if self.read(dir)? == Look::Grown {
                return Ok(true);
            }
            tracing::info!("files of entities are shorter than they were; all are read anew");
        }
        self.loaded = false;
        self.facts = Facts::default();
        self.unreadable.clear();
        self.lines.forget();
        self.read(paths::ENTITIES)?;
        for change in self.early.values() {
            self.facts.insert(machine.clone(), UNWRITTEN, change.clone().into());
        }
        self.loaded = true;
        Ok(false)
    }

    fn read(&mut self, dir: &str) -> Result<Look> {
        let Self { lines, facts, early, unreadable, .. } = self;
        lines.look(dir, |path, end, line| match read_line(path, end, line) {
            Ok((machine, place, line)) => {
                early.remove(&line.id);
                facts.insert(machine, place, line);
            }
            Err(why) => {
                let told = format!("{path}: the line that ends at byte {end} is no change of that entity: {why}");
                tracing::warn!("skipped: {told}");
                unreadable.push(told);
            }
        })
    }
}

/// What is known as of a moment or a commit.
pub(super) fn known(as_of: &AsOf) -> impl Fn(&Entry) -> bool + '_ {
    move |entry| match as_of {
        AsOf::Now => true,
        AsOf::Time(at) => entry.line.at <= *at,
        AsOf::Commit(lengths) => {
            let part = u32::try_from(entry.place >> END_BITS).unwrap_or(u32::MAX);
            let path = paths::memory_part(&paths::entity(&entry.line.entity, &entry.machine), part);
            lengths.get(&path).is_some_and(|length| entry.place & ((1 << END_BITS) - 1) <= *length)
        }
    }
}

fn read_line(path: &str, end: u64, line: &[u8]) -> Result<(MachineId, u64, Line), String> {
    let line = Line::read(line)?;
    let name = path.strip_prefix(paths::ENTITIES).unwrap_or(path);
    let (folder, file) = name.trim_start_matches('/').rsplit_once('/').ok_or("it lies in no folder")?;
    if folder != line.entity.as_str() {
        return Err(format!("it is about {}", line.entity));
    }
    let stem = file.trim_end_matches(".jsonl");
    let (machine, part) = stem.split_once('.').unwrap_or((stem, "0"));
    let machine = MachineId::new(machine).map_err(|e| e.to_string())?;
    let part: u64 = part.parse().map_err(|_| format!("`{file}` is no file of a machine"))?;
    Ok((machine, (part << END_BITS) | end, line))
}
