//! Asking an open run to go on: the next attempt now, without waiting for its time.

use cairn_store_layout::{
    StepId,
    event::{AttemptStarted, Event},
};

use crate::{
    command::{Context, Refusal},
    state::{Phase, Slot, State},
};

/// Ends every pause between attempts.
///
/// # Errors
/// When nothing pauses.
pub(crate) fn resume(state: &State, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    if state.stopping.is_some() || state.is_draining() {
        return Err(Refusal::NothingToDo("the run is stopping: nothing of it is tried again".to_owned()));
    }
    let pauses = state.slots().filter(|(_, slot)| matches!(slot.phase, Phase::Retrying { .. }));
    let events: Vec<Event> = pauses.filter_map(|(step, slot)| next_attempt(state, step, slot, ctx)).collect();
    if events.is_empty() {
        return Err(Refusal::NothingToDo("no attempt waits for its time".to_owned()));
    }
    Ok(events)
}

/// Begins a new attempt of what failed or pauses: everywhere, or at one place.
///
/// # Errors
/// When there is nothing of the kind, or what follows the failure was decided already.
pub(crate) fn retry(
    state: &State,
    step: Option<&StepId>,
    iteration: Option<&str>,
    ctx: &Context,
) -> Result<Vec<Event>, Refusal> {
    if let Some(id) = step.filter(|id| state.step_index(id).is_none()) {
        return Err(Refusal::NothingToDo(format!("this run has no step `{id}`")));
    }
    if state.stopping.is_some() || state.is_draining() {
        return Err(Refusal::NothingToDo("the run is stopping: nothing of it is tried again".to_owned()));
    }
    let named = |index: usize, slot: &Slot| {
        step.is_none_or(|id| state.plan.steps[index].id == *id)
            && iteration.is_none_or(|key| slot.key.as_deref() == Some(key))
    };
    let mut events = Vec::new();
    let (mut settled, mut asked) = (None, None);
    for (index, slot) in state.slots().filter(|(index, slot)| named(*index, slot)) {
        match slot.phase {
            Phase::Retrying { .. } => events.extend(next_attempt(state, index, slot, ctx)),
            Phase::Failed if slot.first.is_none() => {}
            // the steps after it have taken its end into account
            Phase::Failed if state.is_relied_upon(index) => settled = Some(state.plan.steps[index].id.clone()),
            Phase::Failed => events.extend(next_attempt(state, index, slot, ctx)),
            Phase::Undecided { ref gate, .. } => asked = Some((state.plan.steps[index].id.clone(), gate.clone())),
            _ => {}
        }
    }
    if let (true, Some((step, gate))) = (events.is_empty(), asked) {
        let why = format!("`{step}` waits for your decision: answer {} with `retry`", gate.short());
        return Err(Refusal::NothingToDo(why));
    }
    match (events.is_empty(), settled) {
        (false, _) => Ok(events),
        (true, Some(step)) => Err(Refusal::NothingToDo(format!(
            "`{step}` failed and what needs it was left out; when the run is over, rerun it from there"
        ))),
        (true, None) => Err(Refusal::NothingToDo("nothing of it failed or waits for another attempt".to_owned())),
    }
}

fn next_attempt(state: &State, step: usize, slot: &Slot, ctx: &Context) -> Option<Event> {
    let effect = slot.effect.clone()?;
    let body = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
    Some(Event {
        at: ctx.now,
        step: Some(state.plan.steps[step].id.clone()),
        iteration: slot.key.clone(),
        attempt: Some(slot.attempts + 1),
        cause: ctx.cause.clone(),
        body: body.into(),
    })
}

impl State {
    /// Tells whether the end of a step was taken into account by another one, or by the step as a whole.
    fn is_relied_upon(&self, step: usize) -> bool {
        let whole = self.plan.steps[step].for_each.is_some() && self.steps[step].over.is_some();
        let after = self.plan.steps.iter().zip(&self.steps).any(|(plan, state)| {
            plan.needs.contains(&step) && (state.over.is_some() || state.expanded || !state.slots.is_empty())
        });
        // `finally` follows all of them
        let last =
            step < self.plan.main && self.steps[self.plan.main..].iter().any(|s| !s.slots.is_empty() || s.expanded);
        whole || after || last
    }
}
