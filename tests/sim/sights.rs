//! The reference model of triggers: no due time is lost or doubled within its misfire rule, nothing that was
//! seen starts two runs, and no run begins beside one that its overlap rule puts first.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::CommandId;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    model::{RunModel, at, moment, text},
    signals::Log,
    workload::{MAIN, Misfire, Overlap, Source, Trigger, event_name},
};

/// A time that is looked at within this is on time.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Between the look at a clock and the record of it.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// What one trigger did, as the machine's log tells it.
#[derive(Debug)]
pub(crate) struct Sights {
    pub(crate) trigger: Trigger,
    first: Timestamp,
    last: Timestamp,
    /// Due times up to here are done with.
    due: Option<Timestamp>,
    /// Events and runs that were seen, with how often a run was started for them.
    saw: BTreeMap<String, u32>,
    runs: BTreeSet<String>,
    dedupe: BTreeSet<String>,
    /// The start that waits: what it is for.
    waiting: Option<(Option<Timestamp>, String)>,
}

/// Each trigger has an id of its own for each version, so that none is taken for another.
pub(crate) type All = BTreeMap<String, Sights>;

/// Takes a record of the machine's log in.
pub(crate) fn note(all: &mut All, line: &Value, trigger: &Trigger) -> Result<(), String> {
    let now = at(line)?;
    let sights = all.entry(trigger.id.clone()).or_insert_with(|| Sights {
        trigger: trigger.clone(),
        first: now,
        last: now,
        due: None,
        saw: BTreeMap::new(),
        runs: BTreeSet::new(),
        dedupe: BTreeSet::new(),
        waiting: None,
    });
    sights.last = now;
    sights.note(line, now).map_err(|why| format!("{why} (trigger {}: {line})", trigger.id))
}

impl Sights {
    fn note(&mut self, line: &Value, now: Timestamp) -> Result<(), String> {
        let (due, saw) = (moment(line, "due"), text(line, "saw").to_owned());
        let run = line["run"].as_str();
        let what = (due, saw.clone());
        let waited = self.waiting.as_ref() == Some(&what) && (run.is_some() || line["left_out"].is_string());
        if waited {
            self.waiting = None;
        } else {
            match due {
                Some(due) => self.time(due, line, now)?,
                None if self.saw.contains_key(&saw) => return Err(format!("E10: {saw} was seen twice")),
                None => {}
            }
        }
        *self.saw.entry(saw).or_default() += u32::from(run.is_some());
        match run {
            Some(run) => {
                let dedupe = line["dedupe"].as_str().map(str::to_owned);
                if !self.runs.insert(run.to_owned()) || dedupe.is_some_and(|text| !self.dedupe.insert(text)) {
                    return Err("E10: a second run for the same".to_owned());
                }
            }
            None if line["left_out"].is_null() && !waited => {
                if self.trigger.overlap != Overlap::Queue || self.waiting.is_some() {
                    return Err("a start waits that must not".to_owned());
                }
                self.waiting = Some(what);
            }
            None => {}
        }
        Ok(())
    }

    /// E7: every due time is handled in its order, none before its moment, and as `misfire` says.
    fn time(&mut self, due: Timestamp, line: &Value, now: Timestamp) -> Result<(), String> {
        let times = line["times"].as_u64().unwrap_or(1);
        if now < due {
            return Err(format!("E7: {due} is handled before its moment"));
        }
        if let Some(last) = self.due {
            let passed = due.duration_since(last).as_secs();
            let counted = self.trigger.source.pause().map(|pause| i64::try_from(times * pause).unwrap_or(i64::MAX));
            if counted != Some(passed) {
                return Err(format!("E7: {times} due times stand for {passed} s since the last one"));
            }
        }
        self.due = Some(due);
        let begins = line["left_out"].is_null();
        let late = now.duration_since(due) > GRACE + SLACK;
        let missed = text(line, "left_out").starts_with("missed");
        match self.trigger.misfire {
            Misfire::Skip if begins && (late || times > 1) => {
                Err("E7: a time that was missed starts something".to_owned())
            }
            Misfire::Once if missed => Err("E7: a time is not made up for".to_owned()),
            Misfire::All if begins && times > 1 => Err("E7: several times start one run".to_owned()),
            _ if begins || late || times > 1 || !missed => Ok(()),
            _ => Err("E7: a time that was not missed counts as missed".to_owned()),
        }
    }

    /// Nothing is due that nobody looked at; the trigger is armed and a kernel has just looked.
    pub(crate) fn is_late(&self, now: Timestamp) -> Option<String> {
        let pause = SignedDuration::from_secs(self.trigger.source.pause()?.cast_signed());
        let next = self.due? + pause;
        (next < now - SLACK)
            .then(|| format!("E7: {} of trigger {} is past, and nothing is recorded", next, self.trigger.id))
    }

    /// What happened while it was armed was seen.
    fn missed(&self, heard: &Log, runs: &BTreeMap<String, RunModel>) -> Option<String> {
        let within = |at: Timestamp| self.first < at && at < self.last;
        match self.trigger.source {
            Source::Event(event) => {
                let fits = |(id, name, at): &(&CommandId, &str, Timestamp)| {
                    *name == event_name(event) && within(*at) && !self.saw.contains_key(id.as_str())
                };
                heard.iter().filter_map(|(id, heard)| heard.for_all(id)).find(fits).map(|(id, ..)| id.to_string())
            }
            Source::Finished => {
                let missed = |run: &&RunModel| {
                    run.workflow == MAIN
                        && run.ended_at().is_some_and(within)
                        && !self.saw.contains_key(run.run.as_str())
                };
                runs.values().find(missed).map(|run| run.run.to_string())
            }
            Source::Every(_) | Source::Hourly(_) => None,
        }
    }
}

/// Compares what triggers did with the runs there are; a kernel has finished its turn.
pub(crate) fn check(all: &All, runs: &BTreeMap<String, RunModel>, fresh: &[String]) -> Result<(), String> {
    for path in fresh {
        let run = &runs[path];
        let Some((trigger, due)) = &run.fired else { continue };
        let started = run.started();
        let others = || runs.values().filter(|other| other.run != run.run && other.fired_by(trigger.as_str()));
        if due.is_some() && others().any(|other| other.fired.as_ref().is_some_and(|(_, same)| same == due)) {
            return Err(format!("E7: {due:?} of trigger {trigger} started two runs"));
        }
        let beside = others().find(|other| other.was_under_way(started));
        let overlap = run.overlap();
        match (overlap, beside) {
            (Some(Overlap::Skip | Overlap::Queue), Some(other)) => {
                return Err(format!("run {} of trigger {trigger} begins beside run {}", run.run, other.run));
            }
            (Some(Overlap::Replace), Some(other)) if other.end.is_none() && !other.is_ending() => {
                return Err(format!("run {} of trigger {trigger} does not replace run {}", run.run, other.run));
            }
            _ => {}
        }
    }
    for run in all.values().flat_map(|sights| &sights.runs) {
        if !runs.values().any(|known| known.run.as_str() == run) {
            return Err(format!("D1: run {run} is in the log of triggers and nowhere else"));
        }
    }
    Ok(())
}

/// What can be said once everything is over.
pub(crate) fn end(all: &All, heard: &Log, runs: &BTreeMap<String, RunModel>) -> Result<(), String> {
    for (id, sights) in all {
        if let Some(missed) = sights.missed(heard, runs) {
            return Err(format!("E10: trigger {id} never saw {missed}"));
        }
    }
    Ok(())
}
