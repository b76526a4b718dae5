//! How a run ends: it stops, takes back what was done, does what `finally` says, and is over.

use cairn_store_layout::{
    StepId,
    definition::OnFailure,
    event::{
        AttemptUnknown, RequestWithdrawn, RunCanceled, RunFailed, RunStopping, RunSucceeded, StepSkipped, StopCause,
    },
    payload::EffectClass,
    text::brief,
};

use crate::{
    advance::Pass,
    expr::to_json,
    gates::About,
    state::{Phase, Slot, State, StepEnd},
};

impl Pass<'_> {
    /// Tells whether the run has to stop now, and why.
    pub(crate) fn stop(&self) -> Option<RunStopping> {
        let state = self.state;
        let undo = state.plan.on_failure == OnFailure::Undo;
        if state.deadline().is_some_and(|at| at <= self.ctx.now) {
            let span = state.plan.deadline.map_or(String::new(), |span| format!(" of {span}"));
            let message = format!("deadline{span} passed");
            return Some(RunStopping { why: StopCause::Deadline, message, undo, by: None, reason: None });
        }
        if state.is_draining() && state.agenda.in_flight == 0 {
            let message = state.failure().unwrap_or_default();
            return Some(RunStopping { why: StopCause::Failed, message, undo, by: None, reason: None });
        }
        None
    }

    /// Ends what was begun, then takes back what was done. Tells whether nothing of that is left.
    pub(crate) fn wind_down(&mut self) -> bool {
        let state = self.state;
        let Some(stopping) = &state.stopping else { return true };
        for step in 0..state.plan.main {
            if state.steps[step].over.is_none() {
                self.cut_short(step, stopping.why, stopping.undo);
            }
        }
        // what may have happened is known before anything is taken back
        if !self.events.is_empty() || !state.is_main_over() {
            return false;
        }
        !stopping.undo || self.undo()
    }

    /// Ends a step that is not over; an effect that may have to be taken back stays a question until a
    /// person has said whether it happened.
    fn cut_short(&mut self, step: usize, why: StopCause, undo: bool) {
        let state = self.state;
        let (plan, this) = (&state.plan.steps[step], &state.steps[step]);
        let before = self.events.len();
        let mut waits = false;
        for slot in &this.slots {
            waits |= self.withdraw(step, slot, why, undo);
        }
        if self.events.len() > before || waits {
            return;
        }
        let failed = || this.slots.iter().any(|slot| slot.phase == Phase::Failed);
        if this.expanded && (this.open == 0 || failed()) {
            return self.close(plan, &this.slots);
        }
        self.put(plan, None, None, StepSkipped { reason: reason(why).to_owned() });
    }

    /// Takes a request of a slot back, or makes what it had under way a question. Tells whether the slot
    /// has to wait for an answer, or for its child run.
    fn withdraw(&mut self, step: usize, slot: &Slot, why: StopCause, undo: bool) -> bool {
        let plan = &self.state.plan.steps[step];
        let key = slot.key.as_deref();
        let gate = match &slot.phase {
            Phase::InFlight { attempt, .. } if changes_something(slot) => {
                let gate = About::Outcome(*attempt).gate(&self.state.run, &plan.id, key);
                let message = format!("{} while it was under way; it may have happened", reason(why));
                self.put(plan, key, Some(*attempt), AttemptUnknown { gate, message });
                return false;
            }
            // it is canceled, and what it did is taken back first: it was done last
            Phase::InFlight { until, .. } if slot.awaits_child() => {
                return until.is_none_or(|until| self.ctx.now < until);
            }
            Phase::Unknown { attempt, .. } if undo && plan.undo.is_some() => {
                self.probe(step, plan, slot, *attempt);
                return true;
            }
            Phase::Gated { gate, .. }
            | Phase::Asked { gate, .. }
            | Phase::Unknown { gate, .. }
            | Phase::Undecided { gate, .. } => gate.clone(),
            _ => return false,
        };
        self.put(plan, key, None, RequestWithdrawn { gate, reason: reason(why).to_owned() });
        false
    }

    /// Every step is over: so is the run.
    pub(crate) fn end(&mut self) {
        let state = self.state;
        if let Some(stopping) = state.stopping.as_ref().filter(|stopping| stopping.why == StopCause::Canceled) {
            let by = stopping.by.clone().unwrap_or_default();
            let told: Vec<String> = stopping.reason.clone().into_iter().chain(state.undone()).collect();
            let reason = Some(told.join("; ")).filter(|told| !told.is_empty());
            return self.put_run(RunCanceled { by, reason });
        }
        let steps: Vec<StepId> = state.failed().map(|step| state.plan.steps[step].id.clone()).collect();
        if let Some(message) = state.failure() {
            let more = state.failed().find(|step| *step >= state.plan.main).map(|step| state.why_failed(step));
            let more = more.filter(|more| *more != message).map(|more| format!("finally: {more}"));
            let told: Vec<String> = [Some(message), state.undone(), more].into_iter().flatten().collect();
            return self.put_run(RunFailed { steps, message: told.join("; ") });
        }
        let scope = self.scope(0, None).value();
        let output = state
            .plan
            .output
            .as_ref()
            .map_or(Ok(serde_json::Value::Null), |tree| tree.eval(&scope).and_then(|value| to_json(&value)));
        match output {
            Ok(output) => self.put_run(RunSucceeded { output }),
            Err(e) => {
                let message = format!("output: {}", brief(&e.message, 2_000));
                self.put_run(RunFailed { steps: Vec::new(), message });
            }
        }
    }
}

