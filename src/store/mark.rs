//! How far this machine has come with a store, kept outside of it: the high-water mark.
//!
//! A store that was restored from a backup or a snapshot looks like any other store; only somebody
//! else can tell that it is behind what it was. The mark is written after what it speaks of is
//! durable, so it is never ahead of an honest disk, and is never synced itself: an old or torn mark
//! after a power cut only notices less. It cannot notice a machine that was rolled back as a whole,
//! with its home.

use std::path::Path;

use cairn_store_layout::{Digest, MachineId};

use super::{
    disk::DiskFile,
    fsutil::{self, At as _, FsResult},
    git::CommitHash,
};

/// How far a machine has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The machine.
    pub machine: MachineId,
    /// The last entry of the journal that was durable.
    pub journal: u64,
    /// The last entry of the journal that is in a commit with everything before it.
    pub kept: u64,
    /// The newest commit.
    pub commit: Option<CommitHash>,
}

impl Mark {
    /// One line of a fixed length, so that it can be overwritten in place.
    fn text(&self) -> String {
        let commit = self.commit.map_or_else(|| NO_COMMIT.to_owned(), |c| c.to_string());
        let body = format!("{} {:020} {:020} {commit}", self.machine, self.journal, self.kept);
        format!("{body} {}\n", Digest::of(body.as_bytes()).short())
    }

    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [machine, journal, kept, commit, _] = parts[..] else { return None };
        let mark = Self {
            machine: MachineId::new(machine).ok()?,
            journal: journal.parse().ok()?,
            kept: kept.parse().ok()?,
            commit: if commit == NO_COMMIT { None } else { Some(commit.parse().ok()?) },
        };
        (mark.text() == text).then_some(mark)
    }
}

const NO_COMMIT: &str = "----------------------------------------";

/// What a store has of a mark that was made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All of it, as far as the mark can tell.
    Whole,
    /// Less: so many journal entries were durable once and are in neither journal nor commit, or, with
    /// 0, only the commit is gone.
    Behind {
        /// Journal entries that are missing.
        entries: u64,
    },
}

/// Compares a mark with what a store holds: the last entry of its journal, and whether the commit of
/// the mark is in its repository.
#[must_use]
pub fn judge(mark: &Mark, journal: u64, has_commit: bool) -> Standing {
    // a journal that is gone with nothing in it that no commit has is no loss
    let needed = if has_commit && mark.kept >= mark.journal { 0 } else { mark.journal };
    match needed.saturating_sub(journal) {
        0 if has_commit || mark.commit.is_none() => Standing::Whole,
        entries => Standing::Behind { entries },
    }
}

/// The open file of a mark.
#[derive(Debug)]
pub struct MarkFile {
    file: DiskFile,
    last: Option<Mark>,
}

impl MarkFile {
    /// Opens the file and reads the mark in it; `None` when there is none that can be read.
    ///
    /// # Errors
    /// When the file can not be opened.
    pub fn open(path: &Path) -> FsResult<(Self, Option<Mark>)> {
        if let Some(dir) = path.parent() {
            fsutil::create_dirs(dir)?;
        }
        let file = DiskFile::open(path, true).at("open", path)?;
        let text = fsutil::read(path)?.unwrap_or_default();
        let mark = std::str::from_utf8(&text).ok().and_then(Mark::read);
        Ok((Self { file, last: None }, mark))
    }

    /// Notes how far the machine has come. A mark that can not be written notices less later, which
    /// is no reason to stop.
    pub fn set(&mut self, mark: Mark) {
        if self.last.as_ref() == Some(&mark) {
            return;
        }
        if let Err(error) = self.file.write_at(mark.text().as_bytes(), 0) {
            tracing::warn!(%error, "the high-water mark of this store could not be written");
        }
        self.last = Some(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(journal: u64, kept: u64) -> Mark {
        let commit = "1234567890123456789012345678901234567890".parse().ok();
        Mark { machine: MachineId::new("mabcdefghi").unwrap(), journal, kept, commit }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_torn_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.mark");
        let (mut file, none) = MarkFile::open(&path).unwrap();
        assert_eq!(none, None);
        for mark in [Mark { commit: None, ..mark(7, 0) }, mark(1_000, 999), mark(8, 8)] {
            file.set(mark.clone());
            assert_eq!(MarkFile::open(&path).unwrap().1, Some(mark));
        }
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 2;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(MarkFile::open(&path).unwrap().1, None, "byte {at}");
        }
        std::fs::write(&path, vec![0; good.len()]).unwrap();
        assert_eq!(MarkFile::open(&path).unwrap().1, None);
    }

    #[test]
    fn only_what_is_in_no_commit_is_missed() {
        assert_eq!(judge(&mark(10, 4), 10, true), Standing::Whole);
        assert_eq!(judge(&mark(10, 4), 12, true), Standing::Whole, "the mark is older than the store");
        assert_eq!(judge(&mark(10, 4), 7, true), Standing::Behind { entries: 3 });
        assert_eq!(judge(&mark(10, 10), 0, true), Standing::Whole, "all of it is in the commit");
        assert_eq!(judge(&mark(10, 10), 6, false), Standing::Behind { entries: 4 });
        assert_eq!(judge(&mark(10, 10), 10, false), Standing::Behind { entries: 0 });
    }
}
