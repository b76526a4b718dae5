//! A branch that lost its way, and the marks that lead it back.
//!
//! Three refs beside the branch, `refs/cairn/checkpoint/<0-2>`, name commits it has had; they are moved
//! seldom, so damage to the newest of everything leaves them. With them, the reflog and what the caller
//! recorded, an emptied, malformed, dangling or lost ref is put back on the newest commit that can be read
//! whole. A branch that somebody moved is left where it is: that is a decision, not damage.

use std::{collections::HashSet, path::Path};

use gix::{ObjectId, refs::FullName};

use super::{CommitHash, GitError, Identity, Repo, Result, TreeId, advance::Move};
use crate::store::{disk, fsutil};

/// How many checkpoints there are.
const KEEP: usize = 3;
/// Entries of the reflog that are looked at, from its end.
const REFLOG_MAX: usize = 200;
/// Bytes of a damaged ref that are told.
const TOLD_BYTES_MAX: usize = 80;

/// A branch that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its full name.
    pub branch: String,
    /// What was found instead, for a person.
    pub found: String,
    /// The commit that it names now.
    pub commit: CommitHash,
    /// A newer commit that was recorded and can not be read any more.
    pub lost: Option<CommitHash>,
}

impl Repo {
    /// The commits of the checkpoints, as far as they can be read.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<CommitHash> {
        let read = |slot| {
            let text = disk::read(&self.git_dir.join(name(slot))).ok()?;
            std::str::from_utf8(&text).ok()?.trim_end().parse().ok()
        };
        (0..KEEP).filter_map(read).collect()
    }

    /// Makes `commit` the newest checkpoint, durably, in the place of the oldest. Nothing happens when it is one.
    ///
    /// # Errors
    /// When the system refuses; the other checkpoints are as they were.
    pub fn checkpoint(&self, commit: &CommitHash) -> Result<()> {
        if self.checkpoints().contains(commit) {
            return Ok(());
        }
        let age = |slot: &usize| {
            let text = disk::read(&self.git_dir.join(name(*slot))).ok();
            // a slot that holds no commit is free
            let whole = text.is_some_and(|t| t.len() == 41);
            std::fs::metadata(self.git_dir.join(name(*slot))).and_then(|m| m.modified()).ok().filter(|_| whole)
        };
        let slot = (0..KEEP).min_by_key(age).unwrap_or(0);
        let path = self.git_dir.join(name(slot));
        fsutil::write(&path, format!("{commit}\n").as_bytes()).map_err(|e| GitError::Io {
            doing: e.doing,
            path: e.path,
            source: e.source,
        })
    }

    /// Puts a damaged or lost branch back on the newest commit that can be read with all its folders, of
    /// those in `recorded`, the reflog and the checkpoints. `None` when it needs nothing of that.
    ///
    /// # Errors
    /// As [`Repo::head`] when no recorded commit can be read, or HEAD itself is damaged.
    pub fn restore_branch(
        &self,
        who: &Identity,
        at: jiff::Timestamp,
        recorded: &[CommitHash],
    ) -> Result<Option<Restored>> {
        let branch = self.branch()?;
        let repo = self.local();
        let marks: Vec<ObjectId> = recorded.iter().copied().chain(self.checkpoints()).map(|c| c.0).collect();
        let logged = self.reflog(&branch)?;
        let (found, from) = match self.head(None) {
            Ok(None) if marks.is_empty() => return Ok(None),
            Ok(None) => ("there is no such ref".to_owned(), None),
            // a ref that was moved by git or by us ends its reflog; one that fell back to an older copy does not
            Ok(Some(head)) if logged.last().is_none_or(|last| *last == head.commit.0) => return Ok(None),
            Ok(Some(head)) => ("it fell back to an older commit".to_owned(), Some(head.commit.0)),
            Err(GitError::Damaged { what, .. }) => (format!("{what} ({})", self.bytes_of(&branch)), None),
            Err(error) => return Err(error),
        };
        let all = || marks.iter().copied().chain(logged.iter().rev().take(REFLOG_MAX).copied());
        let Some(newest) = self.newest_whole(&repo, all()) else {
            let advice = "No commit that was recorded can be read whole: restore .git from a clone or a backup";
            return Err(self.damaged(format!("{}: {found}", branch.as_bstr()), advice));
        };
        if let Some(from) = from
            && (newest == from || !self.contains(&repo, newest, from)?)
        {
            return Ok(None);
        }
        let lost = all().find(|id| !self.has_its_tree(&repo, *id)).map(CommitHash);
        let new = CommitHash(newest);
        let why = format!("cairn: restored, {}", found.lines().next().unwrap_or_default());
        self.put_back(&branch, &Move { old: from.map(CommitHash), new, who, at, why: &why })?;
        Ok(Some(Restored { branch: branch.as_bstr().to_string(), found, commit: new, lost }))
    }

    /// Of all that can be read whole, one that no other contains.
    fn newest_whole(&self, repo: &gix::Repository, all: impl Iterator<Item = ObjectId>) -> Option<ObjectId> {
        let mut newest: Option<ObjectId> = None;
        let mut seen = HashSet::new();
        for id in all.filter(|id| seen.insert(*id)) {
            let better = match newest {
                None => true,
                Some(newest) => repo.has_object(id) && self.contains(repo, id, newest).unwrap_or(false),
            };
            if better && self.has_its_tree(repo, id) {
                newest = Some(id);
            }
        }
        newest
    }

    /// Tells whether a commit can be read with every folder and file of its tree.
    fn has_its_tree(&self, repo: &gix::Repository, id: ObjectId) -> bool {
        let tree = self.tree_of_commit(repo, id);
        tree.and_then(|tree| self.check_tree(repo, TreeId(tree), 0, &mut HashSet::new())).is_ok()
    }

    fn bytes_of(&self, branch: &FullName) -> String {
        match disk::read(&self.git_dir.join(branch.as_bstr().to_string())) {
            Ok(bytes) => {
                let shown =
                    String::from_utf8_lossy(&bytes[..bytes.len().min(TOLD_BYTES_MAX)]).escape_debug().to_string();
                format!("its {} bytes were \"{shown}\"", bytes.len())
            }
            Err(_) => "there was no file".to_owned(),
        }
    }
}

/// Makes sure that HEAD names a branch: one that is empty or malformed names the only branch there is.
/// `true` when it was written.
///
/// # Errors
/// When there is no or more than one branch to choose from, or the system refuses.
pub fn mend_head(root: &Path) -> Result<bool> {
    let git_dir = root.join(".git");
    let path = git_dir.join("HEAD");
    let text = disk::read(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let whole = text.trim_end().strip_prefix("ref: ").is_some_and(|name| FullName::try_from(name).is_ok());
    if whole || text.trim_end().parse::<CommitHash>().is_ok() {
        return Ok(false);
    }
    let mut names: Vec<String> = Vec::new();
    for folder in ["refs/heads", "logs/refs/heads"] {
        for entry in disk::list(&git_dir.join(folder)).unwrap_or_default() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_file() && !name.ends_with(".lock") && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // which of several it was is a person's to say
    let [branch] = names.as_slice() else { return Ok(false) };
    fsutil::write(&path, format!("ref: refs/heads/{branch}\n").as_bytes()).map_err(|e| GitError::Io {
        doing: e.doing,
        path: e.path,
        source: e.source,
    })?;
    Ok(true)
}

fn name(slot: usize) -> String {
    format!("refs/cairn/checkpoint/{slot}")
}
