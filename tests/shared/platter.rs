//! A disk that knows what a power cut may leave of it.
//!
//! Follows changes one by one and keeps two states: what processes see, and what is durable. Between
//! them lie *pieces* that a power cut keeps or drops, each for itself, in any order:
//!
//! - a page (4 KiB) of a file that was written and not synced, in any of its unsynced versions;
//! - a length of a file that was not synced: with it and without its pages, the file ends in zeros;
//! - a name that was made, moved or removed in a folder that was not synced since.
//!
//! Syncing a file makes its pages and its length durable, never its name. Syncing a folder makes the
//! names in it durable, nothing else. A rename within a folder happens whole or not at all; one
//! between folders may leave both names, never none.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    change::Change,
    image::{Image, Node},
    random::Random,
};

/// Bytes that become durable together.
const PAGE: usize = 4096;
/// Bytes that a disk writes whole: a page may be torn between two of them.
const SECTOR: usize = 512;

/// What a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// What is durable and nothing else.
    Nothing,
    /// Whatever was done, as after a kill of the process.
    Everything,
    /// What was done up to a piece chosen by this seed.
    Prefix(u64),
    /// Pieces chosen by this seed.
    Some(u64),
    /// Everything, but the page written last is torn at a sector chosen by this seed.
    Torn(u64),
    /// All names and lengths, and no page.
    ZeroTail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Dir,
    File(usize),
}

#[derive(Debug, Default)]
struct Inode {
    /// As processes see it.
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Unsynced versions of pages, by page, each with the number of the change that made it.
    pages: BTreeMap<usize, Vec<(u64, Vec<u8>)>>,
    /// Unsynced lengths.
    lengths: Vec<(u64, usize)>,
    /// Pages whose sync failed: the system takes them for clean and never writes them again, unless somebody
    /// writes into them.
    lost: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
struct NameChange {
    at: u64,
    /// What the name stands for from then on; nothing when it was removed.
    sets: (String, Option<Name>),
    /// A second name that goes with it: the old one of a rename within the folder.
    clears: Option<String>,
    /// Only if this change is kept, too: the new name of a rename to another folder.
    after: Option<u64>,
}

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct Platter {
    inodes: Vec<Inode>,
    seen: BTreeMap<String, Name>,
    durable: BTreeMap<String, Name>,
    pending: Vec<NameChange>,
    /// How many changes were followed.
    at: u64,
}

impl Platter {
    /// A disk on which all of `image` is durable.
    pub(crate) fn holding(image: &Image) -> Self {
        let mut disk = Self::default();
        for (name, node) in &image.names {
            let name_is = match node {
                Node::Dir => Name::Dir,
                Node::File(bytes) => {
                    let data = bytes.as_ref().clone();
                    disk.inodes.push(Inode { durable: data.clone(), data, ..Inode::default() });
                    Name::File(disk.inodes.len() - 1)
                }
            };
            disk.seen.insert(name.clone(), name_is);
        }
        disk.durable = disk.seen.clone();
        disk
    }

    /// Follows a change that succeeded.
    pub(crate) fn follow(&mut self, change: &Change) {
        self.at += 1;
        match change {
            Change::Open { path, create } => {
                if *create && !self.seen.contains_key(path) {
                    self.make(path);
                }
            }
            Change::Create { path } => self.make(path),
            Change::Write { path, offset, bytes } => {
                let offset = usize::try_from(*offset).expect("a small file");
                let at = self.at;
                self.inode(path).write(at, offset, bytes);
            }
            Change::SetLen { path, len } => {
                let len = usize::try_from(*len).expect("a small file");
                let at = self.at;
                self.inode(path).set_len(at, len);
            }
            Change::Sync { path } => self.inode(path).sync(),
            Change::SyncDir { path } => self.sync_names(|name| parent(name) == path),
            Change::SyncFs => {
                self.sync_names(|_| true);
                self.inodes.iter_mut().for_each(Inode::sync);
            }
            Change::Rename { from, to } => self.rename(from, to),
            Change::Link { from, to } => {
                let what = *self.seen.get(from).expect("a name to link to");
                self.set(to, Some(what), None, None);
            }
            Change::Unlink { path } | Change::RemoveDir { path } => self.set(path, None, None, None),
            Change::MakeDir { path } => self.set(path, Some(Name::Dir), None, None),
        }
    }

    /// Follows a change that failed. A sync that failed is not made up for by the next one.
    pub(crate) fn refuse(&mut self, change: &Change) {
        if let Change::Sync { path } = change
            && self.seen(path).is_some()
        {
            let inode = self.inode(path);
            inode.lost.extend(inode.pages.keys());
        }
    }

