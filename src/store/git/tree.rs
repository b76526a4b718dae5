//! Looking into trees: one entry by its path, and what differs between two trees. [`super::folders`] changes them.
//!
//! Trees may come from a remote, so names and depth are checked wherever they become a path.

use std::cmp::Ordering;

use gix::{
    ObjectId,
    bstr::{BStr, ByteSlice as _},
    objs::{
        Kind,
        tree::{EntryKind, EntryMode, EntryRef},
    },
};

use super::{GitError, Repo, Result, error::During as _};

/// How deep folders may be nested. Ours need six; the bound keeps a hostile tree from exhausting
/// the stack.
pub(super) const DEPTH_MAX: usize = 32;

/// What one name of a tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) mode: EntryMode,
    pub(super) id: ObjectId,
}

impl Node {
    pub(super) fn is_tree(self) -> bool {
        self.mode.is_tree()
    }

    pub(super) fn is_file(self) -> bool {
        matches!(self.mode.kind(), EntryKind::Blob | EntryKind::BlobExecutable)
    }

    /// Says what a node that is neither a file nor a folder is.
    pub(super) fn odd(self) -> Option<&'static str> {
        match self.mode.kind() {
            EntryKind::Link => Some("a symbolic link"),
            EntryKind::Commit => Some("a submodule"),
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Tree => None,
        }
    }
}

/// Is told a path and what it held before and after.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&str, Option<Node>, Option<Node>) -> Result<()>;

/// Refuses every path that is not plainly inside the work tree, or that another system would take
/// for something else.
pub(super) fn check_path(path: &str) -> Result<()> {
    let bad = |why: &str| Err(GitError::BadPath { path: path.to_owned(), why: why.to_owned() });
    if path.len() > 1024 {
        return bad("it is longer than 1024 bytes");
    }
    if path.split('/').count() > DEPTH_MAX {
        return bad("it is nested too deeply");
    }
    path.split('/').try_for_each(|name| check_name(path, name.as_bytes()))
}

fn check_name(path: &str, name: &[u8]) -> Result<()> {
    let bad = |why: String| GitError::BadPath { path: path.to_owned(), why };
    if name.iter().any(u8::is_ascii_control) {
        return Err(bad("it has a control character".to_owned()));
    }
    gix::validate::path::component(BStr::new(name), None, gix::validate::path::component::Options::default())
        .map(|_| ())
        .map_err(|error| bad(error.to_string()))
}

/// Joins a checked `name` to the path of its folder.
pub(super) fn join(folder: &str, name: &BStr) -> Result<String> {
    let shown =
        if folder.is_empty() { name.to_str_lossy().into_owned() } else { format!("{folder}/{}", name.to_str_lossy()) };
    let text = name
        .to_str()
        .map_err(|_| GitError::BadPath { path: shown.clone(), why: "its name is not UTF-8".to_owned() })?;
    check_name(&shown, text.as_bytes())?;
    Ok(shown)
}

impl Repo {
    /// The raw bytes of a tree; an object that is missing, unreadable or no tree is damage.
    pub(super) fn tree_bytes(&self, repo: &gix::Repository, id: ObjectId) -> Result<Vec<u8>> {
        self.object_bytes(repo, id, Kind::Tree)
    }

    /// The bytes of an object that history says must exist.
    pub(super) fn object_bytes(&self, repo: &gix::Repository, id: ObjectId, kind: Kind) -> Result<Vec<u8>> {
        if id == ObjectId::empty_tree(gix::hash::Kind::Sha1) {
            return Ok(Vec::new());
        }
        let found = repo.try_find_object(id).map_err(|error| self.unreadable(kind, id, &error.to_string()))?;
        let Some(object) = found else { return Err(self.unreadable(kind, id, "it is missing")) };
        if object.kind != kind {
            return Err(self.unreadable(kind, id, &format!("it is a {}", object.kind)));
        }
        Ok(object.detach().data)
    }

