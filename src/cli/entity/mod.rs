//! `cairn entity`: what is known of clients, invoices, contracts, and how it came to be.

mod blame;
mod history;
mod ls;
mod merge;
mod resolve;
mod set;
mod show;
mod split;

use std::collections::BTreeMap;

use cairn_memory::{AsOf, Find, Memory, MemoryError};
use cairn_store_layout::{
    EntityId,
    entity::{self, Entry},
    paths,
};
use clap::Subcommand;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{
    asked,
    context::{Context, Outcome},
    failure::{Failure, chain, exit, plural},
};
use crate::store::{
    Store,
    git::{ReadLimits, Repo},
};

/// Commits that a short commit id is looked for in, newest first.
const COMMITS_MAX: usize = 100_000;

/// What is known of clients, invoices, contracts, and how it came to be.
#[derive(Debug, Subcommand)]
pub enum Entity {
    /// List entities
    Ls(ls::Ls),
    /// Show one: its fields, its names, and what happened last
    Show(show::Show),
    /// Change fields of one, or begin a new one
    Set(set::Set),
    /// Make two entities one
    Merge(merge::Merge),
    /// Take a merge back
    Split(split::Split),
    /// Show every change of one: what, when, by whom
    History(history::History),
    /// Show of each field since when it has its value, and from whom: run, step, agent and prompt, or person
    Blame(blame::Blame),
    /// Say which entities are meant by some fields, and how sure that is
    Resolve(resolve::Resolve),
}

impl Entity {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Ls(verb) => verb.run(context),
            Self::Show(verb) => verb.run(context),
            Self::Set(verb) => verb.run(context),
            Self::Merge(verb) => verb.run(context),
            Self::Split(verb) => verb.run(context),
            Self::History(verb) => verb.run(context),
            Self::Blame(verb) => verb.run(context),
            Self::Resolve(verb) => verb.run(context),
        }
    }
}

/// The memory of a store.
///
/// # Errors
/// When the machine has no id and can get none.
pub(super) fn open(context: &Context, store: &Store) -> Result<Memory, Failure> {
    let machine = context.machine(store)?;
    let memory = Memory::open(store.root(), &machine).map_err(failed)?;
    if let Some(code) = &store.card().defaults.calling_code {
        memory.calls_from(code);
    }
    Ok(memory)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
pub(super) fn failed(error: MemoryError) -> Failure {
    Failure::failed("memory", chain(&error)).fix("see what lies below entities/ and memory/: cairn verify")
}

/// The entity that `text` names: an id, or the beginning of one.
///
/// # Errors
/// When there is none, or several begin so.
pub(super) fn named(memory: &Memory, text: &str, as_of: &AsOf) -> Result<entity::Entity, Failure> {
    if let Ok(id) = EntityId::new(text)
        && let Some(entity) = memory.entity(&id, as_of).map_err(failed)?
    {
        return Ok(entity);
    }
    let all = memory.entities(&Find::default(), as_of).map_err(failed)?;
    let begins = |id: &EntityId| id.as_str().starts_with(text) || id.name().starts_with(text);
    let mut found = all.into_iter().filter(|entity| text.len() >= 2 && entity.names().any(begins));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            let message = format!("`{text}` names several entities: {}, {} ...", one.id, other.id);
            Err(Failure::new("ambiguous", exit::USAGE, message).fix("give more of its id"))
        }
        _ => Err(Failure::not_found(format!("there is no entity `{text}`")).fix("cairn entity ls")),
    }
}

/// The id that `text` is.
fn id(text: &str) -> Result<EntityId, Failure> {
    EntityId::new(text).map_err(|e| Failure::usage(e.to_string()))
}

/// A moment as typed: a day (its end), or RFC 3339.
pub(super) fn moment(text: &str, end_of_day: bool) -> Option<Timestamp> {
    if let Ok(day) = text.parse::<Date>() {
        let day = if end_of_day { day.tomorrow().ok()? } else { day };
        let at = day.to_zoned(TimeZone::system()).ok()?.timestamp();
        return if end_of_day { at.checked_sub(jiff::SignedDuration::from_micros(1)).ok() } else { Some(at) };
    }
    text.parse().ok()
}

/// What `--as-of` means: a day, a moment, or a commit.
fn as_of(store: &Store, text: Option<&str>) -> Result<AsOf, Failure> {
    let Some(text) = text else { return Ok(AsOf::Now) };
    if let Some(at) = moment(text, true) {
        return Ok(AsOf::Time(at));
    }
    let is_hash = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_hash {
        let message = format!("`{text}` is no day, no moment and no commit");
        return Err(Failure::usage(message).fix("write it like 2026-11-22, 2026-11-22T08:00:00Z or 1c0ffee"));
    }
    let repo = Repo::open(store.root())?;
    let log = repo.log(None, COMMITS_MAX)?;
    let Some(commit) = log.iter().map(|entry| entry.commit).find(|commit| commit.to_string().starts_with(text)) else {
        return Err(Failure::not_found(format!("there is no commit `{text}` on this branch")).fix("git log --oneline"));
    };
    let Some(tree) = repo.tree_of(paths::ENTITIES, Some(&commit))? else { return Ok(AsOf::Commit(BTreeMap::new())) };
    let limits = ReadLimits { files_max: 1_000_000, bytes_max: 1 << 30 };
    let files = repo.read_tree_files(&tree, limits)?;
    let long = |(path, bytes): (String, Vec<u8>)| (format!("{}/{path}", paths::ENTITIES), bytes.len() as u64);
    Ok(AsOf::Commit(files.into_iter().map(long).collect()))
}

/// A value as a person reads it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Who made a change.
fn who(entry: &Entry) -> String {
    entry.line.source.as_ref().map_or_else(|| "?".to_owned(), |source| source.words())
}

/// The head of an id, as lists show it.
fn head(id: &str) -> &str {
    &id[..id.len().min(8)]
}
