//! The branch: where history ends, how it moves forward, and what a dead kernel left locked.
//!
//! Refuses to take an emptied, short or dangling ref for a fresh repository: that mistake starts a
//! second history beside the first, and nobody notices until the first is collected as garbage.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use gix::{ObjectId, objs::Kind, refs::FullName};

use super::{CommitHash, GitError, Repo, Result, TreeId, error::During as _};
use crate::store::disk;

/// How long a ref's lock must be seen unchanged before it counts as left by a dead process. Live
/// ones last milliseconds.
const LOCK_STALE_AFTER: Duration = Duration::from_secs(1);

/// Where history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest commit of the branch.
    pub commit: CommitHash,
    /// What it contains.
    pub tree: TreeId,
}

impl Repo {
    /// Finds the newest commit; `None` only in a repository that never had one.
    ///
    /// `known` is a commit that must be part of the history, if the caller recorded one.
    ///
    /// # Errors
    /// [`GitError::Damaged`] when HEAD or its branch is empty, malformed or names an object that
    /// cannot be read, or when there is no commit although one was recorded (by the caller or in
    /// the reflog); [`GitError::Rewound`] when `known` is not in the history;
    /// [`GitError::Unsupported`] when HEAD is detached.
    pub fn head(&self, known: Option<&CommitHash>) -> Result<Option<Head>> {
        let repo = self.local();
        let branch = self.branch()?;
        let Some(id) = self.branch_target(&repo, &branch)? else {
            if known.is_none() && self.reflog(&branch)?.is_empty() {
                return Ok(None);
            }
            let what = format!("{branch} does not exist, although commits were recorded");
            return Err(self.damaged(what, self.way_back(&repo, &branch)));
        };
        let readable = self.tree_of_commit(&repo, id).and_then(|tree| self.tree_bytes(&repo, tree).map(|_| tree));
        let Ok(tree) = readable else {
            let what = format!("{branch} names {id}, which is not a commit that can be read with its tree");
            return Err(self.damaged(what, self.way_back(&repo, &branch)));
        };
        let head = Head { commit: CommitHash(id), tree: TreeId(tree) };
        match known {
            Some(known) if !self.contains(&repo, id, known.0)? => {
                Err(GitError::Rewound { git_dir: self.git_dir.clone(), known: *known, head: head.commit })
            }
            _ => Ok(Some(head)),
        }
    }

    /// What the branch names just now, without a look at whether it can be read; cheap enough to ask often.
    ///
    /// # Errors
    /// When HEAD or its branch is malformed.
    pub fn tip(&self) -> Result<Option<CommitHash>> {
        Ok(self.branch_target(&self.local(), &self.branch()?)?.map(CommitHash))
    }

