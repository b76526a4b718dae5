//! What armed triggers see: news, starts that waited, due times, files.

use cairn_kernel::Saw;
use cairn_store_layout::{definition::TriggerSource, event::EventReceived};
use jiff::Timestamp;

use super::{Ended, News, fire::Sighting};
use crate::{
    driver::{Driver, DriverError},
    store::triggers::{past, seen},
};
use std::time::Duration;

/// While a file is still being written, files are not looked at more often than this.
const FILES_REST: Duration = Duration::from_millis(250);

impl Driver {
    /// Starts what triggers ask for; tells whether anything came of it. On the way to a stop only what
    /// happened meanwhile is taken up: nobody else will hear of it.
    ///
    /// # Errors
    /// When the store can not be read or written.
    pub(in crate::driver) fn fire_triggers(&mut self) -> Result<bool, DriverError> {
        let staged = self.turn.lines.len();
        while let Some(news) = self.triggers.news.pop_front() {
            if self.triggers.listen(&news.source()) {
                self.arm_triggers()?;
            }
            match news {
                News::Event { at, event } => self.after_event(at, &event)?,
                News::Ended(ended) => self.after_end(&ended)?,
            }
        }
        if !self.stopping {
            for place in 0..self.triggers.armed.len() {
                self.start_waiting(place)?;
            }
            if self.triggers.attending {
                self.look_at_times()?;
                self.look_at_files()?;
            }
        }
        Ok(self.turn.lines.len() > staged)
    }

    fn after_event(&mut self, at: Timestamp, event: &EventReceived) -> Result<(), DriverError> {
        for place in 0..self.triggers.armed.len() {
            let armed = &self.triggers.armed[place];
            let listens = *armed.trigger().source() == TriggerSource::Event(event.name.clone());
            if listens && armed.since <= at && !self.is_done_with(place, event.event.as_str()) {
                let depth = self.depth_after_event(event);
                let saw = Saw::Event(event.data.clone());
                self.meet(place, &Sighting { depth, ..Sighting::of(saw, event.event.as_str()) })?;
            }
        }
        Ok(())
    }

    fn after_end(&mut self, ended: &Ended) -> Result<(), DriverError> {
        if let Some(ours) = self.triggers.ours.remove(&ended.run) {
            self.tell_quiet(&(ours.workflow, ours.trigger))?;
        }
        for place in 0..self.triggers.armed.len() {
            let armed = &self.triggers.armed[place];
            let listens = *armed.trigger().source() == TriggerSource::RunFinished(ended.workflow.clone());
            if listens && armed.since <= ended.at && !self.is_done_with(place, ended.run.as_str()) {
                let saw = ended.saw();
                self.meet(place, &Sighting { depth: ended.depth + 1, ..Sighting::of(saw, ended.run.as_str()) })?;
            }
        }
        Ok(())
    }

    fn look_at_times(&mut self) -> Result<(), DriverError> {
        let now = self.clock.now();
        if self.triggers.next().is_none_or(|next| next > now) {
            return Ok(());
        }
        // what is committed and trusted now counts, not what was when the time was worked out
        self.arm_triggers()?;
        for place in 0..self.triggers.armed.len() {
            let armed = &self.triggers.armed[place];
            if armed.next.is_none_or(|next| next > now) {
                continue;
            }
            let (key, since, follows, position) = (armed.key(), armed.since, armed.follows.clone(), armed.position);
            let Some(schedule) = follows.pinned.plan.triggers()[position].schedule() else { continue };
            let recorded = self.triggers.pasts.of(&key.0, &key.1).and_then(|past| past.due);
            let recorded = cairn_kernel::seeded!(DueTwice: None, else recorded);
            let quiet = self.triggers.quiet.get(&key).and_then(|fired| fired.due);
            let window = Some(past::window(now)).filter(|window| *window > since);
            let look = schedule.look(since, recorded.max(quiet).max(window), now);
            for handled in look.handled {
                let saw = Saw::Due(schedule.text(handled.due));
                let sighting = Sighting { due: Some(handled.due), times: handled.times, ..Sighting::of(saw, "") };
                match handled.left_out {
                    Some(why) => self.leave_out(self.record_of(place, &sighting), &why)?,
                    None => self.meet(place, &sighting)?,
                }
            }
            self.triggers.armed[place].next = look.next;
        }
        self.triggers.pasts.prune(now);
        Ok(())
    }

    fn look_at_files(&mut self) -> Result<(), DriverError> {
        let up = self.clock.up();
        if self.triggers.files_due.is_none_or(|due| due > up) {
            return Ok(());
        }
        self.triggers.files_due = None;
        if !self.triggers.look_for_files() {
            return Ok(());
        }
        self.arm_triggers()?;
        self.triggers.files_due = None;
        for place in 0..self.triggers.armed.len() {
            let armed = &self.triggers.armed[place];
            let TriggerSource::File(pattern) = armed.trigger().source() else { continue };
            let (workflow, trigger) = armed.key();
            let root = self.store.root().to_owned();
            let present = match seen::present(&root, pattern, &|path| armed.trigger().looks_for(path)) {
                Ok(present) => present,
                Err(why) => {
                    tracing::warn!(workflow, trigger, why, "no file starts a run");
                    continue;
                }
            };
            let seen = self.triggers.seen.get_mut(&workflow).and_then(|all| all.get_mut(&trigger));
            let Some(seen) = seen else { continue };
            let found = seen.look(&root, &present, self.settled);
            seen.prune(&present);
            if found.changed || !found.appeared.is_empty() {
                self.triggers.dirty.insert(workflow.clone());
            }
            if let Some(again) = found.again {
                let due = up + again.max(FILES_REST);
                self.triggers.files_due = Some(self.triggers.files_due.map_or(due, |other| other.min(due)));
            }
            for file in found.appeared {
                let past = self.triggers.pasts.of(&workflow, &trigger);
                if !past.is_some_and(|past| past.has_seen(&file.path, Some(&file.mark.content))) {
                    let saw = Saw::File { path: file.path.clone(), bytes: file.mark.bytes };
                    let content = Some(file.mark.content.clone());
                    self.meet(place, &Sighting { content, ..Sighting::of(saw, &file.path) })?;
                }
                let seen = self.triggers.seen.get_mut(&workflow).and_then(|all| all.get_mut(&trigger));
                if let Some(seen) = seen {
                    seen.mark(file.path, file.mark);
                }
            }
        }
        Ok(())
    }

    fn is_done_with(&self, place: usize, saw: &str) -> bool {
        let (workflow, trigger) = self.triggers.armed[place].key();
        self.triggers.pasts.of(&workflow, &trigger).is_some_and(|past| past.has_seen(saw, None))
    }
}

impl News {
    /// What a trigger must go by to wait for this.
    fn source(&self) -> TriggerSource {
        match self {
            Self::Event { event, .. } => TriggerSource::Event(event.name.clone()),
            Self::Ended(ended) => TriggerSource::RunFinished(ended.workflow.clone()),
        }
    }
}

impl Ended {
    pub(super) fn saw(&self) -> Saw {
        Saw::Run {
            id: self.run.to_string(),
            workflow: self.workflow.clone(),
            status: self.status.to_owned(),
            output: self.output.clone(),
            failure: self.failure.clone(),
        }
    }
}