    /// What of a file is durable, if its name is.
    pub(crate) fn durable(&self, path: &str) -> Option<&[u8]> {
        match self.durable.get(path)? {
            Name::File(inode) => Some(&self.inodes[*inode].durable),
            Name::Dir => None,
        }
    }

    /// A file as processes see it.
    pub(crate) fn seen(&self, path: &str) -> Option<&[u8]> {
        match self.seen.get(path)? {
            Name::File(inode) => Some(&self.inodes[*inode].data),
            Name::Dir => None,
        }
    }

    /// The names of files as processes see them, of those below `folder`.
    pub(crate) fn seen_below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let below = move |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let files = self.seen.iter().filter(|(_, what)| matches!(what, Name::File(_)));
        files.map(|(name, _)| name.as_str()).filter(move |name| below(name))
    }

    /// What a power cut leaves now; nothing when this way of leaving needs an unsynced page and there is none.
    pub(crate) fn image(&self, leaves: Leaves) -> Option<Image> {
        let mut keep = Keep::new(leaves, self)?;
        let mut names = self.durable.clone();
        let mut kept = Vec::new();
        for change in &self.pending {
            if change.after.is_some_and(|at| !kept.contains(&at)) || !keep.piece(change.at) {
                continue;
            }
            kept.push(change.at);
            if let Some(old) = &change.clears {
                names.remove(old);
            }
            let (name, what) = &change.sets;
            match what {
                Some(what) => drop(names.insert(name.clone(), *what)),
                None => drop(names.remove(name)),
            }
        }
        let mut files: BTreeMap<usize, Rc<Vec<u8>>> = BTreeMap::new();
        let mut image = Image::default();
        for (name, what) in names {
            // a folder that was lost takes along what is in it; parents come first
            if !parent(&name).is_empty() && image.names.get(parent(&name)) != Some(&Node::Dir) {
                continue;
            }
            let node = match what {
                Name::Dir => Node::Dir,
                Name::File(inode) => {
                    let bytes = files.entry(inode).or_insert_with(|| Rc::new(self.inodes[inode].left(&mut keep)));
                    Node::File(bytes.clone())
                }
            };
            image.names.insert(name, node);
        }
        Some(image)
    }

    fn make(&mut self, path: &str) {
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.set(path, Some(Name::File(inode)), None, None);
    }

    fn rename(&mut self, from: &str, to: &str) {
        let what = *self.seen.get(from).expect("a name to move");
        if parent(from) == parent(to) {
            self.set(to, Some(what), Some(from), None);
            return;
        }
        self.set(to, Some(what), None, None);
        let added = self.at;
        self.at += 1;
        self.set(from, None, None, Some(added));
    }

    fn set(&mut self, name: &str, what: Option<Name>, clears: Option<&str>, after: Option<u64>) {
        if let Some(old) = clears {
            self.seen.remove(old);
        }
        match what {
            Some(what) => drop(self.seen.insert(name.to_owned(), what)),
            None => drop(self.seen.remove(name)),
        }
        let sets = (name.to_owned(), what);
        self.pending.push(NameChange { at: self.at, sets, clears: clears.map(str::to_owned), after });
    }

    fn sync_names(&mut self, is_synced: impl Fn(&str) -> bool) {
        let (synced, rest) = std::mem::take(&mut self.pending).into_iter().partition(|c| is_synced(&c.sets.0));
        self.pending = rest;
        let synced: Vec<NameChange> = synced;
        for NameChange { at, sets: (name, what), clears, .. } in synced {
            if let Some(old) = clears {
                self.durable.remove(&old);
            }
            match what {
                Some(what) => drop(self.durable.insert(name, what)),
                None => drop(self.durable.remove(&name)),
            }
            // what waited for it need not wait any more
            self.pending.iter_mut().filter(|c| c.after == Some(at)).for_each(|c| c.after = None);
        }
    }

    fn inode(&mut self, path: &str) -> &mut Inode {
        match self.seen.get(path) {
            Some(Name::File(inode)) => &mut self.inodes[*inode],
            other => panic!("{path} is written to under a name that is {other:?}"),
        }
    }
}

impl Inode {
    fn write(&mut self, at: u64, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.data.len() {
            self.data.resize(end, 0);
            self.lengths.push((at, end));
        }
        self.data[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            for page in offset / PAGE..=(end - 1) / PAGE {
                self.lost.remove(&page);
                let content = self.page(&self.data, page);
                self.pages.entry(page).or_default().push((at, content));
            }
        }
    }

    fn set_len(&mut self, at: u64, len: usize) {
        self.data.resize(len, 0);
        self.lengths.push((at, len));
    }

