//! Watching is a hint: it only makes the loop look sooner than its slow poll would.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_store_layout::{MachineId, paths};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::wake::{Wake, Wakes};

/// A watch on the inbox, the definitions and what triggers look for, until dropped.
pub(super) struct Watch {
    /// Absent when the system can not, which the slow poll makes up for.
    watcher: Option<RecommendedWatcher>,
    followed: BTreeSet<PathBuf>,
    /// A folder is not watched.
    has_gaps: bool,
    wakes: Wakes,
}

impl Watch {
    /// Begins to watch the inbox and the definitions. See [`Watch::follow`] for more.
    pub(super) fn start(root: &Path, machine: &MachineId, wakes: Wakes) -> Self {
        let started = watcher(root, wakes.clone()).and_then(|mut watcher| {
            watcher.watch(&root.join(paths::inbox(machine)), RecursiveMode::NonRecursive)?;
            for dir in paths::DEFINITION_DIRS.iter().map(|dir| root.join(dir)).filter(|dir| dir.is_dir()) {
                watcher.watch(&dir, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        let watcher = started.inspect_err(told).ok();
        // a folder that somebody makes later
        let has_gaps = paths::DEFINITION_DIRS.iter().any(|dir| !root.join(dir).is_dir());
        Self { watcher, followed: BTreeSet::new(), has_gaps, wakes }
    }

    /// Tells whether everything that was asked for is watched.
    pub(super) fn is_whole(&self) -> bool {
        self.watcher.is_some() && !self.has_gaps
    }

    /// Watches these folders too, from now on. What came into a new one before is looked at once, so that
    /// nothing waits for the slow poll.
    pub(super) fn follow(&mut self, folders: Vec<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for folder in folders {
            if self.followed.contains(&folder) || !folder.is_dir() {
                continue;
            }
            // one that can not be watched is not tried again and again
            self.followed.insert(folder.clone());
            match watcher.watch(&folder, RecursiveMode::Recursive) {
                Ok(()) => self.wakes.send(Wake::Files),
                Err(error) => {
                    told(&error);
                    self.has_gaps = true;
                }
            }
        }
    }
}

fn watcher(root: &Path, wakes: Wakes) -> notify::Result<RecommendedWatcher> {
    let (inside, files) = (root.join(paths::INBOX), root.join(paths::FILES));
    let handler = move |event: notify::Result<notify::Event>| match event {
        Ok(event) if event.need_rescan() => wakes.send(Wake::Time),
        Ok(event) if event.kind.is_access() => {}
        Ok(event) => {
            let is = |wake: &Wake, path: &PathBuf| match wake {
                Wake::Inbox => path.starts_with(&inside),
                Wake::Files => path.starts_with(&files),
                _ => !path.starts_with(&inside) && !path.starts_with(&files),
            };
            for wake in [Wake::Inbox, Wake::Files, Wake::Definitions] {
                if event.paths.iter().any(|path| is(&wake, path)) {
                    wakes.send(wake);
                }
            }
        }
        // lost events: look at everything
        Err(_) => wakes.send(Wake::Time),
    };
    RecommendedWatcher::new(handler, notify::Config::default().with_poll_interval(Duration::from_secs(5)))
}

fn told(error: &notify::Error) {
    tracing::warn!(%error, "files can not be watched; they are looked at every few seconds instead");
}
