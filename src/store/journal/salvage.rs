//! Going on without what can not be restored: a person's decision, never a start's.
//!
//! The new journal holds, for every file, the entries that follow its commit without a gap; a gap is
//! closed by the file in the work tree where it can be. The damaged journal goes to quarantine whole.
//! The change is one rename that the next start finishes if it was interrupted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::{
    journal::{Entry, ORIGIN},
    paths,
};

use super::{
    CONTINUED, JournalError, JournalOptions, Known, NOTE_TO, fail,
    known::number,
    mend::{self, Segment},
};
use crate::store::{disk, fsutil, unfinished};

/// What a new journal lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// Entries that can not be read, in all.
    pub entries: u64,
    /// Each place where something is missing, in a sentence.
    pub places: Vec<String>,
    /// Where the damaged journal lies now, from the store's root.
    pub kept: String,
}

/// Replaces the journal by what is left of it. `committed` tells how many records of a file are in a
/// commit; `tag` tells this quarantine from others.
///
/// # Errors
/// When the disk refuses; the journal is the old one or the new one then, never half of each.
pub fn salvage(
    root: &Path,
    options: JournalOptions,
    known: &Known,
    committed: impl Fn(&str) -> u64,
    tag: &str,
) -> Result<Loss, JournalError> {
    let segments = mend::read(root)?;
    let mut loss = Loss { kept: format!("{}/journal.{tag}", paths::QUARANTINE), ..Loss::default() };
    tell_stretches(root, &mut loss);
    let mut lines: Vec<(String, String)> = vec![(NOTE_TO.to_owned(), CONTINUED.to_owned())];
    for (file, mut entries) in by_file(&segments) {
        let mut n = committed(&file);
        while let Some(line) = entries.remove(&n).or_else(|| known.line(&file, n).map(str::to_owned)) {
            lines.push((file.clone(), line));
            n += 1;
        }
        let unusable = entries.range(n..).count();
        if unusable > 0 {
            loss.places.push(format!("{file}: record {n} is lost, so {unusable} later ones can not be used"));
        }
    }
    let last = segments.iter().flat_map(|s| &s.whole).max_by_key(|w| w.entry.n);
    let (mut n, mut p) = last.map_or((0, ORIGIN.to_owned()), |w| (w.entry.n, w.hash.clone()));
    let syn = n;
    let mut bytes = Vec::new();
    for (to, line) in lines {
        n += 1;
        let (text, hash) = Entry { n, p, syn, to, line }.encode();
        bytes.extend_from_slice(text.as_bytes());
        p = hash;
    }
    bytes.resize(options.segment_bytes.max(bytes.len()), 0);
    let number = segments.last().map_or(0, |s| s.number) + 1;
    let new = root.join(paths::JOURNAL_NEW);
    let file = new.join(format!("{number:08}.jsonl"));
    fsutil::write(&file, &bytes).map_err(|e| fail("write", &file, e.source))?;
    let quarantine = root.join(paths::QUARANTINE);
    fsutil::create_dirs(&quarantine).map_err(|e| fail("make", &quarantine, e.source))?;
    // a run that only the lost entries named is found by looking at every history again
    unfinished::forget(root).map_err(|e| fail("forget what was derived from", &quarantine, e.source))?;
    let (old, kept) = (root.join(paths::JOURNAL), root.join(&loss.kept));
    disk::rename(&old, &kept).map_err(|e| fail("set aside", &old, e))?;
    for folder in [&quarantine, &root.join(paths::LOCAL)] {
        disk::sync_dir(folder).map_err(|e| fail("sync", folder, e))?;
    }
    finish(root)?;
    Ok(loss)
}

/// Ends a salvage that was interrupted: with the old journal aside the new one takes its place, else the
/// new one is not whole and goes.
pub(super) fn finish(root: &Path) -> Result<(), JournalError> {
    let (old, new, local) = (root.join(paths::JOURNAL), root.join(paths::JOURNAL_NEW), root.join(paths::LOCAL));
    if !new.is_dir() {
        return Ok(());
    }
    if old.is_dir() {
        return disk::remove_tree(&new).map_err(|e| fail("remove the leftover", &new, e));
    }
    disk::rename(&new, &old).map_err(|e| fail("put in place", &old, e))?;
    disk::sync_dir(&local).map_err(|e| fail("sync", &local, e))
}

fn tell_stretches(root: &Path, loss: &mut Loss) {
    match mend::stretches(root) {
        Ok(stretches) => {
            for stretch in stretches {
                let (first, last) = stretch.entries;
                loss.entries += last - first + 1;
                let (path, at) = (paths::segment(stretch.segment), stretch.offset);
                loss.places.push(format!("{path}: entries {first} to {last}, at offset {at}, can not be read"));
            }
        }
        Err(error) => loss.places.push(error.to_string()),
    }
}

fn by_file(segments: &[Segment]) -> BTreeMap<String, BTreeMap<u64, String>> {
    let mut files: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in segments.iter().flat_map(|s| &s.whole).map(|w| &w.entry) {
        // a leftover of an earlier journal in the same segment must not speak twice
        let Some(n) = number(&entry.line).filter(|_| seen.insert(entry.n)) else { continue };
        files.entry(entry.to.clone()).or_default().insert(n, entry.line.clone());
    }
    files
}
