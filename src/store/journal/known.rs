//! Lines that a damaged journal entry may have held: those of the histories and logs, as the work
//! tree and the last commit have them.
//!
//! Only candidates come from here; whether one is the entry that was lost is proven by the chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::paths;

use crate::store::{
    fsutil,
    git::{ChangeKind, Repo},
};

/// Bytes of files that nothing in the journal names. Those it names are always read.
const UNNAMED_BYTES_MAX: usize = 64 << 20;
/// The newest commits that a note may name.
const COMMITS_MAX: usize = 5_000;
/// The folders of the files that the journal writes.
const FOLDERS: [&str; 2] = ["log", paths::RUNS];

/// Lines by file and record number; two where work tree and commit differ.
#[derive(Debug, Default)]
pub struct Known {
    lines: BTreeMap<String, BTreeMap<u64, BTreeSet<String>>>,
    /// Notes of the journal itself, each as it may stand there.
    notes: Vec<String>,
}

impl Known {
    /// Reads the files that `named` holds and, newest first, as many others as is reasonable. What can
    /// not be read is left out: it only makes a repair less likely.
    #[must_use]
    pub fn gather(root: &Path, repo: Option<&Repo>, named: &BTreeSet<String>) -> Self {
        let mut known = Self::default();
        let commits = repo.and_then(|repo| repo.log(None, COMMITS_MAX).ok()).unwrap_or_default();
        known.notes.extend(commits.iter().map(|entry| super::committed(&entry.commit)));
        let mut committed = named.clone();
        if let Some(changes) = repo.and_then(|repo| repo.changed_under(&FOLDERS).ok()) {
            let lost = changes.paths.into_iter().filter(|c| c.kind != ChangeKind::Added);
            committed.extend(lost.map(|c| c.path));
        }
        for path in &committed {
            if let Some(bytes) = repo.and_then(|repo| repo.read_blob(&repo.blob_of(path, None).ok()??).ok()) {
                known.add(path, &bytes);
            }
        }
        let mut left = UNNAMED_BYTES_MAX;
        for folder in FOLDERS {
            let mut files = Vec::new();
            list(root, folder, &mut files);
            for path in files.into_iter().rev() {
                if left == 0 && !named.contains(&path) {
                    continue;
                }
                let Ok(Some(bytes)) = fsutil::read(&root.join(&path)) else { continue };
                left = left.saturating_sub(bytes.len());
                known.add(&path, &bytes);
            }
        }
        known
    }

    /// The lines of one file.
    pub(super) fn add(&mut self, path: &str, bytes: &[u8]) {
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let of_file = self.lines.entry(path.to_owned()).or_default();
        for line in bytes[..whole].split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
            if let Some(n) = number(line) {
                of_file.entry(n).or_default().insert(line.to_owned());
            }
        }
    }

    /// The line of this number, if the file has one that all copies agree on.
    pub(super) fn line(&self, path: &str, n: u64) -> Option<&str> {
        let lines = self.lines.get(path)?.get(&n)?;
        lines.first().filter(|_| lines.len() == 1).map(String::as_str)
    }

    /// Every file and line that may come next: where `next` knows the file's next record only that one,
    /// else every record before the first that `later` knows.
    pub(super) fn candidates<'a>(
        &'a self,
        next: &'a BTreeMap<String, u64>,
        later: &'a BTreeMap<String, u64>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let notes = self.notes.iter().map(String::as_str).chain([super::CONTINUED]).map(|note| (super::NOTE_TO, note));
        let lines = self.lines.iter().flat_map(move |(path, of_file)| {
            let bound = later.get(path).copied().unwrap_or(u64::MAX);
            let range = match next.get(path) {
                Some(n) => *n..n.saturating_add(1).min(bound).max(*n),
                None => 0..bound,
            };
            of_file.range(range).flat_map(move |(_, lines)| lines.iter().map(move |l| (path.as_str(), l.as_str())))
        });
        lines.chain(notes)
    }
}

/// The record number of a line, without reading all of it.
pub(super) fn number(line: &str) -> Option<u64> {
    line.strip_prefix("{\"n\":")?.split(',').next()?.parse().ok()
}

fn list(root: &Path, folder: &str, files: &mut Vec<String>) {
    for entry in fsutil::list(&root.join(folder)).unwrap_or_default() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(root, &path, files),
            Ok(kind) if kind.is_file() && path.ends_with(".jsonl") => files.push(path),
            _ => {}
        }
    }
}
