//! What can go wrong in memory, told so that an operator knows what is safe.

use std::path::{Path, PathBuf};

/// Why memory could not answer.
///
/// Damage of anything derived is no error: it is rebuilt or done without, and a warning says so.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file system refused.
    #[error("could not {what} {}: {source}; passages already recorded are safe", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The vector table of this machine could not be written, even anew.
    #[error(
        "could not write the vector table {}: {why}; passages are safe and still found, the table is rebuilt from them at the next flush",
        path.display()
    )]
    Table {
        /// The table's folder.
        path: PathBuf,
        /// What the table's library said.
        why: String,
    },
    /// What was read does not agree with what is there, also after everything was read again.
    #[error("the passages changed while they were read: {why}; nothing was changed, ask again")]
    Unsteady {
        /// What did not agree.
        why: String,
    },
    /// Vectors were needed and the embedder gave none.
    #[error("the embedder `{id}` gave no vectors: {source}; passages are safe and found by their words")]
    Embed {
        /// The embedder's id.
        id: String,
        /// Why.
        source: crate::EmbedError,
    },
}

/// Short for a result of this crate.
pub type Result<T, E = MemoryError> = std::result::Result<T, E>;

/// Adds what was tried, and on which path, to an error of the file system.
pub(crate) trait IoContext<T> {
    fn on(self, what: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn on(self, what: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| MemoryError::Io { what, path: path.to_owned(), source })
    }
}
