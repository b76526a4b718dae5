//! Reading what is committed.
//!
//! Hands out plain files only: a tree that holds a symbolic link or a submodule is refused whole,
//! because half of a definition is not a definition.

use std::collections::BTreeMap;

use gix::{ObjectId, objs::Kind};

use super::{BlobId, CommitHash, GitError, Head, Repo, Result, TreeId, error::During as _};

/// How much [`Repo::read_tree_files`] takes before it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Files in the tree and its folders.
    pub files_max: usize,
    /// Bytes of all of them together.
    pub bytes_max: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { files_max: 1000, bytes_max: 16 << 20 }
    }
}

impl Repo {
    /// The id of the folder at `path` in a commit (HEAD's if none is given), if there is one. An
    /// empty path is the root.
    ///
    /// # Errors
    /// As [`Repo::head`], and when a tree on the way cannot be read.
    pub fn tree_of(&self, path: &str, at: Option<&CommitHash>) -> Result<Option<TreeId>> {
        let repo = self.local();
        let Some(root) = self.root_tree(&repo, at)? else { return Ok(None) };
        let node = self.node_at(&repo, root, path)?;
        Ok(node.filter(|node| node.is_tree()).map(|node| TreeId(node.id)))
    }

    /// The id of the plain file at `path` in a commit (HEAD's if none is given), if there is one.
    ///
    /// # Errors
    /// As [`Repo::head`], and when a tree on the way cannot be read.
    pub fn blob_of(&self, path: &str, at: Option<&CommitHash>) -> Result<Option<BlobId>> {
        let repo = self.local();
        let Some(root) = self.root_tree(&repo, at)? else { return Ok(None) };
        let node = self.node_at(&repo, root, path)?;
        Ok(node.filter(|node| node.is_file()).map(|node| BlobId(node.id)))
    }

    /// The names of the folders in the folder at `path` of HEAD, sorted.
    ///
    /// # Errors
    /// As [`Repo::tree_of`].
    pub fn folders_in(&self, path: &str) -> Result<Vec<String>> {
        let Some(TreeId(tree)) = self.tree_of(path, None)? else { return Ok(Vec::new()) };
        let bytes = self.tree_bytes(&self.local(), tree)?;
        let entries = self.entries(tree, &bytes)?;
        let folders = entries.iter().filter(|entry| entry.mode.is_tree());
        Ok(folders.map(|entry| entry.filename.to_string()).collect())
    }

    /// Reads all files of a tree, by their path within it.
    ///
    /// # Errors
    /// [`GitError::NotAFile`] for a link or submodule, [`GitError::TooLarge`] beyond the limits,
    /// [`GitError::Damaged`] when an object cannot be read.
    pub fn read_tree_files(&self, tree: &TreeId, limits: ReadLimits) -> Result<BTreeMap<String, Vec<u8>>> {
        let repo = self.local();
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        let none = ObjectId::empty_tree(gix::hash::Kind::Sha1);
        self.differences(&repo, Some(none), Some(tree.0), &mut |path, _, node| {
            let Some(node) = node.filter(|node| !node.is_tree()) else { return Ok(()) };
            if let Some(what) = node.odd() {
                return Err(GitError::NotAFile { path: path.to_owned(), what });
            }
            let too_large = |what| Err(GitError::TooLarge { path: path.to_owned(), what });
            if files.len() == limits.files_max {
                return too_large(format!("its folder holds more than {} files", limits.files_max));
            }
            bytes += self.size_of(&repo, node.id)?;
            if bytes > limits.bytes_max {
                return too_large(format!("with it the folder exceeds {} bytes", limits.bytes_max));
            }
            files.insert(path.to_owned(), self.object_bytes(&repo, node.id, Kind::Blob)?);
            Ok(())
        })?;
        Ok(files)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// [`GitError::Damaged`] when there is no such blob or it cannot be read.
    pub fn read_blob(&self, blob: &BlobId) -> Result<Vec<u8>> {
        self.object_bytes(&self.local(), blob.0, Kind::Blob)
    }

    /// Tells whether the repository holds an object of this name, of whatever kind.
    #[must_use]
    pub fn has_object(&self, id: impl Into<ObjectId>) -> bool {
        self.local().has_object(id.into())
    }

    pub(super) fn root_tree(&self, repo: &gix::Repository, at: Option<&CommitHash>) -> Result<Option<ObjectId>> {
        match at {
            Some(commit) => self.tree_of_commit(repo, commit.0).map(Some),
            None => Ok(self.head(None)?.map(|Head { tree, .. }| tree.0)),
        }
    }

    /// The size without unpacking: a bomb must be refused before it is blown up.
    fn size_of(&self, repo: &gix::Repository, id: ObjectId) -> Result<u64> {
        let header = repo.try_find_header(id).during("look up an object", &self.git_dir)?;
        header.map(|header| header.size()).ok_or_else(|| {
            self.damaged(format!("blob {id} is missing"), "Fetch it from another machine, or restore it from a backup")
        })
    }
}

macro_rules! into_id {
    ($($name:ident)*) => {$(
        impl From<&$name> for ObjectId {
            fn from(id: &$name) -> Self {
                id.0
            }
        }
    )*};
}

into_id!(CommitHash TreeId BlobId);
