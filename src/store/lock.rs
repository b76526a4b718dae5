//! One kernel a store: an advisory lock that the system releases when its holder dies.
//!
//! The lock is `flock` on `.cairn/kernel.lock`, never the presence of the file and never the process
//! id in it, which is written for messages only. Network file systems are refused, because their
//! locks and syncs promise less than they say.

use std::{
    fs::{File, TryLockError},
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_store_layout::{paths, view::KernelHealth};

use super::{
    disk::{self, DiskFile},
    error::{Result, StoreError},
    fsutil::{self, At as _},
};

/// A probe holds a shared lock for microseconds; a kernel that starts in that moment waits it out.
const PROBE_GRACE: [Duration; 20] = [Duration::from_millis(2); 20];

/// Begins the line that says why nothing new is begun.
const PAUSED: &str = "paused ";

/// The line of a holder that left nothing unfinished. Whoever was killed did not come to write it; after a
/// power cut it may be an old one, but then all that can be read is on the disk anyway.
const STOPPED: &str = "stopped";

/// The right to be the kernel of a store, until dropped.
#[derive(Debug)]
pub struct KernelLock {
    root: PathBuf,
    // closing the file releases the lock
    file: DiskFile,
    /// The holder before did not come to its end: what it wrote can be read and may not be on the disk.
    after_kill: bool,
}

impl KernelLock {
    /// Takes the lock of the store at `root`; `None` when a kernel runs.
    ///
    /// # Errors
    /// When the store lies on a network file system or the lock file can not be used.
    pub fn try_take(root: &Path) -> Result<Option<Self>> {
        let root = root.canonicalize().at("resolve", root)?;
        if let Some(kind) = network_disk(&root)? {
            return Err(StoreError::NetworkDisk { root, kind });
        }
        let path = root.join(paths::LOCK);
        fsutil::create_dirs(&root.join(paths::LOCAL))?;
        // not truncated on opening: the holder's process id must stay readable
        let file = DiskFile::open(&path, true).at("open", &path)?;
        let mut waits = PROBE_GRACE.iter();
        loop {
            match cairn_kernel::seeded!(LockSkipped: Ok(()), else file.file().try_lock()) {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => match waits.next() {
                    Some(wait) => disk::pause(*wait),
                    None => return Ok(None),
                },
                Err(TryLockError::Error(e)) => return Err(e).at("lock", &path)?,
            }
        }
        let before = text(&root).unwrap_or_default();
        let after_kill = !before.is_empty() && !before.lines().any(|line| line == STOPPED);
        let lock = Self { root, file, after_kill };
        lock.note(None)?;
        Ok(Some(lock))
    }

    /// Like [`KernelLock::try_take`], with the holder as the error.
    ///
    /// # Errors
    /// [`StoreError::Held`] when a kernel runs, and those of [`KernelLock::try_take`].
    pub fn take(root: &Path) -> Result<Self> {
        match Self::try_take(root)? {
            Some(lock) => Ok(lock),
            None => Err(StoreError::Held { root: root.to_owned(), pid: pid(root) }),
        }
    }

    /// Tells whether the holder before was killed, or ended with an error.
    #[must_use]
    pub fn is_after_kill(&self) -> bool {
        self.after_kill
    }

    /// Writes into the lock file that nothing is left unfinished.
    ///
    /// # Errors
    /// When the file can not be written.
    pub fn note_stopped(&self) -> Result<()> {
        self.write(&format!("{STOPPED}\n"))
    }

    /// Writes into the lock file who holds it and, with `paused`, why nothing new is begun.
    ///
    /// # Errors
    /// When the file can not be written.
    pub fn note(&self, paused: Option<&str>) -> Result<()> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut text = format!("pid {}\nboot {}\n", std::process::id(), boot.trim());
        if let Some(why) = paused {
            text.push_str(&format!("{PAUSED}{}\n", why.replace('\n', " ")));
        }
        self.write(&text)
    }

    fn write(&self, text: &str) -> Result<()> {
        let path = self.file.path();
        self.file.set_len(0).at("write", path)?;
        Ok(self.file.write_at(text.as_bytes(), 0).at("write", path)?)
    }

    /// The store it belongs to, canonical.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Tells whether a kernel runs on the store at `root`. Takes nothing and waits for nobody.
///
/// # Errors
/// When the lock file can not be used.
pub fn probe(root: &Path) -> Result<KernelHealth> {
    let path = root.join(paths::LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(KernelHealth::Down),
        Err(e) => return Err(e).at("open", &path)?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(KernelHealth::Down),
        Err(TryLockError::WouldBlock) => Ok(KernelHealth::Running { pid: pid(root) }),
        Err(TryLockError::Error(e)) => Err(e).at("lock", &path)?,
    }
}

/// Why the kernel of the store at `root` begins nothing new, if one runs and does not.
#[must_use]
pub fn paused(root: &Path) -> Option<String> {
    let Ok(KernelHealth::Running { .. }) = probe(root) else { return None };
    text(root)?.lines().find_map(|line| Some(line.strip_prefix(PAUSED)?.to_owned()))
}

/// The kind of network file system that `path` lies on, if it does.
///
/// # Errors
/// When the file system can not be asked.
pub fn network_disk(path: &Path) -> Result<Option<&'static str>> {
    let kind = rustix::fs::statfs(path).at("ask the file system of", path)?.f_type;
    // the magic numbers of linux/magic.h; the type of the field differs between architectures
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "all magic numbers have 32 bits")]
    let kind = kind as u32;
    Ok(match kind {
        0x0000_6969 => Some("NFS"),
        0x0000_517b | 0xfe53_4d42 => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0000_564c => Some("NCP"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    })
}

fn pid(root: &Path) -> Option<u32> {
    text(root)?.lines().find_map(|l| l.strip_prefix("pid ")?.parse().ok())
}

fn text(root: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(root.join(paths::LOCK)).ok()?.take(1024).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_lock_and_the_others_see_who() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(probe(root).unwrap(), KernelHealth::Down);
        let lock = KernelLock::take(root).unwrap();
        let me = Some(std::process::id());
        assert_eq!(probe(root).unwrap(), KernelHealth::Running { pid: me });
        assert!(KernelLock::try_take(root).unwrap().is_none());
        assert!(matches!(KernelLock::take(root), Err(StoreError::Held { pid, .. }) if pid == me));
        assert_eq!(paused(root), None);
        lock.note(Some("the disk is full")).unwrap();
        assert_eq!(paused(root).as_deref(), Some("the disk is full"));
        assert_eq!(probe(root).unwrap(), KernelHealth::Running { pid: me });
        drop(lock);
        assert_eq!(paused(root), None, "nobody is there to pause");
        assert_eq!(probe(root).unwrap(), KernelHealth::Down, "the file stays, the lock does not");
        assert!(KernelLock::try_take(root).unwrap().is_some());
    }

    #[test]
    fn whether_the_holder_before_came_to_its_end_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let first = KernelLock::take(root).unwrap();
        assert!(!first.is_after_kill(), "there was none before");
        first.note_stopped().unwrap();
        drop(first);
        let second = KernelLock::take(root).unwrap();
        assert!(!second.is_after_kill());
        drop(second);
        assert!(KernelLock::take(root).unwrap().is_after_kill(), "the second one never said that it was done");
    }

    #[test]
    fn probing_does_not_keep_a_kernel_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        drop(KernelLock::take(root).unwrap());
        std::thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..500 {
                    probe(root).unwrap();
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            for _ in 0..50 {
                drop(KernelLock::take(root).unwrap());
            }
        });
    }
}
