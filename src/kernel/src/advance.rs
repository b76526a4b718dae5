//! What is ready: steps whose needs are met, slots that may begin, times that have come.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    CommandId,
    definition::Join,
    event::{
        AttemptFailed, AttemptStarted, AttemptUnknown, Body, Event, FailureClass, GateExpired, StepFailed,
        StepRepeated, StepSkipped, StepSucceeded, TimerFired,
    },
    text::brief,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    agenda::At,
    command::Context,
    expr::{ExprError, Template, Value},
    failure,
    gates::About,
    plan::{PlanRepeat, PlanStep},
    scope::Scope,
    state::{Phase, Slot, State, StepEnd},
};

/// Why an effect that may be repeated is not repeated any more.
pub const TOO_LATE: &str = "its idempotency key is older than the other side remembers, so it is not sent again";

/// Returns every fact that follows from the state and the time, one layer deep.
pub(crate) fn advance(state: &State, ctx: &Context) -> Vec<Event> {
    if state.end.is_some() || state.canceling {
        return Vec::new();
    }
    let mut pass = Pass::new(state, ctx);
    pass.run();
    pass.events
}

/// Reads a moment, or a day (its first moment in UTC).
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day: Date = text.parse().map_err(|_| format!("`{text}` is neither a moment nor a day like 2026-11-22"))?;
    day.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).map_err(|e| e.to_string())
}

/// One look at what is ready.
pub(crate) struct Pass<'a> {
    pub(crate) state: &'a State,
    pub(crate) ctx: &'a Context,
    pub(crate) events: Vec<Event>,
    /// Slots whose time has come, by step.
    due: BTreeMap<usize, Vec<usize>>,
    /// Waits that were given an event in this look.
    pub(crate) handled: BTreeSet<At>,
    /// Signals that were taken in this look.
    pub(crate) taken: BTreeSet<CommandId>,
    /// What expressions see, made when first asked for: for the main steps, and for those of `finally`.
    scopes: [Option<Scope>; 2],
}

impl<'a> Pass<'a> {
    pub(crate) fn new(state: &'a State, ctx: &'a Context) -> Self {
        let mut due: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (step, slot) in state.agenda.due(ctx.now) {
            due.entry(step).or_default().push(slot);
        }
        due.values_mut().for_each(|slots| slots.sort_unstable());
        let (handled, taken) = (BTreeSet::new(), BTreeSet::new());
        Self { state, ctx, events: Vec::new(), due, handled, taken, scopes: [None, None] }
    }

    fn run(&mut self) {
        let state = self.state;
        let main = state.plan.main;
        if state.stopping.is_some() {
            if !self.wind_down() {
                return;
            }
        } else if let Some(stop) = self.stop() {
            return self.put_run(stop);
        } else if !self.is_let_in() || state.is_draining() {
            return;
        } else {
            self.steps(0..main);
            if !self.events.is_empty() || !state.is_main_over() {
                return;
            }
        }
        self.steps(main..state.steps.len());
        if self.events.is_empty() && state.steps.iter().all(|s| s.over.is_some()) {
            self.end();
        }
    }

    fn steps(&mut self, steps: std::ops::Range<usize>) {
        self.signals(steps.clone());
        for step in steps {
            if self.state.steps[step].over.is_none() {
                self.step(step);
            }
        }
    }

    fn step(&mut self, index: usize) {
        let state = self.state;
        let plan = &state.plan.steps[index];
        let this = &state.steps[index];
        if this.slots.is_empty() && !this.expanded {
            match self.needs(plan) {
                Needs::Open => {}
                Needs::Lost(reason) => self.put(plan, None, None, StepSkipped { reason }),
                Needs::Met => match &plan.for_each {
                    Some(for_each) => self.expand(index, plan, for_each),
                    None => self.begin(index, plan, &Slot::new(None, None)),
                },
            }
            return;
        }
        let mut free = state.room(index);
        // in the order of the list: what is due or was judged in any case, what wants to begin while there is room
        let mut must: Vec<usize> = self.due.remove(&index).unwrap_or_default();
        must.extend(&this.judge);
        must.sort_unstable();
        let mut must = must.into_iter().peekable();
        let mut want = this.want.iter().copied().peekable();
        loop {
            let wants = if free > 0 { want.peek().copied() } else { None };
            let next = match (must.peek().copied(), wants) {
                (Some(due), Some(begins)) if begins < due => want.next(),
                (Some(_), _) => must.next(),
                (None, Some(_)) => want.next(),
                (None, None) => break,
            };
            let Some(next) = next else { break };
            let slot = &this.slots[next];
            let goes_on = matches!(slot.phase, Phase::Retrying { .. } | Phase::Paused { .. });
            if goes_on && free == 0 && !slot.takes_place() {
                continue;
            }
            let before = self.events.len();
            self.slot((index, next), plan, slot);
            let begun = |e: &Event| matches!(e.body, Body::AttemptStarted(_) | Body::LeaseAsked(_));
            // a retry takes the place of its own pause
            if self.events[before..].iter().any(begun) && !slot.takes_place() {
                free -= 1;
            }
        }
        if this.expanded && this.open == 0 {
            self.close(plan, &this.slots);
        }
    }

