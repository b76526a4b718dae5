//! The one door through which the kernel touches files.
//!
//! Thin: each function is one call to the system, with the error as the system gave it. What makes a
//! file survive a power cut is said in `fsutil`; here is only what can be seen, refused and recorded
//! by an [`Observer`] (`docs/decisions/0005-the-edges-of-the-world.md`). Nothing here retries a
//! sync, and a handle is written to only as long as the name it was opened by is the file's.

mod observer;
mod temporary;

use std::{
    fs::{self, DirEntry, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

pub use observer::{Observer, Observing, Op, Verdict, observe};
pub use temporary::{Temporary, is_temporary};

use observer::current;

/// How often a call that a signal broke off is tried again.
const INTERRUPTED_MAX: u32 = 8;

/// A file that is open for writing.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Makes a file that must not exist, with these permissions as far as the umask lets them.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] when it is there.
    pub fn create_new(path: &Path, mode: u32) -> io::Result<Self> {
        let open = || OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path);
        Ok(Self { file: call(Op::Create { path }, open)?, path: path.to_owned() })
    }

    /// Opens a file for writing at any offset and for reading; makes it when it is missing and `create` is set.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, create: bool) -> io::Result<Self> {
        let open = || OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path);
        Ok(Self { file: call(Op::Open { path, create }, open)?, path: path.to_owned() })
    }

    /// Opens a file for writing at its end; makes it when it is missing and `create` is set.
    ///
    /// # Errors
    /// The system's.
    pub fn open_append(path: &Path, create: bool) -> io::Result<Self> {
        let open = || OpenOptions::new().read(true).append(true).create(create).open(path);
        Ok(Self { file: call(Op::Open { path, create }, open)?, path: path.to_owned() })
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's; some of the bytes may have been written then.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(observer) = current() else { return self.file.write_all_at(bytes, offset) };
        let (mut done, mut interrupted) = (0, 0);
        while done < bytes.len() {
            let (rest, offset) = (&bytes[done..], offset + done as u64);
            let op = |bytes| Op::Write { path: &self.path, offset, bytes };
            let (taken, result) = match observer.before(&op(rest)) {
                Verdict::Go => (rest, self.file.write_all_at(rest, offset)),
                Verdict::Short(0) => (&rest[..0], Err(io::ErrorKind::WriteZero.into())),
                Verdict::Short(most) => {
                    let taken = &rest[..most.min(rest.len())];
                    (taken, self.file.write_all_at(taken, offset))
                }
                Verdict::Fail(errno) => (&rest[..0], Err(io::Error::from_raw_os_error(errno))),
            };
            observer.after(&op(taken), result.as_ref().copied());
            match result {
                Ok(()) => done += taken.len(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted && interrupted < INTERRUPTED_MAX => interrupted += 1,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at the end of a file from [`DiskFile::open_append`].
    ///
    /// # Errors
    /// The system's; some of the bytes may have been written then.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(bytes, self.file.metadata()?.len())
    }

    /// Cuts the file, or lets it grow by zeros.
    ///
    /// # Errors
    /// The system's.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        call(Op::SetLen { path: &self.path, len }, || self.file.set_len(len))
    }

    /// Makes content and length durable.
    ///
    /// # Errors
    /// The system's. The content can not be trusted to become durable then, whatever is tried.
    pub fn sync_data(&self) -> io::Result<()> {
        call(Op::SyncData { path: &self.path }, || self.file.sync_data())
    }

    /// Makes the file durable, without its name.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`].
    pub fn sync_all(&self) -> io::Result<()> {
        call(Op::SyncAll { path: &self.path }, || self.file.sync_all())
    }

    /// The system's handle, for reading and locking.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The name it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a whole file.
///
/// # Errors
/// The system's.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    call(Op::Read { path }, || fs::read(path))
}

/// Reads something of a file in the caller's own way.
///
/// # Errors
/// The caller's.
pub fn read_with<T, E: From<io::Error>>(path: &Path, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    call(Op::Read { path }, || Ok(()))?;
    act()
}

/// The entries of a folder, in no order.
///
/// # Errors
/// The system's.
pub fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    call(Op::List { path }, || fs::read_dir(path)?.collect())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// The system's.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    once(Op::SyncDir { path }, || File::open(path)?.sync_all())
}

/// Makes a file durable, without its name.
///
/// # Errors
/// The system's.
pub fn sync_file(path: &Path) -> io::Result<()> {
    once(Op::SyncAll { path }, || File::open(path)?.sync_all())
}

/// Makes everything on the file system of `path` durable.
///
/// # Errors
/// The system's.
pub fn sync_fs(path: &Path) -> io::Result<()> {
    once(Op::SyncFs { path }, || Ok(rustix::fs::syncfs(File::open(path)?)?))
}

/// Gives a file the name `to`, which whoever has it loses.
///
/// # Errors
/// The system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    call(Op::Rename { from, to, replace: true }, || fs::rename(from, to))
}

/// Gives a file the name `to`, which must be free.
///
/// # Errors
/// The system's; [`io::ErrorKind::AlreadyExists`] when the name is taken.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let act = || match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // file systems that can not: a second name is refused just as well, the first one goes after
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        done => Ok(done?),
    };
    call(Op::Rename { from, to, replace: false }, act)
}

/// Gives a file one more name, which must be free.
///
/// # Errors
/// The system's; [`io::ErrorKind::AlreadyExists`] when the name is taken.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    call(Op::Link { from, to }, || fs::hard_link(from, to))
}

/// Takes a name of a file away.
///
/// # Errors
/// The system's.
pub fn unlink(path: &Path) -> io::Result<()> {
    call(Op::Unlink { path }, || fs::remove_file(path))
}

/// Makes a folder; the one above must exist.
///
/// # Errors
/// The system's; [`io::ErrorKind::AlreadyExists`] when the name is taken.
pub fn make_dir(path: &Path) -> io::Result<()> {
    call(Op::MakeDir { path }, || fs::create_dir(path))
}

/// Removes a folder and all that is in it. Links in it are removed, never followed.
///
/// # Errors
/// The system's; some of it may be gone then.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in list(path)? {
        if entry.file_type()?.is_dir() { remove_tree(&entry.path())? } else { unlink(&entry.path())? }
    }
    call(Op::RemoveDir { path }, || fs::remove_dir(path))
}

/// Waits; under an observer, as it lets time pass.
pub fn pause(duration: Duration) {
    match current() {
        Some(observer) => observer.pause(duration),
        None => std::thread::sleep(duration),
    }
}

/// 128 random bits of this thread's observer, if it has its own.
pub(super) fn observed_random() -> Option<u128> {
    current()?.random()
}

/// One call, tried again when a signal broke it off.
fn call<T>(op: Op<'_>, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut interrupted = 0;
    loop {
        match once(op, &mut act) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted && interrupted < INTERRUPTED_MAX && !op.is_sync() => {
                interrupted += 1;
            }
            done => return done,
        }
    }
}

/// One call, made once.
fn once<T>(op: Op<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(observer) = current() else { return act() };
    let result = match observer.before(&op) {
        Verdict::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
        Verdict::Go | Verdict::Short(_) => act(),
    };
    observer.after(&op, result.as_ref().map(|_| ()));
    result
}

#[cfg(test)]
mod tests;
