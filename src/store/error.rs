//! Why a store could not be used: one type for callers to branch on.

use std::path::PathBuf;

use super::{fsutil::FsError, git::GitError};

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store could not be used. What to do about it is said by [`StoreError::fix`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No folder from the working folder up is a store.
    #[error("no store found: neither {} nor a folder above it has a store.toml", start.display())]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// The named folder is not a store.
    #[error("{} is not a Cairn store: {why}", root.display())]
    NotAStore {
        /// The folder.
        root: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// A store without its git repository.
    #[error("{} is not a git repository, so it can not be used as a store", root.display())]
    NotARepository {
        /// The folder.
        root: PathBuf,
    },
    /// The store was written by a newer build.
    #[error("{} says format {found}; this build knows formats up to {known}", file.display())]
    Newer {
        /// The card.
        file: PathBuf,
        /// The format it names.
        found: i64,
        /// The newest format this build knows.
        known: u32,
    },
    /// The store was written by an earlier build, and this one would not find its histories.
    #[error("{} says format {found}; this build reads format {known}", file.display())]
    Older {
        /// The card.
        file: PathBuf,
        /// The format it names.
        found: u32,
        /// The format this build reads and writes.
        known: u32,
    },
    /// The card can not be read.
    #[error("{} can not be read: {why}", file.display())]
    BadCard {
        /// The card.
        file: PathBuf,
        /// What is wrong, with line and column.
        why: String,
    },
    /// `cairn init` in a folder that is a store.
    #[error("{} is a Cairn store already; nothing was changed", root.display())]
    AlreadyAStore {
        /// The folder.
        root: PathBuf,
    },
    /// `cairn init` in a folder that holds something else.
    #[error("{} is not empty and not a store; nothing was changed", root.display())]
    NotEmpty {
        /// The folder.
        root: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// A kernel runs on this store.
    #[error("another kernel runs on {}{}", root.display(), pid.map_or(String::new(), |p| format!(" (process {p})")))]
    Held {
        /// The store.
        root: PathBuf,
        /// The process, as it wrote it into the lock file.
        pid: Option<u32>,
    },
    /// The store lies on a disk of another machine.
    #[error("{} lies on a network file system ({kind}), where locks and syncs can not be trusted", root.display())]
    NetworkDisk {
        /// The store.
        root: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// There is no place for this machine's identity.
    #[error("this machine's identity has no place: neither XDG_STATE_HOME nor HOME is set")]
    NoStateHome,
    /// A machine's identity can not be read.
    #[error("{} can not be read: {why}", file.display())]
    BadIdentity {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What this machine knows of a workflow's triggers can not be read.
    #[error("{} can not be read: {why}", file.display())]
    BadTrust {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A history can not be read.
    #[error("{why}")]
    BadHistory {
        /// The file, the line and what is wrong.
        why: String,
    },
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The git repository refused.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl StoreError {
    /// A short name for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "store_not_found",
            Self::NotAStore { .. } => "not_a_store",
            Self::NotARepository { .. } => "not_a_repository",
            Self::Newer { .. } => "newer_format",
            Self::Older { .. } => "older_format",
            Self::BadCard { .. } => "bad_store_card",
            Self::AlreadyAStore { .. } => "already_a_store",
            Self::NotEmpty { .. } => "not_empty",
            Self::Held { .. } => "kernel_runs",
            Self::NetworkDisk { .. } => "network_disk",
            Self::NoStateHome => "no_state_home",
            Self::BadIdentity { .. } => "bad_identity",
            Self::BadTrust { .. } => "bad_trust",
            Self::BadHistory { .. } => "bad_history",
            Self::Fs(e) if e.is_full() => "disk_full",
            Self::Fs(_) => "file_system",
            Self::Git(_) => "git",
        }
    }

    /// What to do about it, as a sentence or a command.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::NotFound { .. } => "name a store with -C DIR or CAIRN_STORE, or make one: cairn init DIR".to_owned(),
            Self::NotAStore { root, .. } => {
                format!("make a store: cairn init {}, or name another with -C DIR", root.display())
            }
            Self::NotARepository { root } => format!(
                "restore its .git folder (a store is a git repository: clone it again), or make a new store: \
                 cairn init elsewhere; nothing in {} was changed",
                root.display()
            ),
            Self::Newer { .. } => "use the build that wrote this store, or a newer one; nothing was changed".to_owned(),
            Self::Older { .. } => {
                "read it with the build that wrote it, and make a new one with: cairn init DIR; nothing was changed"
                    .to_owned()
            }
            Self::BadCard { file, .. } => {
                format!("restore it: git -C {} checkout HEAD -- store.toml", file.parent().unwrap_or(file).display())
            }
            Self::AlreadyAStore { root } => format!("look at it: cairn -C {} status", root.display()),
            Self::NotEmpty { .. } => "choose a new or empty folder: cairn init DIR".to_owned(),
            Self::Held { root, .. } => {
                format!("use it (every verb works beside it), or stop it: cairn -C {} kernel stop", root.display())
            }
            Self::NetworkDisk { .. } => {
                "put the store on a disk of this machine and share it by git push and pull".to_owned()
            }
            Self::NoStateHome => "set HOME, or XDG_STATE_HOME to a folder that only you can write".to_owned(),
            Self::BadIdentity { file, .. } => {
                format!("remove {}; this machine then joins the store under a new id", file.display())
            }
            Self::BadTrust { file, .. } => {
                format!("remove {}; the triggers are off until: cairn workflow trust NAME", file.display())
            }
            Self::BadHistory { .. } => {
                "run `cairn verify` for all findings; nothing was changed, and other runs are not affected".to_owned()
            }
            Self::Fs(e) if e.is_full() => {
                "make space on the disk and try again; nothing half-written is left".to_owned()
            }
            Self::Fs(_) => "check that the folder exists, is writable and belongs to you, then try again".to_owned(),
            Self::Git(_) => "see `cairn verify` for the state of the repository".to_owned(),
        }
    }
}
