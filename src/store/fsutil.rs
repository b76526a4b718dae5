//! Files that survive a power cut, and errors that always name the file.
//!
//! Everything a person or another process may rely on is written here: temporary name in the same
//! folder, fsync, rename, fsync of the folder. Nothing here retries an fsync: after a failed one the
//! page cache can no longer be trusted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use super::disk::is_temporary;
use super::disk::{self, Temporary};

/// Readable and writable for all whom the umask does not exclude: it takes away what the operator wants gone.
const MODE: u32 = 0o666;

/// What the operating system refused, with the path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct FsError {
    /// What was being done, as a verb.
    pub doing: &'static str,
    /// To which file or folder.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl FsError {
    /// Tells whether the disk, or the share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// The result of a file operation.
pub type FsResult<T> = Result<T, FsError>;

/// Adds what was being done, and to which path.
pub trait At<T> {
    /// Wraps the error; `doing` is a verb that reads well after "cannot".
    ///
    /// # Errors
    /// The same error, with its path.
    fn at(self, doing: &'static str, path: &Path) -> FsResult<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> FsResult<T> {
        self.map_err(|source| FsError { doing, path: path.to_owned(), source })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> FsResult<T> {
        self.map_err(|errno| FsError { doing, path: path.to_owned(), source: errno.into() })
    }
}

/// Writes `path` whole or not at all, and durably; replaces what was there. Makes missing folders.
///
/// # Errors
/// When the system refuses; the old content is intact then.
pub fn write(path: &Path, bytes: &[u8]) -> FsResult<()> {
    let dir = parent(path);
    create_dirs(dir)?;
    let file = prepared(dir, bytes)?;
    file.file().sync_all().at("sync", path)?;
    file.persist(path).at("write", path)?;
    sync_dir(dir)
}

/// Like [`write`], but never replaces: `false` when `path` exists already.
///
/// # Errors
/// When the system refuses.
pub fn write_new(path: &Path, bytes: &[u8]) -> FsResult<bool> {
    let dir = parent(path);
    create_dirs(dir)?;
    let file = prepared(dir, bytes)?;
    file.file().sync_all().at("sync", path)?;
    match file.persist_new(path) {
        Ok(()) => {
            sync_dir(dir)?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e).at("write", path),
    }
}

/// Writes `path` whole or not at all, for what can be derived again: no fsync.
///
/// # Errors
/// When the system refuses.
pub fn write_derived(path: &Path, bytes: &[u8]) -> FsResult<()> {
    let dir = parent(path);
    make_dirs(dir, Names::MayBeLost)?;
    prepared(dir, bytes)?.persist(path).at("write", path)
}

/// Removes a file durably; `false` when there was none.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> FsResult<bool> {
    match disk::unlink(path) {
        Ok(()) => {
            sync_dir(parent(path))?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).at("remove", path),
    }
}

/// Removes files durably, with one sync for each folder; those that are gone already are no error.
///
/// # Errors
/// When the system refuses; some of the files may be gone then.
pub fn remove_all(paths: &[PathBuf]) -> FsResult<()> {
    let mut folders = std::collections::BTreeSet::new();
    for path in paths {
        match disk::unlink(path) {
            Ok(()) => drop(folders.insert(parent(path))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).at("remove", path),
        }
    }
    folders.into_iter().try_for_each(sync_dir)
}

/// Reads a file; `None` when there is none.
///
/// # Errors
/// When the system refuses.
pub fn read(path: &Path) -> FsResult<Option<Vec<u8>>> {
    match disk::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).at("read", path),
    }
}

/// Makes a folder and the missing ones above it, durably.
///
/// # Errors
/// When the system refuses, or a part of the path is a file.
pub fn create_dirs(dir: &Path) -> FsResult<()> {
    make_dirs(dir, Names::Durable)
}

/// Makes names in a folder durable.
///
/// # Errors
/// When the system refuses.
pub fn sync_dir(dir: &Path) -> FsResult<()> {
    disk::sync_dir(dir).at("sync", dir)
}

/// The entries of a folder by name, sorted; none when there is no such folder.
///
/// # Errors
/// When the system refuses.
pub fn list(dir: &Path) -> FsResult<Vec<fs::DirEntry>> {
    let mut all = match disk::list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).at("list", dir),
    };
    all.sort_by_key(fs::DirEntry::file_name);
    Ok(all)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Whether a folder that was made is one after a power cut, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Durable,
    MayBeLost,
}

fn make_dirs(dir: &Path, names: Names) -> FsResult<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    if above != dir {
        make_dirs(above, names)?;
    }
    match disk::make_dir(dir) {
        Ok(()) if names == Names::Durable => sync_dir(above),
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(e).at("create", dir),
    }
}

fn prepared(dir: &Path, bytes: &[u8]) -> FsResult<Temporary> {
    let file = Temporary::new_in(dir, MODE).at("write into", dir)?;
    file.file().write_at(bytes, 0).at("write", file.path())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_leaves_no_temporary_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(list(&dir.path().join("a/b")).unwrap().len(), 1);
        assert!(!write_new(&path, b"three").unwrap(), "it is there already");
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn an_error_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plain");
        fs::write(&file, "x").unwrap();
        let error = write(&file.join("below"), b"y").unwrap_err();
        assert!(error.to_string().contains("plain"), "{error}");
    }
}
