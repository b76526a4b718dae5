//! The store's `files/` folder, opened so that no path can lead out of it.
//!
//! Every part of a path is opened on its own, relative to the folder before it, and never through a
//! symbolic link; a name that could mean anything but "one level down" is refused before that. So it
//! holds even while somebody swaps folders for links.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::Path,
};

use cairn_store_layout::{Digest, event::FileWritten, paths};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, fsync, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
};

use crate::effects::Fault;

/// Most entries that one folder may hold to be listed.
pub(super) const ENTRIES_MAX: usize = 10_000;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The `files/` folder of a store.
pub(super) struct Files {
    root: OwnedFd,
}

impl Files {
    /// Opens the folder below the store's root, and makes it if need be.
    pub(super) fn open(store: &Path) -> Result<Self, Fault> {
        let failed = |e: Errno| fault(&store.display().to_string(), e);
        let store = rustix::fs::open(store, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
        Ok(Self { root: enter(&store, paths::FILES, true).map_err(|e| fault(paths::FILES, e))? })
    }

    /// Reads a regular file of at most `most` bytes.
    pub(super) fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Fault> {
        let (parent, name) = self.parent(path, false)?;
        // NONBLOCK: opening a pipe that somebody left here must not wait for a writer
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::empty()).map_err(|e| fault(path, e))?;
        let stat = fstat(&file).map_err(|e| fault(path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::hard("bad_path", format!("files/{path} is not a regular file")));
        }
        let mut bytes = Vec::new();
        File::from(file)
            .take(most as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Fault::soft("io", format!("files/{path} could not be read: {e}")))?;
        if bytes.len() > most {
            return Err(Fault::hard("too_large", format!("files/{path} has more than {most} bytes")));
        }
        Ok(bytes)
    }

    /// The names of the regular files in a folder, sorted; hidden ones are left out. An empty path is
    /// the `files/` folder itself.
    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, Fault> {
        let folder = self.folder(path, false)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|e| fault(path, e))? {
            let entry = entry.map_err(|e| fault(path, e))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with('.') || !paths::is_inside(name) {
                continue;
            }
            // not every file system tells the type in the listing
            let regular = match entry.file_type() {
                FileType::Unknown => statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile),
                kind => kind == FileType::RegularFile,
            };
            if regular {
                names.push(name.to_owned());
            }
            if names.len() > ENTRIES_MAX {
                return Err(Fault::hard("too_large", format!("files/{path} holds more than {ENTRIES_MAX} files")));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Puts `bytes` on disk beside their place, synced, but not yet under their name.
    ///
    /// `token` names the temporary file: with the idempotency key in it, a repeat after a crash takes
    /// over what the crash left behind.
    pub(super) fn stage(&self, path: &str, bytes: &[u8], token: &Digest) -> Result<Staged, Fault> {
        let (parent, name) = self.parent(path, true)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Err(Fault::hard("bad_path", format!("files/{path} is there already and not a regular file")));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(e) => return Err(fault(path, e)),
        }
        let temp = format!(".{}.tmp", &token.as_str()[..16]);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&parent, &temp, flags, Mode::from_raw_mode(0o644)).map_err(|e| fault(path, e))?;
        let staged = Staged {
            parent,
            temp: Some(temp),
            name: name.to_owned(),
            written: FileWritten { path: format!("{}/{path}", paths::FILES), digest: Digest::of(bytes) },
        };
        let mut file = File::from(file);
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| io_fault(path, &e))?;
        Ok(staged)
    }

    fn parent<'p>(&self, path: &'p str, make: bool) -> Result<(OwnedFd, &'p str), Fault> {
        if !paths::is_inside(path) {
            return Err(bad_path(path));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.folder(folder, make)?, name))
    }

    fn folder(&self, path: &str, make: bool) -> Result<OwnedFd, Fault> {
        let mut at = self.root.try_clone().map_err(|e| io_fault(path, &e))?;
        if path.is_empty() {
            return Ok(at);
        }
        if !paths::is_inside(path) {
            return Err(bad_path(path));
        }
        for part in path.split('/') {
            at = enter(&at, part, make).map_err(|e| fault(path, e))?;
        }
        Ok(at)
    }
}

/// A file that is on disk but not yet under its name. Dropping it takes it away again.
#[must_use]
pub(super) struct Staged {
    parent: OwnedFd,
    temp: Option<String>,
    name: String,
    written: FileWritten,
}

impl Staged {
    /// Gives the file its name, for good.
    pub(super) fn commit(mut self) -> Result<FileWritten, Fault> {
        let path = self.written.path.clone();
        let temp = self.temp.as_deref().expect("only this function takes the name, and it consumes the value");
        renameat(&self.parent, temp, &self.parent, &self.name).map_err(|e| fault(&path, e))?;
        self.temp = None;
        fsync(&self.parent).map_err(|e| fault(&path, e))?;
        Ok(self.written.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            // hidden and harmless should it stay
            let _ = unlinkat(&self.parent, temp, AtFlags::empty());
        }
    }
}

fn enter(at: &OwnedFd, part: &str, make: bool) -> Result<OwnedFd, Errno> {
    match openat(at, part, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) if make => {
            match mkdirat(at, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => fsync(at)?,
                // another step was faster
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
            openat(at, part, FOLDER, Mode::empty())
        }
        other => other,
    }
}

fn bad_path(path: &str) -> Fault {
    Fault::hard(
        "bad_path",
        format!("`{path}` is not a path below files/: it must be relative, without `..`, hidden or empty parts"),
    )
}

fn io_fault(path: &str, error: &io::Error) -> Fault {
    match Errno::from_io_error(error) {
        Some(errno) => fault(path, errno),
        None => Fault::soft("io", format!("files/{path}: {error}")),
    }
}

fn fault(path: &str, errno: Errno) -> Fault {
    let path = path.strip_prefix("files/").unwrap_or(path);
    match errno {
        Errno::NOENT => Fault::hard("no_file", format!("there is no files/{path}")),
        Errno::LOOP | Errno::NOTDIR => {
            Fault::hard("bad_path", format!("files/{path} leads through a link or a file that is no folder"))
        }
        Errno::ISDIR => Fault::hard("bad_path", format!("files/{path} is a folder")),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            Fault::hard("no_access", format!("files/{path} may not be opened: {}", errno.kind()))
        }
        Errno::NOSPC | Errno::DQUOT => {
            Fault::soft("disk_full", format!("no space is left to write files/{path}; nothing was changed"))
        }
        errno => Fault::soft("io", format!("files/{path}: {}", io::Error::from(errno))),
    }
}