    /// Whether a step may begin by what it needs.
    fn needs(&self, plan: &PlanStep) -> Needs {
        let over = |need: &usize| self.state.steps[*need].over;
        let wanted = match plan.join {
            Join::All => {
                if plan.needs.iter().any(|n| over(n).is_none()) {
                    return Needs::Open;
                }
                let lost = plan.needs.iter().find(|n| over(n) != Some(StepEnd::Done));
                return lost.map_or(Needs::Met, |need| {
                    let how = if over(need) == Some(StepEnd::Failed) { "failed" } else { "was not done" };
                    Needs::Lost(format!("it needs `{}`, which {how}", self.state.plan.steps[*need].id))
                });
            }
            Join::Any => 1,
            Join::Count(n) => n as usize,
        };
        let done = plan.needs.iter().filter(|n| over(n) == Some(StepEnd::Done)).count();
        let open = plan.needs.iter().filter(|n| over(n).is_none()).count();
        if done >= wanted {
            Needs::Met
        } else if done + open < wanted {
            Needs::Lost(format!("it needs {wanted} of {} steps, and {done} were done", plan.needs.len()))
        } else {
            Needs::Open
        }
    }

    fn slot(&mut self, at: At, plan: &PlanStep, slot: &Slot) {
        let now = self.ctx.now;
        let key = slot.key.as_deref();
        match &slot.phase {
            Phase::Pending => self.begin(at.0, plan, slot),
            Phase::Paused { at: due } if now >= *due => self.begin(at.0, plan, slot),
            Phase::Approved => {
                if let Some(effect) = slot.effect.clone() {
                    let scope = self.scope(at.0, Some(slot));
                    if let Err(error) = self.start_in_turn(plan, slot, &scope.value(), effect) {
                        self.fail(plan, key, &error);
                    }
                }
            }
            Phase::Reopening => {
                if let Err(error) = self.reopen(at.0, plan, slot) {
                    self.fail(plan, key, &error);
                }
            }
            Phase::Unknown { attempt, .. } => self.probe(at.0, plan, slot, *attempt),
            Phase::Retrying { at, .. } if now >= *at => {
                if let Some(effect) = slot.effect.clone() {
                    self.start(plan, slot, effect);
                }
            }
            Phase::Gated { gate, expires: Some(at), .. } if now >= *at => {
                self.put(plan, key, None, GateExpired { gate: gate.clone() });
            }
            Phase::Timer { until } if now >= *until => self.put(plan, key, None, TimerFired {}),
            Phase::Listening { .. } => self.lapse(at, plan, slot),
            Phase::Judged => {
                if let Some(repeat) = &plan.repeat {
                    self.judge(at, plan, slot, repeat);
                }
            }
            Phase::InFlight { attempt, until: Some(until) } if now >= *until => self.time_out(plan, slot, *attempt),
            _ => {}
        }
    }

    /// A round went well: was it the last?
    fn judge(&mut self, at: At, plan: &PlanStep, slot: &Slot, repeat: &PlanRepeat) {
        let output = slot.output.clone().unwrap_or(Value::from(()));
        let scope = self.scope(at.0, Some(slot)).with([("output", output)]);
        let key = slot.key.as_deref();
        match truth(&repeat.until, &scope.value()) {
            Err(error) => self.fail(plan, key, &error),
            Ok(true) => self.put(plan, key, None, StepSucceeded { output: None }),
            Ok(false) if slot.round < repeat.max => {
                let due = repeat.every.map(|span| self.ctx.now + span.0);
                self.put(plan, key, None, StepRepeated { round: slot.round + 1, due });
            }
            Ok(false) => {
                let message = format!("`until` is not true after {} rounds", slot.round);
                let body = StepFailed { class: FailureClass::Hard, code: "repeat".to_owned(), message };
                self.put(plan, key, None, body);
            }
        }
    }

