//! The index's table of folder ids. With it, git compares index and HEAD by folders; without it,
//! file by file, five times slower.

use gix::{ObjectId, index::extension};

use super::{GitError, Repo, Result, tree::DEPTH_MAX};

impl Repo {
    /// Makes `node` describe `tree`, keeping what it already knows about folders that are the same.
    ///
    /// Only right when the index holds exactly the files of `tree`; the caller has made sure.
    pub(super) fn describe(
        &self,
        repo: &gix::Repository,
        node: &mut extension::Tree,
        tree: ObjectId,
        depth: usize,
    ) -> Result<()> {
        if node.id == tree && node.num_entries.is_some() {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            let path = String::from_utf8_lossy(&node.name).into_owned();
            return Err(GitError::BadPath { path, why: "it is nested too deeply".to_owned() });
        }
        let bytes = self.tree_bytes(repo, tree)?;
        let mut known = std::mem::take(&mut node.children);
        let mut count: u32 = 0;
        for entry in self.entries(tree, &bytes)? {
            if !entry.mode.is_tree() {
                count += 1;
                continue;
            }
            let at = known.iter().position(|child| child.name.as_slice() == entry.filename);
            let mut child = at.map_or_else(|| unknown(entry.filename), |at| known.swap_remove(at));
            self.describe(repo, &mut child, entry.oid.to_owned(), depth + 1)?;
            count += child.num_entries.unwrap_or(0);
            node.children.push(child);
        }
        // Git looks children up in this order: by length, then by bytes.
        node.children.sort_by(|a, b| a.name.len().cmp(&b.name.len()).then_with(|| a.name.cmp(&b.name)));
        node.id = tree;
        node.num_entries = Some(count);
        Ok(())
    }
}

/// A node that describes nothing yet.
pub(super) fn unknown(name: &[u8]) -> extension::Tree {
    extension::Tree {
        name: name.iter().copied().collect(),
        id: ObjectId::null(gix::hash::Kind::Sha1),
        num_entries: None,
        children: Vec::new(),
    }
}