    pub(super) fn unreadable(&self, kind: Kind, id: ObjectId, why: &str) -> GitError {
        self.damaged(
            format!("{kind} {id} cannot be read: {why}"),
            "Fetch it from another machine or a backup, for example with `git fetch --refetch`",
        )
    }

    /// The id a folder of these bytes would have, without storing it.
    pub(super) fn tree_hash(&self, bytes: &[u8]) -> Result<ObjectId> {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Tree, bytes).during("hash a folder", &self.git_dir)
    }

    /// Decodes the entries of a tree.
    pub(super) fn entries<'a>(&self, id: ObjectId, bytes: &'a [u8]) -> Result<Vec<EntryRef<'a>>> {
        gix::objs::TreeRef::from_bytes(bytes, gix::hash::Kind::Sha1)
            .map(|tree| tree.entries)
            .map_err(|error| self.unreadable(Kind::Tree, id, &error.to_string()))
    }

    /// Looks up one path in a tree. An empty path is the tree itself.
    pub(super) fn node_at(&self, repo: &gix::Repository, tree: ObjectId, path: &str) -> Result<Option<Node>> {
        let mut node = Node { mode: EntryKind::Tree.into(), id: tree };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !node.is_tree() {
                return Ok(None);
            }
            let bytes = self.tree_bytes(repo, node.id)?;
            match self.entries(node.id, &bytes)?.iter().find(|entry| entry.filename == name) {
                Some(entry) => node = Node { mode: entry.mode, id: entry.oid.to_owned() },
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// Calls `visit` with every path at which two trees differ, folders before what they contain.
    ///
    /// A name that is a folder on one side and a file on the other is reported as two differences.
    /// Cost: the folders that differ, whatever the size of the trees.
    pub(super) fn differences(
        &self,
        repo: &gix::Repository,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        visit: Visit<'_>,
    ) -> Result<()> {
        if old == new { Ok(()) } else { self.differences_in(repo, "", old, new, 0, visit) }
    }

    fn differences_in(
        &self,
        repo: &gix::Repository,
        folder: &str,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        depth: usize,
        visit: Visit<'_>,
    ) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(GitError::BadPath { path: folder.to_owned(), why: "it is nested too deeply".to_owned() });
        }
        let bytes = |id: Option<ObjectId>| id.map(|id| self.tree_bytes(repo, id)).transpose();
        let (old_bytes, new_bytes) = (bytes(old)?.unwrap_or_default(), bytes(new)?.unwrap_or_default());
        let null = ObjectId::null(gix::hash::Kind::Sha1);
        let (olds, news) =
            (self.entries(old.unwrap_or(null), &old_bytes)?, self.entries(new.unwrap_or(null), &new_bytes)?);
        for (before, after) in merged(&olds, &news) {
            if before.zip(after).is_some_and(|(a, b)| a.oid == b.oid && a.mode == b.mode) {
                continue;
            }
            let Some(entry) = after.or(before) else { continue };
            let path = join(folder, entry.filename)?;
            let node = |entry: &EntryRef<'_>| Node { mode: entry.mode, id: entry.oid.to_owned() };
            let (before, after) = (before.map(node), after.map(node));
            visit(&path, before, after)?;
            let tree = |node: Option<Node>| node.filter(|node| node.is_tree()).map(|node| node.id);
            if tree(before).is_some() || tree(after).is_some() {
                self.differences_in(repo, &path, tree(before), tree(after), depth + 1, visit)?;
            }
        }
        Ok(())
    }
}

type Pair<'a, 'b> = (Option<&'a EntryRef<'b>>, Option<&'a EntryRef<'b>>);

/// Pairs two lists of entries, both in git's order, by name and folder-ness.
fn merged<'a, 'b>(olds: &'a [EntryRef<'b>], news: &'a [EntryRef<'b>]) -> Vec<Pair<'a, 'b>> {
    let mut pairs = Vec::new();
    let (mut old, mut new) = (olds.iter().peekable(), news.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return pairs,
        };
        pairs.push(match order {
            Ordering::Less => (old.next(), None),
            Ordering::Greater => (None, new.next()),
            Ordering::Equal => (old.next(), new.next()),
        });
    }
}
