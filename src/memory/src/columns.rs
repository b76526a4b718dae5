//! Passages as columns: what is known of each, its words, its vector.
//!
//! Arrow record batches are the one form in memory and in `.cairn/index/columns/`. Columns are cut
//! into segments, each of consecutive rows; a row keeps its number when segments are merged, so
//! answers do not depend on where the cuts lie. Everything here is derived from passage files: what
//! is torn, changed or of another version is noticed by its hash, and made anew.

mod files;
mod ipc;
mod postings;
mod quantised;
mod rows;
mod segment;

use files::VectorFiles;
pub(crate) use files::{Kept, Reading, Saved, name};
pub(crate) use postings::Postings;
pub(crate) use quantised::{Question, Vectors};
pub(crate) use rows::{Forget, NewRow, Place, Rows, label};
pub(crate) use segment::{Builder, Segment};

/// Why columns can not be used: they are derived, and made anew from the passages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Doubt(pub(crate) String);

impl Doubt {
    pub(crate) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
