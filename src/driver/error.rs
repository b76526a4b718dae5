//! Why the kernel stops. Nothing that was acknowledged is lost by any of these.

use std::path::PathBuf;

use crate::store::{error::StoreError, fsutil::FsError, git::GitError, journal::JournalError};

/// Why the kernel stops.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Memory refused.
    #[error(transparent)]
    Memory(#[from] cairn_memory::MemoryError),
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// An event does not fit into a line.
    #[error("an event of {run} can not be written: {why}")]
    Record {
        /// The file of the run's history.
        run: String,
        /// What does not fit.
        why: String,
    },
    /// A history lacks records that were acknowledged.
    #[error("{} lacks record {n}", .path.display())]
    Gap {
        /// The history.
        path: PathBuf,
        /// The number of the first record that is missing.
        n: u64,
    },
    /// A history in the last commit can not be read.
    #[error("{}: {why}", .path.display())]
    History {
        /// The history.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl DriverError {
    /// A stable code for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            _ if self.is_full() => "disk_full",
            Self::Store(_) => "store",
            Self::Fs(_) => "file",
            Self::Git(_) => "git",
            Self::Journal(JournalError::Damaged { .. }) => "journal_damaged",
            Self::Journal(_) => "journal",
            Self::Memory(_) => "memory",
            Self::System { .. } => "system",
            Self::Record { .. } => "record",
            Self::Gap { .. } | Self::History { .. } => "history_damaged",
        }
    }

    /// Tells whether the disk, or our share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut error: Option<&dyn std::error::Error> = Some(self);
        while let Some(e) = error {
            let io = e.downcast_ref::<std::io::Error>();
            if io.is_some_and(|e| {
                matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }) {
                return true;
            }
            error = e.source();
        }
        match self {
            Self::Journal(JournalError::Io { source, .. }) => {
                matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::Fs(e) => e.is_full(),
            _ => false,
        }
    }

    /// What is safe, for a person.
    #[must_use]
    pub fn safe(&self) -> &'static str {
        match self {
            Self::Journal(JournalError::Damaged { .. }) | Self::Gap { .. } | Self::History { .. } => {
                "nothing was changed; every earlier run is in the commits"
            }
            _ => "everything that was shown as done is on disk; nothing was sent without its record",
        }
    }

    /// What to do next, for a person.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            _ if self.is_full() => "free some space, then start again: `cairn kernel start`",
            Self::Journal(JournalError::Damaged { .. }) => {
                "restore .cairn/journal from a backup, or see what is lost and go on without it: `cairn kernel repair`"
            }
            Self::Git(GitError::Rewound { .. }) => {
                "bring the commit back as said above, or, if it was moved on purpose: `cairn kernel repair --accept-loss`"
            }
            Self::Gap { .. } | Self::History { .. } => {
                "look at the damage with `cairn verify`; `git checkout -- FILE` brings back the last committed state"
            }
            _ => "see `cairn doctor`, then start again: `cairn kernel start`",
        }
    }
}
