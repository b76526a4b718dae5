//! One turn of the loop: lines that become durable together, and what is carried out after.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use cairn_kernel::Effect;
use cairn_store_layout::RunId;

use super::{Driver, DriverError, load::Spent};
use crate::store::{
    disk::DiskFile,
    fsutil::{self, At as _},
};

/// What one turn gathered.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Lines without their line break, each with the file it belongs to.
    pub(super) lines: Vec<(String, String)>,
    /// What the facts ask for, once they are durable.
    pub(super) effects: Vec<Effect>,
    /// Runs whose next layer waits until this one is durable.
    pub(super) open: BTreeSet<RunId>,
    /// The last entry of the journal when the turn began.
    pub(super) durable: u64,
}

impl Driver {
    /// Makes the lines durable, then appends them to their files, where everybody can see them.
    pub(super) fn write_turn(&mut self) -> Result<(), DriverError> {
        if self.turn.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.turn.lines);
        let group: Vec<(&str, &str)> = lines.iter().map(|(to, line)| (to.as_str(), line.as_str())).collect();
        cairn_kernel::seeded!(HistoryBeforeJournal: self.show(&group)?);
        let begun = self.meter.begin();
        self.journal.append(&group)?;
        let begun = self.meter.end(Spent::Journal, begun);
        self.turn.durable = self.journal.last();
        self.ready.append(&mut self.turn.open);
        if let Some(turned) = &mut self.turned {
            turned.note(&lines);
        }
        cairn_kernel::seeded!(HistoryBeforeJournal: (), else self.show(&group)?);
        self.meter.end(Spent::History, begun);
        Ok(())
    }

    /// Appends lines that are durable to their files.
    fn show(&self, group: &[(&str, &str)]) -> Result<(), DriverError> {
        let mut by_file: BTreeMap<&str, String> = BTreeMap::new();
        for (to, line) in group {
            let text = by_file.entry(to).or_default();
            text.push_str(line);
            text.push('\n');
        }
        for (to, text) in by_file {
            let path = self.store.path(to);
            // unsynced on purpose: the journal is what counts, and a start repairs this file from it
            // only a first record makes the file: one that somebody removed would begin in the middle, and its
            // next commit would drop what came before; the next start brings it back whole
            let begins = text.starts_with("{\"n\":0,");
            let append = || DiskFile::open_append(&path, begins)?.append(text.as_bytes());
            match append() {
                // the first history of its hour, or the first entry of a log
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    path.parent().map_or(Ok(()), fsutil::create_dirs)?;
                    append()
                }
                done => done,
            }
            .at("append to", &path)?;
        }
        Ok(())
    }
}
