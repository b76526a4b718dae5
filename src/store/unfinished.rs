//! Which runs had not ended, so that a start need not look at the end of every history.
//!
//! A derived file, `.cairn/views/unfinished.json`: as of a commit, with the whole file system synced
//! just before, these histories did not end. What changed since is in the journal, or differs between
//! that commit and the newest. Missing, unreadable or from before a journal that was taken away: no
//! answer, and the caller looks at every history.

use std::{collections::BTreeSet, path::Path};

use cairn_store_layout::{RunId, paths};
use serde::{Deserialize, Serialize};

use super::{
    fsutil::{self, FsResult},
    git::CommitHash,
};

/// Changes whenever the meaning does.
const VERSION: u32 = 1;

/// What is known of the runs as of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    version: u32,
    /// The commit.
    commit: String,
    /// The last entry of the journal at that time.
    journal: u64,
    /// Runs whose histories did not end, of any machine.
    pub runs: BTreeSet<RunId>,
}

impl Unfinished {
    /// What is known of `runs` as of `commit` and entry `journal`.
    #[must_use]
    pub fn new(commit: CommitHash, journal: u64, runs: BTreeSet<RunId>) -> Self {
        Self { version: VERSION, commit: commit.to_string(), journal, runs }
    }

    /// What was kept, if it can be relied upon with a journal that ends at entry `journal`.
    #[must_use]
    pub fn read(root: &Path, journal: u64) -> Option<(Self, CommitHash)> {
        let bytes = fsutil::read(&file(root)).ok().flatten()?;
        let kept: Self = serde_json::from_slice(&bytes).ok()?;
        // a journal that ends earlier is another one: what it does not hold may be in a history alone
        let sound = kept.version == VERSION && kept.journal <= journal;
        let commit = kept.commit.parse().ok()?;
        sound.then_some((kept, commit))
    }

    /// Keeps it. The caller has synced the file system since the commit: no history that is left out may
    /// be torn by a power cut.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, root: &Path) -> FsResult<()> {
        let bytes = serde_json::to_vec(self).expect("it holds only text and numbers");
        fsutil::write_derived(&file(root), &bytes)
    }
}

/// Has the next start look at every history.
///
/// # Errors
/// When the system refuses.
pub fn forget(root: &Path) -> FsResult<bool> {
    fsutil::remove(&file(root))
}

fn file(root: &Path) -> std::path::PathBuf {
    root.join(paths::VIEWS).join("unfinished.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_relied_upon_only_with_the_journal_it_was_written_beside() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Unfinished::read(dir.path(), 9), None);
        let commit: CommitHash = "643ed88217bc78a83f18e162429c64969e4efc4a".parse().unwrap();
        let run = RunId::new("01kaxw00000000000000000000").unwrap();
        let kept = Unfinished::new(commit, 7, BTreeSet::from([run]));
        kept.write(dir.path()).unwrap();
        assert_eq!(Unfinished::read(dir.path(), 7), Some((kept.clone(), commit)));
        assert_eq!(Unfinished::read(dir.path(), 12), Some((kept, commit)));
        assert_eq!(Unfinished::read(dir.path(), 6), None, "entries are gone");
        assert!(forget(dir.path()).unwrap());
        assert_eq!(Unfinished::read(dir.path(), 7), None);
        std::fs::write(file(dir.path()), "{").unwrap();
        assert_eq!(Unfinished::read(dir.path(), 7), None);
    }
}
