//! The journal on disk: segments written ahead of everything else, synced once for a group.
//!
//! A segment is a file of zeros of a fixed size; entries are written into it one after the other,
//! so that syncing one writes no metadata (`docs/benchmarks.md`). After a failed write or sync the
//! journal is poisoned: nothing more is acknowledged by this process, and no sync is ever retried.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
};

use cairn_store_layout::{
    journal::{Entry, ORIGIN, SEGMENT_BYTES, encode},
    paths,
};

mod carry;
mod guess;
mod known;
mod mend;
mod salvage;
mod segments;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_mend;

use super::{
    disk::{self, DiskFile},
    fsutil,
    git::CommitHash,
};

pub use known::Known;
pub use mend::{Mended, Stretch, mend, named, restorable, stretches};
pub use salvage::{Loss, salvage};

/// Where notes of the journal itself go.
const NOTE_TO: &str = "journal:";
/// Carries the chain on when the segments before it are forgotten.
const CONTINUED: &str = "{\"kind\":\"journal.continued\"}";

/// The note that a commit was made. Written with the next entries, so that it costs no sync of its own.
fn committed(commit: &CommitHash) -> String {
    format!("{{\"kind\":\"journal.committed\",\"commit\":\"{commit}\"}}")
}

/// The most entries of one write.
pub const GROUP_MAX: usize = 256;

/// Why the journal can not go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("{} the journal segment {}: {source}", .doing, .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The segment.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// An entry that was acknowledged is damaged.
    #[error("entry {n} of the journal is damaged: {} at offset {offset}", .path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The sequence number.
        n: u64,
        /// Where in the segment.
        offset: usize,
    },
    /// A write failed before; the disk has to be read again.
    #[error("the journal stopped after a failed write")]
    Poisoned,
}

/// Bytes that were never acknowledged, set aside at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The segment, from the store's root.
    pub segment: String,
    /// Where the bytes began.
    pub offset: u64,
    /// How many there were.
    pub bytes: u64,
    /// Where they lie now, from the store's root.
    pub kept: String,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Every entry that is still kept, in order.
    pub entries: Vec<Entry>,
    /// Torn tails.
    pub repairs: Vec<Repair>,
    /// Damage that was undone.
    pub mended: Vec<Mended>,
}

impl Recovered {
    /// The newest commit that the journal knows of.
    #[must_use]
    pub fn commit(&self) -> Option<CommitHash> {
        let notes = self.entries.iter().rev().filter(|entry| entry.to == NOTE_TO);
        let read = |line: &str| {
            let note: serde_json::Value = serde_json::from_str(line).ok()?;
            note.get("commit")?.as_str()?.parse().ok()
        };
        notes.into_iter().find_map(|entry| read(&entry.line))
    }
}

/// How a journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// How large a new segment is, in bytes, unless one write needs more.
    pub segment_bytes: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES }
    }
}

/// The journal of one machine, owned by the kernel that holds the lock.
#[derive(Debug)]
pub struct Journal {
    root: PathBuf,
    options: JournalOptions,
    segment: u64,
    oldest: u64,
    file: DiskFile,
    offset: usize,
    size: usize,
    next: u64,
    last_hash: String,
    durable: u64,
    /// The last entry of each segment before the current one, oldest first.
    closed: VecDeque<u64>,
    poisoned: bool,
    noted: Option<String>,
    /// Up to this entry it was looked whether entries can be carried on.
    carried: u64,
}

impl Journal {
    /// Opens the journal of the store at `root`, repairing a torn tail.
    ///
    /// # Errors
    /// When the disk refuses, or something that was acknowledged is damaged: nothing is changed then.
    pub fn open(root: &Path) -> Result<(Self, Recovered), JournalError> {
        Self::open_with(root, JournalOptions::default())
    }

