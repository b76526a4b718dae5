//! A throw-away store, filled with passages as the driver fills one.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use cairn::store;
use cairn_store_layout::{MachineId, learned::Learned, passage::Passage, paths};
use jiff::Timestamp;

use crate::broken::{During as _, Result};

/// A month goes on in another file when one has so many bytes, as the driver has it.
const PART_BYTES_MAX: usize = 256 * 1024;

/// A store and the machine that writes it.
pub struct Stage {
    /// The store's root.
    pub root: PathBuf,
    /// The machine that records.
    pub machine: MachineId,
    /// The part that a month is at, with its bytes, by the month's first file.
    parts: BTreeMap<String, (u32, usize)>,
}

impl Stage {
    /// Makes an empty store below `dir`.
    ///
    /// # Errors
    /// When the disk or git refuses.
    pub fn make(dir: &Path) -> Result<Self> {
        let (home, root) = (dir.join("home"), dir.join("store"));
        let made = store::init::init_at(&home, &root, false, Timestamp::now()).during("make a store")?;
        Ok(Self { root: made.store.root().to_owned(), machine: made.machine, parts: BTreeMap::new() })
    }

    /// Appends the lines of `passages` to this machine's files; gives the paths of those that grew.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record(&mut self, passages: &[Passage]) -> Result<Vec<String>> {
        let mut grown: BTreeMap<String, String> = BTreeMap::new();
        for passage in passages {
            let learned = Learned::Passage(passage.clone());
            let (first, line) = (learned.path(&self.machine), learned.line() + "\n");
            let (part, bytes) = self.parts.entry(first.clone()).or_default();
            if *bytes >= PART_BYTES_MAX {
                (*part, *bytes) = (*part + 1, 0);
            }
            *bytes += line.len();
            grown.entry(paths::memory_part(&first, *part)).or_default().push_str(&line);
        }
        for (path, lines) in &grown {
            let path = self.root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&self.root)).during("make a folder for passages")?;
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).during("open passages")?;
            file.write_all(lines.as_bytes()).during("write passages")?;
        }
        Ok(grown.into_keys().collect())
    }
}

/// The files below `dir` and their bytes; nothing when there is no such folder.
///
/// # Errors
/// When a folder can not be listed.
pub fn weigh(dir: &Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    if !dir.exists() {
        return Ok((0, 0));
    }
    for entry in fs::read_dir(dir).during("list a folder")? {
        let entry = entry.during("list a folder")?;
        let meta = entry.metadata().during("look at a file")?;
        if meta.is_dir() {
            let below = weigh(&entry.path())?;
            (files, bytes) = (files + below.0, bytes + below.1);
        } else {
            (files, bytes) = (files + 1, bytes + meta.len());
        }
    }
    Ok((files, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine, invent::Inventor};

    #[test]
    fn memory_reads_what_the_stage_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let mut stage = Stage::make(dir.path()).unwrap();
        let mut passages = Inventor::default().passages(1_500);
        let day = passages[0].recorded_at;
        passages.iter_mut().for_each(|passage| passage.recorded_at = day);
        let grown = stage.record(&passages).unwrap();
        assert!(grown.len() > 1, "a month in parts: {grown:?}");
        let memory = engine::open(&stage.root, &stage.machine).unwrap();
        let stats = memory.stats().unwrap();
        assert_eq!((stats.passages, stats.unreadable), (1_500, 0));
        assert_eq!(engine::ask(&memory, &passages[700].text, 1).unwrap(), [passages[700].id.clone()]);
        assert_eq!(engine::ask_by_vector(&memory, &passages[700].text, 3).unwrap()[0], passages[700].id);
    }
}
