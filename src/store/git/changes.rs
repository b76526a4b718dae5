//! What differs between the work tree and HEAD, by content, and the digest of a folder as it is.
//!
//! Used for folders that people edit. Compares bytes and not times: a file that was touched, or
//! edited and put back, has not changed.

use std::collections::BTreeMap;

use gix::{
    ObjectId,
    objs::{Kind, Write as _},
};

use super::{
    GitError, Repo, Result, TreeId,
    error::During as _,
    tree::{Node, check_path},
    worktree,
};

/// How a path differs from HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// In the work tree alone.
    Added,
    /// In both, with other bytes or another executable bit.
    Modified,
    /// In HEAD alone.
    Removed,
}

/// A path of the work tree that differs from HEAD.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedPath {
    /// Relative to the root, `/` between parts.
    pub path: String,
    /// How it differs.
    pub kind: ChangeKind,
}

/// What becomes of the objects that are built to learn a folder's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Objects,
    Nothing,
}

/// The answer of [`Repo::changed_under`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Sorted by path.
    pub paths: Vec<ChangedPath>,
    /// What could not be taken, in words for the operator: links, special files, odd names.
    pub findings: Vec<String>,
}

impl Repo {
    /// Compares the work tree with HEAD at and below each prefix (a folder or a file).
    ///
    /// Hidden names and leftovers of editors count as absent, unless HEAD has them: those are left
    /// alone.
    ///
    /// # Errors
    /// As [`Repo::head`], and when a file or folder cannot be read.
    pub fn changed_under(&self, prefixes: &[&str]) -> Result<Changes> {
        let repo = self.local();
        let root = self.root_tree(&repo, None)?;
        let mut changes = Changes::default();
        for prefix in prefixes {
            let committed = self.files_below(&repo, root, prefix)?;
            let present = self.nodes_in_work_tree(prefix, &mut changes.findings)?;
            let mut push = |path: &String, kind| changes.paths.push(ChangedPath { path: path.clone(), kind });
            for (path, node) in &present {
                match committed.get(path) {
                    None => push(path, ChangeKind::Added),
                    Some(old) if old != node => push(path, ChangeKind::Modified),
                    Some(_) => {}
                }
            }
            for path in committed.keys().filter(|path| !present.contains_key(*path)) {
                let hidden = path.split('/').any(worktree::is_passed_over);
                // A file that is there but could not be taken is a finding, not a removal.
                if !hidden && std::fs::symlink_metadata(self.root.join(path)).is_err() {
                    push(path, ChangeKind::Removed);
                }
            }
        }
        changes.paths.sort_unstable();
        changes.paths.dedup();
        Ok(changes)
    }

    /// The tree id that a folder of the work tree would have if it were committed now; `None` when
    /// it holds no file. Nothing is written.
    ///
    /// # Errors
    /// [`GitError::NotAFile`] and [`GitError::BadPath`] for what cannot be committed, and when a
    /// file cannot be read.
    pub fn write_tree_id_of_dir(&self, dir: &str) -> Result<Option<TreeId>> {
        self.build_dir(&self.local(), dir, Keep::Nothing)
    }

    /// Builds the tree of a folder, with its objects in `repo` if they are to be kept.
    pub(super) fn build_dir(&self, repo: &gix::Repository, dir: &str, keep: Keep) -> Result<Option<TreeId>> {
        check_path(dir)?;
        let mut findings = Vec::new();
        let paths = worktree::scan(&self.root, dir, &mut findings)?;
        if let Some(first) = findings.into_iter().next() {
            return Err(GitError::BadPath { path: dir.to_owned(), why: first });
        }
        let mut edits = Vec::new();
        for path in paths {
            let Some(found) = worktree::read(&self.root, &path)? else { continue };
            let id = match keep {
                Keep::Objects => self.blob(repo, &found.bytes)?,
                Keep::Nothing => self.hash(&found.bytes)?,
            };
            let Some(name) = path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')) else {
                return Err(GitError::NotAFile { path: dir.to_owned(), what: "a file, not a folder" });
            };
            edits.push((name.to_owned(), Some(Node { mode: found.kind.into(), id })));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let empty = ObjectId::empty_tree(gix::hash::Kind::Sha1);
        let tree = self.edited(repo, empty, edits, &mut |bytes| {
            let id = self.tree_hash(bytes)?;
            if matches!(keep, Keep::Objects) && !repo.has_object(id) {
                return repo.objects.write_buf(Kind::Tree, bytes).during("build a tree", &self.git_dir);
            }
            Ok(id)
        })?;
        Ok(Some(TreeId(tree)))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> Result<ObjectId> {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, bytes).during("hash a file", &self.root)
    }

    fn files_below(
        &self,
        repo: &gix::Repository,
        root: Option<ObjectId>,
        prefix: &str,
    ) -> Result<BTreeMap<String, Node>> {
        let mut files = BTreeMap::new();
        let Some(root) = root else { return Ok(files) };
        match self.node_at(repo, root, prefix)? {
            Some(node) if node.is_tree() => {
                self.differences(repo, None, Some(node.id), &mut |path, _, found| {
                    if let Some(found) = found.filter(|found| !found.is_tree()) {
                        files.insert(
                            if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") },
                            found,
                        );
                    }
                    Ok(())
                })?;
            }
            Some(node) => {
                files.insert(prefix.to_owned(), node);
            }
            None => {}
        }
        Ok(files)
    }

    fn nodes_in_work_tree(&self, prefix: &str, findings: &mut Vec<String>) -> Result<BTreeMap<String, Node>> {
        let mut nodes = BTreeMap::new();
        for path in worktree::scan(&self.root, prefix, findings)? {
            match worktree::read(&self.root, &path) {
                Ok(Some(found)) => {
                    nodes.insert(path, Node { mode: found.kind.into(), id: self.hash(&found.bytes)? });
                }
                Ok(None) => {}
                Err(error @ (GitError::TooLarge { .. } | GitError::NotAFile { .. })) => {
                    findings.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }
}
