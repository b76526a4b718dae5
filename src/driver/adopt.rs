//! Edited definitions: committed as soon as they are valid, left alone while they are not.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::paths;

use super::{Driver, DriverError};
use crate::store::{
    definitions::WorkTree,
    git::{Change, ChangeKind, ChangedPath, CommitPlan, Content},
};

impl Driver {
    /// Commits what the operator edited, one commit a workflow, agent or connector. What is broken
    /// stays uncommitted, so that the last good version stays in use.
    ///
    /// Never stops the kernel: files that come and go under an editor are looked at again soon.
    pub(super) fn adopt_definitions(&mut self) {
        if let Err(error) = self.try_adopt() {
            tracing::warn!(%error, "edits could not be taken just now; the last good versions stay in use");
        }
    }

    fn try_adopt(&mut self) -> Result<(), DriverError> {
        let changed = self.repo.changed_under(&paths::DEFINITION_DIRS)?;
        if changed.paths.is_empty() {
            return Ok(());
        }
        for finding in &changed.findings {
            tracing::warn!("not committed: {finding}");
        }
        let mut units: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for path in changed.paths {
            units.entry(unit(&path.path)).or_default().push(change(path));
        }
        let read = WorkTree::read(self.store.root());
        let work = read.map_err(|source| DriverError::System { what: "read the definitions", source })?;
        let broken = broken_units(&work);
        let at = self.clock.now();
        let mut plans = Vec::new();
        for (unit, changes) in units {
            if broken.contains(&unit) {
                tracing::warn!(unit, "an edit can not be used; the last good version stays in use");
                continue;
            }
            plans.push(CommitPlan {
                subject: subject(&unit, &changes),
                body: String::new(),
                trailers: vec![("Machine".to_owned(), self.machine.to_string())],
                at,
                changes,
                allow_empty: false,
            });
        }
        if plans.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = plans.iter().flat_map(|p| &p.changes).map(|c| c.path().to_owned()).collect();
        self.commit_group(&plans)?;
        self.stale_index.extend(paths);
        self.refresh_index()
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
    format!("{folder}: {} {}", if removed { "remove" } else { "edit" }, name.trim_end_matches(".toml"))
}
