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
    journal::{Entry, ORIGIN, SEGMENT_BYTES, Tail, encode, scan},
    paths,
};

mod guess;
mod known;
mod mend;
mod salvage;
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
        let numbers = segments(&dir)?;
        let Look { entries, after, closed, end, torn } = look(root, &numbers)?;
        let mut found = Recovered { entries, ..Recovered::default() };
        if let Some((segment, tail)) = torn {
            found.repairs.push(set_aside(root, &segment, end, &tail)?);
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
            None => (1, create(root, 1, options.segment_bytes)?, options.segment_bytes),
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
        self.file = create(&self.root, self.segment + 1, size)?;
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
    match look(root, &segments(&dir)?) {
        Ok(_) => Ok(false),
        Err(JournalError::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// What the segments hold.
struct Look {
    entries: Vec<Entry>,
    /// Number and hash of the last entry.
    after: Option<(u64, String)>,
    /// The last entry of each segment before the newest.
    closed: VecDeque<u64>,
    /// Where the trusted bytes of the newest segment end.
    end: usize,
    /// What follows them if it is no entry, and in which segment.
    torn: Option<(String, Vec<u8>)>,
}

fn look(root: &Path, numbers: &[u64]) -> Result<Look, JournalError> {
    let mut all = Look { entries: Vec::new(), after: None, closed: VecDeque::new(), end: 0, torn: None };
    for (position, number) in numbers.iter().enumerate() {
        let relative = paths::segment(*number);
        let path = root.join(&relative);
        let bytes = disk::read(&path).map_err(|e| fail("read", &path, e))?;
        let seen = scan(&bytes, all.after.as_ref().map(|(n, h)| (*n, h.as_str())));
        all.end = seen.end;
        match seen.tail {
            Tail::Clean => {}
            Tail::Damaged { n, offset } => return Err(JournalError::Damaged { path, n, offset }),
            // only the newest segment can have been under way when the machine stopped
            Tail::Torn { .. } if position + 1 < numbers.len() => {
                let n = seen.entries.last().map_or(all.after.as_ref().map_or(1, |(n, _)| n + 1), |e| e.n + 1);
                return Err(JournalError::Damaged { path, n, offset: seen.end });
            }
            Tail::Torn { bytes: torn } => all.torn = Some((relative, bytes[seen.end..seen.end + torn].to_vec())),
        }
        if let Some(last) = seen.entries.last() {
            all.after = Some((last.n, seen.last_hash.clone()));
        }
        all.entries.extend(seen.entries);
        if position + 1 < numbers.len() {
            all.closed.push_back(all.after.as_ref().map_or(0, |(n, _)| *n));
        }
    }
    Ok(all)
}

fn fail(doing: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { doing, path: path.to_owned(), source }
}

/// The numbers of the segments, oldest first.
fn segments(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let mut numbers = Vec::new();
    for entry in disk::list(dir).map_err(|e| fail("list", dir, e))? {
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".jsonl")).and_then(|n| n.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment of zeros, durable with its name before anything is written into it.
fn create(root: &Path, number: u64, size: usize) -> Result<DiskFile, JournalError> {
    let path = root.join(paths::segment(number));
    let make = || -> io::Result<DiskFile> {
        let file = DiskFile::create_new(&path, 0o666)?;
        // real zeros, not a hole: the first write into a hole would change metadata
        let zeros = vec![0; 1 << 16];
        let mut at = 0;
        while at < size {
            let len = zeros.len().min(size - at);
            file.write_at(&zeros[..len], at as u64)?;
            at += len;
        }
        file.sync_all()?;
        disk::sync_dir(&root.join(paths::JOURNAL))?;
        Ok(file)
    };
    make().map_err(|e| {
        // a half-made segment would only be in the way of the next try
        let _ = disk::unlink(&path);
        fail("make", &path, e)
    })
}

/// Copies a torn tail into the quarantine, then overwrites it with zeros.
fn set_aside(root: &Path, segment: &str, offset: usize, tail: &[u8]) -> Result<Repair, JournalError> {
    let name = segment.rsplit('/').next().unwrap_or(segment);
    let kept = format!("{}/{name}.{offset}.{}", paths::QUARANTINE, tail.len());
    let target = root.join(&kept);
    let path = root.join(segment);
    fsutil::write(&target, tail).map_err(|e| fail("set aside a torn tail of", &path, io::Error::other(e)))?;
    let clear = || -> io::Result<()> {
        let file = DiskFile::open(&path, false)?;
        file.write_at(&vec![0; tail.len()], offset as u64)?;
        file.sync_data()
    };
    clear().map_err(|e| fail("clear a torn tail of", &path, e))?;
    Ok(Repair { segment: segment.to_owned(), offset: offset as u64, bytes: tail.len() as u64, kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(n: usize) -> Vec<(String, String)> {
        (0..n)
            .map(|i| (format!("runs/{}.jsonl", i % 3), format!("{{\"n\":{i},\"text\":\"{}\"}}", "x".repeat(i % 50))))
            .collect()
    }

    fn append(journal: &mut Journal, lines: &[(String, String)]) {
        let lines: Vec<_> = lines.iter().map(|(to, line)| (to.as_str(), line.as_str())).collect();
        journal.append(&lines).expect("appended");
    }

    #[test]
    fn what_was_appended_is_found_again_also_over_several_segments() {
        let dir = tempfile::tempdir().unwrap();
        let all = lines(700);
        for part in all.chunks(333) {
            let (mut journal, _) = Journal::open(dir.path()).unwrap();
            append(&mut journal, part);
        }
        let big = vec![("runs/big.jsonl".to_owned(), "y".repeat(SEGMENT_BYTES))];
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        append(&mut journal, &big);
        append(&mut journal, &lines(2));
        let (_, found) = Journal::open(dir.path()).unwrap();
        assert_eq!(found.entries.len(), 703);
        assert_eq!(found.entries[699].line, all[699].1);
        assert!(found.repairs.is_empty());
        assert_eq!(segments(&dir.path().join(paths::JOURNAL)).unwrap().len(), 3);
    }

    #[test]
    fn what_a_stopped_kernel_left_is_written_synced_and_named_before_it_is_relied_upon() {
        use std::{cell::RefCell, rc::Rc};

        use crate::store::disk::{Observer, Op, Verdict, observe};

        #[derive(Default)]
        struct Seen(RefCell<Vec<String>>);
        impl Observer for Seen {
            fn before(&self, op: &Op<'_>) -> Verdict {
                let seen = match op {
                    Op::Write { bytes, .. } => format!("write {}", String::from_utf8_lossy(bytes)),
                    Op::SyncData { .. } => "sync".to_owned(),
                    Op::SyncDir { path } => format!("name {}", path.ends_with(paths::JOURNAL)),
                    _ => return Verdict::Go,
                };
                self.0.borrow_mut().push(seen);
                Verdict::Go
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        append(&mut journal, &lines(2));
        append(&mut journal, &lines(1));
        drop(journal);
        let seen = Rc::new(Seen::default());
        let _observing = observe(seen.clone());
        Journal::open(dir.path()).unwrap();
        let seen = seen.0.borrow();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen[0].starts_with("write {\"n\":3,"), "{seen:?}");
        assert_eq!(seen[1..], ["sync", "name true"]);
    }

    #[test]
    fn a_torn_tail_is_kept_reported_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        append(&mut journal, &lines(5));
        journal.file.write_at(b"{\"n\":6,\"p\":\"12", journal.offset as u64).unwrap();
        let (mut journal, found) = Journal::open(dir.path()).unwrap();
        assert_eq!((found.entries.len(), found.repairs.len()), (5, 1));
        assert_eq!(std::fs::read(dir.path().join(&found.repairs[0].kept)).unwrap(), b"{\"n\":6,\"p\":\"12");
        append(&mut journal, &lines(1));
        let (_, found) = Journal::open(dir.path()).unwrap();
        assert_eq!((found.entries.len(), found.repairs.len()), (6, 0));
    }

    #[test]
    fn damage_to_something_acknowledged_is_refused_and_nothing_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        append(&mut journal, &lines(5));
        append(&mut journal, &lines(1));
        let path = dir.path().join(paths::segment(1));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Damaged { n: 1, .. })));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_journal_that_is_never_done_forgets_its_old_segments() {
        let dir = tempfile::tempdir().unwrap();
        let options = JournalOptions { segment_bytes: 4096 };
        let (mut journal, _) = Journal::open_with(dir.path(), options).unwrap();
        for _ in 0..40 {
            append(&mut journal, &lines(5));
        }
        assert!(journal.segment > 5);
        journal.forget_before(1).unwrap();
        assert_eq!(journal.oldest, 1, "the first entry is still needed");
        journal.forget_before(100).unwrap();
        let kept = Journal::open_with(dir.path(), options).unwrap().1.entries;
        assert!((50..100).contains(&kept[0].n), "begins with {}", kept[0].n);
        assert_eq!(kept.last().unwrap().n, 200);
        // and once more by a kernel that found it so
        let (mut journal, _) = Journal::open_with(dir.path(), options).unwrap();
        journal.forget_before(1_000).unwrap();
        assert_eq!(journal.oldest, journal.segment, "the current one stays");
        append(&mut journal, &lines(1));
        assert_eq!(Journal::open_with(dir.path(), options).unwrap().1.entries.last().unwrap().n, 201);
    }

    #[test]
    fn forgetting_keeps_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.forget().unwrap();
        assert_eq!(journal.segment, 1, "a short journal is not worth it");
        append(&mut journal, &[("runs/a.jsonl".to_owned(), "z".repeat(SEGMENT_BYTES / 2))]);
        journal.forget().unwrap();
        append(&mut journal, &lines(3));
        let (journal, found) = Journal::open(dir.path()).unwrap();
        assert_eq!(found.entries.iter().map(|e| e.n).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!((journal.oldest, journal.segment), (2, 2));
    }
}
