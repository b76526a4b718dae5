//! The folders of a tree in the making, kept as the bytes that git stores.
//!
//! Every commit of a group changes one line in each of a handful of folders, one of which may name
//! thousands of runs. Decoding, sorting and encoding all of it again for each commit costs more than
//! all else together (`docs/benchmarks.md`), so that entries are found by bisection and changed where
//! they lie. Only folders on the way to a change are ever read.

use std::collections::BTreeMap;

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice as _},
    objs::{
        TreeRefIter,
        tree::{EntryKind, EntryRef},
    },
};

use super::{Repo, Result, tree::Node};

const SHA1_BYTES: usize = 20;

/// A tree that is being changed.
pub(super) struct Folders<'a> {
    git: &'a Repo,
    repo: &'a gix::Repository,
    top: Folder,
}

/// Stores the bytes of a folder, given its id before, and answers its id.
pub(super) type Keep<'a> = &'a mut dyn FnMut(&[u8], Option<ObjectId>) -> Result<ObjectId>;

#[derive(Default)]
struct Folder {
    /// As it was last written; absent for one that is new.
    id: Option<ObjectId>,
    bytes: Vec<u8>,
    /// Where each entry begins.
    begins: Vec<usize>,
    /// The folders in it that were looked into.
    inside: BTreeMap<BString, Folder>,
    changed: bool,
}

impl<'a> Folders<'a> {
    /// Begins with a tree of the repository, or with nothing.
    pub(super) fn open(git: &'a Repo, repo: &'a gix::Repository, tree: Option<ObjectId>) -> Result<Self> {
        let top = tree.map_or_else(|| Ok(Folder::default()), |tree| Folder::read(git, repo, tree))?;
        Ok(Self { git, repo, top })
    }

    /// The file at a checked `path`, if there is one.
    pub(super) fn file(&mut self, path: &str) -> Result<Option<Node>> {
        let Some((folder, name)) = self.way(path, false)? else { return Ok(None) };
        Ok(folder.find(name, false).ok().map(|at| node_of(&folder.entry(at))))
    }

    /// Puts a file at a checked `path` and gives what was there, if that was a file.
    pub(super) fn put(&mut self, path: &str, node: Node) -> Result<Option<Node>> {
        let (folder, name) = self.way(path, true)?.expect("what is missing on the way was made");
        if let Ok(at) = folder.find(name, true) {
            folder.take_out(at);
        }
        folder.inside.remove(name);
        let before = folder.find(name, false).ok().map(|at| node_of(&folder.entry(at)));
        if before != Some(node) {
            folder.set(name, node);
            folder.changed = true;
        }
        Ok(before)
    }

    /// Removes the file or folder at a checked `path`, if there is one.
    pub(super) fn remove(&mut self, path: &str) -> Result<()> {
        let Some((folder, name)) = self.way(path, false)? else { return Ok(()) };
        for is_folder in [false, true] {
            if let Ok(at) = folder.find(name, is_folder) {
                folder.take_out(at);
                folder.changed = true;
            }
        }
        if folder.inside.remove(name).is_some() {
            // it may have been new, with no entry yet
            folder.changed = true;
        }
        Ok(())
    }

    /// The folder of `path`, and its last name. What is on the way is changed if `make` is set, and made
    /// where it is missing.
    fn way<'p>(&mut self, path: &'p str, make: bool) -> Result<Option<(&mut Folder, &'p BStr)>> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = &mut self.top;
        for name in folders.split('/').filter(|name| !name.is_empty()).map(BStr::new) {
            if !folder.inside.contains_key(name) {
                let inside = match folder.find(name, true) {
                    Ok(at) => Folder::read(self.git, self.repo, folder.entry(at).oid.to_owned())?,
                    Err(_) if !make => return Ok(None),
                    Err(_) => {
                        if let Ok(at) = folder.find(name, false) {
                            folder.take_out(at);
                            folder.changed = true;
                        }
                        Folder::default()
                    }
                };
                folder.inside.insert(name.to_owned(), inside);
            }
            folder = folder.inside.get_mut(name).expect("it was just put there");
        }
        Ok(Some((folder, BStr::new(name))))
    }

    /// Hands out every folder that changed, children first, and gives the id of the whole. Folders that
    /// have become empty are left out.
    pub(super) fn write(&mut self, keep: Keep<'_>) -> Result<ObjectId> {
        self.top.write(keep)?;
        Ok(self.top.id.unwrap_or_else(|| ObjectId::empty_tree(gix::hash::Kind::Sha1)))
    }
}

