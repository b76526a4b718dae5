//! Why a git operation was refused or failed.
//!
//! Every variant names the path it is about, tells whether something was changed and what to do
//! next. Library errors are kept as the source and never interpreted by text.

use std::{io, path::Path, path::PathBuf};

use super::CommitHash;

/// The result of an operation on the repository.
pub type Result<T, E = GitError> = std::result::Result<T, E>;

/// Why a git operation was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no `.git` folder.
    #[error("{} is not a git repository: it has no .git folder. Make a store with `cairn init`, or name one with -C", root.display())]
    NotARepository {
        /// The folder that was named.
        root: PathBuf,
    },
    /// A repository exists where one was to be made.
    #[error("{} already holds a git repository; nothing was changed. Choose another folder, or open this one", root.display())]
    AlreadyARepository {
        /// The folder that was named.
        root: PathBuf,
    },
    /// A repository of a shape that a store cannot live in.
    #[error("{} cannot be used as a store: {why}; nothing was changed. {advice}", root.display())]
    Unsupported {
        /// The folder that was named.
        root: PathBuf,
        /// What is in the way.
        why: String,
        /// What to do.
        advice: String,
    },
    /// A ref or an object that was written before cannot be read any more.
    #[error("the history in {} is damaged: {what}; nothing was changed. {advice}", git_dir.display())]
    Damaged {
        /// The `.git` folder.
        git_dir: PathBuf,
        /// What was found.
        what: String,
        /// What to do.
        advice: String,
    },
    /// HEAD no longer contains a commit that was recorded.
    #[error(
        "the history in {} was rewound: commit {known} was recorded, but HEAD ({head}) does not contain it; nothing was changed. \
         `git reflog` shows who moved it, `git merge {known}` brings the recorded history back", git_dir.display()
    )]
    Rewound {
        /// The `.git` folder.
        git_dir: PathBuf,
        /// The commit that must be in the history.
        known: CommitHash,
        /// Where HEAD points now.
        head: CommitHash,
    },
    /// Another git command holds a lock for longer than is worth waiting.
    #[error(
        "{} is held by another git command; nothing was changed. Let that command end and try again; \
         if none is running, the file is a leftover and can be deleted", lock.display()
    )]
    Locked {
        /// The lock file.
        lock: PathBuf,
    },
    /// Somebody else committed while a group was being written, again and again.
    #[error("the branch in {} moved while commits were being written; none of them was made. Try again", git_dir.display())]
    HeadMoved {
        /// The `.git` folder.
        git_dir: PathBuf,
    },
    /// A path that must not be part of a tree.
    #[error("`{path}` cannot be stored: {why}; nothing was changed. Rename it")]
    BadPath {
        /// The path as given, relative to the root.
        path: String,
        /// The rule that it breaks.
        why: String,
    },
    /// A message without a subject, or a trailer whose key git would not read back.
    #[error("the commit message is refused: {why}; nothing was changed")]
    BadMessage {
        /// The rule that it breaks.
        why: String,
    },
    /// A symbolic link, submodule or special file where only plain files are allowed.
    #[error("`{path}` is {what}; a store holds plain files and folders only. Replace it with a plain file")]
    NotAFile {
        /// The path, relative to the root of the repository or of the tree.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// More than the caller is ready to take.
    #[error("`{path}` is too large to read: {what}")]
    TooLarge {
        /// The path, relative to the root of the repository or of the tree.
        path: String,
        /// The bound and by how much it is missed.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The git library refused.
    #[error("cannot {doing} in {}: {source}", path.display())]
    Git {
        /// What was being done, as a verb.
        doing: &'static str,
        /// In which repository or file.
        path: PathBuf,
        /// The library's answer.
        source: Box<gix::Error>,
    },
}

/// Adds what was being done, and where, to an error of a lower layer.
pub(super) trait During<T> {
    /// Wraps the error; `doing` is a verb that reads well after "cannot".
    fn during(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| GitError::Io { doing, path: path.to_owned(), source })
    }
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|errno| GitError::Io { doing, path: path.to_owned(), source: errno.into() })
    }
}

impl<T> During<T> for gix::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| GitError::Git { doing, path: path.to_owned(), source: Box::new(source) })
    }
}
