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
    /// There is too little left to begin anything.
    #[error("{why}")]
    NoRoom {
        /// What is short.
        why: String,
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
            Self::NoRoom { .. } => "disk_full",
            Self::Record { .. } => "record",
            Self::Gap { .. } | Self::History { .. } => "history_damaged",
        }
    }

    /// Tells whether the disk, or our share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::NoRoom { .. }) || self.any(|e| matches!(e.kind(), StorageFull | QuotaExceeded))
    }

    /// Tells whether there was no room for a write, on the disk or for one more open file, so that it may
    /// be tried again once there is. Never so for a sync: what it left on the disk nobody knows.
    #[must_use]
    pub fn is_want_of_room(&self) -> bool {
        use rustix::io::Errno;
        let doing = match self {
            Self::Journal(JournalError::Io { doing, .. }) | Self::Git(GitError::Io { doing, .. }) => doing,
            Self::Fs(e) | Self::Store(StoreError::Fs(e)) => e.doing,
            _ => "",
        };
        let out_of_handles = |e: &std::io::Error| {
            [Errno::MFILE, Errno::NFILE].iter().any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
        };
        !doing.starts_with("sync") && (self.is_full() || self.any(out_of_handles))
    }

    /// Looks for a refusal of the system among the causes.
    fn any(&self, is: impl Fn(&std::io::Error) -> bool) -> bool {
        let mut error: Option<&dyn std::error::Error> = Some(self);
        while let Some(e) = error {
            if e.downcast_ref::<std::io::Error>().is_some_and(&is) {
                return true;
            }
            error = e.source();
        }
        // a transparent error is its own cause's text, so the chain may skip it
        match self {
            Self::Journal(JournalError::Io { source, .. }) | Self::Git(GitError::Io { source, .. }) => is(source),
            Self::Fs(e) | Self::Store(StoreError::Fs(e)) => is(&e.source),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_may_be_waited_for_and_a_failed_sync_never() {
        let error = |doing, errno: rustix::io::Errno| {
            DriverError::from(JournalError::Io { doing, path: PathBuf::new(), source: errno.into() })
        };
        use rustix::io::Errno;
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE] {
            assert!(error("write to", errno).is_want_of_room(), "{errno}");
            assert!(!error("sync", errno).is_want_of_room(), "{errno}: nobody knows what is on the disk");
        }
        assert!(!error("write to", Errno::IO).is_want_of_room());
        let of_git = GitError::Io { doing: "write", path: PathBuf::new(), source: Errno::NOSPC.into() };
        assert!(DriverError::from(of_git).is_want_of_room());
        assert_eq!(DriverError::NoRoom { why: String::new() }.code(), "disk_full");
    }
}
