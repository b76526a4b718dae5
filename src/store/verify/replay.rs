//! Every history that has ended, decided again: would this build have done the same?
//!
//! Histories that go on are checked by the kernel that takes them up, and may be grown by it meanwhile.

use cairn_store_layout::{RunId, event::Body, paths};

use super::{Report, files_below};
use crate::store::{
    Store,
    past::{self, Loader, PastError},
};

/// Adds a finding for each finished run that this build would have taken elsewhere, or can not decide again.
pub(super) fn check(store: &Store, report: &mut Report) {
    let mut loader = match Loader::new(store.root()) {
        Ok(loader) => loader,
        Err(error) => return report.add("unreadable", ".git", None, error.to_string()),
    };
    for path in files_below(store.root(), paths::RUNS, report) {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".jsonl"));
        let Some(run) = name.and_then(|name| RunId::new(name).ok()) else { continue };
        match replay(store, &run, &mut loader) {
            Ok(None) => {}
            Ok(Some(replayed)) => {
                report.checked.replayed += 1;
                if let Some(difference) = replayed.difference {
                    let line = Some(difference.n as u64 + 1);
                    report.add("decided_otherwise", path, line, difference.words());
                }
            }
            // what is wrong with its lines was told already
            Err(PastError::Unreadable(_) | PastError::NoStart) => {}
            Err(error) => report.add("not_replayable", path, None, error.to_string()),
        }
    }
}

/// `None` when the run has not ended.
fn replay(store: &Store, run: &RunId, loader: &mut Loader) -> Result<Option<cairn_kernel::Replayed>, PastError> {
    let Some(events) = past::events(store.root(), run)? else { return Ok(None) };
    let last = events.last().map(|event| &event.body);
    if !matches!(last, Some(Body::RunSucceeded(_) | Body::RunFailed(_) | Body::RunCanceled(_))) {
        return Ok(None);
    }
    past::replay(store.root(), &events, false, &mut |workflow, pins| loader.load(workflow, pins)).map(Some)
}
