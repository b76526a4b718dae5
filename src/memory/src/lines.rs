//! Files of lines that only grow, read as far as they have grown, with the place of each line.
//!
//! Entities are a folder each: one of them is looked at without listing all, and where a line ends in its file is
//! what "as of a commit" means. [`crate::tail`] reads a whole folder for layers that need neither.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use cairn_store_layout::record::LINE_BYTES_MAX;

use crate::{
    error::{IoContext, Result},
    files,
};

/// How far the files of a folder have been read.
#[derive(Debug)]
pub(crate) struct Lines {
    root: PathBuf,
    read: BTreeMap<String, u64>,
}

/// A look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Only lines were added, and they were handed out.
    Grown,
    /// A file shrank or vanished (a checkout, a revert): nothing was handed out, and everything will be next time.
    Lost,
}

impl Lines {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), read: BTreeMap::new() }
    }

    /// Hands everything out again from here on.
    pub(crate) fn forget(&mut self) {
        self.read.clear();
    }

    /// Hands out the whole lines below `dir` (from the root) that were not handed out before: the file's path
    /// from the root, where the line ends in it, and its bytes without the line break. A line still being written
    /// is handed out once it is whole.
    pub(crate) fn look(&mut self, dir: &str, mut each: impl FnMut(&str, u64, &[u8])) -> Result<Look> {
        let found = files::list(&self.root, dir)?;
        let below = format!("{dir}/");
        let mut known = self.read.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        if known.any(|(path, read)| found.get(path).is_none_or(|len| len < read)) {
            self.read.clear();
            return Ok(Look::Lost);
        }
        for (path, len) in found {
            let from = self.read.get(&path).copied().unwrap_or(0);
            if len > from && path.ends_with(".jsonl") {
                let (upto, _) = read(&self.root, &path, from, &mut each)?;
                self.read.insert(path, upto);
            }
        }
        Ok(Look::Grown)
    }
}

/// Hands out the whole lines of one file from byte `from` on; returns where the last one ends, and how many were too
/// long to be handed out.
pub(crate) fn read(
    root: &Path,
    path: &str,
    from: u64,
    each: &mut impl FnMut(&str, u64, &[u8]),
) -> Result<(u64, usize)> {
    let full = root.join(path);
    // what git brought in must not lead out of the store
    if fs::symlink_metadata(&full).on("examine", &full)?.file_type().is_symlink() {
        return Ok((from, 0));
    }
    let mut file = File::open(&full).on("open", &full)?;
    file.seek(SeekFrom::Start(from)).on("read", &full)?;
    let mut file = BufReader::new(file);
    let (mut upto, mut skipped, mut line) = (from, 0, Vec::new());
    loop {
        line.clear();
        let bytes = file.read_until(b'\n', &mut line).on("read", &full)?;
        if line.pop() != Some(b'\n') {
            return Ok((upto, skipped));
        }
        upto += bytes as u64;
        if bytes > LINE_BYTES_MAX {
            skipped += 1;
            tracing::warn!(path, byte = upto, "skipped a line of more than {LINE_BYTES_MAX} bytes");
            continue;
        }
        each(path, upto, &line);
    }
}
