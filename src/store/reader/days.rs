//! Lists of runs, folded once: one derived file a day of runs, keyed by length and time of change.

use std::{collections::BTreeMap, fs::Metadata, path::Path, time::UNIX_EPOCH};

use cairn_store_layout::{
    RunId, paths,
    view::{InboxItem, RunItem},
};
use serde::{Deserialize, Serialize};

use super::history::{self, Unreadable};
use crate::store::fsutil::{self, At as _, FsResult};

/// Changes whenever what is folded does; files with another number are folded anew.
const VERSION: u32 = 1;
/// Decided requests kept of one run; the open ones are all kept.
const DECIDED_MAX: usize = 20;

/// What lists show of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    len: u64,
    changed: u64,
    /// Without its commit, which is looked up elsewhere.
    pub(super) item: RunItem,
    /// Open requests and the latest decided ones, in the order they were opened.
    pub(super) requests: Vec<InboxItem>,
}

/// The runs of one day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Day {
    version: u32,
    pub(super) entries: BTreeMap<RunId, Entry>,
}

/// The days that have runs, newest first, as folders from the store's root: `runs/2026/11/22`.
///
/// # Errors
/// When the file system refuses.
pub(super) fn all(root: &Path) -> FsResult<Vec<String>> {
    let mut folders = vec![paths::RUNS.to_owned()];
    for _ in ["year", "month", "day"] {
        let mut below = Vec::new();
        for folder in folders {
            for entry in fsutil::list(&root.join(&folder))?.into_iter().rev() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.bytes().all(|b| b.is_ascii_digit()) && entry.file_type().is_ok_and(|t| t.is_dir()) {
                    below.push(format!("{folder}/{name}"));
                }
            }
        }
        folders = below;
    }
    Ok(folders)
}

/// The runs whose histories lie in the hours of the day `folder`, oldest first.
///
/// # Errors
/// When the file system refuses.
pub(super) fn runs(root: &Path, folder: &str) -> FsResult<Vec<(RunId, std::fs::DirEntry)>> {
    let named = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        Some((RunId::new(name.strip_suffix(".jsonl")?).ok()?, entry))
    };
    let mut runs = Vec::new();
    for hour in fsutil::list(&root.join(folder))? {
        if hour.file_type().is_ok_and(|t| t.is_dir()) {
            runs.extend(fsutil::list(&hour.path())?.into_iter().filter_map(named));
        }
    }
    Ok(runs)
}

impl Day {
    /// What was kept from the last time.
    pub(super) fn load(root: &Path, folder: &str) -> Self {
        let bytes = fsutil::read(&root.join(file(folder))).ok().flatten();
        let kept: Option<Self> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
        kept.filter(|d| d.version == VERSION).unwrap_or(Self { version: VERSION, entries: BTreeMap::new() })
    }

    /// Folds the histories that changed since; those that can not be read are told in `unreadable`.
    ///
    /// # Errors
    /// When the folder can not be listed.
    pub(super) fn update(&mut self, root: &Path, folder: &str, unreadable: &mut Vec<Unreadable>) -> FsResult<()> {
        let mut entries = BTreeMap::new();
        let mut changed = false;
        for (run, file) in runs(root, folder)? {
            let (len, time) = stamp(&file.metadata().at("read", &file.path())?);
            let before = self.entries.remove(&run);
            let stale = before.is_some();
            if let Some(entry) = before.filter(|e| e.len == len && e.changed == time) {
                entries.insert(run, entry);
                continue;
            }
            match fold(root, &run, len, time) {
                Ok(Some(entry)) => {
                    entries.insert(run, entry);
                    changed = true;
                }
                Ok(None) => changed |= stale,
                Err(why) => {
                    unreadable.push(why);
                    changed |= stale;
                }
            }
        }
        changed |= !self.entries.is_empty();
        self.entries = entries;
        if changed && let Ok(bytes) = serde_json::to_vec(self) {
            // a store that can not be written is read all the same, only slower the next time
            let _ = fsutil::write_derived(&root.join(file(folder)), &bytes);
        }
        Ok(())
    }
}

fn fold(root: &Path, run: &RunId, len: u64, changed: u64) -> Result<Option<Entry>, Unreadable> {
    // `len` was taken before the reading: if the file has grown meanwhile, the next update sees it
    let Some(history) = history::read(root, run)? else { return Ok(None) };
    if history.records.is_empty() {
        return Ok(None);
    }
    let mut view = history.fold(&paths::run(run))?;
    let item = view.item(None);
    let mut decided = view.requests.iter().filter(|r| !r.is_open()).count();
    view.requests.retain(|r| {
        let keep = r.is_open() || decided <= DECIDED_MAX;
        decided -= usize::from(!r.is_open());
        keep
    });
    Ok(Some(Entry { len, changed, item, requests: view.requests }))
}

fn stamp(meta: &Metadata) -> (u64, u64) {
    let time = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    (meta.len(), time.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX)))
}

fn file(folder: &str) -> String {
    format!("{}/{}.json", paths::VIEWS, folder.replace('/', "-"))
}
