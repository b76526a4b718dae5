//! From changes to what holds: the one rule by which every machine comes to the same entities.
//!
//! Changes are ordered by their moment, then the machine that wrote them, then their place in its file; the
//! order in which they were met makes no difference. Nothing here is stored and nothing is ever refused: two
//! machines that did not know of each other may have written anything.

use std::{cmp::Ordering, collections::BTreeMap};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{ALIASES, Change, EntityId, Line};
use crate::MachineId;

/// One change with its place in the order of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The machine whose file it is in.
    pub machine: MachineId,
    /// Its place among the lines of that machine about that entity; only its order counts.
    pub place: u64,
    /// What it says.
    pub line: Line,
}

impl Entry {
    fn key(&self) -> (Timestamp, &MachineId, u64) {
        (self.line.at, &self.machine, self.place)
    }

    /// The order of all changes.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// What is true of one entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// Its name: of those that were merged, the one that stays.
    pub id: EntityId,
    /// How many changes it was folded from, those of merged entities included.
    pub version: u64,
    /// The names that mean it too, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<EntityId>,
    /// When it was first heard of.
    #[serde(with = "crate::time::at")]
    pub created: Timestamp,
    /// When it changed last.
    #[serde(with = "crate::time::at")]
    pub updated: Timestamp,
    /// Its fields by name.
    pub fields: BTreeMap<String, Field>,
}

/// What is true of one field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Its value; a list when it is a set.
    pub value: Value,
    /// Since when it has this value, or its newest element.
    #[serde(with = "crate::time::at")]
    pub since: Timestamp,
    /// The change that gave it.
    pub change: String,
    /// The entity that was changed: this one, or one that was merged into it.
    pub of: EntityId,
    /// For each element of a set the change that brought it, in the order of the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<String>,
}

impl Entity {
    /// Its fields as one JSON object: what a schema is held against, and what a step is given.
    #[must_use]
    pub fn values(&self) -> Value {
        self.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect()
    }

    /// All names that mean it, its own first.
    pub fn names(&self) -> impl Iterator<Item = &EntityId> {
        std::iter::once(&self.id).chain(&self.merged)
    }
}

/// What the changes of one entity, or of several that are one, come to.
#[derive(Default)]
pub(super) struct Sum<'a> {
    fields: BTreeMap<&'a str, Held<'a>>,
    /// When fields were last set or taken away as a whole: after a merge that goes for what came with it, too.
    replaced: BTreeMap<&'a str, &'a Entry>,
    /// Elements taken out of sets, and when, for the same reason.
    dropped: BTreeMap<&'a str, Vec<(&'a Value, &'a Entry)>>,
    count: u64,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
}

enum Held<'a> {
    One(&'a Value, &'a Entry),
    Set(Vec<(&'a Value, &'a Entry)>),
}

impl<'a> Held<'a> {
    /// The same as a set: the elements of a list, or the one value.
    fn into_set(self) -> Vec<(&'a Value, &'a Entry)> {
        match self {
            Self::Set(elements) => elements,
            Self::One(Value::Array(list), entry) => unique(list.iter().map(|v| (v, entry))),
            Self::One(value, entry) => vec![(value, entry)],
        }
    }
}

impl<'a> Sum<'a> {
    /// Adds up changes of one entity, given in their order.
    pub(super) fn of(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut sum = Self::default();
        for entry in entries {
            sum.count += 1;
            sum.created.get_or_insert(entry.line.at);
            sum.updated = Some(entry.line.at);
            if let Some(Change::Fields { set, add, remove }) = &entry.line.change {
                set.iter().for_each(|(name, value)| sum.set(name, value, entry));
                for (name, values) in add {
                    values.iter().for_each(|value| sum.add(name, value, entry));
                }
                for (name, values) in remove {
                    values.iter().for_each(|value| sum.remove(name, value, entry));
                }
            }
        }
        sum
    }

    fn set(&mut self, name: &'a str, value: &'a Value, entry: &'a Entry) {
        self.dropped.remove(name);
        self.replaced.insert(name, entry);
        if value.is_null() {
            self.fields.remove(name);
            return;
        }
        let held = Held::One(value, entry);
        let held = if name == ALIASES { Held::Set(held.into_set()) } else { held };
        self.fields.insert(name, held);
    }

