//! A file that is written under a name nobody looks at, then gets its real one.

use std::{io, path::Path};

use super::{DiskFile, rename, rename_new, unlink};

/// How names of unfinished files begin and end.
const NAME: (&str, &str) = (".cairn-", ".tmp");

/// So many names that are taken already are no chance any more.
const TRIES: u32 = 32;

/// An unfinished file; it goes when dropped.
#[derive(Debug)]
pub struct Temporary {
    file: DiskFile,
    named: bool,
}

impl Temporary {
    /// Makes one in `dir`, hidden, so that nobody who looks for `*.json` or `*.toml` finds half of one.
    ///
    /// # Errors
    /// The system's.
    pub fn new_in(dir: &Path, mode: u32) -> io::Result<Self> {
        let mut tries = 1;
        loop {
            let name = format!("{}{:016x}{}", NAME.0, crate::store::random() >> 64, NAME.1);
            match DiskFile::create_new(&dir.join(name), mode) {
                Ok(file) => return Ok(Self { file, named: false }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// The file, for writing and syncing.
    #[must_use]
    pub fn file(&self) -> &DiskFile {
        &self.file
    }

    /// Its name so far.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives it the name `to`, which whoever has it loses.
    ///
    /// # Errors
    /// The system's; the unfinished file is gone then.
    pub fn persist(mut self, to: &Path) -> io::Result<()> {
        rename(self.path(), to)?;
        self.named = true;
        Ok(())
    }

    /// Gives it the name `to`, which must be free.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] when the name is taken. The unfinished file is gone then.
    pub fn persist_new(mut self, to: &Path) -> io::Result<()> {
        rename_new(self.path(), to)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            // whatever kept it from being finished is already being reported
            let _ = unlink(self.file.path());
        }
    }
}

/// Tells whether `name` is that of a file that was being written: when its writer has died, nobody
/// will ever look at it again.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(NAME.0) && name.ends_with(NAME.1)
}
