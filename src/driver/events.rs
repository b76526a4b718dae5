//! Events: recorded once in the machine's log, whoever emits them and however often the file comes.

use std::collections::BTreeSet;

use cairn_kernel::{Command, Refusal};
use cairn_store_layout::{CommandId, RunId, command::is_event_name, event::EventReceived, paths};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{Driver, DriverError};
use crate::store::fsutil;

/// Logs older than so many months are not asked whether an event is known.
const MONTHS_MAX: i64 = 24;

/// Which events the log has.
#[derive(Default)]
pub(super) struct Events {
    /// Months that were read, by the path of their log.
    months: BTreeSet<String>,
    known: BTreeSet<CommandId>,
    /// Events that are in the journal still, found at a start.
    pub(super) again: Vec<(EventReceived, Timestamp)>,
}

/// Why an event is refused: a stable code, a sentence, and the run it was for.
pub(super) type NotTaken = (&'static str, String, Option<RunId>);

impl Driver {
    /// Takes an event in. One that was taken before is taken, and nothing follows.
    pub(super) fn emit(
        &mut self,
        id: &CommandId,
        by: &str,
        name: String,
        data: Value,
        run: Option<RunId>,
    ) -> Result<Result<(), NotTaken>, DriverError> {
        if !is_event_name(&name) {
            let message =
                format!("`{name}` can not name an event: use a letter, then letters, digits, `.`, `-` or `_`");
            return Ok(Err(("bad_event", message, None)));
        }
        if self.has_event(id)? {
            return Ok(Ok(()));
        }
        if let Some(run) = &run
            && self.runs.get(run).is_none_or(|live| live.state.end().is_some())
        {
            let message = format!("run {} is not under way on this machine, so no event can reach it", run.short());
            return Ok(Err(("no_such_run", message, Some(run.clone()))));
        }
        let received = EventReceived { event: id.clone(), name, data, by: by.to_owned(), run };
        self.log_event(received.clone())?;
        self.events.known.insert(id.clone());
        let now = self.clock.now();
        self.offer(&received, now)?;
        Ok(Ok(()))
    }

    /// Hands an event of `at` to the runs that listen to its name, or to the one that it is for. One that has it
    /// already keeps it once; one that began later was not there.
    pub(super) fn offer(&mut self, event: &EventReceived, at: Timestamp) -> Result<(), DriverError> {
        let listens = |run: &RunId, live: &super::live::Live| {
            event.run.as_ref().is_none_or(|only| only == run)
                && live.view.started <= at
                && live.state.listens_to(&event.name)
        };
        let runs: Vec<RunId> =
            self.runs.iter().filter(|(run, live)| listens(run, live)).map(|(run, _)| run.clone()).collect();
        for run in runs {
            let (signal, name) = (event.event.clone(), event.name.clone());
            let command = Command::Signal { signal, name, data: event.data.clone(), by: event.by.clone() };
            match self.ask(&run, &command, None)? {
                Ok(()) | Err(Refusal::AlreadyTaken) => {}
                Err(refusal) => {
                    tracing::warn!(%run, event = event.name, %refusal, "an event did not reach a run that listens to it");
                }
            }
        }
        Ok(())
    }

    /// Hands on what the log has and the runs may not: a crash can leave an event recorded and not offered.
    pub(super) fn offer_again(&mut self) -> Result<(), DriverError> {
        for (event, at) in std::mem::take(&mut self.events.again) {
            self.events.known.insert(event.event.clone());
            self.offer(&event, at)?;
        }
        Ok(())
    }

    /// Tells whether the log has this event: its effect may be repeated long after its file was taken.
    fn has_event(&mut self, id: &CommandId) -> Result<bool, DriverError> {
        let now = self.clock.now();
        // from the month of the event's id on
        let made = i64::try_from(RunId::from(id.clone()).millis()).unwrap_or(i64::MAX);
        let made = Timestamp::from_millisecond(made).unwrap_or(now).min(now);
        let mut month = made.to_zoned(TimeZone::UTC).date().first_of_month();
        let last = now.to_zoned(TimeZone::UTC).date();
        let oldest = last.saturating_sub(jiff::Span::new().months(MONTHS_MAX));
        while month <= last {
            let at = month.to_zoned(TimeZone::UTC).map_or(now, |z| z.timestamp());
            let path = paths::log(&self.machine, at);
            if month >= oldest && self.events.months.insert(path.clone()) {
                let bytes = fsutil::read(&self.store.path(&path))?.unwrap_or_default();
                self.events.known.extend(events_in(&String::from_utf8_lossy(&bytes)));
            }
            month = month.saturating_add(jiff::Span::new().months(1));
        }
        Ok(self.events.known.contains(id))
    }
}

/// The ids of the events that a log tells of.
fn events_in(text: &str) -> impl Iterator<Item = CommandId> + '_ {
    text.lines().filter(|line| line.contains("\"kind\":\"event.received\"")).filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        CommandId::new(value.get("event")?.as_str()?).ok()
    })
}
