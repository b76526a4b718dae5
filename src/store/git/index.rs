//! Keeps `git status` truthful: after the kernel commits, the index must hold the same files, or
//! git shows every run as deleted and modified at once.
//!
//! Touches only the paths that were committed. What an operator has staged stays staged. The lock
//! is git's own (`index.lock`), taken as a second name of a file in our scratch folder, so that
//! after a crash it is known for certain whose it was.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use gix::{
    ObjectId,
    bstr::{BStr, ByteSlice as _},
    index::{
        State,
        entry::{Flags, Mode, Stage, Stat},
        write::{Extensions, Options},
    },
};

use super::{
    GitError, Repo, Result,
    cache_tree::unknown,
    error::During as _,
    folders::Folders,
    tree::{Node, check_path},
    worktree,
};
use crate::store::disk::{self, Temporary};

/// How long to wait while another git command changes the index.
const LOCK_WAIT: Duration = Duration::from_secs(5);

impl Repo {
    /// Brings the index entries of `paths` (files) to what HEAD says about them.
    ///
    /// The files must be in the work tree already; one that differs from HEAD is left for git to
    /// report. A missing or broken index is made anew from HEAD, reading every file once.
    /// Cost: one rewrite of the index, in proportion to all files of the store; call it when idle
    /// and before handing the prompt back, not after every commit.
    ///
    /// # Errors
    /// As [`Repo::head`]; [`GitError::Locked`] while another git command holds the index;
    /// [`GitError::Unsupported`] for a sparse index.
    pub fn refresh_index<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(()) };
        let tree = head.tree.0;
        let lock = IndexLock::acquire(self)?;
        let bytes = match self.load(&repo)? {
            Some(index) => self.patched(&repo, index, tree, paths)?,
            None => self.rebuilt(&repo, tree)?,
        };
        lock.publish(&bytes)
    }

    /// Brings the index up to HEAD without being told what changed, as after a kernel that died
    /// between its commits and [`Repo::refresh_index`].
    ///
    /// Looks for the commit that the index still shows among the newest `commits_max` of the branch
    /// (first parents) and refreshes what changed since. Does nothing when the index shows no such
    /// commit: then somebody has staged something, and it is theirs.
    ///
    /// # Errors
    /// As [`Repo::refresh_index`].
    pub fn catch_up_index(&self, commits_max: usize) -> Result<()> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(()) };
        let Some(index) = self.load(&repo)? else { return self.rebuild_index() };
        if !self.is_whole(&repo)? {
            return self.rebuild_index();
        }
        let shown = index.tree().filter(|root| root.num_entries.is_some()).map(|root| root.id);
        if shown == Some(head.tree.0) {
            return Ok(());
        }
        let mut next = Some(head.commit.0);
        for _ in 0..commits_max {
            let Some(commit) = next else { break };
            if shown == Some(self.tree_of_commit(&repo, commit)?) {
                let mut paths = Vec::new();
                self.differences(&repo, shown, Some(head.tree.0), &mut |path, old, new| {
                    if [old, new].into_iter().flatten().any(|node| !node.is_tree()) {
                        paths.push(path.to_owned());
                    }
                    Ok(())
                })?;
                return self.refresh_index(paths.iter().map(String::as_str));
            }
            next = self.parents(&repo, commit)?.first().copied();
        }
        Ok(())
    }

    /// Makes the index anew from HEAD, whatever it holds.
    fn rebuild_index(&self) -> Result<()> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(()) };
        let lock = IndexLock::acquire(self)?;
        lock.publish(&self.rebuilt(&repo, head.tree.0)?)
    }

    /// Tells whether the index is as it was written: it is never synced, so a power cut may leave a
    /// part of it that can still be decoded, though git would refuse it.
    ///
    /// Not left to the library, which takes an end of zeros for "not hashed".
    fn is_whole(&self, repo: &gix::Repository) -> Result<bool> {
        if repo.config_snapshot().boolean("index.skipHash").unwrap_or(false) {
            return Ok(true);
        }
        let path = repo.index_path();
        let mut bytes = disk::read(&path).during("read", &path)?;
        let Some(end) = bytes.len().checked_sub(gix::hash::Kind::Sha1.len_in_bytes()) else { return Ok(false) };
        let hash = bytes.split_off(end);
        seal(&mut bytes).during("hash", &path)?;
        Ok(bytes[end..] == hash)
    }

    /// Reads the index; `None` when there is none or it cannot be decoded.
    fn load(&self, repo: &gix::Repository) -> Result<Option<State>> {
        if !repo.index_path().exists() {
            return Ok(None);
        }
        let Ok(index) = repo.open_index() else { return Ok(None) };
        if index.is_sparse() {
            return Err(GitError::Unsupported {
                root: self.root.clone(),
                why: "its index is sparse".to_owned(),
                advice: "Make it whole with `git sparse-checkout disable`".to_owned(),
            });
        }
        Ok(Some(index.into_parts().0))
    }

    fn patched<'a>(
        &self,
        repo: &gix::Repository,
        mut index: State,
        tree: ObjectId,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<u8>> {
        let mut edits = BTreeMap::new();
        let mut folders = Folders::open(self, repo, Some(tree))?;
        for path in paths {
            check_path(path)?;
            edits.insert(path, folders.file(path)?);
        }
        let described = index.tree().filter(|root| root.num_entries.is_some()).map(|root| root.id);
        // The table may be carried over only if the index was, apart from `edits`, what HEAD is.
        let follows = described.is_some_and(|before| {
            self.edited(repo, before, edits.iter().map(|(path, node)| (path, *node)), &mut |bytes| {
                self.tree_hash(bytes)
            })
            .is_ok_and(|after| after == tree)
        });
        self.forget_racy(&mut index);
        self.set_entries(&mut index, &edits);
        if follows && let Some(root) = index.tree_mut() {
            self.describe(repo, root, tree, 0)?;
            return encode(&index).during("write", &repo.index_path());
        }
        index.remove_tree();
        if self.equals(repo, &index, tree)? {
            return self.encode_described(repo, &index, tree);
        }
        encode(&index).during("write", &repo.index_path())
    }

    fn rebuilt(&self, repo: &gix::Repository, tree: ObjectId) -> Result<Vec<u8>> {
        let mut index = repo.index_from_tree(&tree).during("list HEAD", &self.git_dir)?.into_parts().0;
        for (entry, path) in index.entries_mut_with_paths() {
            let Ok(path) = path.to_str() else { continue };
            entry.stat = self.stat_if_clean(path, entry.id);
        }
        self.encode_described(repo, &index, tree)
    }

    fn set_entries(&self, index: &mut State, edits: &BTreeMap<&str, Option<Node>>) {
        let mut new = Vec::new();
        for (path, node) in edits {
            let at = index.entry_index_by_path_and_stage(BStr::new(path), Stage::Unconflicted);
            match (node, at) {
                (None, Some(at)) => drop(index.remove_entry_at_index(at)),
                (None, None) => {}
                (Some(node), Some(at)) => {
                    let stat = self.stat_if_clean(path, node.id);
                    if let Some(entry) = index.entries_mut().get_mut(at) {
                        (entry.stat, entry.id, entry.mode) = (stat, node.id, Mode::from(node.mode));
                    }
                }
                (Some(node), None) => new.push((path, node)),
            }
        }
        // last and all at once: what is found above is found in an index that is in order
        for (path, node) in new {
            let (stat, mode) = (self.stat_if_clean(path, node.id), Mode::from(node.mode));
            index.dangerously_push_entry(stat, node.id, Flags::empty(), mode, BStr::new(path));
        }
        index.sort_entries();
    }

    /// The file's times and size if its content is `id`; else zeros, which make git look for itself.
    fn stat_if_clean(&self, path: &str, id: ObjectId) -> Stat {
        let found = worktree::read(&self.root, path).ok().flatten();
        let clean = found.filter(|found| self.hash(&found.bytes).is_ok_and(|hash| hash == id));
        clean.and_then(|found| Stat::from_fs(&found.meta?).ok()).unwrap_or_default()
    }

    /// Entries written within the last tick of the clock may hide a later edit. As long as the index
    /// is not younger, git looks at them again; rewriting it would make it younger.
    fn forget_racy(&self, index: &mut State) {
        let written = index.timestamp();
        let options = gix::index::entry::stat::Options::default();
        for entry in index.entries_mut().iter_mut().filter(|entry| entry.stat.is_racy(written, options)) {
            entry.stat = Stat::default();
        }
    }

    fn equals(&self, repo: &gix::Repository, index: &State, tree: ObjectId) -> Result<bool> {
        let head = repo.index_from_tree(&tree).during("list HEAD", &self.git_dir)?;
        let same = |(a, b): (&gix::index::Entry, &gix::index::Entry)| {
            a.id == b.id && a.mode == b.mode && a.stage_raw() == 0 && a.path(index) == b.path(&head)
        };
        Ok(index.entries().len() == head.entries().len() && index.entries().iter().zip(head.entries()).all(same))
    }

    /// Encodes an index that equals `tree`, with the table of folder ids.
    fn encode_described(&self, repo: &gix::Repository, index: &State, tree: ObjectId) -> Result<Vec<u8>> {
        let mut root = unknown(b"");
        self.describe(repo, &mut root, tree, 0)?;
        let path = repo.index_path();
        let mut bytes = Vec::new();
        // The library cannot attach the table to an index that has none, so it is written behind
        // the entries here, as one more extension.
        let options = Options { extensions: Extensions::None, ..Options::default() };
        index.write_to(&mut bytes, options).during("write", &path)?;
        root.write_to(&mut bytes).during("write", &path)?;
        seal(&mut bytes).during("write", &path)?;
        Ok(bytes)
    }
}

