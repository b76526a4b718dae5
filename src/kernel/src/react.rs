//! What the world is asked to do.

use std::time::Duration;

use cairn_store_layout::{
    Digest, RunId, StepId,
    event::{Body, Event},
    learned::Learned,
    payload::{EffectClass, EffectContent, Request},
};
use jiff::Timestamp;

use crate::{
    lease::{Holder, Lease},
    state::{Phase, Slot, State},
};

/// Something for the driver to carry out, after the facts it follows from are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Carry out an attempt and report how it came back.
    Perform(Perform),
    /// Take something into memory.
    Learn(Learned),
    /// Start a child run, or find it, and report its end as the attempt's outcome.
    Child(Child),
    /// A share was asked for: grant it when its turn has come.
    Acquire(Holder, Lease),
    /// A share is no longer waited for or held.
    Release(Holder),
    /// Stop every attempt of the run that is under way; nobody waits for them.
    Abort(RunId),
}

/// One attempt to carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct Perform {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The iteration of a `for_each` step.
    pub iteration: Option<String>,
    /// The attempt.
    pub attempt: u32,
    /// The idempotency key.
    pub key: Digest,
    /// What to do: exactly what was recorded, and approved if a gate stood before it.
    pub effect: EffectContent,
    /// How long it may take; absent: the store's default.
    pub timeout: Option<Duration>,
    /// When the first intent of this effect was recorded, so that a repeat writes the same bytes.
    pub at: Timestamp,
    /// Not to be sent from this moment on: the other side may have forgotten the key.
    pub until: Option<Timestamp>,
    /// An answer to the same request that is at most so old will do.
    pub cache: Option<Duration>,
}

/// A child run to start, or to find.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its id: the same after every restart.
    pub run: RunId,
    /// The run that starts it.
    pub of: RunId,
    /// The step that starts it.
    pub step: StepId,
    /// The iteration of a `for_each` step.
    pub iteration: Option<String>,
    /// The attempt that its end answers.
    pub attempt: u32,
    /// The workflow, whose version the parent's pins name.
    pub workflow: String,
    /// Its input.
    pub input: serde_json::Value,
}

/// What was asked of the world and never answered, found after a restart.
#[derive(Debug, Clone, PartialEq)]
pub enum Outstanding {
    /// May be done again under the same key.
    Again(Perform),
    /// A child run: start it, or find it and how it ended.
    Child(Child),
    /// May have happened and must not be repeated: report it as unknown.
    Lost(Perform),
}

/// What follows from a fresh fact. Never called during replay.
#[must_use]
pub fn react(state: &State, event: &Event) -> Vec<Effect> {
    let place = event.step.as_ref().and_then(|id| state.step_index(id)).map(|s| (s, event.iteration.as_deref()));
    let mut effects = match &event.body {
        Body::AttemptStarted(_) => {
            let child = place.and_then(|(step, iteration)| child(state, step, iteration)).map(Effect::Child);
            let perform = || place.and_then(|(step, key)| perform(state, step, key)).map(Effect::Perform);
            child.or_else(perform).into_iter().collect()
        }
        Body::ProbeStarted(_) => {
            let probe = place.and_then(|(step, iteration)| probe(state, step, iteration));
            probe.map(Effect::Perform).into_iter().collect()
        }
        Body::LeaseAsked(asked) => {
            let lease = Lease { asked: asked.clone(), since: event.at, granted: None };
            vec![Effect::Acquire(holder(state, event), lease)]
        }
        Body::UndoStarted(_) => perform_undo(state).map(Effect::Perform).into_iter().collect(),
        Body::RunCanceled(_) | Body::RunStopping(_) => vec![Effect::Abort(state.run.clone())],
        body => Learned::of(body).map(Effect::Learn).into_iter().collect(),
    };
    let slot = place.and_then(|(step, iteration)| state.slot(step, iteration));
    if slot.is_some_and(|slot| slot.lease.is_some() && slot.phase.is_over()) {
        effects.push(Effect::Release(holder(state, event)));
    }
    effects
}

