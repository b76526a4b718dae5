//! Memory: passages of text that are recalled by words and by likeness, each with its source.
//!
//! **What is truth and what is derived.** Truth is `memory/passages/<machine>/<month>.jsonl`, which
//! the driver appends from recorded events and this crate only reads. Everything this crate writes
//! can be deleted and comes back with identical answers:
//!
//! - `memory/vectors/<machine>.lance/` (tracked, merged by tiers, holds no text): the vectors of the passages one machine recorded,
//!   so that a clone need not pay an embedder again. Only its machine writes it; all are read.
//! - `.cairn/index/columns/` (local, ignored): what is known of every passage as Arrow columns: its
//!   facts, its words, its vector. A fresh process takes them up without reading known passages again.
//! - `.cairn/index/passages/` (local, ignored): only in very large stores, a table of all machines'
//!   passages with a full text and a vector index.
//!
//! **How recall works.** Two rankings, by words (BM25) and by vector (cosine), are fused by rank
//! (reciprocal rank fusion, k = 60). Up to [`Settings::scan_max`] passages the columns are searched in
//! memory, and both rankings are exact: the answer is the one that comparing with every passage
//! gives, whatever was deleted, rebuilt or merged before. No table is opened and no runtime started.
//! Above it the index on disk *proposes* candidates and the same code scores them with the same
//! statistics, so the two ways differ only in a passage that the index fails to propose. What the
//! index does not hold yet is scanned, always: a passage is found from the moment it is remembered.
//!
//! **What holds.** A passage that is superseded, over or forgotten at the moment asked about is never
//! an answer; that moment may be a time or a commit of the past ([`Past`]).
//!
//! **Entities and episodes.** Entities are folded from the changes of all machines (`entities/`), read once and
//! kept in step; [`Memory::admit`] is where a change is checked against the version that it was made for. Who may
//! be who is [`identity`]: it proposes merges and makes none. Episodes are looked through when asked for.
//!
//! **What it refuses.** It calls no model to write or judge text, opens no network connection by
//! itself, never changes a passage, and never returns text as anything but quoted data with its
//! source. Damage of derived files is repaired with a warning, never answered with an error.
//!
//! **Calls block** (files, and later remote embedders). From async code call them through
//! `spawn_blocking`. A handle may be shared between threads; calls take turns.
//!
//! Without the feature `lance` there are no tables: everything is scanned, `flush` writes nothing.

pub mod audit;
mod bm25;
mod catalogue;
mod columns;
mod embed;
pub mod entities;
mod episodes;
mod error;
mod explain;
mod files;
mod filter;
pub mod identity;
mod learn;
mod ledger;
mod lines;
mod memory;
mod pack;
mod part;
mod proposals;
mod query;
mod recall;
mod scan;
mod shelf;
#[cfg(feature = "lance")]
mod tables;
mod tail;
pub mod tidy;
mod usage;
mod varied;
mod words;

pub use embed::{CachedEmbedder, EmbedError, Embedder, LocalEmbedder, ServingRecord, TextDigest};
pub use entities::{AsOf, Candidate, Find, Refused, Trouble};
pub use episodes::{Happened, Range};
pub use error::{MemoryError, Result};
pub use explain::{Explained, WordScore};
pub use ledger::{Kept, Ledger, Unreadable};
pub use memory::{Budget, Change, Embedding, Memory, Progress, Settings, Stats, is_tracked};
pub use pack::{Citation, ContextPack, LeftOut, strip_recalled, tokens};
pub use proposals::{Proposals, Proposed};
pub use query::{Hit, LIMIT_MAX, Past, Query, Recalled, Why};
pub use usage::{Usage, Uses};

/// Lines for the store's `.gitignore`: files of the vector tables that are disposable, and would
/// only make two clones conflict.
pub const GITIGNORE: [&str; 2] =
    ["memory/vectors/*.lance/_transactions/", "memory/vectors/*.lance/_versions/latest_version_hint.json"];

/// Lines for the store's `.gitattributes`: vector tables are not text.
pub const GITATTRIBUTES: [&str; 1] = ["memory/vectors/** binary"];

/// Files that a call changed, as paths relative to the root of the store, sorted. Only files that
/// belong into a commit are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that are new or have new content.
    pub added: Vec<String>,
    /// Files that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Tells whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}
