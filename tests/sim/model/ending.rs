//! How a run may end: what stops it, what may still begin then, and what must be over before it is.

use cairn_store_layout::{CommandId, RunId, command::Verb};
use jiff::Timestamp;
use serde_json::Value;

use super::{Around, RunModel, Stopping, Turn, at, holder, text};
use crate::{
    slot::Phase,
    undoing::Place,
    workload::{MeantStep, OnFailure, Overlap},
};

impl RunModel {
    /// E8: once a run stops nothing new begins, and nothing of `finally` before all else is over.
    pub(super) fn may_go_on(&self, kind: &str, line: &Value, meant: &MeantStep) -> Result<(), String> {
        if meant.finally {
            let settled = !self.undoes() || self.undoing.is_settled();
            return if self.is_main_over() && settled { Ok(()) } else { Err("E8: `finally` begins early".to_owned()) };
        }
        let begins = [
            "attempt.started",
            "gate.opened",
            "ask.opened",
            "timer.set",
            "timer.fired",
            "step.expanded",
            "step.repeated",
        ];
        if !begins.contains(&kind) {
            return Ok(());
        }
        let now = at(line)?;
        if self.meant.lease.is_some() && !self.lease.as_ref().is_some_and(|(_, has)| *has) {
            return Err("the run begins without its turn".to_owned());
        }
        // what may have to be taken back is looked for
        if kind == "probe.started" && self.undoes() && meant.undo.is_some() {
            return Ok(());
        }
        if self.stopping.is_some() || self.failing.is_some_and(|since| now > since) {
            return Err("E8: something begins in a run that stops".to_owned());
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => Err(format!("E8: something begins after the deadline {deadline}")),
            _ => Ok(()),
        }
    }

    /// E8: the last one first, after everything else and before `finally`.
    pub(super) fn takes_back(
        &mut self,
        kind: &str,
        line: &Value,
        place: &Place,
        meant: &MeantStep,
        around: &Around<'_>,
    ) -> Result<(), String> {
        if !self.undoes() || !self.is_main_over() {
            return Err("E8: something is taken back, and nobody asked for it or not everything is over".to_owned());
        }
        self.undoing.take(kind, line, place, meant, around)
    }

    pub(super) fn stops(&mut self, line: &Value, around: &Around<'_>) -> Result<(), String> {
        let (why, now) = (text(line, "why").to_owned(), at(line)?);
        let undo = line["undo"].as_bool().unwrap_or(false);
        let by_rule = self.meant.on_failure() == OnFailure::Undo;
        let busy =
            || self.slots.iter().any(|((step, _), s)| s.phase == Phase::InFlight && !self.over.contains_key(step));
        let is_right = match why.as_str() {
            "failed" => self.failing.is_some() && undo == by_rule && !busy(),
            "deadline" => self.deadline().is_some_and(|deadline| now >= deadline) && undo == by_rule,
            "canceled" => match self.cancel(line, around) {
                Some(asked) => asked == undo && (undo || self.has_finally()),
                // nobody waits for it any more, or the run that does takes back what was done
                None => self.is_orphan(line) && (self.has_finally() || undo && self.birth.is_some()),
            },
            _ => false,
        };
        // a failure may be the last thing that happens; the others end what goes on
        let late = why != "failed" && self.is_main_over();
        if !is_right || self.stopping.is_some() || late {
            return Err(format!("E8: the run stops ({why}, undo: {undo}); stops already: {:?}", self.stopping));
        }
        self.stopping = Some(Stopping { why, undo });
        Ok(())
    }

    /// Whether the operator's cancel that caused a line wants what was done to be taken back.
    fn cancel(&self, line: &Value, around: &Around<'_>) -> Option<bool> {
        let cause = CommandId::new(text(line, "cause")).ok()?;
        match around.asked.get(&cause)? {
            Verb::RunCancel { run, undo, .. } if *run == self.run => Some(*undo),
            _ => None,
        }
    }

    /// Whether the run that started it ends it, or the trigger that starts another one.
    pub(super) fn is_orphan(&self, line: &Value) -> bool {
        if let Some((trigger, _)) = self.fired.as_ref().filter(|_| self.overlap() == Some(Overlap::Replace)) {
            return text(line, "by") == format!("trigger {trigger}");
        }
        let parent = self.birth.as_ref().map(|birth| &birth.0);
        parent.is_some_and(|run| RunId::new(run).is_ok_and(|run| text(line, "by") == format!("run {}", run.short())))
    }

    pub(super) fn fails(&mut self, meant: &MeantStep, now: Timestamp) {
        if !meant.finally && self.meant.on_failure() != OnFailure::Continue {
            self.failing = self.failing.or(Some(now));
        }
    }

    pub(super) fn undoes(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| stopping.undo)
    }

    pub(super) fn stops_main(&self, meant: &MeantStep) -> bool {
        self.stopping.is_some() && !meant.finally
    }

    fn has_finally(&self) -> bool {
        self.meant.steps.iter().any(|step| step.finally)
    }

    pub(super) fn is_main_over(&self) -> bool {
        self.meant.steps.iter().all(|step| step.finally || self.over.contains_key(&step.id))
    }

    fn deadline(&self) -> Option<Timestamp> {
        let seconds = self.meant.deadline.filter(|_| self.stopping.is_none() && !self.is_main_over())?;
        self.started.checked_add(jiff::SignedDuration::from_secs(seconds.cast_signed())).ok()
    }

    pub(super) fn ends(&mut self, end: &str, line: &Value, around: &Around<'_>) -> Result<(), String> {
        let open = self.meant.steps.iter().find(|s| !self.over.contains_key(&s.id));
        let failed = self.over.values().any(|phase| *phase == Phase::Failed);
        let why = self.stopping.as_ref().map(|stopping| stopping.why.as_str());
        // E8: everything is taken back, and `finally` is done
        let is_over = open.is_none() && (!self.undoes() || self.undoing.is_settled());
        let is_right = match end {
            "succeeded" => is_over && !failed && why.is_none(),
            "failed" => is_over && (failed || why.is_some()) && why != Some("canceled"),
            "canceled" if line["cause"].is_null() => match why {
                // the run that started it was ended at once by a second cancel
                Some(_) if self.birth.is_some() && self.is_orphan(line) => true,
                Some("canceled") => is_over,
                None => self.is_orphan(line) && !self.has_finally(),
                Some(_) => false,
            },
            "canceled" => match self.cancel(line, around) {
                // a second cancel, or one while only the end is left, ends it at once
                Some(undo) => why.is_some() || self.is_main_over() || !undo && !self.has_finally(),
                None => false,
            },
            _ => return Err("it is not known what this means for a run".to_owned()),
        };
        if !is_right {
            return Err(format!(
                "E1: the run ends {end}; open: {:?}, failed: {failed}, stops: {why:?}",
                open.map(|s| &s.id)
            ));
        }
        self.end = Some((end.to_owned(), around.seen.up));
        let slots = self.slots.keys().map(Some).chain([None]);
        let over = slots.map(|place| Turn::Over { holder: holder(&self.run, place), at: self.last });
        self.turns.extend(over.collect::<Vec<_>>());
        Ok(())
    }

    /// It stops, or only `finally` is left.
    pub(crate) fn is_ending(&self) -> bool {
        self.stopping.is_some() || self.is_main_over()
    }
}
