//! What comes of a sighting: a run, a start that waits, or a record of why not.

use cairn_kernel::{Command, Saw};
use cairn_store_layout::{
    CommandId, Digest, RunId,
    definition::{Overlap, TriggerSource},
    event::{EventReceived, Fired, TriggerFired},
    ids::ulid_from,
    paths,
    text::brief,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::driver::{
    Driver, DriverError,
    begin::{Begin, Follows, Refused},
};

/// The longest chain of runs that start each other.
const DEPTH_MAX: u32 = 8;
/// What is left out for the same reason is told at least this often.
const QUIET: SignedDuration = SignedDuration::from_hours(24);
/// The longest reason in a record.
const REASON_CHARS_MAX: usize = 500;

/// What a trigger saw, and how it is recorded.
pub(super) struct Sighting {
    pub(super) saw: Saw,
    pub(super) due: Option<Timestamp>,
    /// How many due times this stands for.
    pub(super) times: u64,
    /// The event's id, the file's path, the run's id; empty for a due time.
    pub(super) name: String,
    pub(super) content: Option<Digest>,
    pub(super) depth: u32,
}

impl Sighting {
    pub(super) fn of(saw: Saw, name: &str) -> Self {
        Self { saw, due: None, times: 1, name: name.to_owned(), content: None, depth: 0 }
    }
}

impl Driver {
    /// A trigger saw what it looks for: starts a run, or records why not.
    pub(super) fn meet(&mut self, place: usize, sighting: &Sighting) -> Result<(), DriverError> {
        let mut record = self.record_of(place, sighting);
        let armed = &self.triggers.armed[place];
        let (follows, trigger) = (armed.follows.clone(), armed.trigger());
        let (kind, overlap) = (trigger.kind(), trigger.overlap());
        let wanted = match trigger.wants(&sighting.saw) {
            Ok(Some(wanted)) => wanted,
            Ok(None) if sighting.due.is_some() => return self.leave_out(record, "`where` is not true"),
            Ok(None) => return Ok(()),
            Err(why) => return self.leave_out(record, &why),
        };
        record.dedupe = wanted.dedupe;
        let past = self.triggers.pasts.of(&record.workflow, &record.trigger);
        if let (Some(text), Some(past)) = (&record.dedupe, past)
            && past.has_started_for(text)
        {
            let why = format!("a run was started for `{text}` already");
            return self.leave_out(record, &why);
        }
        // after the question for the text: a record that survived its run's start answers that
        if let Some(run) = self.triggers.torn.get(&self.bits(&record)).cloned() {
            record.run = Some(run);
            return self.record(record);
        }
        if record.depth > DEPTH_MAX {
            let why = format!("it would be the {}th run in a row that started the next", DEPTH_MAX + 1);
            return self.leave_out(record, &why);
        }
        let past = self.triggers.pasts.of(&record.workflow, &record.trigger);
        let waits = past.is_some_and(|past| past.waiting.is_some());
        let earlier = self.unfinished_of(&record.workflow, &record.trigger);
        match (overlap, earlier.first()) {
            (Overlap::Skip, Some(run)) => {
                let why = format!("run {} of this trigger is not over", run.short());
                self.leave_out(record, &why)
            }
            (Overlap::Queue, _) if waits => self.leave_out(record, "another start waits already"),
            (Overlap::Queue, Some(_)) => {
                record.input = Some(wanted.input);
                self.record(record)
            }
            (Overlap::Replace, Some(_)) => {
                for run in &earlier {
                    self.replace(run, &record)?;
                }
                self.start_triggered(follows, kind, record, wanted.input)
            }
            (Overlap::Allow, _) | (_, None) => self.start_triggered(follows, kind, record, wanted.input),
        }
    }

    /// Starts what waited for an earlier run, once that is over.
    pub(super) fn start_waiting(&mut self, place: usize) -> Result<(), DriverError> {
        let armed = &self.triggers.armed[place];
        let (workflow, trigger) = armed.key();
        let waiting = self.triggers.pasts.of(&workflow, &trigger).and_then(|past| past.waiting.clone());
        let Some(mut record) = waiting else { return Ok(()) };
        if !self.unfinished_of(&workflow, &trigger).is_empty() {
            return Ok(());
        }
        let (follows, kind) = (armed.follows.clone(), armed.trigger().kind());
        let input = record.input.take().unwrap_or_default();
        if let Some(run) = self.triggers.torn.get(&self.bits(&record)).cloned() {
            record.run = Some(run);
            return self.record(record);
        }
        self.start_triggered(follows, kind, record, input)
    }

    /// Starts a run by hand, as the trigger would; trust, `where`, `overlap` and `dedupe_key` are not asked.
    /// `data`: the event's, the file's path or the run's id.
    pub(in crate::driver) fn fire_by_hand(
        &mut self,
        id: &CommandId,
        by: &str,
        workflow: &str,
        trigger: &str,
        data: Value,
    ) -> Result<Result<RunId, Refused>, DriverError> {
        let follows = match self.follow(workflow)? {
            Ok(follows) => follows,
            Err(refused) => return Ok(Err(refused)),
        };
        let triggers = follows.pinned.plan.triggers();
        let Some(found) = triggers.iter().find(|t| t.id() == trigger) else {
            let names: Vec<&str> = triggers.iter().map(cairn_kernel::PlanTrigger::id).collect();
            let known =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
            return Ok(Err(("no_such_trigger", format!("{workflow} has no trigger `{trigger}`; {known}"))));
        };
        let saw = match self.by_hand(found, data) {
            Ok(saw) => saw,
            Err(why) => return Ok(Err(("bad_input", why))),
        };
        let input = match found.input(&saw) {
            Ok(input) => input,
            Err(why) => return Ok(Err(("bad_input", why))),
        };
        let run = RunId::from(id.clone());
        let fired = Fired { trigger: trigger.to_owned(), due: None, dedupe: None, depth: 0 };
        let begin = Begin {
            run: run.clone(),
            input,
            trigger: found.kind().to_owned(),
            by: by.to_owned(),
            cause: Some(id.clone()),
            parent: None,
            origin: None,
            fired: Some(fired),
            follows,
        };
        if let Err(refused) = self.begin_run(begin)? {
            return Ok(Err(refused));
        }
        self.record(TriggerFired {
            workflow: workflow.to_owned(),
            trigger: trigger.to_owned(),
            due: None,
            saw: None,
            content: None,
            times: None,
            dedupe: None,
            depth: 0,
            input: None,
            run: Some(run.clone()),
            left_out: None,
        })?;
        Ok(Ok(run))
    }

    fn by_hand(&mut self, trigger: &cairn_kernel::PlanTrigger, data: Value) -> Result<Saw, String> {
        let text = data.as_str().map(str::to_owned);
        match trigger.source() {
            TriggerSource::Event(_) => Ok(Saw::Event(data)),
            TriggerSource::File(_) => {
                let path =
                    text.filter(|path| paths::is_inside(path)).ok_or("name the file, by its path below files/")?;
                let file = self.store.path(&format!("{}/{path}", paths::FILES));
                let meta = std::fs::symlink_metadata(&file).ok().filter(std::fs::Metadata::is_file);
                let meta = meta.ok_or_else(|| format!("there is no file {path} below files/"))?;
                Ok(Saw::File { path, bytes: meta.len() })
            }
            TriggerSource::RunFinished(workflow) => {
                let run = text.and_then(|id| RunId::new(id).ok()).ok_or("name the run, by its whole id")?;
                let ended = self.ended(&run).ok_or_else(|| format!("run {run} has not ended on this machine"))?;
                if ended.workflow != *workflow {
                    return Err(format!("run {} is of {}, not of {workflow}", run.short(), ended.workflow));
                }
                Ok(ended.saw())
            }
            TriggerSource::Cron(_) | TriggerSource::Every(_) | TriggerSource::At(_) => {
                let now = self.clock.now();
                Ok(Saw::Due(trigger.schedule().map(|schedule| schedule.text(now)).unwrap_or_default()))
            }
        }
    }

    /// Records that nothing was started. The same reason again and again is told once, and now and then.
    pub(super) fn leave_out(&mut self, record: TriggerFired, why: &str) -> Result<(), DriverError> {
        let record = TriggerFired { left_out: Some(brief(why, REASON_CHARS_MAX)), ..record };
        let key = (record.workflow.clone(), record.trigger.clone());
        let last = self.triggers.pasts.of(&key.0, &key.1).and_then(|past| past.last.as_ref());
        let again = last.is_some_and(|(at, last)| last.left_out == record.left_out && self.clock.now() < *at + QUIET);
        let (Some(due), true) = (record.due, again) else { return self.record(record) };
        let more = record.times.unwrap_or(1);
        let quiet = self.triggers.quiet.entry(key).or_insert_with(|| TriggerFired { times: Some(0), ..record });
        quiet.times = quiet.times.map(|times| times + more);
        quiet.due = quiet.due.max(Some(due));
        Ok(())
    }

    /// Records what was not told one by one.
    pub(super) fn tell_quiet(&mut self, key: &(String, String)) -> Result<(), DriverError> {
        match self.triggers.quiet.remove(key) {
            Some(quiet) => self.log_fired(quiet),
            None => Ok(()),
        }
    }

    /// The same for all triggers: a clean stop.
    pub(in crate::driver) fn tell_all_quiet(&mut self) -> Result<(), DriverError> {
        for key in self.triggers.quiet.keys().cloned().collect::<Vec<_>>() {
            self.tell_quiet(&key)?;
        }
        Ok(())
    }

    /// The record of a sighting, with neither a run nor a reason yet.
    pub(super) fn record_of(&self, place: usize, sighting: &Sighting) -> TriggerFired {
        let (workflow, trigger) = self.triggers.armed[place].key();
        TriggerFired {
            workflow,
            trigger,
            due: sighting.due,
            saw: Some(sighting.name.clone()).filter(|name| !name.is_empty()),
            dedupe: None,
            content: sighting.content.clone(),
            times: (sighting.times > 1).then_some(sighting.times),
            depth: sighting.depth,
            input: None,
            run: None,
            left_out: None,
        }
    }

    /// How deep a run stands that is started for an event.
    pub(super) fn depth_after_event(&self, event: &EventReceived) -> u32 {
        let run = event.by.split_whitespace().find_map(|word| RunId::new(word).ok());
        run.map_or(0, |run| self.depth_of(&run) + 1)
    }

    fn depth_of(&self, run: &RunId) -> u32 {
        match self.triggers.ours.get(run) {
            Some(ours) => ours.depth,
            None => self.ended(run).map_or(0, |ended| ended.depth),
        }
    }

    fn start_triggered(
        &mut self,
        follows: Follows,
        kind: &str,
        mut record: TriggerFired,
        input: Value,
    ) -> Result<(), DriverError> {
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or_default();
        let run = RunId::new(ulid_from(millis, self.bits(&record))).expect("a ulid is a run id");
        let fired = Fired {
            trigger: record.trigger.clone(),
            due: record.due,
            dedupe: record.dedupe.clone(),
            depth: record.depth,
        };
        let begin = Begin {
            run: run.clone(),
            follows,
            input,
            trigger: kind.to_owned(),
            by: format!("trigger {}", record.trigger),
            cause: None,
            parent: None,
            origin: None,
            fired: Some(fired),
        };
        match self.begin_run(begin)? {
            Ok(()) => {
                record.run = Some(run);
                self.record(record)
            }
            Err((_, why)) => self.leave_out(record, &why),
        }
    }

    /// Ends an earlier run, because a newer one takes its place.
    fn replace(&mut self, run: &RunId, record: &TriggerFired) -> Result<(), DriverError> {
        // a second cancel would leave out what `finally` says
        if self.runs.get(run).is_some_and(|live| live.state.is_ending()) {
            return Ok(());
        }
        let by = format!("trigger {}", record.trigger);
        let cancel = Command::Cancel { by, reason: Some("a newer run takes its place".to_owned()), undo: false };
        if let Err(refusal) = self.ask(run, &cancel, None)? {
            tracing::warn!(%run, %refusal, "an earlier run could not be canceled");
        }
        Ok(())
    }

    /// The runs of a trigger that are not over, oldest first.
    fn unfinished_of(&self, workflow: &str, trigger: &str) -> Vec<RunId> {
        let goes_on = |run: &RunId| self.runs.get(run).is_some_and(|live| live.state.end().is_none());
        let ours = self.triggers.ours.iter();
        let ours = ours.filter(|(run, ours)| ours.workflow == workflow && ours.trigger == trigger && goes_on(run));
        ours.map(|(run, _)| run.clone()).collect()
    }

    /// What is derived of the id of the run that is started for this: the same however often it is tried.
    fn bits(&self, record: &TriggerFired) -> u128 {
        let TriggerFired { workflow, trigger, due, saw, dedupe, content, .. } = record;
        let what = match dedupe {
            Some(dedupe) => format!("dedupe\n{dedupe}"),
            None => {
                let due = due.map_or(String::new(), cairn_store_layout::time::write);
                let content = content.as_ref().map_or("", Digest::as_str);
                format!("saw\n{due}\n{}\n{content}", saw.as_deref().unwrap_or_default())
            }
        };
        let digest = Digest::of(format!("run\n{}\n{workflow}\n{trigger}\n{what}", self.machine).as_bytes());
        u128::from_str_radix(&digest.as_str()[..20], 16).expect("20 hex digits are 80 bits")
    }

    fn record(&mut self, record: TriggerFired) -> Result<(), DriverError> {
        self.tell_quiet(&(record.workflow.clone(), record.trigger.clone()))?;
        self.log_fired(record)
    }

    fn log_fired(&mut self, record: TriggerFired) -> Result<(), DriverError> {
        let at = self.clock.now();
        self.triggers.pasts.note(at, &record);
        self.log_event(record)
    }
}
