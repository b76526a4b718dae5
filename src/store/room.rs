//! How much is left: space on the disk, file handles of this process; and the ballast that is kept for
//! the moment when nothing is.
//!
//! Below a mark nothing new is begun, so that what is under way can still be recorded. The marks scale
//! with what there is: a small disk works too.

use std::{
    io,
    path::{Path, PathBuf},
};

use cairn_store_layout::{journal::SEGMENT_BYTES, paths};

use super::disk::{self, DiskFile};

/// Nothing new is begun with less space than this, or a tenth of the disk if that is less.
const SPACE_LOW_MAX: u64 = 512 << 20;
/// The least that is worth anything: a segment of the journal, and as much again for the rest.
const SPACE_LOW_MIN: u64 = 2 * SEGMENT_BYTES as u64;
/// Nothing new is begun with fewer handles than this, or a quarter of the limit if that is less.
const HANDLES_LOW_MAX: u64 = 64;
/// The largest ballast; a small disk has an eighth of its free space in it.
const BALLAST_MAX: u64 = 64 << 20;
/// Sets the mark for space, in bytes; for machines where the usual one does not fit, and for tests.
const SPACE_LOW_ENV: &str = "CAIRN_SPACE_LOW";

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// Space on the disk, with what is free and what should be, in bytes.
    Space {
        /// Free.
        free: u64,
        /// The mark.
        low: u64,
    },
    /// File handles, with what is left and what should be.
    Handles {
        /// Left.
        left: u64,
        /// The mark.
        low: u64,
    },
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Space { free, low } => {
                write!(f, "the disk is nearly full: {} KiB free, {} KiB are needed", free >> 10, low >> 10)
            }
            Self::Handles { left, low } => {
                write!(f, "file handles run out: {left} left of this process's limit, {low} are needed")
            }
        }
    }
}

/// What is short for the store at `root`, if anything. `was`: it was short before; a quarter more must be
/// there then, or it would come and go.
#[must_use]
pub fn short(root: &Path, was: bool) -> Option<Short> {
    let enough = |low: u64| if was { low + low / 4 } else { low };
    // what can not be asked is not short: the write itself will tell
    if let Ok(stat) = rustix::fs::statvfs(root) {
        let (free, all) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
        let given = std::env::var(SPACE_LOW_ENV).ok().and_then(|text| text.parse().ok());
        let low = given.unwrap_or_else(|| space_low(all));
        if free < enough(low) {
            return Some(Short::Space { free, low });
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    let (left, low) = (limit.saturating_sub(open), HANDLES_LOW_MAX.min(limit / 4));
    (left < enough(low)).then_some(Short::Handles { left, low })
}

fn space_low(all: u64) -> u64 {
    // never more than half of a very small disk
    (all / 10).clamp(SPACE_LOW_MIN, SPACE_LOW_MAX).min(all / 2)
}

/// A file that holds space, to be given up for what must be recorded.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// The ballast of the store at `root`, whether it is there or not.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { path: root.join(paths::BALLAST) }
    }

    /// Takes up the space, if there is enough of it; `true` when the ballast is there. It is only a reserve,
    /// so that what the system refuses is no failure.
    pub fn fill(&self, root: &Path) -> bool {
        if self.path.exists() {
            return true;
        }
        let Ok(stat) = rustix::fs::statvfs(root) else { return false };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let size = BALLAST_MAX.min(free / 8);
        if size < SPACE_LOW_MIN / 2 {
            return false;
        }
        let made = DiskFile::create_new(&self.path, 0o600).and_then(|file| {
            // real blocks, where the file system knows the difference
            Ok(rustix::fs::fallocate(file.file(), rustix::fs::FallocateFlags::empty(), 0, size)?)
        });
        if made.is_err() {
            let _ = disk::unlink(&self.path);
        }
        made.is_ok()
    }

    /// Gives up the space; `true` when there was any.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn free(&self) -> io::Result<bool> {
        match disk::unlink(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_fits_the_disk() {
        assert_eq!(space_low(1 << 40), 512 << 20);
        assert_eq!(space_low(2 << 30), (2 << 30) / 10);
        assert_eq!(space_low(32 << 20), 8 << 20);
        assert_eq!(space_low(12 << 20), 6 << 20);
    }

    #[test]
    fn a_ballast_holds_space_until_it_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".cairn")).unwrap();
        let ballast = Ballast::of(dir.path());
        assert!(!ballast.free().unwrap());
        assert!(ballast.fill(dir.path()) && ballast.fill(dir.path()));
        use std::os::unix::fs::MetadataExt as _;
        let blocks = std::fs::metadata(dir.path().join(paths::BALLAST)).unwrap().blocks() * 512;
        assert!(blocks >= SPACE_LOW_MIN / 2, "{blocks}");
        assert!(ballast.free().unwrap());
        assert!(!dir.path().join(paths::BALLAST).exists());
    }
}