impl Repo {
    /// Applies edits to a tree. `Some` puts a file, `None` removes it; folders that become empty go.
    ///
    /// `keep` is given each changed folder, children first, and answers its id.
    pub(super) fn edited(
        &self,
        repo: &gix::Repository,
        tree: ObjectId,
        edits: impl IntoIterator<Item = (impl AsRef<str>, Option<Node>)>,
        keep: &mut dyn FnMut(&[u8]) -> Result<ObjectId>,
    ) -> Result<ObjectId> {
        let mut folders = Folders::open(self, repo, Some(tree))?;
        for (path, node) in edits {
            match node {
                Some(node) => drop(folders.put(path.as_ref(), node)?),
                None => folders.remove(path.as_ref())?,
            }
        }
        folders.write(&mut |bytes, _| keep(bytes))
    }
}

impl Folder {
    fn read(git: &Repo, repo: &gix::Repository, id: ObjectId) -> Result<Self> {
        let bytes = git.tree_bytes(repo, id)?;
        let mut begins = Vec::new();
        let mut entries = TreeRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1);
        loop {
            let begin = entries.offset_to_next_entry(&bytes);
            match entries.next() {
                None => break,
                Some(Ok(_)) => begins.push(begin),
                Some(Err(error)) => return Err(git.unreadable(gix::objs::Kind::Tree, id, &error.to_string())),
            }
        }
        Ok(Self { id: Some(id), bytes, begins, ..Self::default() })
    }

    fn entry(&self, at: usize) -> EntryRef<'_> {
        let mut entries = TreeRefIter::from_bytes(&self.bytes[self.begins[at]..], gix::hash::Kind::Sha1);
        entries.next().expect("every place was decoded once").expect("and what was put in since is an entry")
    }

    /// The place of an entry, or where it would be; git orders a folder as if its name ended in a slash.
    fn find(&self, name: &BStr, is_folder: bool) -> std::result::Result<usize, usize> {
        let kind = if is_folder { EntryKind::Tree } else { EntryKind::Blob };
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        let wanted = EntryRef { mode: kind.into(), filename: name, oid: &id };
        let order = |at: usize| self.entry(at).cmp(&wanted);
        // a run that begins is named after all that began before it
        match self.begins.len().checked_sub(1) {
            None => return Err(0),
            Some(last) if order(last).is_lt() => return Err(last + 1),
            Some(_) => {}
        }
        let (mut low, mut high) = (0, self.begins.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match order(middle) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn end(&self, at: usize) -> usize {
        self.begins.get(at + 1).copied().unwrap_or(self.bytes.len())
    }

    fn take_out(&mut self, at: usize) {
        let (begin, end) = (self.begins[at], self.end(at));
        self.bytes.drain(begin..end);
        self.begins.remove(at);
        self.begins[at..].iter_mut().for_each(|later| *later -= end - begin);
    }

    /// Puts an entry in, in place of the one of the same name and kind.
    fn set(&mut self, name: &BStr, node: Node) {
        let at = match self.find(name, node.is_tree()) {
            Ok(at) if self.entry(at).mode == node.mode => {
                let end = self.end(at);
                self.bytes[end - SHA1_BYTES..end].copy_from_slice(node.id.as_slice());
                return;
            }
            Ok(at) => {
                self.take_out(at);
                at
            }
            Err(at) => at,
        };
        let mut mode = [0; 6];
        let entry = [node.mode.as_bytes(&mut mode).as_bytes(), b" ", name, b"\0", node.id.as_slice()].concat();
        let begin = self.begins.get(at).copied().unwrap_or(self.bytes.len());
        let length = entry.len();
        self.bytes.splice(begin..begin, entry);
        self.begins[at..].iter_mut().for_each(|later| *later += length);
        self.begins.insert(at, begin);
    }

    /// Writes what changed; `true` when its id may be another than before.
    fn write(&mut self, keep: Keep<'_>) -> Result<bool> {
        let mut inside = std::mem::take(&mut self.inside);
        for (name, folder) in &mut inside {
            if !folder.write(keep)? {
                continue;
            }
            self.changed = true;
            match folder.id {
                Some(id) => self.set(name.as_bstr(), Node { mode: EntryKind::Tree.into(), id }),
                None => {
                    if let Ok(at) = self.find(name.as_bstr(), true) {
                        self.take_out(at);
                    }
                }
            }
        }
        inside.retain(|_, folder| !folder.bytes.is_empty());
        self.inside = inside;
        if !std::mem::take(&mut self.changed) {
            return Ok(false);
        }
        let before = self.id.take();
        if !self.bytes.is_empty() {
            self.id = Some(keep(&self.bytes, before)?);
        }
        Ok(self.id != before)
    }
}

fn node_of(entry: &EntryRef<'_>) -> Node {
    Node { mode: entry.mode, id: entry.oid.to_owned() }
}