fn encode(index: &State) -> gix::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    index.write_to(&mut bytes, Options::default())?;
    seal(&mut bytes)?;
    Ok(bytes)
}

/// An index ends with the hash of all bytes before.
fn seal(bytes: &mut Vec<u8>) -> gix::Result<()> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    bytes.extend_from_slice(hasher.try_finalize()?.as_slice());
    Ok(())
}

struct IndexLock {
    file: Temporary,
    lock: PathBuf,
    index: PathBuf,
    published: bool,
}

impl IndexLock {
    fn acquire(repo: &Repo) -> Result<Self> {
        let scratch = repo.scratch()?;
        let file = Temporary::new_in(&scratch, 0o644).during("create a file in", &scratch)?;
        let (lock, index) = (repo.git_dir.join("index.lock"), repo.git_dir.join("index"));
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(2);
        loop {
            match disk::link(file.path(), &lock) {
                Ok(()) => return Ok(Self { file, lock, index, published: false }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).during("lock", &lock),
                Err(_) if waited >= LOCK_WAIT => return Err(GitError::Locked { lock }),
                Err(_) => disk::pause(pause),
            }
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn publish(mut self, bytes: &[u8]) -> Result<()> {
        self.file.file().write_at(bytes, 0).during("write", &self.lock)?;
        disk::rename(&self.lock, &self.index).during("replace", &self.index)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if !self.published {
            // The lock is ours; whatever stopped the refresh is already being reported.
            let _ = disk::unlink(&self.lock);
        }
    }
}