    fn sync(&mut self) {
        let before = std::mem::replace(&mut self.durable, self.data.clone());
        for page in &self.lost {
            let begin = (page * PAGE).min(self.durable.len());
            let end = (begin + PAGE).min(self.durable.len());
            let old = self.page(&before, *page);
            self.durable[begin..end].fill(0);
            let end = end.min(begin + old.len());
            self.durable[begin..end].copy_from_slice(&old[..end - begin]);
        }
        self.pages.retain(|page, _| self.lost.contains(page));
        self.lengths.clear();
    }

    fn page(&self, data: &[u8], page: usize) -> Vec<u8> {
        let begin = (page * PAGE).min(data.len());
        data[begin..(begin + PAGE).min(data.len())].to_vec()
    }

    /// What is left of it.
    fn left(&self, keep: &mut Keep) -> Vec<u8> {
        let mut data = self.durable.clone();
        if let Some(len) = keep.version(self.lengths.iter().map(|(at, len)| (*at, *len)), Kind::Length) {
            data.resize(len, 0);
        }
        for (page, versions) in &self.pages {
            let versions = versions.iter().map(|(at, content)| (*at, content));
            let torn = versions.clone().next_back().is_some_and(|(at, _)| keep.tears(at));
            let before = versions.len().checked_sub(2).and_then(|n| versions.clone().nth(n)).map(|(_, c)| c);
            let Some(content) = keep.version(versions, Kind::Page) else { continue };
            let begin = (page * PAGE).min(data.len());
            let end = (begin + content.len()).min(data.len());
            if torn {
                if let Some(before) = before {
                    let end = (begin + before.len()).min(end);
                    data[begin..end].copy_from_slice(&before[..end - begin]);
                }
                let sectors = (end - begin).div_ceil(SECTOR);
                let end = (begin + keep.sectors(sectors) * SECTOR).min(end);
                data[begin..end].copy_from_slice(&content[..end - begin]);
            } else {
                data[begin..end].copy_from_slice(&content[..end - begin]);
            }
        }
        data
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Length,
}

/// Decides which pieces stay.
struct Keep {
    leaves: Leaves,
    random: Random,
    /// The last change that stays, for a prefix; the torn one, for a torn page.
    edge: u64,
}

impl Keep {
    fn new(leaves: Leaves, disk: &Platter) -> Option<Self> {
        let seed = match leaves {
            Leaves::Prefix(seed) | Leaves::Some(seed) | Leaves::Torn(seed) => seed,
            _ => 0,
        };
        let mut random = Random::new(seed);
        let pages = || disk.inodes.iter().flat_map(|i| i.pages.values().flatten()).map(|(at, _)| *at);
        let edge = match leaves {
            Leaves::Prefix(_) => {
                let lengths = disk.inodes.iter().flat_map(|i| &i.lengths).map(|(at, _)| *at);
                let mut all: Vec<u64> = pages().chain(lengths).chain(disk.pending.iter().map(|c| c.at)).collect();
                all.sort_unstable();
                all.dedup();
                if all.is_empty() { 0 } else { all[random.below(all.len())] }
            }
            Leaves::Torn(_) => pages().max()?,
            _ => 0,
        };
        Some(Self { leaves, random, edge })
    }

    fn piece(&mut self, at: u64) -> bool {
        match self.leaves {
            Leaves::Nothing => false,
            Leaves::Everything | Leaves::Torn(_) | Leaves::ZeroTail => true,
            Leaves::Prefix(_) => at <= self.edge,
            Leaves::Some(_) => self.random.coin(),
        }
    }

    /// One of the versions of a page or a length, oldest first; nothing for the durable one.
    fn version<T>(&mut self, mut versions: impl DoubleEndedIterator<Item = (u64, T)> + Clone, kind: Kind) -> Option<T> {
        match self.leaves {
            Leaves::Nothing => None,
            Leaves::ZeroTail if kind == Kind::Page => None,
            Leaves::Everything | Leaves::Torn(_) | Leaves::ZeroTail => versions.next_back().map(|(_, v)| v),
            Leaves::Prefix(_) => versions.rev().find(|(at, _)| *at <= self.edge).map(|(_, v)| v),
            Leaves::Some(_) => {
                let chosen = self.random.below(versions.clone().count() + 1).checked_sub(1)?;
                versions.map(|(_, v)| v).nth(chosen)
            }
        }
    }

    fn tears(&self, at: u64) -> bool {
        matches!(self.leaves, Leaves::Torn(_)) && at == self.edge
    }

    /// How many of so many sectors of a torn page are new: never all of them.
    fn sectors(&mut self, of: usize) -> usize {
        self.random.below(of.max(1))
    }
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
