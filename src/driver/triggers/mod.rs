//! Triggers: what they see becomes runs.
//!
//! A trigger is armed when the version of its workflow in the last commit is trusted on this machine
//! ([`arm`]). What the armed ones see, [`look`] finds: due times, files, events, ends of runs, and
//! starts that waited. What comes of it, [`fire`] decides, stages and records in the machine's log, so
//! that a restart neither loses nor doubles a start:
//!
//! - due times up to the latest record are done with, files are marked once their record is durable;
//! - a run and its record are one write; when only the run's half survived a kill, the run is known
//!   by the bits of its id, which are derived from what it was started for.

mod arm;
mod fire;
mod look;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    time::Duration,
};

use cairn_kernel::PlanTrigger;
use cairn_store_layout::{
    MachineId, RunId,
    definition::TriggerSource,
    event::{Body, Event, EventReceived, RunStarted, TriggerFired},
    journal::Entry,
    paths,
    record::Record,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Driver, DriverError, begin::Follows};
use crate::store::{
    Store,
    git::TreeId,
    triggers::{Desk, Pasts, Seen, past},
};

/// What the driver knows of triggers.
pub(super) struct Triggers {
    desk: Desk,
    pasts: Pasts,
    armed: Vec<Armed>,
    /// By workflow, then by trigger.
    seen: BTreeMap<String, BTreeMap<String, Seen>>,
    /// Workflows whose `seen` is written down after the next durable write.
    dirty: BTreeSet<String>,
    /// What of the last commit was looked at when they were armed: workflows, agents, connectors.
    looked: Option<[Option<TreeId>; 3]>,
    /// Versions that were trusted then, by workflow; `None` for one that has triggers and is not.
    trusted: BTreeMap<String, Option<String>>,
    /// Runs that triggers started and that are not over.
    ours: BTreeMap<RunId, Ours>,
    /// Runs that only the journal knew at the start, by the derived bits of their ids.
    torn: BTreeMap<u128, RunId>,
    /// Left out again and again for the same reason: one record tells of all of them.
    quiet: BTreeMap<(String, String), TriggerFired>,
    news: VecDeque<News>,
    /// When files are looked at next, by the clock's `up`.
    files_due: Option<Duration>,
    /// Whether times and files are looked at: a kernel of a moment leaves them to one that stays.
    attending: bool,
}

/// A trigger that may start runs.
struct Armed {
    follows: Follows,
    /// Its place among the triggers of the plan.
    position: usize,
    /// It counts from here.
    since: Timestamp,
    /// When it is looked at next, for triggers that go by time.
    next: Option<Timestamp>,
}

/// A run that a trigger started.
struct Ours {
    workflow: String,
    trigger: String,
    depth: u32,
}

/// Something that happened and that triggers may wait for.
enum News {
    Event { at: Timestamp, event: EventReceived },
    Ended(Ended),
}

/// The end of a run.
struct Ended {
    at: Timestamp,
    run: RunId,
    workflow: String,
    status: &'static str,
    output: Value,
    failure: Option<String>,
    /// How many runs started each other before it.
    depth: u32,
}

impl Armed {
    fn trigger(&self) -> &PlanTrigger {
        &self.follows.pinned.plan.triggers()[self.position]
    }

    fn key(&self) -> (String, String) {
        (self.follows.workflow.clone(), self.trigger().id().to_owned())
    }
}

impl Triggers {
    pub(super) fn new(home: &Path, store: &Store, machine: &MachineId) -> Self {
        Self {
            desk: Desk::at(home, store, machine),
            pasts: Pasts::default(),
            armed: Vec::new(),
            seen: BTreeMap::new(),
            dirty: BTreeSet::new(),
            looked: None,
            trusted: BTreeMap::new(),
            ours: BTreeMap::new(),
            torn: BTreeMap::new(),
            quiet: BTreeMap::new(),
            news: VecDeque::new(),
            files_due: Some(Duration::ZERO),
            attending: true,
        }
    }

    /// From now on only what this kernel does itself starts runs: times and files are left to another.
    pub(super) fn leave_times(&mut self) {
        self.attending = false;
    }

    /// Where trust is kept.
    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Tells whether any trigger goes by this.
    fn listen(&self, source: &TriggerSource) -> bool {
        self.armed.iter().any(|armed| armed.trigger().source() == source)
    }

    /// Tells whether any trigger looks for files.
    pub(super) fn look_for_files(&self) -> bool {
        self.armed.iter().any(|armed| matches!(armed.trigger().source(), TriggerSource::File(_)))
    }

    /// Files are looked at in the next turn.
    pub(super) fn files_changed(&mut self, up: Duration) {
        if self.look_for_files() {
            self.files_due = Some(up);
        }
    }

