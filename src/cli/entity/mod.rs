//! `cairn entity`: what is known of clients, invoices, contracts, and how it came to be.

mod blame;
mod history;
mod ls;
mod merge;
mod resolve;
mod set;
mod show;
mod split;

use cairn_memory::{AsOf, Find, Memory, MemoryError};
use cairn_store_layout::{
    EntityId,
    entity::{self, Entry},
    paths,
};
use clap::Subcommand;
use serde_json::Value;

use super::{
    asked,
    context::{Context, Outcome},
    failure::{Failure, chain, exit, plural},
    when::{self, Then},
};
use crate::store::Store;

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

/// What `--as-of` means: a day, a moment, or a commit.
fn as_of(store: &Store, text: Option<&str>) -> Result<AsOf, Failure> {
    let Some(text) = text else { return Ok(AsOf::Now) };
    Ok(match when::then(store, text, paths::ENTITIES)? {
        Then::Time(at) => AsOf::Time(at),
        Then::Commit { files, .. } => AsOf::Commit(files),
    })
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
