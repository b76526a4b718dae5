//! The git side of the store: every run is a commit, and this is where commits are made and read.
//!
//! Works through the gix library alone and never starts the `git` program, so a store can be made,
//! written and verified on a machine without it. Writing is durable in the order that a reader
//! needs: objects first, then the one ref, then the folders that name them. Nothing here decides
//! what belongs into a commit, and nothing here follows a symbolic link, runs a hook or a filter,
//! or moves a branch backwards.

mod error;
mod folders;

mod advance;
pub mod init;
pub mod refs;

mod tree;
mod worktree;

pub mod changes;
pub mod checkpoint;
pub mod commit;
pub mod index;
pub mod log;
pub mod objects;
pub mod upkeep;
pub mod verify;

mod cache_tree;
mod delta;
mod pack;
mod pack_bytes;
mod program;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

pub use self::{
    changes::{ChangeKind, ChangedPath, Changes},
    checkpoint::Restored,
    commit::{Change, CommitPlan, Content},
    error::{GitError, Result},
    init::InitOptions,
    log::LogEntry,
    objects::ReadLimits,
    refs::Head,
    upkeep::{Chores, PACKS_MANY, Shape, Upkept},
};
use crate::store::disk;
use error::During as _;

/// How many packs may appear while the store is open. The library's default of 32 would stop a
/// kernel after 31 groups of commits.
const PACK_SLOTS: u16 = 4096;

/// Bytes of decoded objects that one operation may keep, so that folders near the root of the tree
/// are not inflated again for every path.
const OBJECT_CACHE_BYTES: usize = 8 << 20;

macro_rules! object_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) gix::ObjectId);

        impl $name {
            /// The first eight digits, for a person's eye only.
            #[must_use]
            pub fn short(&self) -> String {
                self.0.to_hex_with_len(8).to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> std::result::Result<Self, NotAnId> {
                let canonical = !text.bytes().any(|b| b.is_ascii_uppercase());
                match gix::ObjectId::from_hex(text.as_bytes()) {
                    Ok(id) if canonical => Ok(Self(id)),
                    _ => Err(NotAnId { text: text.to_owned(), what: $what }),
                }
            }
        }
    };
}

object_name!(
    /// The hash of a commit: 40 hex digits in lower case.
    CommitHash, "commit hash"
);
object_name!(
    /// The id of a folder's content: a definition's digest.
    TreeId, "tree id"
);
object_name!(
    /// The id of a file's content.
    BlobId, "blob id"
);

/// Why a text is not an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: it must be 40 hex digits in lower case")]
pub struct NotAnId {
    /// The text as it was given.
    pub text: String,
    /// The kind of id that was expected.
    pub what: &'static str,
}

/// Whose name stands in commits and in the reflog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name, never empty.
    pub name: String,
    /// The mail address, never empty.
    pub email: String,
}

impl Identity {
    /// The identity of a machine whose operator never told git who they are.
    #[must_use]
    pub fn of_machine(machine: &str) -> Self {
        Self { name: "cairn".to_owned(), email: format!("cairn@{machine}") }
    }

    fn signature(&self, at: jiff::Timestamp) -> gix::actor::Signature {
        // Angle brackets and line ends would break the commit's header line.
        let clean =
            |text: &str| text.chars().filter(|c| !matches!(c, '<' | '>') && !c.is_control()).collect::<String>();
        gix::actor::Signature {
            name: clean(&self.name).trim().into(),
            email: clean(&self.email).trim().into(),
            time: gix::date::Time { seconds: at.as_second(), offset: 0 },
        }
    }
}

/// An open repository whose work tree is the store. Cheap to clone, may be used from any thread.
#[derive(Clone)]
pub struct Repo {
    root: PathBuf,
    git_dir: PathBuf,
    shared: gix::ThreadSafeRepository,
}

impl Repo {
    /// Opens the repository at `root`, reading no configuration but the repository's own.
    ///
    /// # Errors
    /// When `root` holds no repository, is not the top of its work tree, is a linked work tree or a
    /// submodule, or when the repository's own files cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let unsupported = |why: &str, advice: &str| GitError::Unsupported {
            root: root.to_owned(),
            why: why.to_owned(),
            advice: advice.to_owned(),
        };
        let dot_git = root.join(".git");
        match std::fs::symlink_metadata(&dot_git) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Err(unsupported(
                    ".git is not a folder, so this is a linked work tree or a submodule",
                    "Open the main work tree instead",
                ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(GitError::NotARepository { root: root.to_owned() });
            }
            Err(error) => return Err(error).during("read", &dot_git),
        }
        let shared = options().open(root).during("open the repository", root)?;
        let top = shared.work_tree.as_deref().ok_or_else(|| {
            unsupported("the repository is bare, it has no work tree", "Clone it into a folder and open that")
        })?;
        let real = |path: &Path| path.canonicalize().during("resolve", path);
        let root = real(root)?;
        if real(top)? != root {
            let why = format!("its work tree is {}", top.display());
            return Err(GitError::Unsupported { root, why, advice: "Open that folder instead".to_owned() });
        }
        Ok(Self { git_dir: root.join(".git"), root, shared })
    }

    /// The folder of the store, canonical.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The operator's own git identity, from this repository's configuration or the user's, if git
    /// would find one.
    #[must_use]
    pub fn operator(&self) -> Option<Identity> {
        let local = self.local();
        let local = local.config_snapshot();
        let user = gix::config::File::from_globals().ok();
        let value = |key: &str| {
            let text = local.string(key).map(|v| v.to_string());
            let text = text.or_else(|| user.as_ref().and_then(|file| file.string(key).map(|v| v.to_string())));
            text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
        };
        Some(Identity { name: value("user.name")?, email: value("user.email")? })
    }

    fn local(&self) -> gix::Repository {
        let mut repo = self.shared.to_thread_local();
        repo.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        repo
    }

    /// Where files are prepared before they are renamed into place. On the same file system as the
    /// repository; whatever is found in it at a start is a leftover.
    fn scratch(&self) -> Result<PathBuf> {
        let path = self.git_dir.join(SCRATCH);
        match disk::make_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error).during("create", &path),
            _ => Ok(path),
        }
    }

    fn damaged(&self, what: impl Into<String>, advice: impl Into<String>) -> GitError {
        GitError::Damaged { git_dir: self.git_dir.clone(), what: what.into(), advice: advice.into() }
    }
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repo").field("root", &self.root).finish_non_exhaustive()
    }
}

const SCRATCH: &str = "cairn-tmp";

fn options() -> gix::open::Options {
    gix::open::Options::isolated().object_store_slots(gix::odb::store::init::Slots::Given(PACK_SLOTS))
}
