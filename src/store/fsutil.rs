//! Files that survive a power cut, and errors that always name the file.
//!
//! Everything a person or another process may rely on is written here: temporary name in the same
//! folder, fsync, rename, fsync of the folder. Nothing here retries an fsync: after a failed one the
//! page cache can no longer be trusted.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

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
    file.as_file().sync_all().at("sync", path)?;
    file.persist(path).map_err(|e| e.error).at("write", path)?;
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
    file.as_file().sync_all().at("sync", path)?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            sync_dir(dir)?;
            Ok(true)
        }
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error).at("write", path),
    }
}

/// Writes `path` whole or not at all, for what can be derived again: no fsync.
///
/// # Errors
/// When the system refuses.
pub fn write_derived(path: &Path, bytes: &[u8]) -> FsResult<()> {
    let dir = parent(path);
    fs::create_dir_all(dir).at("create", dir)?;
    prepared(dir, bytes)?.persist(path).map_err(|e| e.error).at("write", path)?;
    Ok(())
}

/// Removes a file durably; `false` when there was none.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> FsResult<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            sync_dir(parent(path))?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).at("remove", path),
    }
}

/// Reads a file; `None` when there is none.
///
/// # Errors
/// When the system refuses.
pub fn read(path: &Path) -> FsResult<Option<Vec<u8>>> {
    match fs::read(path) {
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
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    if above != dir {
        create_dirs(above)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(above),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(e).at("create", dir),
    }
}

/// Makes names in a folder durable.
///
/// # Errors
/// When the system refuses.
pub fn sync_dir(dir: &Path) -> FsResult<()> {
    File::open(dir).and_then(|d| d.sync_all()).at("sync", dir)
}

/// The entries of a folder by name, sorted; none when there is no such folder.
///
/// # Errors
/// When the system refuses.
pub fn list(dir: &Path) -> FsResult<Vec<fs::DirEntry>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).at("list", dir),
    };
    let mut all = entries.collect::<io::Result<Vec<_>>>().at("list", dir)?;
    all.sort_by_key(fs::DirEntry::file_name);
    Ok(all)
}

/// Tells whether `name` is that of a file that was being written: when its writer has died, nobody
/// will ever look at it again.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)
}

/// How names of unfinished files begin and end.
const TEMPORARY: (&str, &str) = (".cairn-", ".tmp");

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// A hidden temporary file, so that nobody who looks for `*.json` or `*.toml` finds half of one.
fn prepared(dir: &Path, bytes: &[u8]) -> FsResult<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY.0)
        .suffix(TEMPORARY.1)
        .permissions(Permissions::from_mode(0o666)) // the umask takes away what the operator wants gone
        .tempfile_in(dir)
        .at("write into", dir)?;
    file.write_all(bytes).at("write", file.path())?;
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
