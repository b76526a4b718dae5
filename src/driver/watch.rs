//! Watching is a hint: it only makes the loop look sooner than its slow poll would.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_store_layout::{MachineId, paths};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::wake::{Wake, Wakes};

/// A watch on the inbox, the definitions and what triggers look for, until dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to watch, `more` folders too; `None` when the system can not, which the slow poll makes up for.
    pub(super) fn start(root: &Path, machine: &MachineId, more: Vec<PathBuf>, wakes: Wakes) -> Option<Self> {
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
        let config = notify::Config::default().with_poll_interval(Duration::from_secs(5));
        let started = RecommendedWatcher::new(handler, config).and_then(|mut watcher| {
            watcher.watch(&root.join(paths::inbox(machine)), RecursiveMode::NonRecursive)?;
            let definitions = paths::DEFINITION_DIRS.iter().map(|dir| root.join(dir));
            for dir in definitions.chain(more) {
                if dir.is_dir() {
                    watcher.watch(&dir, RecursiveMode::Recursive)?;
                }
            }
            Ok(watcher)
        });
        match started {
            Ok(watcher) => Some(Self { _watcher: watcher }),
            Err(error) => {
                tracing::warn!(%error, "files can not be watched; they are looked at every few seconds instead");
                None
            }
        }
    }
}
