//! Events that reached the run: kept in the order they came until a wait takes them.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    CommandId,
    event::{SignalReceived, SignalTaken, TimerFired, WaitOpened},
    time::Span,
};
use serde_json::Value as Json;

use crate::{
    advance::{Pass, truth},
    agenda::At,
    expr::{Template, Value, from_json},
    plan::{Action, PlanStep},
    scope::Scope,
    state::{Phase, Slot},
};

/// The most signals that are kept and not taken.
pub(crate) const KEPT_MAX: usize = 1_000;

/// Signals of one run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Signals {
    /// Not taken yet, by order of arrival.
    kept: BTreeMap<u64, Kept>,
    /// Every signal that ever came, with its place in the order.
    came: BTreeMap<CommandId, u64>,
    /// Kept ones that the open waits have not looked at yet.
    fresh: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
struct Kept {
    signal: CommandId,
    name: String,
    data: Json,
}

impl Signals {
    pub(crate) fn has(&self, signal: &CommandId) -> bool {
        self.came.contains_key(signal)
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn received(&mut self, event: &SignalReceived) {
        let n = self.came.len() as u64;
        if self.came.insert(event.signal.clone(), n).is_none() {
            let kept = Kept { signal: event.signal.clone(), name: event.name.clone(), data: event.data.clone() };
            self.kept.insert(n, kept);
            self.fresh.insert(n);
        }
    }

    pub(crate) fn taken(&mut self, signal: &CommandId) {
        if let Some(n) = self.came.get(signal) {
            self.kept.remove(n);
            self.fresh.remove(n);
        }
    }

    /// Every kept signal is to be looked at once more.
    pub(crate) fn look_again(&mut self) {
        self.fresh = self.kept.keys().copied().collect();
    }

    /// The open waits have looked at everything: what none of them took stays for those that open later.
    pub(crate) fn looked_at(&mut self) {
        self.fresh.clear();
    }
}

impl Pass<'_> {
    /// Hands signals that came to the waits that are open among `steps`, oldest to the first that wants it.
    pub(crate) fn signals(&mut self, steps: std::ops::Range<usize>) {
        let state = self.state;
        if state.signals.fresh.is_empty() {
            return;
        }
        let open: Vec<At> = state.agenda.listening.iter().copied().filter(|(step, _)| steps.contains(step)).collect();
        for n in &state.signals.fresh {
            let Some(kept) = state.signals.kept.get(n) else { continue };
            for at in &open {
                let (plan, slot) = (&state.plan.steps[at.0], &state.steps[at.0].slots[at.1]);
                let Action::Listen { event, filter, .. } = &plan.action else { continue };
                if *event != kept.name || self.handled.contains(at) {
                    continue;
                }
                let scope = self.scope(at.0, Some(slot));
                if wanted(filter.as_ref(), &scope, &kept.data) {
                    self.take(plan, slot.key.as_deref(), kept);
                    self.handled.insert(*at);
                    break;
                }
            }
        }
    }

    /// A wait for an event is reached: one that came before is taken, otherwise it opens.
    pub(crate) fn listen(
        &mut self,
        plan: &PlanStep,
        key: Option<&str>,
        event: &str,
        filter: Option<&Template>,
        within: Option<Span>,
        scope: &Scope,
    ) {
        let state = self.state;
        let found =
            state.signals.kept.values().filter(|_| crate::seeded!(EventForgotten: false, else true)).find(|kept| {
                kept.name == event && !self.taken.contains(&kept.signal) && wanted(filter, scope, &kept.data)
            });
        match found {
            Some(kept) => self.take(plan, key, kept),
            None => {
                let until = within.map(|span| self.ctx.now + span.0);
                self.put(plan, key, None, WaitOpened { event: event.to_owned(), until });
            }
        }
    }

    /// A wait whose time is over ends without an event.
    pub(crate) fn lapse(&mut self, at: At, plan: &PlanStep, slot: &Slot) {
        let over = matches!(slot.phase, Phase::Listening { until: Some(until) } if self.ctx.now >= until);
        if over && !self.handled.contains(&at) {
            self.put(plan, slot.key.as_deref(), None, TimerFired {});
        }
    }

    fn take(&mut self, plan: &PlanStep, key: Option<&str>, kept: &Kept) {
        self.taken.insert(kept.signal.clone());
        self.put(plan, key, None, SignalTaken { signal: kept.signal.clone(), output: kept.data.clone() });
    }
}

/// An expression without a value for this event means that the event is not the one that is waited for:
/// whoever emits events decides what they hold, and must not be able to fail a run with one.
fn wanted(filter: Option<&Template>, scope: &Scope, data: &Json) -> bool {
    let Some(filter) = filter else { return true };
    let event: Value = from_json(data);
    truth(filter, &scope.with([("event", event)]).value()).unwrap_or(false)
}
