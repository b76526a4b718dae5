//! Edited definitions: committed as soon as they are valid, left alone while they are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use cairn_store_layout::paths;

use super::{Driver, DriverError};
use crate::store::{
    definitions::WorkTree,
    disk,
    git::{Change, ChangeKind, ChangedPath, Changes, Content, GitError},
};

/// How often a file that is written again and again is waited for before it is taken as it is.
const LOOKS_MAX: u32 = 5;
/// What fails when the definitions can not be read.
const READ: &str = "read the definitions";

/// What to do about files that are still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Wait a moment: somebody asks for a run with what they have just saved.
    Wait,
    /// Look again later; the loop goes on meanwhile.
    Later,
}

/// Edits that were noticed and not taken yet.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// When they are looked at next, by the clock's `up`.
    pub(super) due: Option<Duration>,
    /// How often they were found unsettled.
    looks: u32,
}

impl Driver {
    /// Commits what the operator edited, one commit a workflow, agent or connector. What is broken
    /// stays uncommitted, so that the last good version stays in use.
    ///
    /// Files that come and go under an editor never stop the kernel: they are looked at again soon.
    /// Files that are still being written are waited for if `patience` says so, else looked at later.
    ///
    /// # Errors
    /// When the history is damaged or the disk refuses to keep a commit: that is not the edit's fault.
    pub(super) fn adopt_definitions(&mut self, patience: Patience) -> Result<(), DriverError> {
        match self.try_adopt(patience) {
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "edits could not be taken just now; the last good versions stay in use");
            }
            done => done?,
        }
        // before anything else happens, so that what the edit waits for counts from here
        self.arm_triggers()
    }

    fn try_adopt(&mut self, patience: Patience) -> Result<(), DriverError> {
        let Some(changed) = self.settled_changes(patience)? else { return Ok(()) };
        for finding in &changed.findings {
            tracing::warn!("not committed: {finding}");
        }
        let mut units: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for path in changed.paths {
            units.entry(unit(&path.path)).or_default().push(change(path));
        }
        let read = WorkTree::read(self.store.root());
        let work = read.map_err(|source| DriverError::System { what: READ, source })?;
        let broken = broken_units(&work);
        let (mut plans, mut trusted) = (Vec::new(), Vec::new());
        for (unit, changes) in units {
            if broken.contains(&unit) {
                tracing::warn!(unit, "an edit can not be used; the last good version stays in use");
                continue;
            }
            if self.trust_edit(&unit, &changes)? {
                trusted.push(unit.clone());
            }
            plans.push(self.machine_plan(subject(&unit, &changes), changes));
        }
        if plans.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = plans.iter().flat_map(|p| &p.changes).map(|c| c.path().to_owned()).collect();
        self.commit_group(&plans)?;
        for unit in trusted {
            self.trust_committed(&unit)?;
        }
        self.stale_index.extend(paths);
        self.refresh_index()
    }

    /// What was edited, once nobody has written to it for a moment: a file that is half saved may be valid too.
    fn settled_changes(&mut self, patience: Patience) -> Result<Option<Changes>, DriverError> {
        loop {
            let changed = self.repo.changed_under(&paths::DEFINITION_DIRS).map_err(|error| match error {
                // only read so far
                GitError::Io { source, .. } => DriverError::System { what: READ, source },
                error => error.into(),
            })?;
            if changed.paths.is_empty() {
                return Ok(None);
            }
            let age = |path: &ChangedPath| {
                let written = std::fs::symlink_metadata(self.store.path(&path.path)).and_then(|m| m.modified()).ok()?;
                // written in the future, by the file system's word: nothing to wait for
                SystemTime::now().duration_since(written).ok()
            };
            let youngest = changed.paths.iter().filter_map(age).min();
            let rest = youngest.and_then(|age| self.settled.checked_sub(age));
            let rest = rest.filter(|rest| !rest.is_zero() && self.edits.looks < LOOKS_MAX);
            let Some(rest) = rest else {
                self.edits.looks = 0;
                return Ok(Some(changed));
            };
            self.edits.looks += 1;
            match patience {
                Patience::Wait => disk::pause(rest),
                Patience::Later => {
                    self.edits.due = Some(self.clock.up() + rest);
                    return Ok(None);
                }
            }
        }
    }
}

/// Tells whether an error comes from what people do in these folders or with git, and not from a
/// damaged history or a disk that failed to keep something.
fn is_passing(error: &DriverError) -> bool {
    use GitError::{BadPath, HeadMoved, Locked, NotAFile, TooLarge, Unsupported};
    match error {
        DriverError::System { what, .. } => *what == READ,
        DriverError::Git(error) => matches!(
            error,
            NotAFile { .. } | TooLarge { .. } | BadPath { .. } | Locked { .. } | HeadMoved { .. } | Unsupported { .. }
        ),
        _ => false,
    }
}

/// A workflow's folder, or one file: what is valid or broken as a whole.
fn unit(path: &str) -> String {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("workflows"), Some(name), Some(_)) => paths::workflow_dir(name),
        _ => path.to_owned(),
    }
}

fn change(changed: ChangedPath) -> Change {
    match changed.kind {
        ChangeKind::Added | ChangeKind::Modified => Change::Write { path: changed.path, content: Content::WorkTree },
        ChangeKind::Removed => Change::Remove { path: changed.path },
    }
}

fn broken_units(work: &WorkTree) -> BTreeSet<String> {
    let parts = work.parts.problems.iter().map(|p| unit(&p.file));
    let workflows = work.workflows.iter().filter(|(_, loaded)| loaded.is_err());
    parts.chain(workflows.map(|(name, _)| paths::workflow_dir(name))).collect()
}

/// `workflows: edit invoice-chase`.
fn subject(unit: &str, changes: &[Change]) -> String {
    let (folder, name) = unit.split_once('/').unwrap_or(("store", unit));
    let removed = changes.iter().all(|c| matches!(c, Change::Remove { .. }));
    format!(
        "{folder}: {} {}",
        if removed { "remove" } else { "edit" },
        name.trim_end_matches(".toml").trim_end_matches(".md")
    )
}