    /// Like [`Journal::open`], with segments of another size from now on.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(root: &Path, options: JournalOptions) -> Result<(Self, Recovered), JournalError> {
        salvage::finish(root)?;
        let dir = root.join(paths::JOURNAL);
        // with its name: a journal that a power cut takes away whole was never durable
        fsutil::create_dirs(&dir).map_err(|e| fail("make the folder of", &dir, e.source))?;
        let numbers = segments::numbers(&dir)?;
        let segments::Look { entries, after, closed, end, torn } = segments::look(root, &numbers)?;
        let mut found = Recovered { entries, ..Recovered::default() };
        if let Some((segment, tail)) = torn {
            found.repairs.push(segments::set_aside(root, &segment, end, &tail)?);
        }
        let (last, last_hash) = after.unwrap_or((0, ORIGIN.to_owned()));
        let oldest = numbers.first().copied().unwrap_or(1);
        let (segment, file, size) = match numbers.last() {
            Some(number) => {
                let path = root.join(paths::segment(*number));
                let file = DiskFile::open(&path, false).map_err(|e| fail("open", &path, e))?;
                // a kernel that was killed between its write and its sync left entries that are read here but
                // are not on the disk yet; from now on they are relied upon. Written again, because after a sync
                // that failed the system takes them for clean, and no other sync would reach the disk
                let known = found.entries.last().map_or(0, |last| last.syn);
                let newest: String =
                    found.entries.iter().filter(|e| e.n > known).map(|entry| entry.encode().0).collect();
                let again = || {
                    let begin = end.saturating_sub(newest.len());
                    file.write_at(&newest.as_bytes()[..end - begin], begin as u64)?;
                    file.sync_data()
                };
                cairn_kernel::seeded!(TailNotSynced: Ok(()), else again()).map_err(|e| fail("sync", &path, e))?;
                // and one that was killed while it made the segment left a name that is not on the disk either
                disk::sync_dir(&dir).map_err(|e| fail("sync", &dir, e))?;
                let size = file.file().metadata().map_err(|e| fail("open", &path, e))?.len();
                (*number, file, usize::try_from(size).unwrap_or(0))
            }
            None => (1, segments::create(root, 1, options.segment_bytes)?, options.segment_bytes),
        };
        let journal = Self {
            root: root.to_owned(),
            options,
            segment,
            oldest,
            file,
            offset: end,
            size,
            next: last + 1,
            last_hash,
            durable: last,
            closed,
            poisoned: false,
            noted: None,
            carried: 0,
        };
        Ok((journal, found))
    }

    /// Like [`Journal::open_with`], but undoes damage where that can be proven (see [`mend`]). `gather` is
    /// asked for the lines to try, given the files that the journal still names.
    ///
    /// # Errors
    /// As [`Journal::open`]; [`JournalError::Damaged`] names the first entry that can not be restored.
    pub fn open_mending(
        root: &Path,
        options: JournalOptions,
        gather: impl FnOnce(&BTreeSet<String>) -> Known,
    ) -> Result<(Self, Recovered), JournalError> {
        match Self::open_with(root, options) {
            Err(JournalError::Damaged { .. }) => {
                let mended = mend(root, &gather(&named(root)?))?;
                let (journal, found) = Self::open_with(root, options)?;
                Ok((journal, Recovered { mended, ..found }))
            }
            opened => opened,
        }
    }

    /// Appends lines, each for the file `to`, and returns once all of them are durable.
    ///
    /// # Errors
    /// When the disk refuses; nothing may be acknowledged any more by this process then.
    pub fn append(&mut self, lines: &[(&str, &str)]) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        let note = self.noted.take();
        let lines: Vec<(&str, &str)> =
            note.iter().map(|n| (NOTE_TO, n.as_str())).chain(lines.iter().copied()).collect();
        for group in lines.chunks(GROUP_MAX) {
            if let Err(error) = self.append_group(group) {
                self.poisoned = true;
                return Err(error);
            }
        }
        Ok(())
    }

    fn append_group(&mut self, lines: &[(&str, &str)]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        let (mut next, mut last_hash) = (self.next, self.last_hash.clone());
        for (to, line) in lines {
            last_hash = encode(&mut bytes, (next, &last_hash), self.durable, to, line);
            next += 1;
        }
        if self.offset + bytes.len() > self.size {
            self.rotate(bytes.len())?;
        }
        let path = self.path();
        self.file.write_at(&bytes, self.offset as u64).map_err(|e| fail("write to", &path, e))?;
        let sync = || self.file.sync_data();
        cairn_kernel::seeded!(SyncRetried: sync().or_else(|_| sync()), else sync())
            .map_err(|e| fail("sync", &path, e))?;
        self.offset += bytes.len();
        self.next = next;
        self.last_hash = last_hash;
        self.durable = next - 1;
        Ok(())
    }

    /// Begins a new segment with room for `bytes`.
    fn rotate(&mut self, bytes: usize) -> Result<(), JournalError> {
        let size = self.options.segment_bytes.max(bytes);
        self.file = segments::create(&self.root, self.segment + 1, size)?;
        self.closed.push_back(self.durable);
        self.segment += 1;
        self.offset = 0;
        self.size = size;
        Ok(())
    }

    /// Remembers that a commit was made: the next entries are written with a note of it.
    pub fn note_commit(&mut self, commit: &CommitHash) {
        self.noted = Some(committed(commit));
    }

    /// The number of the last durable entry; 0 when there never was one.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.durable
    }

    /// Forgets every entry so far, when enough has gathered to be worth it: `true` then. The caller has
    /// made sure that all of them are in commits, and this syncs the file system before anything is removed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget(&mut self) -> Result<bool, JournalError> {
        if self.segment == self.oldest && self.offset < self.options.segment_bytes / 2 {
            return Ok(false);
        }
        disk::sync_fs(&self.root).map_err(|e| fail("sync", &self.root, e))?;
        if self.offset > 0 {
            self.rotate(0)?;
            // the chain must not be lost with the segments: the first entry of the new one carries it on
            let noted = self.noted.clone();
            let noted = noted.as_ref().map(|note| (NOTE_TO, note.as_str()));
            self.append_group(&Vec::from_iter([(NOTE_TO, CONTINUED)].into_iter().chain(noted)))?;
        }
        self.drop_segments(self.closed.len())?;
        Ok(true)
    }

    /// Forgets the segments that end before entry `first`, of a journal that is never done as a whole
    /// because something is always under way: `true` when there were any. The caller has made sure that everything before `first`
    /// is in commits, and this syncs the file system before anything is removed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget_before(&mut self, first: u64) -> Result<bool, JournalError> {
        let over = self.closed.iter().take_while(|last| **last < first).count();
        if over == 0 {
            return Ok(false);
        }
        disk::sync_fs(&self.root).map_err(|e| fail("sync", &self.root, e))?;
        self.drop_segments(over)?;
        Ok(true)
    }

    fn drop_segments(&mut self, count: usize) -> Result<(), JournalError> {
        for _ in 0..count {
            let path = self.root.join(paths::segment(self.oldest));
            // durably one by one: an old segment that came back without the next would look like damage
            fsutil::remove(&path).map_err(|e| fail("remove", &path, e.source))?;
            self.oldest += 1;
            self.closed.pop_front();
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.root.join(paths::segment(self.segment))
    }
}

/// Tells whether something that was acknowledged is damaged. Changes nothing.
///
/// # Errors
/// When the disk refuses.
pub fn is_damaged(root: &Path) -> Result<bool, JournalError> {
    let dir = root.join(paths::JOURNAL);
    if !dir.is_dir() {
        return Ok(false);
    }
    match segments::look(root, &segments::numbers(&dir)?) {
        Ok(_) => Ok(false),
        Err(JournalError::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

fn fail(doing: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { doing, path: path.to_owned(), source }
}
