//! The machine's own log: what happened that no run owns.

use cairn_store_layout::{
    event::{Body, Event},
    learned::Learned,
    paths,
    record::Record,
};
use jiff::Timestamp;

use super::{
    Driver, DriverError,
    live::{self, Since},
};

/// Where the log stands.
#[derive(Default)]
pub(super) struct MachineLog {
    /// The file of this month and the number of its next record.
    at: Option<(String, u64)>,
    pub(super) since: Since,
    /// As for a run: no entry of the journal before this one is needed for the log.
    pub(super) entry: Option<u64>,
}

impl MachineLog {
    /// Tells whether something is not in a commit yet.
    pub(super) fn is_ahead(&self) -> bool {
        !self.since.paths.is_empty() || !self.since.consumed.is_empty() || !self.since.learned.is_empty()
    }

    /// Tells whether this machine has written a record that is still known.
    pub(super) fn has_begun(&self) -> bool {
        self.at.is_some()
    }

    /// Goes on after `records` lines of `path`.
    pub(super) fn found(&mut self, path: &str, records: u64) {
        if self.at.as_ref().is_none_or(|(known, _)| known.as_str() <= path) {
            self.at = Some((path.to_owned(), records));
        }
    }
}

impl Driver {
    /// Stages an event of the machine itself.
    pub(super) fn log_event(&mut self, body: impl Into<Body>) -> Result<(), DriverError> {
        let at = self.clock.now();
        let (path, n) = self.log_place(at)?;
        let event = Event { at, step: None, iteration: None, attempt: None, cause: None, body: body.into() };
        if let Body::EventReceived(received) = &event.body {
            self.triggers.heard(at, received);
        }
        if let Some(learned) = Learned::of(&event.body) {
            self.memory.learn(std::slice::from_ref(&learned));
            self.log.since.learned.push(learned);
        }
        self.log.since.told.push(cairn_store_layout::view::describe(&event));
        let line = live::encode(self.store.root(), &path, &Record { n, event }, &mut self.log.since)?;
        self.log.since.paths.insert(path.clone());
        self.turn.lines.push((path.clone(), line));
        self.log.entry.get_or_insert(self.turn.durable + 1);
        self.log.at = Some((path, n + 1));
        Ok(())
    }

    /// This month's file and the number of its next record.
    fn log_place(&mut self, at: Timestamp) -> Result<(String, u64), DriverError> {
        let path = paths::log(&self.machine, at);
        if let Some((known, n)) = &self.log.at
            && *known == path
        {
            return Ok((path, *n));
        }
        // a file that somebody changed or removed must not be begun anew: its commit says where it stands
        let records = self.mend(&path, &[])?.records;
        Ok((path, records))
    }
}
