//! Watching is a hint: it only makes the loop look sooner than its slow poll would.

use std::{path::Path, time::Duration};

use cairn_store_layout::{MachineId, paths};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::wake::{Wake, Wakes};

/// A watch on the inbox and the definitions, until dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to watch; `None` when the system can not, which the slow poll makes up for.
    pub(super) fn start(root: &Path, machine: &MachineId, wakes: Wakes) -> Option<Self> {
        let inbox = root.join(paths::INBOX);
        let inside = inbox.clone();
        let handler = move |event: notify::Result<notify::Event>| match event {
            Ok(event) if event.need_rescan() => wakes.send(Wake::Time),
            Ok(event) if event.kind.is_access() => {}
            Ok(event) => {
                let (ours, others): (Vec<_>, Vec<_>) = event.paths.iter().partition(|p| p.starts_with(&inside));
                if !ours.is_empty() {
                    wakes.send(Wake::Inbox);
                }
                if !others.is_empty() {
                    wakes.send(Wake::Definitions);
                }
            }
            // lost events: look at everything
            Err(_) => wakes.send(Wake::Time),
        };
        let config = notify::Config::default().with_poll_interval(Duration::from_secs(5));
        let started = RecommendedWatcher::new(handler, config).and_then(|mut watcher| {
            watcher.watch(&root.join(paths::inbox(machine)), RecursiveMode::NonRecursive)?;
            for dir in paths::DEFINITION_DIRS {
                let dir = root.join(dir);
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
