//! The branch at a start: what was put back is told, and what lost commits held is committed again.

use cairn_store_layout::{event::BranchRestored, paths};

use super::{Driver, DriverError, recover::ends};
use crate::store::{
    fsutil,
    git::{Change, ChangeKind, Content, Restored},
};

/// Where files that lost commits held are looked for: what only grows, and what never changes.
const KEPT: [&str; 4] = [paths::RUNS, "log", paths::PASSAGES, paths::ARTIFACTS];

impl Driver {
    /// Records that the branch was put back; if newer commits are lost, commits what is left of them.
    pub(super) fn tell_restored(&mut self, restored: Restored) -> Result<(), DriverError> {
        let lost = restored.lost.map(|commit| commit.to_string());
        let told = BranchRestored {
            branch: restored.branch,
            found: restored.found,
            commit: restored.commit.to_string(),
            lost: lost.clone(),
        };
        let text = format!("{} was damaged ({}) and names {} again", told.branch, told.found, told.commit);
        tracing::warn!("{text}");
        self.served.repaired.push(text);
        self.log_event(told)?;
        if lost.is_some() { self.commit_again() } else { Ok(()) }
    }

    /// Commits finished histories, payloads and passages that are in the work tree and in no commit. What is
    /// not finished is committed with its run.
    fn commit_again(&mut self) -> Result<(), DriverError> {
        let mut changes = Vec::new();
        for changed in self.repo.changed_under(&KEPT)?.paths {
            if changed.kind == ChangeKind::Removed {
                continue;
            }
            let text = fsutil::read(&self.store.path(&changed.path))?.unwrap_or_default();
            let before = match self.repo.blob_of(&changed.path, None)? {
                Some(blob) => self.repo.read_blob(&blob)?,
                None => Vec::new(),
            };
            let grows = changed.path.ends_with(".jsonl");
            let whole = !grows || (text.ends_with(b"\n") && !text.contains(&0) && text.starts_with(&before));
            if whole && (!changed.path.starts_with(paths::RUNS) || ends(&text)) {
                changes.push(Change::Write { path: changed.path, content: Content::WorkTree });
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let paths: Vec<String> = changes.iter().map(|c| c.path().to_owned()).collect();
        let plan = self.machine_plan("log: what lost commits held, from the work tree".to_owned(), changes);
        self.commit_group(&[plan])?;
        self.stale_index.extend(paths);
        self.refresh_index()
    }

    /// Moves a checkpoint to the newest commit. It only helps repairs, so a failure stops nothing.
    pub(super) fn checkpoint(&mut self) {
        self.checkpointed = self.clock.up();
        if let Some(known) = &self.known
            && let Err(error) = self.repo.checkpoint(known)
        {
            tracing::warn!(%error, "a checkpoint of the branch could not be written");
        }
    }
}
