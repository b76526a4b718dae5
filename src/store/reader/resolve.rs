//! From what a person types to the one id that it names.

use std::borrow::Cow;

use cairn_store_layout::{RunId, ids::names, view::InboxItem};

use super::Reader;
use crate::store::{error::StoreError, reader::days};

/// Why a text names no single thing.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// Nothing is called so.
    #[error("there is no {what} `{text}`")]
    NotFound {
        /// What was looked for: `run` or `request`.
        what: &'static str,
        /// The text as typed.
        text: String,
    },
    /// Less than four characters.
    #[error("`{text}` is too short to name a {what}; give at least 4 characters")]
    TooShort {
        /// What was looked for.
        what: &'static str,
        /// The text as typed.
        text: String,
    },
    /// Several things are called so.
    #[error("`{text}` names {} {what}s: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        what: &'static str,
        /// The text as typed.
        text: String,
        /// Their full ids, at most ten.
        candidates: Vec<String>,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reader {
    /// Finds the one run that `text` names.
    ///
    /// # Errors
    /// When none or several are named so.
    pub fn resolve_run(&self, text: &str) -> Result<RunId, Unresolved> {
        if let Ok(run) = RunId::new(text.to_ascii_lowercase())
            && self.store.path(&cairn_store_layout::paths::run(&run)).is_file()
        {
            return Ok(run);
        }
        let mut found = Vec::new();
        for folder in days::all(self.store.root()).map_err(StoreError::from)? {
            let runs = days::runs(self.store.root(), &folder).map_err(StoreError::from)?;
            found.extend(runs.into_iter().map(|(run, _)| run).filter(|run| names(run.as_str(), text)));
        }
        one("run", text, found, |run| run.to_string())
    }

    /// Finds the one request that `text` names; an open one is meant before a decided one.
    ///
    /// # Errors
    /// When none or several are named so.
    pub fn resolve_request(&mut self, text: &str) -> Result<InboxItem, Unresolved> {
        self.refresh()?;
        let named = self.requests().filter(|r| names(r.id.as_str(), text)).map(Cow::into_owned);
        let (open, over): (Vec<InboxItem>, Vec<_>) = named.partition(InboxItem::is_open);
        one("request", text, if open.is_empty() { over } else { open }, |r| r.id.to_string())
    }
}

fn one<T>(what: &'static str, text: &str, mut found: Vec<T>, id: impl Fn(&T) -> String) -> Result<T, Unresolved> {
    let text = text.to_owned();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 if text.len() < 4 => Err(Unresolved::TooShort { what, text }),
        0 => Err(Unresolved::NotFound { what, text }),
        _ => Err(Unresolved::Ambiguous { what, text, candidates: found.iter().take(10).map(id).collect() }),
    }
}