    /// The earliest moment at which something is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.armed.iter().filter(|_| self.attending).filter_map(|armed| armed.next).min()
    }

    /// How long files need not be looked at, if a look is due.
    pub(super) fn files_in(&self, up: Duration) -> Option<Duration> {
        self.files_due.filter(|_| self.attending && self.look_for_files()).map(|due| due.saturating_sub(up))
    }

    /// Takes note of a run that a trigger started.
    pub(super) fn started(&mut self, start: &RunStarted) {
        if let Some(fired) = &start.fired {
            let ours = Ours { workflow: start.workflow.clone(), trigger: fired.trigger.clone(), depth: fired.depth };
            self.ours.insert(start.run.clone(), ours);
        }
    }

    /// Takes note of what happened to a run.
    pub(super) fn happened(&mut self, run: &RunId, workflow: &str, event: &Event) {
        let Some((status, output, failure)) = end_of(&event.body) else { return };
        // most runs end with nobody waiting for it
        if !self.ours.contains_key(run) && !self.listen(&TriggerSource::RunFinished(workflow.to_owned())) {
            return;
        }
        let depth = self.ours.get(run).map_or(0, |ours| ours.depth);
        let (run, workflow) = (run.clone(), workflow.to_owned());
        self.news.push_back(News::Ended(Ended { at: event.at, run, workflow, status, output, failure, depth }));
    }

    /// Takes note of an event that was emitted, for nobody in particular.
    pub(super) fn heard(&mut self, at: Timestamp, event: &EventReceived) {
        if event.run.is_none() {
            self.news.push_back(News::Event { at, event: event.clone() });
        }
    }
}

impl Driver {
    /// Takes up what triggers did and what they may not have heard of before a kill. `by_file`: what the
    /// journal holds.
    pub(super) fn recover_triggers(&mut self, by_file: &BTreeMap<String, Vec<Entry>>) -> Result<(), DriverError> {
        let now = self.clock.now();
        for path in past::logs(&self.machine, now) {
            if !by_file.contains_key(&path) {
                self.mend(&path, &[])?;
            }
        }
        self.triggers.pasts = Pasts::read(&self.store, &self.machine, now)?;
        let our_log = paths::log_dir(&self.machine);
        for (path, entries) in by_file {
            if let Some(run) = super::recover::run_of(path) {
                self.triggers.torn.insert(run.random(), run.clone());
                if let Some(ended) = self.ended(&run) {
                    self.triggers.news.push_back(News::Ended(ended));
                }
            } else if path.starts_with(&our_log) {
                for entry in entries {
                    if let Ok(record) = Record::decode(&entry.line, &mut |digest| self.payload(digest))
                        && let Body::EventReceived(event) = record.event.body
                    {
                        self.triggers.heard(record.event.at, &event);
                    }
                }
            }
        }
        Ok(())
    }

    /// How a run of this machine ended, if its history says so.
    fn ended(&self, run: &RunId) -> Option<Ended> {
        let text = std::fs::read_to_string(self.store.path(&paths::run(run))).ok()?;
        let mut lines = text.lines();
        let decode = |line: &str| Record::decode(line, &mut |digest| self.payload(digest)).ok().map(|r| r.event);
        let Body::RunStarted(start) = decode(lines.next()?)?.body else { return None };
        let last = decode(lines.next_back()?)?;
        let (status, output, failure) = end_of(&last.body)?;
        let depth = start.fired.map_or(0, |fired| fired.depth);
        let mine = start.machine == self.machine;
        let (run, workflow) = (run.clone(), start.workflow);
        mine.then_some(Ended { at: last.at, run, workflow, status, output, failure, depth })
    }

    /// Notes what triggers have seen, now that its records are durable.
    pub(super) fn keep_seen(&mut self) -> Result<(), DriverError> {
        for workflow in std::mem::take(&mut self.triggers.dirty) {
            if let Some(seen) = self.triggers.seen.get(&workflow) {
                self.triggers.desk.keep(&workflow, seen)?;
            }
        }
        Ok(())
    }

    /// How long nothing needs doing for triggers.
    pub(super) fn triggers_rest(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        let time = self.triggers.next().map(|at| at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs());
        let files = self.triggers.files_in(self.clock.up());
        time.into_iter().chain(files).min()
    }
}

/// The word, the output and the failure of an end.
fn end_of(body: &Body) -> Option<(&'static str, Value, Option<String>)> {
    match body {
        Body::RunSucceeded(end) => Some(("succeeded", end.output.clone(), None)),
        Body::RunFailed(end) => Some(("failed", Value::Null, Some(end.message.clone()))),
        Body::RunCanceled(end) => Some(("canceled", Value::Null, end.reason.clone())),
        _ => None,
    }
}
