//! What the world is asked to do.

use std::time::Duration;

use cairn_store_layout::{
    Digest, RunId, StepId,
    event::{Body, Event},
    passage::Passage,
    payload::{EffectClass, EffectContent},
};
use jiff::Timestamp;

use crate::state::{Phase, State};

/// Something for the driver to carry out, after the facts it follows from are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Carry out an attempt and report how it came back.
    Perform(Perform),
    /// Make a passage searchable.
    Remember(Passage),
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
}

/// What was asked of the world and never answered, found after a restart.
#[derive(Debug, Clone, PartialEq)]
pub enum Outstanding {
    /// May be done again under the same key.
    Again(Perform),
    /// May have happened and must not be repeated: report it as unknown.
    Lost(Perform),
}

/// What follows from a fresh fact. Never called during replay.
#[must_use]
pub fn react(state: &State, event: &Event) -> Vec<Effect> {
    match &event.body {
        Body::AttemptStarted(_) => {
            let step = event.step.as_ref().and_then(|id| state.step_index(id));
            let perform = step.and_then(|step| perform(state, step, event.iteration.as_deref()));
            perform.map(Effect::Perform).into_iter().collect()
        }
        Body::UndoStarted(_) => perform_undo(state).map(Effect::Perform).into_iter().collect(),
        Body::PassageRemembered(e) => vec![Effect::Remember(e.passage.clone())],
        Body::RunCanceled(_) | Body::RunStopping(_) => vec![Effect::Abort(state.run.clone())],
        _ => Vec::new(),
    }
}

/// What is in flight according to the history, after a restart.
#[must_use]
pub fn outstanding(state: &State) -> Vec<Outstanding> {
    if state.end.is_some() {
        return Vec::new();
    }
    // what a stopping run had under way is asked for no more: it becomes unknown or is skipped
    let from = if state.stopping.is_some() { state.plan.main } else { 0 };
    let in_flight = state.slots().filter(|(step, slot)| *step >= from && matches!(slot.phase, Phase::InFlight { .. }));
    in_flight
        .filter_map(|(step, slot)| perform(state, step, slot.key.as_deref()))
        .chain(perform_undo(state))
        .map(|p| if p.effect.class == EffectClass::Once { Outstanding::Lost(p) } else { Outstanding::Again(p) })
        .collect()
}

fn perform(state: &State, step: usize, iteration: Option<&str>) -> Option<Perform> {
    let slot = state.slot(step, iteration)?;
    let Phase::InFlight { attempt, .. } = slot.phase else { return None };
    let effect = slot.effect.clone()?;
    let plan = &state.plan.steps[step];
    Some(Perform {
        run: state.run.clone(),
        step: plan.id.clone(),
        iteration: slot.key.clone(),
        attempt,
        key: effect.key(),
        effect,
        timeout: plan.timeout.map(cairn_store_layout::time::Span::std),
        at: slot.first?,
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
    })
}