    /// A child run that takes too long: its step waits for it no longer.
    fn time_out(&mut self, plan: &PlanStep, slot: &Slot, attempt: u32) {
        let span = plan.timeout.map_or(String::new(), |span| format!(" within {span}"));
        let failed = AttemptFailed {
            class: FailureClass::Soft,
            code: "timeout".to_owned(),
            message: format!("it was not over{span}"),
            retry_at: None,
            usage: cairn_store_layout::event::Usage::default(),
            artifacts: Vec::new(),
            settled_by: None,
            then: None,
        };
        let body = failure::follow(self.state, plan, slot, attempt, None, self.ctx, failed);
        self.put(plan, slot.key.as_deref(), Some(attempt), body);
    }

    /// The next attempt of a slot.
    pub(crate) fn start(&mut self, plan: &PlanStep, slot: &Slot, effect: cairn_store_layout::payload::EffectContent) {
        let (key, attempt) = (slot.key.as_deref(), slot.attempts + 1);
        let body = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
        self.put(plan, key, Some(attempt), body);
        let until = slot.keyed.zip(plan.window()).map(|(since, window)| since + window.0);
        if until.is_some_and(|until| self.ctx.now >= until) {
            // recorded as begun and never sent
            let gate = About::Outcome(attempt).gate(&self.state.run, &plan.id, key);
            self.put(plan, key, Some(attempt), AttemptUnknown { gate, message: TOO_LATE.to_owned() });
        }
    }

    /// A `for_each` step whose iterations are all over.
    pub(crate) fn close(&mut self, plan: &PlanStep, slots: &[Slot]) {
        let failed: Vec<&Slot> = slots.iter().filter(|s| s.phase == Phase::Failed).collect();
        let Some(first) = failed.first() else {
            return self.put(plan, None, None, StepSucceeded { output: None });
        };
        let message = format!(
            "{} of {} iterations failed, first `{}`: {}",
            failed.len(),
            slots.len(),
            first.key.as_deref().unwrap_or_default(),
            first.message.as_deref().unwrap_or("no reason recorded"),
        );
        self.put(plan, None, None, StepFailed { class: FailureClass::Hard, code: "iterations".to_owned(), message });
    }

    pub(crate) fn fail(&mut self, plan: &PlanStep, key: Option<&str>, error: &ExprError) {
        let body =
            // it may quote a value, and a value may be as large as a file
            StepFailed { class: FailureClass::Hard, code: "expression".to_owned(), message: brief(&error.message, 2_000) };
        self.put(plan, key, None, body);
    }

    pub(crate) fn put(&mut self, plan: &PlanStep, key: Option<&str>, attempt: Option<u32>, body: impl Into<Body>) {
        self.events.push(Event {
            at: self.ctx.now,
            step: Some(plan.id.clone()),
            iteration: key.map(str::to_owned),
            attempt,
            cause: None,
            body: body.into(),
        });
    }

    /// A fact about the run itself.
    pub(crate) fn put_run(&mut self, body: impl Into<Body>) {
        let body = body.into();
        self.events.push(Event { at: self.ctx.now, step: None, iteration: None, attempt: None, cause: None, body });
    }

    /// What an expression of a step sees, with the names of its iteration and its round.
    pub(crate) fn scope(&mut self, step: usize, slot: Option<&Slot>) -> Scope {
        let finally = step >= self.state.plan.main;
        let plan = self.state.plan.steps.get(step);
        let base = match &self.scopes[usize::from(finally)] {
            Some(scope) => scope.clone(),
            None => {
                let fate = finally.then(|| self.state.fate());
                let scope = self.state.known.scope(&self.state.plan, fate);
                self.scopes[usize::from(finally)].insert(scope).clone()
            }
        };
        let Some(slot) = slot else { return base };
        let mut more = Vec::new();
        if let (Some(key), Some(item)) = (&slot.key, &slot.item) {
            more.extend([("key", Value::from(key.as_str())), ("item", item.clone())]);
        }
        if plan.is_some_and(|plan| plan.repeat.is_some()) {
            let previous = slot.output.clone().filter(|_| slot.round > 1);
            more.extend([("round", Value::from(slot.round)), ("previous", previous.unwrap_or(Value::from(())))]);
        }
        if more.is_empty() { base } else { base.with(more) }
    }
}

/// How a step stands by what it needs.
enum Needs {
    Open,
    Met,
    Lost(String),
}

pub(crate) fn truth(when: &Template, scope: &Value) -> Result<bool, ExprError> {
    let value = when.eval(scope)?;
    match value.kind() {
        minijinja::value::ValueKind::Bool => Ok(value.is_true()),
        kind => {
            Err(ExprError { message: format!("a condition must be true or false, not {kind} ({value})"), line: None })
        }
    }
}
