//! What git holds: objects that can be read, files that only ever grew, and a work tree that is no
//! step behind them.

use std::path::Path;

use super::Report;
use crate::store::{
    fsutil,
    git::{ChangeKind, Repo},
};

/// Commits looked at, newest first.
const COMMITS_MAX: usize = 100_000;
/// Folders of files that are only ever appended to.
const APPENDED: [&str; 5] = ["runs", "log", "entities", "memory/passages", "memory/episodes"];

pub(super) fn check(root: &Path, report: &mut Report) {
    let repo = match Repo::open(root) {
        Ok(repo) => repo,
        Err(e) => return report.add("git", ".git", None, e.to_string()),
    };
    for finding in repo.check(COMMITS_MAX) {
        report.add("git", ".git", None, finding);
    }
    for finding in repo.append_only_violations(is_appended, COMMITS_MAX) {
        report.add("rewritten", ".git", None, finding);
    }
    if let Ok(None) = repo.head(None) {
        report.add("git", ".git", None, "the repository has no commit");
    }
    work_tree(root, &repo, report);
}

fn is_appended(path: &str) -> bool {
    path.ends_with(".jsonl")
        && APPENDED.iter().any(|dir| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
}

/// The committed bytes of a growing file must begin the file in the work tree.
fn work_tree(root: &Path, repo: &Repo, report: &mut Report) {
    let changes = match repo.changed_under(&APPENDED) {
        Ok(changes) => changes,
        Err(e) => return report.add("git", ".git", None, e.to_string()),
    };
    for finding in changes.findings {
        report.add("stray_file", ".", None, finding);
    }
    for changed in changes.paths.into_iter().filter(|c| is_appended(&c.path)) {
        match changed.kind {
            // not yet at rest
            ChangeKind::Added => {}
            ChangeKind::Removed => {
                let message =
                    format!("it is in the last commit and gone from disk; git restore {} brings it back", changed.path);
                report.add("removed", changed.path, None, message);
            }
            ChangeKind::Modified => {
                let committed =
                    repo.blob_of(&changed.path, None).and_then(|id| id.map(|id| repo.read_blob(&id)).transpose());
                match (committed, fsutil::read(&root.join(&changed.path))) {
                    (Ok(Some(old)), Ok(Some(new))) if !new.starts_with(&old) => {
                        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
                        let line = old[..same].iter().filter(|b| **b == b'\n').count() as u64 + 1;
                        let message = "it does not begin with what was committed; a file like this only ever grows";
                        report.add("rewritten", changed.path, Some(line), message);
                    }
                    (Ok(_), Ok(_)) => {}
                    (Err(e), _) => report.add("git", changed.path, None, e.to_string()),
                    (_, Err(e)) => report.add("unreadable", changed.path, None, e.to_string()),
                }
            }
        }
    }
}