impl State {
    /// The steps that failed, in order.
    fn failed(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(|step| self.steps[*step].over == Some(StepEnd::Failed))
    }

    /// Why the run fails, as far as it is known: what stopped it, or the first failure.
    pub(crate) fn failure(&self) -> Option<String> {
        if let Some(stopping) = self.stopping.as_ref().filter(|stopping| stopping.why != StopCause::Canceled) {
            return Some(stopping.message.clone());
        }
        let failed = self.failed().next();
        // a list that is still under way may have failed in one of its iterations
        let failed = failed.or_else(|| {
            let begun = |step: &usize| self.steps[*step].slots.iter().any(|slot| slot.phase == Phase::Failed);
            (0..self.plan.main).find(|step| self.agenda.failed > 0 && begun(step))
        });
        failed.map(|step| self.why_failed(step))
    }

    fn why_failed(&self, step: usize) -> String {
        let this = &self.steps[step];
        let of_slot = || {
            let failed = this.slots.iter().find(|slot| slot.phase == Phase::Failed);
            failed.or_else(|| this.slots.first()).and_then(|slot| slot.message.clone())
        };
        let why = this.message.clone().or_else(of_slot).unwrap_or_default();
        format!("{}: {why}", self.plan.steps[step].id)
    }

    /// How the run will end, for the expressions of `finally`.
    pub(crate) fn fate(&self) -> (&'static str, Option<String>) {
        if self.stopping.as_ref().is_some_and(|stopping| stopping.why == StopCause::Canceled) {
            return ("canceled", None);
        }
        match self.failure() {
            Some(message) => ("failed", Some(message)),
            None => ("succeeded", None),
        }
    }
}

/// Tells whether an attempt that is under way may leave something behind.
pub(crate) fn changes_something(slot: &Slot) -> bool {
    // a child run is canceled with its parent, and tells in its own history what was under way
    if slot.awaits_child() {
        return false;
    }
    let class = slot.effect.as_ref().map(|effect| effect.class);
    matches!(class, Some(EffectClass::Idempotent | EffectClass::Once))
}

fn reason(why: StopCause) -> &'static str {
    match why {
        StopCause::Failed => "the run stopped because a step failed",
        StopCause::Canceled => "the run was canceled",
        StopCause::Deadline => "the run's deadline passed",
    }
}
