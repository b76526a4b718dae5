//! Lines of entities and episodes: each says whom it is about, and a history or a log tells of it.
//!
//! Other lines of memory are rebuilt or judged elsewhere; these two are what decisions rest upon.

use std::{collections::BTreeMap, path::Path};

use cairn_store_layout::{entity::Line, episode::Episode, learned::Learned, paths};

use super::{Report, files_below, journal::Ahead};
use crate::store::fsutil;

/// What the files say, before the histories are read: a kernel that runs writes a line after its event.
#[derive(Default)]
pub(super) struct Claims {
    /// By the id of the change or the episode, where it was said first.
    said: BTreeMap<String, (String, u64)>,
}

impl Claims {
    pub(super) fn read(root: &Path, report: &mut Report) -> Self {
        let mut claims = Self::default();
        claims.folder(root, paths::ENTITIES, report, |path, line| {
            let line = Line::read(line)?;
            let folder = format!("{}/{}/", paths::ENTITIES, line.entity);
            if !path.starts_with(&folder) {
                return Err(format!("it is about {}", line.entity));
            }
            Ok(line.id)
        });
        claims.folder(root, paths::EPISODES, report, |_, line| {
            serde_json::from_slice::<Episode>(line).map(|episode| episode.id).map_err(|e| e.to_string())
        });
        claims
    }

    /// Every claim must be one that a history, a log or the journal tells of.
    pub(super) fn check(self, ahead: &Ahead, report: &mut Report) {
        for (id, (path, line)) in self.said {
            if !report.learned.contains(&id) && !ahead.names(&id) {
                let message = format!("no history and no log tells of {id}; git log -- {path} says how it came here");
                report.add("unbacked", path, Some(line), message);
            }
        }
    }

    fn folder(
        &mut self,
        root: &Path,
        folder: &str,
        report: &mut Report,
        id_of: impl Fn(&str, &[u8]) -> Result<String, String>,
    ) {
        for path in files_below(root, folder, report) {
            let bytes = match fsutil::read(&root.join(&path)) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(e) => {
                    report.add("unreadable", path, None, e.to_string());
                    continue;
                }
            };
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            for (line, text) in (1u64..).zip(bytes[..whole].split_inclusive(|b| *b == b'\n')) {
                match id_of(&path, text.trim_ascii_end()) {
                    Ok(id) => drop(self.said.entry(id).or_insert_with(|| (path.clone(), line))),
                    Err(why) => report.add("bad_line", path.clone(), Some(line), why),
                }
            }
        }
    }
}

/// The id under which an event's line is claimed, if it has one.
pub(super) fn id_of(learned: Learned) -> Option<String> {
    match learned {
        Learned::Entity(change) => Some(change.id),
        Learned::Episode(episode) => Some(episode.id),
        _ => None,
    }
}
