//! What a run has to look at next, kept up with every fact, so that none of them costs a look at all.
//!
//! Derived from the slots alone: the same slots give the same agenda.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::state::{Phase, State};

/// A step and one of its slots, by position.
pub(crate) type At = (usize, usize);

/// Sums over all slots.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Agenda {
    /// All moments at which time changes something.
    times: BTreeSet<(Timestamp, At)>,
    /// Those of them that a run does not rest before.
    near: BTreeSet<(Timestamp, At)>,
    /// Slots that keep the run from resting.
    awake: usize,
    /// Slots with an attempt under way.
    pub(crate) in_flight: usize,
    /// Failed slots, and failed lists, of steps that are not of `finally`.
    pub(crate) failed: usize,
    /// Slots that wait for an event.
    pub(crate) listening: BTreeSet<At>,
}

impl Agenda {
    /// `counts`: whether time alone lets a slot go on.
    pub(crate) fn is_at_rest(&self, horizon: Timestamp, counts: impl Fn(At) -> bool) -> bool {
        self.awake == 0 && self.near.iter().find(|(_, at)| counts(*at)).is_none_or(|(due, _)| *due > horizon)
    }

    pub(crate) fn next(&self, counts: impl Fn(At) -> bool) -> Option<Timestamp> {
        self.times.iter().find(|(_, at)| counts(*at)).map(|(due, _)| *due)
    }

    /// The slots whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = At> + '_ {
        self.times.iter().take_while(move |(at, _)| *at <= now).map(|(_, at)| *at)
    }
}

impl State {
    /// Counts a slot in, after its phase was set.
    pub(crate) fn count_in(&mut self, at: At) {
        self.count(at, true);
    }

    /// Counts a slot out, before its phase is changed.
    pub(crate) fn count_out(&mut self, at: At) {
        self.count(at, false);
    }

    fn count(&mut self, at: At, add: bool) {
        let (step, index) = at;
        let this = &mut self.steps[step];
        let slot = &this.slots[index];
        let agenda = &mut self.agenda;
        match slot.phase {
            // whoever has had its turn has its place too
            Phase::Pending | Phase::Approved if slot.lease.is_some() => set(&mut this.judge, index, add),
            Phase::Pending | Phase::Approved => set(&mut this.want, index, add),
            Phase::Judged | Phase::Reopening => set(&mut this.judge, index, add),
            Phase::Unknown { .. } if slot.probe.is_none() && self.plan.steps[step].probe.is_some() => {
                set(&mut this.judge, index, add);
            }
            Phase::Listening { .. } => set(&mut agenda.listening, at, add),
            _ => {}
        }
        sum(&mut this.busy, slot.takes_place(), add);
        sum(&mut this.open, !slot.phase.is_over(), add);
        sum(&mut agenda.awake, slot.keeps_awake(), add);
        sum(&mut agenda.in_flight, matches!(slot.phase, Phase::InFlight { .. }), add);
        sum(&mut agenda.failed, slot.phase == Phase::Failed && step < self.plan.main, add);
        if let Some((due, near)) = slot.phase.due() {
            set(&mut agenda.times, (due, at), add);
            if near {
                set(&mut agenda.near, (due, at), add);
            }
        }
    }
}

fn set<T: Ord>(all: &mut BTreeSet<T>, one: T, add: bool) {
    if add {
        all.insert(one);
    } else {
        all.remove(&one);
    }
}

fn sum(count: &mut usize, counts: bool, add: bool) {
    if counts {
        // never below zero: what is counted out was counted in
        *count = if add { *count + 1 } else { count.saturating_sub(1) };
    }
}
