//! Lines of one folder that are looked through when somebody asks, and not kept in memory: episodes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{error::Result, lines::Lines};

/// The files of a folder below `memory/`, and the lines that are not in them yet.
pub(crate) struct Shelf {
    root: PathBuf,
    folder: &'static str,
    /// Learned in this process and not met in a file yet: they get there with their commit.
    early: Mutex<BTreeSet<String>>,
}

impl Shelf {
    pub(crate) fn new(root: &Path, folder: &'static str) -> Self {
        Self { root: root.to_owned(), folder, early: Mutex::default() }
    }

    /// Makes a line known before it is in a file.
    pub(crate) fn learn(&self, line: String) {
        self.early().insert(line);
    }

    /// Hands out every line, those of files in their order.
    pub(crate) fn scan(&self, mut each: impl FnMut(&str)) -> Result<()> {
        let mut early = self.early();
        let whole = |_: &str, _: u64, line: &[u8]| {
            if let Ok(line) = std::str::from_utf8(line) {
                early.remove(line);
                each(line);
            }
        };
        Lines::new(&self.root).look(self.folder, whole)?;
        early.iter().for_each(|line| each(line));
        Ok(())
    }

    fn early(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // a panic of somebody who looked on leaves the lines as they are
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
