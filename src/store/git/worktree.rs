//! Reading the work tree without ever following a symbolic link.
//!
//! Files are opened part by part from the root, so that a folder swapped for a link between two
//! calls cannot lead outside. What a scan cannot take is a finding, never silence.

use std::{
    fs::File,
    io::Read as _,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::Path,
};

use gix::objs::tree::EntryKind;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::{
    GitError, Result,
    error::During as _,
    tree::{DEPTH_MAX, check_path},
};
use crate::store::disk;

/// The largest file that is taken into a tree. Git and this module hold a whole file in memory.
pub(super) const FILE_BYTES_MAX: u64 = 256 << 20;

/// A file of the work tree, read once.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: EntryKind,
    /// As it was both before and after reading; `None` when the file changed meanwhile.
    pub(super) meta: Option<gix::index::fs::Metadata>,
}

/// Reads the plain file at `path` below `root`, or tells that there is none.
///
/// # Errors
/// When a part of the path is a symbolic link or a special file, the file exceeds
/// [`FILE_BYTES_MAX`], or the system refuses.
pub(super) fn read(root: &Path, path: &str) -> Result<Option<Found>> {
    check_path(path)?;
    let Some(fd) = open(root, path, OFlags::RDONLY)? else { return Ok(None) };
    let full = root.join(path);
    let mut file = File::from(fd);
    let before = file.metadata().during("read", &full)?;
    if !before.is_file() {
        let what = if before.is_dir() { "a folder" } else { "a special file" };
        return Err(GitError::NotAFile { path: path.to_owned(), what });
    }
    if before.len() > FILE_BYTES_MAX {
        let what = format!("it has {} bytes, at most {FILE_BYTES_MAX} are allowed", before.len());
        return Err(GitError::TooLarge { path: path.to_owned(), what });
    }
    let mut bytes = Vec::new();
    disk::read_with(&full, || file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).during("read", &full)?;
    let meta = gix::index::fs::Metadata::from_file(&file).during("read", &full)?;
    let still = meta.len() == bytes.len() as u64 && meta.modified() == before.modified().ok();
    let kind = if before.permissions().mode() & 0o100 != 0 { EntryKind::BlobExecutable } else { EntryKind::Blob };
    Ok(Some(Found { bytes, kind, meta: still.then_some(meta) }))
}

/// Lists every plain file at or below `prefix`, which may be empty, a folder, a file or nothing.
///
/// Leaves out hidden names and what editors leave behind. Links, special files and names that
/// cannot be stored become findings.
pub(super) fn scan(root: &Path, prefix: &str, findings: &mut Vec<String>) -> Result<Vec<String>> {
    let mut files = Vec::new();
    if !prefix.is_empty() {
        check_path(prefix)?;
    }
    match open(root, prefix, OFlags::RDONLY) {
        Ok(None) => {}
        Ok(Some(fd)) => {
            let stat = rustix::fs::fstat(&fd).during("read", &root.join(prefix))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => list(root, prefix, &fd, 0, &mut files, findings)?,
                FileType::RegularFile => files.push(prefix.to_owned()),
                _ => findings.push(not_a_file(prefix, "a special file")),
            }
        }
        Err(GitError::NotAFile { path, what }) => findings.push(not_a_file(&path, what)),
        Err(error) => return Err(error),
    }
    files.sort_unstable();
    Ok(files)
}

/// Tells whether a name is hidden or a leftover of an editor.
pub(super) fn is_passed_over(name: &str) -> bool {
    let leftover = [".swp", ".swo", ".swx", ".tmp", ".orig", ".rej"].iter().any(|end| name.ends_with(end));
    name.starts_with('.')
        || name.ends_with('~')
        || leftover
        || (name.starts_with('#') && name.ends_with('#'))
        || name == "4913"
}

fn list(
    root: &Path,
    folder: &str,
    fd: &OwnedFd,
    depth: usize,
    files: &mut Vec<String>,
    findings: &mut Vec<String>,
) -> Result<()> {
    let full = root.join(folder);
    if depth > DEPTH_MAX {
        findings.push(format!("`{folder}` is nested too deeply and was left out"));
        return Ok(());
    }
    let entries = Dir::read_from(fd).during("list", &full)?;
    for entry in entries {
        let entry = entry.during("list", &full)?;
        let Ok(name) = entry.file_name().to_str() else {
            findings.push(format!("a name in `{folder}` is not UTF-8 and was left out"));
            continue;
        };
        if is_passed_over(name) {
            continue;
        }
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        if let Err(error) = check_path(&path) {
            findings.push(error.to_string());
            continue;
        }
        let stat = match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Gone between listing and looking: as if it had never been listed.
            Err(rustix::io::Errno::NOENT) => continue,
            Err(errno) => return Err(errno).during("read", &root.join(&path)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => files.push(path),
            FileType::Directory => {
                if let Some(below) = step(fd, name, OFlags::RDONLY, root, &path)? {
                    list(root, &path, &below, depth + 1, files, findings)?;
                }
            }
            FileType::Symlink => findings.push(not_a_file(&path, "a symbolic link")),
            _ => findings.push(not_a_file(&path, "a special file")),
        }
    }
    Ok(())
}

fn not_a_file(path: &str, what: &'static str) -> String {
    GitError::NotAFile { path: path.to_owned(), what }.to_string()
}

fn open(root: &Path, path: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
    let mut fd = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during("open", root)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        match step(&fd, name, flags, root, path)? {
            Some(next) => fd = next,
            None => return Ok(None),
        }
    }
    Ok(Some(fd))
}

fn step(fd: &OwnedFd, name: &str, flags: OFlags, root: &Path, path: &str) -> Result<Option<OwnedFd>> {
    use rustix::io::Errno;
    // NONBLOCK: opening a named pipe must not wait for a writer.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(fd, name, flags, Mode::empty()) {
        Ok(next) => Ok(Some(next)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) => Err(GitError::NotAFile { path: path.to_owned(), what: "behind a symbolic link" }),
        Err(Errno::NXIO) => Err(GitError::NotAFile { path: path.to_owned(), what: "a special file" }),
        Err(errno) => Err(errno).during("open", &root.join(path)),
    }
}
