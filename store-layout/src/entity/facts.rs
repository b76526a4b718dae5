//! All changes that are known, and the entities they come to: which names mean one entity, as of when.
//!
//! A merge makes two names mean one entity, a split takes exactly that merge back. Where machines that did not
//! know of each other merged one name into two, the later merge counts; where they closed a circle, its
//! smallest name stays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    Change, Entity, EntityId, Line,
    fold::{Entry, Sum},
};
use crate::MachineId;

/// A change that is dated further than this into the reader's future is told of.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The changes of all entities, of all machines, each once.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    logs: BTreeMap<EntityId, Vec<Entry>>,
    /// Entities of which a line says that they are another one.
    merging: BTreeSet<EntityId>,
    /// Entities of which a line says that a merge was a mistake.
    splitting: BTreeSet<EntityId>,
}

impl Facts {
    /// Takes a line in. Of two lines that tell of one change, the first in the order of all counts.
    pub fn insert(&mut self, machine: MachineId, place: u64, line: Line) {
        match line.change {
            Some(Change::Merged { .. }) => drop(self.merging.insert(line.entity.clone())),
            Some(Change::Split { .. }) => drop(self.splitting.insert(line.entity.clone())),
            Some(Change::Fields { .. }) | None => {}
        }
        let log = self.logs.entry(line.entity.clone()).or_default();
        let entry = Entry { machine, place, line };
        if let Some(at) = log.iter().position(|known| known.line.id == entry.line.id) {
            if log[at].order(&entry).is_le() {
                return;
            }
            log.remove(at);
        }
        let at = log.partition_point(|known| known.order(&entry).is_lt());
        log.insert(at, entry);
    }

    /// Tells whether a change of an entity is known.
    #[must_use]
    pub fn get(&self, entity: &EntityId, change: &str) -> Option<&Entry> {
        self.logs.get(entity)?.iter().find(|entry| entry.line.id == change)
    }

    /// Finds a change by its id, of whatever entity.
    #[must_use]
    pub fn find(&self, change: &str) -> Option<&Entry> {
        self.logs.values().flatten().find(|entry| entry.line.id == change)
    }

    /// The changes of the entity that `id` means and nothing else: enough to ask what one change more would do.
    #[must_use]
    pub fn only(&self, id: &EntityId) -> Self {
        let standing = self.standing(|_| true);
        let mut only = Self::default();
        for entry in standing.history(id) {
            only.insert(entry.machine.clone(), entry.place, entry.line.clone());
        }
        // a split may be written elsewhere than the merge that it takes back
        for entry in self.splitting.iter().filter_map(|of| self.logs.get(of)).flatten() {
            if matches!(entry.line.change, Some(Change::Split { .. })) {
                only.insert(entry.machine.clone(), entry.place, entry.line.clone());
            }
        }
        only
    }

    /// The changes that name this entity itself, in order.
    pub fn log(&self, id: &EntityId) -> impl Iterator<Item = &Entry> {
        self.logs.get(id).into_iter().flatten()
    }

    /// Every name that was ever changed, in order.
    pub fn names(&self) -> impl Iterator<Item = &EntityId> {
        self.logs.keys()
    }

    /// What holds when only changes are known that `known` lets pass.
    #[must_use]
    pub fn standing<'a>(&'a self, known: impl Fn(&Entry) -> bool + 'a) -> Standing<'a> {
        let known: Box<dyn Fn(&Entry) -> bool + 'a> = Box::new(known);
        let log = |id: &EntityId| self.logs.get(id).into_iter().flatten().filter(|entry| known(entry));
        let mut undone: BTreeSet<&str> = BTreeSet::new();
        for entry in self.splitting.iter().flat_map(log) {
            if let Some(Change::Split { merge }) = &entry.line.change {
                undone.insert(merge);
            }
        }
        let mut merges: BTreeMap<EntityId, (EntityId, &Entry)> = BTreeMap::new();
        for entry in self.merging.iter().flat_map(log) {
            if let Some(Change::Merged { into }) = &entry.line.change
                && !undone.contains(entry.line.id.as_str())
                && *into != entry.line.entity
            {
                // in their order, so the last one stays
                merges.insert(entry.line.entity.clone(), (into.clone(), entry));
            }
        }
        let mut members: BTreeMap<EntityId, Vec<(usize, EntityId)>> = BTreeMap::new();
        for id in merges.keys() {
            let (root, distance) = follow(&merges, id);
            if root != *id {
                members.entry(root).or_default().push((distance, id.clone()));
            }
        }
        members.values_mut().for_each(|group| group.sort_unstable());
        Standing { facts: self, known, merges, members }
    }
}

