//! `verify`: is everything as it was written? Offline, read-only, beside a running kernel or without.
//!
//! Answers findings, never an error: damage is what it is here to describe. What a crash leaves
//! behind and the next start repairs by itself (a torn last line, a history that is behind the
//! journal) is no finding.

mod committed;
mod course;
mod history;
mod journal;
mod learned;
mod replay;
mod turns;

use std::{collections::BTreeSet, path::Path};

use cairn_store_layout::{Digest, paths, view::KernelHealth};
use serde::Serialize;

use super::{Store, fsutil, inbox, lock};

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, from the store's root.
    pub path: String,
    /// The line, counted from 1, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// A short name for scripts.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Histories of runs.
    pub histories: u64,
    /// Their records.
    pub records: u64,
    /// Approvals and denials, each against the digest that was shown.
    pub decisions: u64,
    /// Payloads, each against its name.
    pub artifacts: u64,
    /// Entries of the journal.
    pub journal_entries: u64,
    /// Commands in the inbox.
    pub commands: u64,
    /// Finished runs that were decided again.
    #[serde(skip_serializing_if = "is_zero")]
    pub replayed: u64,
}

/// The answer of [`verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Sorted by path and line.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub checked: Checked,
    /// Ids of changes and episodes that some event tells of.
    learned: BTreeSet<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde decides the signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Report {
    /// Tells whether nothing was found.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, code: &'static str, path: impl Into<String>, line: Option<u64>, message: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), line, code, message: message.into() });
    }
}

/// Checks everything that can be seen in a store.
#[must_use]
pub fn verify(store: &Store) -> Report {
    check(store, false)
}

/// The same, and decides every finished run again.
#[must_use]
pub fn verify_and_replay(store: &Store) -> Report {
    check(store, true)
}

fn check(store: &Store, replayed: bool) -> Report {
    let mut report = Report::default();
    let runs = match lock::probe(store.root()) {
        Ok(KernelHealth::Running { .. }) => true,
        Ok(KernelHealth::Down) => false,
        Err(e) => {
            report.add("unreadable", paths::LOCK, None, e.to_string());
            false
        }
    };
    let claims = learned::Claims::read(store.root(), &mut report);
    let ahead = journal::check(store.root(), runs, &mut report);
    histories(store.root(), &ahead, runs, &mut report);
    logs(store.root(), &mut report);
    claims.check(&ahead, &mut report);
    artifacts(store.root(), &mut report);
    commands(store, &mut report);
    committed::check(store.root(), &mut report);
    if replayed {
        replay::check(store, &mut report);
    }
    report.findings.sort_unstable();
    report.findings.dedup();
    report
}

fn histories(root: &Path, ahead: &journal::Ahead, kernel_runs: bool, report: &mut Report) {
    for path in files_below(root, paths::RUNS, report) {
        if !path.ends_with(".jsonl") {
            report.add("stray_file", path, None, "only histories belong here");
            continue;
        }
        match fsutil::read(&root.join(&path)) {
            Ok(Some(bytes)) => {
                report.checked.histories += 1;
                history::check(root, &path, &bytes, ahead.knows(&path) || kernel_runs, report);
                ahead.compare(&path, &bytes, report);
            }
            Ok(None) => {}
            Err(e) => report.add("unreadable", path, None, e.to_string()),
        }
    }
}

fn logs(root: &Path, report: &mut Report) {
    for path in files_below(root, "log", report) {
        match fsutil::read(&root.join(&path)) {
            Ok(Some(bytes)) => history::check_log(root, &path, &bytes, report),
            Ok(None) => {}
            Err(e) => report.add("unreadable", path, None, e.to_string()),
        }
    }
}

fn artifacts(root: &Path, report: &mut Report) {
    for path in files_below(root, paths::ARTIFACTS, report) {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with('.') {
            continue; // being written
        }
        let Ok(digest) = Digest::new(name) else {
            report.add("stray_file", path, None, "its name is no digest");
            continue;
        };
        if paths::artifact(&digest) != path {
            report.add("stray_file", &path, None, format!("it belongs to {}", paths::artifact(&digest)));
        }
        match fsutil::read(&root.join(&path)) {
            Ok(Some(bytes)) if Digest::of(&bytes) == digest => report.checked.artifacts += 1,
            Ok(Some(_)) => report.add("damaged_artifact", path, None, "its bytes do not match its name"),
            Ok(None) => {}
            Err(e) => report.add("unreadable", path, None, e.to_string()),
        }
    }
}

fn commands(store: &Store, report: &mut Report) {
    match inbox::pending(store) {
        Ok(all) => {
            for file in all {
                match file.command {
                    Ok(_) => report.checked.commands += 1,
                    Err(why) => report.add("bad_command", file.path, None, why),
                }
            }
        }
        Err(e) => report.add("unreadable", paths::INBOX, None, e.to_string()),
    }
}

/// All files below a folder, sorted, as paths from the store's root. Links and special files are findings.
fn files_below(root: &Path, folder: &str, report: &mut Report) -> Vec<String> {
    let mut files = Vec::new();
    let entries = match fsutil::list(&root.join(folder)) {
        Ok(entries) => entries,
        Err(e) => {
            report.add("unreadable", folder, None, e.to_string());
            return files;
        }
    };
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if fsutil::is_temporary(&name) {
            continue; // being written, or left by a writer that was killed: holds nothing that counts
        }
        let path = format!("{folder}/{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(root, &path, report)),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => report.add("stray_file", path, None, "it is neither a plain file nor a folder"),
        }
    }
    files
}

#[cfg(test)]
mod tests;