    fn add(&mut self, name: &'a str, value: &'a Value, entry: &'a Entry) {
        if let Some(dropped) = self.dropped.get_mut(name) {
            dropped.retain(|(known, _)| *known != value);
        }
        let mut elements = self.fields.remove(name).map_or_else(Vec::new, Held::into_set);
        if !elements.iter().any(|(known, _)| *known == value) {
            elements.push((value, entry));
        }
        self.fields.insert(name, Held::Set(elements));
    }

    fn remove(&mut self, name: &'a str, value: &'a Value, entry: &'a Entry) {
        self.dropped.entry(name).or_default().push((value, entry));
        if let Some(held) = self.fields.remove(name) {
            let mut elements = held.into_set();
            elements.retain(|(known, _)| *known != value);
            if !elements.is_empty() {
                self.fields.insert(name, Held::Set(elements));
            }
        }
    }

    /// Takes in an entity that `merge` made one with this one: own values win, sets unite. What this one took
    /// away since the merge stays away.
    pub(super) fn take_in(&mut self, other: Self, merge: &Entry) {
        self.count += other.count;
        self.created = self.created.into_iter().chain(other.created).min();
        self.updated = self.updated.max(other.updated);
        for (name, held) in other.fields {
            if self.replaced.get(name).is_some_and(|entry| entry.order(merge).is_gt()) {
                continue;
            }
            let unite = match (&held, self.fields.get(name)) {
                (Held::One(..), Some(Held::One(..))) => continue,
                (Held::Set(_), _) | (_, Some(Held::Set(_))) => true,
                (Held::One(..), None) => false,
            };
            let dropped = self.dropped.get(name).map_or(&[][..], Vec::as_slice);
            let gone = |value: &Value| dropped.iter().any(|(v, when)| *v == value && when.order(merge).is_gt());
            if !unite {
                if !matches!(held, Held::One(value, _) if gone(value)) {
                    self.fields.insert(name, held);
                }
                continue;
            }
            let theirs: Vec<_> = held.into_set().into_iter().filter(|(value, _)| !gone(value)).collect();
            let ours = self.fields.remove(name).map_or_else(Vec::new, Held::into_set);
            let united = unique(ours.into_iter().chain(theirs));
            if !united.is_empty() {
                self.fields.insert(name, Held::Set(united));
            }
        }
    }

    /// What it comes to; `None` when nothing was ever said.
    pub(super) fn entity(self, id: &EntityId, merged: Vec<EntityId>) -> Option<Entity> {
        let fields = self.fields.into_iter().map(|(name, held)| (name.to_owned(), field(held))).collect();
        Some(Entity {
            id: id.clone(),
            version: self.count,
            merged,
            created: self.created?,
            updated: self.updated?,
            fields,
        })
    }
}

fn field(held: Held<'_>) -> Field {
    let of = |value: Value, entry: &Entry, elements| Field {
        value,
        since: entry.line.at,
        change: entry.line.id.clone(),
        of: entry.line.entity.clone(),
        elements,
    };
    match held {
        Held::One(value, entry) => of(value.clone(), entry, Vec::new()),
        Held::Set(elements) => {
            let latest = elements.iter().map(|(_, entry)| *entry).max_by(|a, b| a.order(b));
            let list = elements.iter().map(|(value, _)| (*value).clone()).collect();
            let ids = elements.iter().map(|(_, entry)| entry.line.id.clone()).collect();
            of(Value::Array(list), latest.expect("a set without elements is not kept"), ids)
        }
    }
}

/// The first of each value.
fn unique<'a>(elements: impl IntoIterator<Item = (&'a Value, &'a Entry)>) -> Vec<(&'a Value, &'a Entry)> {
    let mut out: Vec<(&Value, &Entry)> = Vec::new();
    for (value, entry) in elements {
        if !out.iter().any(|(known, _)| *known == value) {
            out.push((value, entry));
        }
    }
    out
}