/// What is in flight according to the history, after a restart.
#[must_use]
pub fn outstanding(state: &State) -> Vec<Outstanding> {
    if state.end.is_some() {
        return Vec::new();
    }
    // what a stopping run had under way is asked for no more: it becomes unknown or is skipped; a child is
    // canceled, and followed until it is over
    let from = if state.stopping.is_some() { state.plan.main } else { 0 };
    let again_or_lost = |p: Perform| {
        let once = crate::seeded!(OnceSentAgain: false, else p.effect.class == EffectClass::Once);
        if once { Outstanding::Lost(p) } else { Outstanding::Again(p) }
    };
    let asked = |(step, slot): (usize, &Slot)| {
        let key = slot.key.as_deref();
        // a probe is of use as long as the question is open
        if let Some(probe) = probe(state, step, key) {
            return Some(Outstanding::Again(probe));
        }
        if step < from && !slot.awaits_child() {
            return None;
        }
        child(state, step, key).map(Outstanding::Child).or_else(|| perform(state, step, key).map(again_or_lost))
    };
    state.slots().filter_map(asked).chain(perform_undo(state).map(again_or_lost)).collect()
}

fn holder(state: &State, event: &Event) -> Holder {
    let step = event.step.clone().map(|step| (step, event.iteration.clone()));
    Holder { run: state.run.clone(), step }
}

fn child(state: &State, step: usize, iteration: Option<&str>) -> Option<Child> {
    let slot = state.slot(step, iteration)?;
    let (Phase::InFlight { attempt, .. }, Some(effect)) = (&slot.phase, &slot.effect) else { return None };
    let Request::Workflow { workflow, input } = &effect.request else { return None };
    Some(Child {
        run: RunId::child(&effect.key(), *attempt, slot.begun?),
        of: state.run.clone(),
        step: state.plan.steps[step].id.clone(),
        iteration: slot.key.clone(),
        attempt: *attempt,
        workflow: workflow.clone(),
        input: input.clone(),
    })
}

fn probe(state: &State, step: usize, iteration: Option<&str>) -> Option<Perform> {
    let slot = state.slot(step, iteration).filter(|slot| slot.is_probing())?;
    let Phase::Unknown { attempt, .. } = slot.phase else { return None };
    let probing = slot.probe.clone()?;
    Some(Perform {
        run: state.run.clone(),
        step: state.plan.steps[step].id.clone(),
        iteration: slot.key.clone(),
        attempt,
        key: probing.effect.key(),
        effect: probing.effect,
        timeout: None,
        at: probing.since,
        until: None,
        cache: None,
    })
}

fn perform(state: &State, step: usize, iteration: Option<&str>) -> Option<Perform> {
    let slot = state.slot(step, iteration)?;
    let Phase::InFlight { attempt, .. } = slot.phase else { return None };
    let effect = slot.effect.clone()?;
    let plan = &state.plan.steps[step];
    let first = slot.first?;
    Some(Perform {
        run: state.run.clone(),
        step: plan.id.clone(),
        iteration: slot.key.clone(),
        attempt,
        key: crate::seeded!(KeyRenewed: Digest::of(format!("{}{attempt}", effect.key()).as_bytes()), else effect.key()),
        effect,
        timeout: plan.timeout.map(cairn_store_layout::time::Span::std),
        at: first,
        until: slot.keyed.zip(plan.window()).map(|(since, window)| since + window.0),
        cache: plan.cache.map(cairn_store_layout::time::Span::std),
    })
}

/// What is being taken back, if its attempt is under way.
fn perform_undo(state: &State) -> Option<Perform> {
    let this = state.undoing()?;
    let attempt = this.in_flight()?;
    let effect = this.effect()?.clone();
    let plan = &state.plan.steps[this.step];
    Some(Perform {
        run: state.run.clone(),
        step: plan.id.clone(),
        iteration: state.steps[this.step].slots[this.slot].key.clone(),
        attempt,
        key: effect.key(),
        effect,
        timeout: plan.timeout.map(cairn_store_layout::time::Span::std),
        at: this.first()?,
        until: None,
        cache: None,
    })
}
