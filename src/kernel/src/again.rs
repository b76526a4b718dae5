//! Asking an open run to go on: the next attempt now, without waiting for its time.

use cairn_store_layout::{
    StepId,
    event::{AttemptStarted, Event},
};

use crate::{
    command::{Context, Refusal},
    decide::Place,
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
    let mut room: Vec<usize> = (0..state.steps.len()).map(|step| state.room(step)).collect();
    let pauses = state.slots().filter(|(step, slot)| {
        let pauses = matches!(slot.phase, Phase::Retrying { .. });
        if !pauses || slot.takes_place() {
            return pauses;
        }
        let fits = room[*step] > 0;
        room[*step] = room[*step].saturating_sub(1);
        fits
    });
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
    let (mut settled, mut asked, mut full) = (None, None, None);
    let mut room: Vec<usize> = (0..state.steps.len()).map(|step| state.room(step)).collect();
    for (index, slot) in state.slots().filter(|(index, slot)| named(*index, slot)) {
        match slot.phase {
            Phase::Retrying { .. } if slot.takes_place() => events.extend(next_attempt(state, index, slot, ctx)),
            Phase::Failed if slot.first.is_none() => {}
            // the steps after it have taken its end into account
            Phase::Failed if state.is_relied_upon(index) => settled = Some(state.plan.steps[index].id.clone()),
            Phase::Failed | Phase::Retrying { .. } if room[index] == 0 => {
                full = Some(state.plan.steps[index].id.clone());
            }
            Phase::Failed | Phase::Retrying { .. } => {
                room[index] -= 1;
                events.extend(next_attempt(state, index, slot, ctx));
            }
            Phase::Undecided { ref gate, .. } => asked = Some((state.plan.steps[index].id.clone(), gate.clone())),
            _ => {}
        }
    }
    if let (true, Some((step, gate))) = (events.is_empty(), asked) {
        let why = format!("`{step}` waits for your decision: answer {} with `retry`", gate.short());
        return Err(Refusal::NothingToDo(why));
    }
    if let (true, Some(step)) = (events.is_empty(), full) {
        let why = format!("as many of `{step}` are under way as `max_parallel` allows; ask again when one is over");
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

/// The next attempt of a slot, or that it asks for its turn again.
fn next_attempt(state: &State, step: usize, slot: &Slot, ctx: &Context) -> Option<Event> {
    let place = |attempt| Place { step, slot, attempt };
    // its share went with its failure
    if let Some(lease) = slot.lease.as_ref().filter(|_| slot.phase.is_over()) {
        return Some(place(None).event(state, ctx, lease.asked.clone()));
    }
    let effect = slot.effect.clone()?;
    let body = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
    Some(place(Some(slot.attempts + 1)).event(state, ctx, body))
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
