//! The journal's chain, and whether histories say what it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::{
    journal::{Tail, scan},
    paths,
};

use super::Report;
use crate::store::fsutil;

/// What the journal holds for files that may be behind it.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    lines: BTreeMap<String, BTreeSet<String>>,
}

impl Ahead {
    /// Tells whether the journal can restore the end of the file.
    pub(super) fn knows(&self, path: &str) -> bool {
        self.lines.contains_key(path)
    }

    /// Tells whether an entry of the journal names this id.
    pub(super) fn names(&self, id: &str) -> bool {
        self.lines.values().flatten().any(|line| line.contains(id))
    }

    /// A line that both hold must be the same. One that the file lacks comes with the next start.
    pub(super) fn compare(&self, path: &str, bytes: &[u8], report: &mut Report) {
        let Some(journaled) = self.lines.get(path) else { return };
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<&str> =
            bytes[..whole].split(|b| *b == b'\n').filter_map(|l| std::str::from_utf8(l).ok()).collect();
        for line in journaled {
            let Some(n) = number(line) else { continue };
            let there = usize::try_from(n).ok().and_then(|n| lines.get(n)).filter(|l| !l.is_empty());
            if there.is_some_and(|there| there != line) {
                report.add("journal_differs", path, Some(n + 1), "the journal holds another line of this number");
            }
        }
    }
}

/// Checks the chain over all segments, oldest first.
pub(super) fn check(root: &Path, kernel_runs: bool, report: &mut Report) -> Ahead {
    let mut ahead = Ahead::default();
    let segments = match fsutil::list(&root.join(paths::JOURNAL)) {
        Ok(entries) => entries,
        Err(e) => {
            report.add("unreadable", paths::JOURNAL, None, e.to_string());
            return ahead;
        }
    };
    let names = segments.iter().filter_map(|e| e.file_name().into_string().ok());
    let mut numbers: Vec<u64> = names.filter_map(|n| n.strip_suffix(".jsonl")?.parse().ok()).collect();
    numbers.sort_unstable();
    let mut after: Option<(u64, String)> = None;
    for (position, number) in numbers.iter().enumerate() {
        let path = paths::segment(*number);
        let bytes = match fsutil::read(&root.join(&path)) {
            Ok(Some(bytes)) => bytes,
            // a running kernel forgets segments whose runs are committed
            Ok(None) => {
                after = None;
                continue;
            }
            Err(e) => {
                report.add("unreadable", path, None, e.to_string());
                return ahead;
            }
        };
        let seen = scan(&bytes, after.as_ref().map(|(n, hash)| (*n, hash.as_str())));
        let last = position + 1 == numbers.len();
        match seen.tail {
            Tail::Clean => {}
            // never acknowledged; set aside by the next start, or being written at this moment
            Tail::Torn { .. } if last => {}
            Tail::Torn { bytes } => {
                let message =
                    format!("{bytes} bytes after offset {} are no entries, and a later segment follows", seen.end);
                report.add("journal_damaged", &path, None, message);
            }
            Tail::Damaged { n, offset } if !(kernel_runs && last && torn_read(root, &path, &bytes)) => {
                let message = format!("entry {n}, at offset {offset}, was acknowledged and is damaged");
                report.add("journal_damaged", &path, None, message);
            }
            Tail::Damaged { .. } => {}
        }
        report.checked.journal_entries += seen.entries.len() as u64;
        after = seen.entries.last().map(|e| (e.n, seen.last_hash.clone())).or(after);
        for entry in seen.entries {
            ahead.lines.entry(entry.to).or_default().insert(entry.line);
        }
    }
    ahead
}

/// Tells whether the segment has changed since it was read: then the read met a write half way.
fn torn_read(root: &Path, path: &str, before: &[u8]) -> bool {
    fsutil::read(&root.join(path)).ok().flatten().is_none_or(|now| now != before)
}

fn number(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("n")?.as_u64()
}
