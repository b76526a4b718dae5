//! Moves the branch: locks, the reflog, the ref, in the order that a power cut and git itself need.
//!
//! Written here rather than left to the library, which syncs nothing. The locks are git's own
//! (`<file>.lock`), so the `git` program and we wait for each other; whoever holds one may be trusted
//! to let go, so a lock is waited for and never broken here.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use gix::refs::FullName;

use super::{CommitHash, GitError, Identity, Repo, Result, error::During as _, refs::with_lock};
use crate::store::disk::{self, DiskFile};

/// How long to wait for a lock that another git command holds. Packing refs or expiring reflogs
/// takes it for milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A move of the branch.
pub(super) struct Move<'a> {
    pub(super) old: Option<CommitHash>,
    pub(super) new: CommitHash,
    pub(super) who: &'a Identity,
    pub(super) at: jiff::Timestamp,
    /// One line for the reflog.
    pub(super) why: &'a str,
}

impl Repo {
    /// Moves the branch, durably, with an entry in the reflogs of the branch and of HEAD.
    ///
    /// # Errors
    /// [`GitError::HeadMoved`] when the branch is no longer at `old`, [`GitError::Locked`] when a
    /// lock stays held; the branch is where it was then. When the system refuses, it may be at either.
    pub(super) fn advance(&self, repo: &gix::Repository, step: &Move<'_>) -> Result<()> {
        let branch = self.branch()?;
        let name = branch.as_bstr().to_string();
        let file = self.git_dir.join(&name);
        let folder = file.parent().unwrap_or(&self.git_dir).to_owned();
        // HEAD too: nobody may switch to another branch between the look at it and its reflog
        let _head = RefLock::acquire(&self.git_dir.join("HEAD"))?;
        self.make_folders(&folder)?;
        let lock = RefLock::acquire(&file)?;
        self.must_be_at(repo, &branch, step.old)?;
        self.write_ref(lock, &name, &folder, step)
    }

    fn write_ref(&self, lock: RefLock, name: &str, folder: &Path, step: &Move<'_>) -> Result<()> {
        let text = format!("{}\n", step.new);
        lock.file.write_at(text.as_bytes(), 0).during("write", lock.file.path())?;
        // the name must not become visible before the content it is renamed with is on disk
        lock.file.sync_all().during("sync", lock.file.path())?;
        self.log_move(name, step)?;
        self.log_move("HEAD", step)?;
        lock.publish(&self.git_dir.join(name))?;
        disk::sync_dir(folder).during("sync", folder)
    }

    /// Gives a damaged branch its commit again, durably, whatever it names now.
    ///
    /// # Errors
    /// [`GitError::Locked`] when a lock stays held, and when the system refuses.
    pub(super) fn put_back(&self, branch: &FullName, step: &Move<'_>) -> Result<()> {
        let name = branch.as_bstr().to_string();
        let file = self.git_dir.join(&name);
        let folder = file.parent().unwrap_or(&self.git_dir).to_owned();
        let _head = RefLock::acquire(&self.git_dir.join("HEAD"))?;
        self.make_folders(&folder)?;
        self.write_ref(RefLock::acquire(&file)?, &name, &folder, step)
    }

    /// Under the lock nobody moves it any more.
    fn must_be_at(&self, repo: &gix::Repository, branch: &FullName, old: Option<CommitHash>) -> Result<()> {
        if self.branch_target(repo, branch)? == old.map(|old| old.0) {
            return Ok(());
        }
        Err(GitError::HeadMoved { git_dir: self.git_dir.clone() })
    }

    /// Appends to a reflog. Unsynced: it helps people and repairs, nothing is read from it that counts.
    fn log_move(&self, name: &str, step: &Move<'_>) -> Result<()> {
        let path = self.git_dir.join("logs").join(name);
        self.make_folders(path.parent().unwrap_or(&self.git_dir))?;
        let before = step.old.map_or_else(|| gix::ObjectId::null(gix::hash::Kind::Sha1), |old| old.0);
        let who = step.who.signature(step.at);
        let line =
            format!("{before} {} {} <{}> {} +0000\t{}\n", step.new, who.name, who.email, who.time.seconds, step.why);
        let file = DiskFile::open_append(&path, true).during("open", &path)?;
        // what a power cut left of an earlier line must not swallow this one
        let torn = ends_open(file.file()).during("read", &path)?;
        let text = if torn { format!("\n{line}") } else { line };
        file.append(text.as_bytes()).during("write", &path)
    }

    /// Makes the folders of a ref or a reflog, such as `refs/heads/machines`, durably.
    fn make_folders(&self, dir: &Path) -> Result<()> {
        crate::store::fsutil::create_dirs(dir).map_err(|e| GitError::Io {
            doing: e.doing,
            path: e.path,
            source: e.source,
        })
    }
}

/// `<file>.lock`, as git has it: whoever made the file may write `<file>`. Let go when dropped.
struct RefLock {
    file: DiskFile,
    published: bool,
}

impl RefLock {
    fn acquire(file: &Path) -> Result<Self> {
        let lock = with_lock(file);
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
        loop {
            match DiskFile::create_new(&lock, 0o666) {
                Ok(file) => return Ok(Self { file, published: false }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).during("lock", &lock),
                Err(_) if waited >= LOCK_WAIT => return Err(GitError::Locked { lock }),
                Err(_) => disk::pause(pause),
            }
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// What was written becomes the file.
    fn publish(mut self, file: &Path) -> Result<()> {
        let lock: PathBuf = self.file.path().to_owned();
        disk::rename(&lock, file).during("replace", file)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for RefLock {
    fn drop(&mut self) {
        if !self.published {
            // ours; one that can not be removed is found and removed at the next start
            let _ = disk::unlink(self.file.path());
        }
    }
}

/// Tells whether a file's last line has no end.
fn ends_open(file: &std::fs::File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}
