//! Letting a change in: its place in the order of all, and whether what it was made for still stands.

use cairn_store_layout::{
    EntityId,
    entity::{Change, EntityChange, Entry, Facts, Standing, check},
    time,
};
use jiff::{SignedDuration, Timestamp};

use crate::Memory;

/// How many changes a refusal tells of.
const TOLD_MAX: usize = 3;

/// Why a change of an entity is not let in. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It was made for another version than the one that stands.
    #[error("{0}")]
    Conflict(String),
    /// It can not be, whatever stands.
    #[error("{0}")]
    Invalid(String),
    /// What stands could not be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Refused {
    /// A short code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "version_conflict",
            Self::Invalid(_) => "bad_change",
            Self::Unreadable(_) => "memory",
        }
    }
}

impl Memory {
    /// Gives a change of an entity its moment: `now`, or right after the latest change of that entity that is
    /// known here, by whatever clock. A change of a name that was merged goes to the entity that stays. A change
    /// that is known already becomes the known one. Returns its moment.
    ///
    /// # Errors
    /// When the change is only right for a version of the entity that is not the one that stands, or can not be:
    /// a merge of what is one already, a split of no merge.
    pub fn admit(&self, change: &mut EntityChange, now: Timestamp) -> Result<Timestamp, Refused> {
        change.check().map_err(Refused::Invalid)?;
        let id = change.entity.clone();
        let let_in = |facts: &Facts| let_in(facts, change, now);
        match self.entities.with_one(&id, let_in) {
            Ok(outcome) => outcome,
            Err(error) => Err(Refused::Unreadable(error.to_string())),
        }
    }
}

fn let_in(facts: &Facts, change: &mut EntityChange, now: Timestamp) -> Result<Timestamp, Refused> {
    let standing = facts.standing(|_| true);
    place(facts, &standing, change)?;
    if let Some(known) = facts.get(&change.entity, &change.id) {
        // recorded before a crash, or asked for twice: the same line, so that it counts once
        let line = known.line.clone();
        if let (Some(source), Some(what)) = (line.source, line.change) {
            let (id, entity, at, reason, expected_version) =
                (line.id, line.entity, line.at, line.reason, line.expected_version);
            *change = EntityChange { id, entity, at, source, change: what, reason, expected_version };
            return Ok(now);
        }
    }
    if let Some(expected) = change.expected_version {
        let version = standing.entity(&change.entity).map_or(0, |entity| entity.version);
        if version != expected {
            return Err(Refused::Conflict(conflict(&standing, &change.entity, expected, version)));
        }
    }
    let mut latest = standing.latest(&change.entity);
    if let Change::Merged { into } = &change.change {
        latest = latest.max(standing.latest(into));
    }
    let after = latest.and_then(|at| at.checked_add(SignedDuration::from_micros(1)).ok());
    change.at = after.map_or(now, |after| after.max(now));
    Ok(change.at)
}

/// Makes the change one of the entity that stays, and looks whether there is something to merge or to split.
fn place(facts: &Facts, standing: &Standing<'_>, change: &mut EntityChange) -> Result<(), Refused> {
    let named = change.entity.clone();
    match &mut change.change {
        Change::Fields { .. } => change.entity = standing.root(&named),
        Change::Merged { into } => {
            if facts.get(&named, &change.id).is_some() {
                return Ok(());
            }
            let (from, to) = (standing.root(&named), standing.root(into));
            for id in [&from, &to] {
                if standing.entity(id).is_none() {
                    return Err(Refused::Invalid(format!("there is no entity {id}, so nothing can be merged with it")));
                }
            }
            if from == to {
                return Err(Refused::Invalid(format!("{named} and {into} are one entity already: {to}")));
            }
            if from.kind() != to.kind() {
                return Err(Refused::Invalid(format!("{from} and {to} are not of one kind")));
            }
            (change.entity, *into) = (from, to);
        }
        Change::Split { merge } => {
            let Some(entry) = facts.find(merge) else {
                return Err(Refused::Invalid(format!("there is no merge `{merge}` to take back")));
            };
            let of = entry.line.entity.clone();
            let again = facts.get(&of, &change.id).is_some();
            if !again && standing.merge_of(&of).is_none_or(|active| active.line.id != *merge) {
                return Err(Refused::Invalid(format!("`{merge}` is no merge of {of} that holds now")));
            }
            change.entity = of;
        }
    }
    Ok(())
}

fn conflict(standing: &Standing<'_>, id: &EntityId, expected: u64, version: u64) -> String {
    let skip = usize::try_from(expected).unwrap_or(usize::MAX);
    let since: Vec<&Entry> = standing.history(id).into_iter().skip(skip).collect();
    let told = |entry: &&Entry| {
        let who = entry.line.source.as_ref().map_or_else(|| "somebody".to_owned(), |source| source.words());
        format!("{who} {} at {}", check::words(entry.line.change.as_ref()), &time::write(entry.line.at)[..19])
    };
    let mut said: Vec<String> = since.iter().rev().take(TOLD_MAX).rev().map(told).collect();
    if since.len() > TOLD_MAX {
        said.insert(0, format!("{} earlier changes", since.len() - TOLD_MAX));
    }
    match (version, said.as_slice()) {
        (0, _) => format!("{id} was read at version {expected}, and there is no such entity now"),
        (_, []) => format!("{id} is at version {version}, not at {expected}"),
        _ => format!("{id} is at version {version}, not at {expected}; since then: {}", said.join("; ")),
    }
}
