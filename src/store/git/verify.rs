//! The part of `cairn verify` that looks at git: offline, read-only, without the `git` program.
//!
//! Answers findings, never an error: damage is what it is here to describe. Each finding is one
//! sentence for the operator.

use std::{collections::HashSet, fs, path::Path, sync::atomic::AtomicBool};

use gix::{
    ObjectId,
    objs::{CommitRefIter, Kind},
};

use super::{
    GitError, Head, Repo, Result, TreeId,
    error::During as _,
    tree::{DEPTH_MAX, Node},
};

impl Repo {
    /// Checks refs, packs, loose objects and the newest `commits_max` commits of the branch (first
    /// parents), each with all its folders readable and all its files present.
    #[must_use]
    pub fn check(&self, commits_max: usize) -> Vec<String> {
        let mut findings = Vec::new();
        self.check_packs(&mut findings);
        self.check_loose(&mut findings);
        match self.head(None) {
            Ok(Some(head)) => self.check_line(head, commits_max, &mut findings),
            Ok(None) => {}
            Err(error) => findings.push(error.to_string()),
        }
        findings
    }

    /// Finds files that must only ever grow and did not: for each of the newest `commits_max`
    /// commits and each of its parents, every changed path that `append_only` names must keep the
    /// bytes it had and add to them. A removed file is a finding too.
    #[must_use]
    pub fn append_only_violations(&self, append_only: impl Fn(&str) -> bool, commits_max: usize) -> Vec<String> {
        let mut findings = Vec::new();
        if let Err(error) = self.check_growth(&append_only, commits_max, &mut findings) {
            findings.push(error.to_string());
        }
        findings
    }

    fn check_packs(&self, findings: &mut Vec<String>) {
        let dir = self.git_dir.join("objects").join("pack");
        let Ok(entries) = fs::read_dir(&dir) else {
            return findings.push(format!("{} cannot be listed; restore it from a clone or a backup", dir.display()));
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort_unstable();
        for idx in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "idx")) {
            if let Err(error) = check_pack(idx, &idx.with_extension("pack")) {
                findings.push(format!(
                    "{} is damaged: {error}; fetch its objects from another machine or restore it from a backup",
                    idx.with_extension("pack").display()
                ));
            }
        }
    }

    fn check_loose(&self, findings: &mut Vec<String>) {
        let store = gix::odb::loose::Store::at(self.git_dir.join("objects"), gix::hash::Kind::Sha1);
        if let Err(error) = store.verify_integrity(&mut gix::progress::Discard, &AtomicBool::new(false)) {
            findings.push(format!(
                "a loose object in {} is damaged: {error:#}; fetch it from another machine or restore it from a backup",
                self.git_dir.join("objects").display()
            ));
        }
    }

    fn check_line(&self, head: Head, commits_max: usize, findings: &mut Vec<String>) {
        let repo = self.local();
        let mut seen = HashSet::new();
        let mut next = Some(head.commit.0);
        for _ in 0..commits_max {
            let Some(commit) = next else { return };
            let step = self.tree_of_commit(&repo, commit).and_then(|tree| {
                self.check_tree(&repo, TreeId(tree), 0, &mut seen)?;
                Ok(self.parents(&repo, commit)?.first().copied())
            });
            match step {
                Ok(parent) => next = parent,
                // What lies behind can only be reached through this commit.
                Err(error) => return findings.push(format!("commit {commit}: {error}")),
            }
        }
    }

    pub(super) fn check_tree(
        &self,
        repo: &gix::Repository,
        tree: TreeId,
        depth: usize,
        seen: &mut HashSet<ObjectId>,
    ) -> Result<()> {
        if !seen.insert(tree.0) {
            return Ok(());
        }
        let bytes = self.tree_bytes(repo, tree.0)?;
        for entry in self.entries(tree.0, &bytes)? {
            let (node, name) = (Node { mode: entry.mode, id: entry.oid.to_owned() }, entry.filename);
            if let Some(what) = node.odd() {
                return Err(GitError::NotAFile { path: name.to_string(), what });
            }
            if node.is_tree() {
                if depth == DEPTH_MAX {
                    let why = "it is nested too deeply".to_owned();
                    return Err(GitError::BadPath { path: name.to_string(), why });
                }
                self.check_tree(repo, TreeId(node.id), depth + 1, seen)?;
            } else if seen.insert(node.id) && self.kind_of(repo, node.id)? != Some(Kind::Blob) {
                let what = format!("`{name}` (blob {}) is missing", node.id);
                return Err(self.damaged(what, "Fetch it from another machine, or restore it from a backup"));
            }
        }
        Ok(())
    }

    pub(super) fn parents(&self, repo: &gix::Repository, commit: ObjectId) -> Result<Vec<ObjectId>> {
        let bytes = self.object_bytes(repo, commit, Kind::Commit)?;
        Ok(CommitRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1).parent_ids().collect())
    }

    fn check_growth(
        &self,
        append_only: &dyn Fn(&str) -> bool,
        commits_max: usize,
        findings: &mut Vec<String>,
    ) -> Result<()> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(()) };
        for commit in self.history(&repo, head.commit.0, None, commits_max)? {
            let tree = self.tree_of_commit(&repo, commit)?;
            for parent in self.parents(&repo, commit)? {
                let before = self.tree_of_commit(&repo, parent)?;
                self.differences(&repo, Some(before), Some(tree), &mut |path, old, new| {
                    let Some(old) = old.filter(|old| !old.is_tree() && append_only(path)) else { return Ok(()) };
                    match new.filter(|new| new.is_file()) {
                        None => findings.push(format!("commit {commit} removes `{path}`, which may only grow")),
                        Some(new) if !self.grew(&repo, old.id, new.id)? => {
                            findings.push(format!("commit {commit} rewrites `{path}`, which may only grow"));
                        }
                        Some(_) => {}
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn grew(&self, repo: &gix::Repository, old: ObjectId, new: ObjectId) -> Result<bool> {
        let old = self.object_bytes(repo, old, Kind::Blob)?;
        Ok(self.object_bytes(repo, new, Kind::Blob)?.starts_with(&old))
    }
}

/// Both checksums, and that index and pack belong together.
fn check_pack(idx: &Path, pack: &Path) -> Result<()> {
    const DOING: &str = "verify";
    let never = AtomicBool::new(false);
    let quiet = &mut gix::progress::Discard;
    let index = gix_pack::index::File::at(idx, gix::hash::Kind::Sha1).during(DOING, idx)?;
    index.verify_checksum(quiet, &never).during(DOING, idx)?;
    let data = gix_pack::data::File::at(pack, gix::hash::Kind::Sha1).during(DOING, pack)?;
    let sum = data.verify_checksum(quiet, &never).during(DOING, pack)?;
    if sum == index.pack_checksum() {
        Ok(())
    } else {
        Err(GitError::Damaged {
            git_dir: idx.to_owned(),
            what: "it belongs to another pack".to_owned(),
            advice: "Rebuild it with `git index-pack`".to_owned(),
        })
    }
}