/// Follows merges to the name that stays, and counts the steps. A circle is left at its smallest name.
fn follow(merges: &BTreeMap<EntityId, (EntityId, &Entry)>, id: &EntityId) -> (EntityId, usize) {
    let mut path = vec![id];
    let mut at = id;
    while let Some((into, _)) = merges.get(at) {
        if let Some(begin) = path.iter().position(|known| *known == into) {
            let stays = path[begin..].iter().min().expect("a circle has names");
            let distance = path.iter().position(|known| known == stays).unwrap_or(0);
            return ((*stays).clone(), distance);
        }
        path.push(into);
        at = into;
    }
    (at.clone(), path.len() - 1)
}

/// What holds, as of what is known.
pub struct Standing<'a> {
    facts: &'a Facts,
    known: Box<dyn Fn(&Entry) -> bool + 'a>,
    /// The merge of each name that is another one.
    merges: BTreeMap<EntityId, (EntityId, &'a Entry)>,
    /// Of each name that stays the others that mean it, nearest first.
    members: BTreeMap<EntityId, Vec<(usize, EntityId)>>,
}

impl<'a> Standing<'a> {
    /// The name that stays of those that mean the same as `id`.
    #[must_use]
    pub fn root(&self, id: &EntityId) -> EntityId {
        follow(&self.merges, id).0
    }

    /// The entity that `id` means; `None` when nothing was ever said of it.
    #[must_use]
    pub fn entity(&self, id: &EntityId) -> Option<Entity> {
        let root = self.root(id);
        let members = self.members.get(&root).map_or(&[][..], Vec::as_slice);
        let sum = |id: &EntityId| Sum::of(self.log(id));
        let mut sums: BTreeMap<&EntityId, Sum<'_>> = members.iter().map(|(_, id)| (id, sum(id))).collect();
        sums.insert(&root, sum(&root));
        // the furthest first, so that each is whole before it goes into the next; those of one distance by name
        let mut inwards: Vec<&(usize, EntityId)> = members.iter().collect();
        inwards.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (_, id) in inwards {
            let (into, merge) = &self.merges[id];
            if let Some(sum) = sums.remove(id)
                && let Some(whole) = sums.get_mut(into)
            {
                whole.take_in(sum, merge);
            }
        }
        let merged = members.iter().map(|(_, id)| id.clone()).collect();
        sums.remove(&root).and_then(|sum| sum.entity(&root, merged))
    }

    /// Every entity by the name that stays, of all kinds or of one, in the order of names.
    pub fn entities<'s>(&'s self, kind: Option<&'s str>) -> impl Iterator<Item = Entity> + 's {
        // a name that others were merged into may have no lines of its own
        let names: BTreeSet<&EntityId> = self.facts.logs.keys().chain(self.members.keys()).collect();
        let of_kind = move |id: &&EntityId| kind.is_none_or(|kind| id.kind() == kind);
        let stays = |id: &&EntityId| !self.merges.contains_key(*id) || self.root(id) == **id;
        names.into_iter().filter(of_kind).filter(stays).filter_map(|id| self.entity(id))
    }

    /// Every change of the entity that `id` means, in order.
    #[must_use]
    pub fn history(&self, id: &EntityId) -> Vec<&'a Entry> {
        let root = self.root(id);
        let members = self.members.get(&root).into_iter().flatten().map(|(_, id)| id);
        let names = std::iter::once(&root).chain(members);
        let mut all: Vec<&Entry> = names.flat_map(|id| self.log(id)).collect();
        all.sort_by(|a, b| a.order(b));
        all
    }

    /// The merge that makes `id` mean another entity, if one does.
    #[must_use]
    pub fn merge_of(&self, id: &EntityId) -> Option<&'a Entry> {
        self.merges.get(id).map(|(_, entry)| *entry)
    }

    /// The moment of the latest change of the entity that `id` means.
    #[must_use]
    pub fn latest(&self, id: &EntityId) -> Option<Timestamp> {
        self.history(id).last().map(|entry| entry.line.at)
    }

    /// Changes of the entity that are dated more than [`AHEAD_MAX`] after `now`: a clock was wrong when they were
    /// made. They count where they stand.
    #[must_use]
    pub fn ahead(&self, id: &EntityId, now: Timestamp) -> Vec<&'a Entry> {
        let limit = now.checked_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
        self.history(id).into_iter().filter(|entry| entry.line.at > limit).collect()
    }

    fn log(&self, id: &EntityId) -> impl Iterator<Item = &'a Entry> + '_ {
        self.facts.logs.get(id).into_iter().flatten().filter(|entry| (self.known)(entry))
    }
}