    /// The files below the folder `under` that differ between a commit and the newest; `None` when that
    /// commit is not there. Cost: the folders that differ.
    ///
    /// # Errors
    /// As [`Repo::head`].
    pub fn changed_since(&self, commit: &CommitHash, under: &str) -> Result<Option<Vec<String>>> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(None) };
        if !repo.has_object(commit.0) {
            return Ok(None);
        }
        let folder = |tree| Ok(self.node_at(&repo, tree, under)?.filter(|node| node.is_tree()).map(|node| node.id));
        let (before, now) = (folder(self.tree_of_commit(&repo, commit.0)?)?, folder(head.tree.0)?);
        let mut paths = Vec::new();
        self.differences(&repo, before, now, &mut |path, old, new| {
            if [old, new].into_iter().flatten().any(|node| !node.is_tree()) {
                paths.push(format!("{under}/{path}"));
            }
            Ok(())
        })?;
        Ok(Some(paths))
    }

    /// Removes locks that a dead kernel left, and its unfinished files. Answers what was removed.
    ///
    /// Call it once at start, while holding the kernel's own lock. Ref locks are removed when they
    /// stay unchanged for a second; the index lock only when it is certain that a kernel made it or
    /// that its maker died with the machine, because an operator's `git commit -a` holds it for as
    /// long as the editor is open.
    ///
    /// # Errors
    /// When files cannot be listed or removed.
    pub fn clear_stale_locks(&self) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        let mut locks = Vec::new();
        for name in ["HEAD.lock", "packed-refs.lock"] {
            locks.extend(Some(self.git_dir.join(name)).filter(|path| path.exists()));
        }
        find_locks(&self.git_dir.join("refs"), &mut locks)?;
        if cairn_kernel::seeded!(StaleLockKept: false, else !locks.is_empty()) {
            let seen: Vec<_> = locks.iter().map(|path| stamp(path)).collect();
            disk::pause(LOCK_STALE_AFTER);
            for (path, before) in locks.into_iter().zip(seen) {
                if before.is_some() && stamp(&path) == before {
                    disk::unlink(&path).during("remove the stale lock", &path)?;
                    removed.push(path);
                }
            }
        }
        let scratch = self.scratch()?;
        let index_lock = self.git_dir.join("index.lock");
        let mut held = fs::symlink_metadata(&index_lock).ok().map(|meta| (meta.dev(), meta.ino()));
        // a power cut may leave the lock and take its other name along
        if held.is_some() && stamp(&index_lock).is_some_and(|(_, seconds, ..)| seconds < booted()) {
            disk::unlink(&index_lock).during("remove the stale lock", &index_lock)?;
            removed.push(index_lock.clone());
            held = None;
        }
        for entry in disk::list(&scratch).during("list", &scratch)? {
            let (path, meta) = (entry.path(), entry.metadata().during("read", &entry.path())?);
            // An index lock of ours is a second name of a file in our scratch folder (see `index`).
            if held == Some((meta.dev(), meta.ino())) {
                disk::unlink(&index_lock).during("remove the stale lock", &index_lock)?;
                removed.push(index_lock.clone());
            }
            if meta.is_dir() { disk::remove_tree(&path) } else { disk::unlink(&path) }
                .during("remove the leftover", &path)?;
        }
        self.clear_lone_indexes(&mut removed)?;
        Ok(removed)
    }

    /// A power cut may keep the name of a pack's index and take the pack's: both become durable by one
    /// sync of their folder, and nothing names what is in them before it. Git looks past such an index.
    fn clear_lone_indexes(&self, removed: &mut Vec<PathBuf>) -> Result<()> {
        let home = self.git_dir.join("objects").join("pack");
        for entry in disk::list(&home).during("list", &home)? {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "idx") || path.with_extension("pack").exists() {
                continue;
            }
            match disk::unlink(&path) {
                // a repack of git's, which takes both away
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => {
                    done.during("remove the leftover", &path)?;
                    removed.push(path);
                }
            }
        }
        Ok(())
    }

    /// The branch that HEAD stands for.
    pub(super) fn branch(&self) -> Result<FullName> {
        let path = self.git_dir.join("HEAD");
        let text = disk::read(&path).during("read", &path)?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_end();
        if is_hash(text) {
            return Err(GitError::Unsupported {
                root: self.root.clone(),
                why: "HEAD is detached, so a commit would belong to no branch".to_owned(),
                advice: "Go back with `git switch main`".to_owned(),
            });
        }
        let name = text.strip_prefix("ref: ").filter(|name| name.starts_with("refs/heads/"));
        name.and_then(|name| FullName::try_from(name).ok()).ok_or_else(|| {
            self.damaged(
                format!("HEAD holds {text:?}, which names no branch"),
                "Restore it with `git symbolic-ref HEAD refs/heads/main`",
            )
        })
    }

    pub(super) fn tree_of_commit(&self, repo: &gix::Repository, id: ObjectId) -> Result<ObjectId> {
        let bytes = self.object_bytes(repo, id, Kind::Commit)?;
        let tree = gix::objs::CommitRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1).tree_id();
        tree.map_err(|error| self.damaged(format!("commit {id} cannot be decoded: {error}"), "Restore it from a clone"))
    }

    /// What the branch names. Reads the file itself, because git and the library both take an
    /// emptied ref for one that was never born.
    pub(super) fn branch_target(&self, repo: &gix::Repository, branch: &FullName) -> Result<Option<ObjectId>> {
        let path = self.git_dir.join(branch.as_bstr().to_string());
        match disk::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let id = Some(text.trim_end()).filter(|text| is_hash(text));
                id.and_then(|text| ObjectId::from_hex(text.as_bytes()).ok()).map(Some).ok_or_else(|| {
                    let what = format!("{} holds {} bytes that are not a commit hash", path.display(), bytes.len());
                    self.damaged(what, self.way_back(repo, branch))
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = repo.try_find_reference(branch.as_ref()).during("read packed refs", &self.git_dir)?;
                Ok(found.and_then(|reference| reference.try_id().map(gix::Id::detach)))
            }
            Err(error) => Err(error).during("read", &path),
        }
    }

    /// Tells whether `known` is `head` or one of its ancestors.
    pub(super) fn contains(&self, repo: &gix::Repository, head: ObjectId, known: ObjectId) -> Result<bool> {
        if head == known {
            return Ok(true);
        }
        if !repo.has_object(known) {
            return Ok(false);
        }
        match repo.merge_base(head, known) {
            Ok(base) => Ok(base.is_some_and(|base| base.detach() == known)),
            Err(error) => Err(error).during("compare commits", &self.git_dir),
        }
    }

    /// The commits that the branch named, oldest first.
    pub(super) fn reflog(&self, branch: &FullName) -> Result<Vec<ObjectId>> {
        let path = self.git_dir.join("logs").join(branch.as_bstr().to_string());
        let bytes = match disk::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).during("read", &path),
        };
        let named = |line: &[u8]| ObjectId::from_hex(line.get(41..81)?).ok();
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(named).filter(|id| !id.is_null()).collect())
    }

    /// Advice: the newest commit of the reflog that can still be read.
    fn way_back(&self, repo: &gix::Repository, branch: &FullName) -> String {
        let logged = self.reflog(branch).unwrap_or_default();
        let readable =
            |id: &&ObjectId| self.tree_of_commit(repo, **id).and_then(|tree| self.tree_bytes(repo, tree)).is_ok();
        match logged.iter().rev().find(readable) {
            Some(id) => {
                format!("The newest commit of the reflog that can be read is {id}: `git update-ref {branch} {id}`")
            }
            None => "No commit of the reflog can be read: restore .git from a clone or a backup".to_owned(),
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(super) fn with_lock(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn find_locks(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in disk::list(dir).during("list", dir)? {
        let path = entry.path();
        if entry.file_type().during("read", &path)?.is_dir() {
            find_locks(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "lock") {
            found.push(path);
        }
    }
    Ok(())
}

/// When this machine started, in seconds since 1970, by the wall clock as it is now.
fn booted() -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::Realtime).tv_sec - clock_gettime(ClockId::Boottime).tv_sec
}

fn stamp(path: &Path) -> Option<(u64, i64, i64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}
