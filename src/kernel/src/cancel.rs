//! A person ends the run: at once, or after what it did is taken back and `finally` is done.

use cairn_store_layout::event::{
    AttemptUnknown, Body, Event, RequestWithdrawn, RunCanceled, RunStopping, StopCause, UndoUnknown,
};

use crate::{
    command::{Command, Context, Refusal},
    decide::Place,
    gates::About,
    state::{Phase, State},
    wind_down::changes_something,
};

/// Why what was asked is asked no longer.
pub(crate) const REASON: &str = "the run was canceled";

/// What follows from a cancel. A second one, or one while the last steps are under way, ends the run at once.
pub(crate) fn cancel(
    state: &State,
    by: &str,
    reason: Option<&str>,
    undo: bool,
    ctx: &Context,
) -> Result<Vec<Event>, Refusal> {
    let reason = reason.map(str::to_owned);
    let ending = state.is_ending();
    if ending && undo {
        return Err(Refusal::Ending);
    }
    if !ending && (undo || state.plan.main < state.plan.steps.len()) {
        let told = reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
        let message = format!("canceled by {by}{told}");
        let body = RunStopping { why: StopCause::Canceled, message, undo, by: Some(by.to_owned()), reason };
        return Ok(vec![of_run(ctx, body)]);
    }
    let mut events = Vec::new();
    for (step, slot) in state.slots() {
        let (gate, attempt) = match &slot.phase {
            Phase::Gated { gate, .. }
            | Phase::Asked { gate, .. }
            | Phase::Undecided { gate, .. }
            | Phase::Unknown { gate, .. } => (gate.clone(), None),
            // nobody will wait for the reply, so what it would have said stays unknown
            Phase::InFlight { attempt, .. } if changes_something(slot) => {
                let place = Place { step, slot, attempt: Some(*attempt) };
                let id = &state.plan.steps[step].id;
                let gate = About::Outcome(*attempt).gate(&state.run, id, slot.key.as_deref());
                let message = format!("{REASON} while it was under way; it may have happened");
                events.push(place.event(state, ctx, AttemptUnknown { gate: gate.clone(), message }));
                (gate, Some(*attempt))
            }
            _ => continue,
        };
        let body = RequestWithdrawn { gate, reason: REASON.to_owned() };
        events.push(Place { step, slot, attempt }.event(state, ctx, body));
    }
    events.extend(leave_undo(state, ctx));
    events.push(of_run(ctx, RunCanceled { by: by.to_owned(), reason }));
    Ok(events)
}

/// A cancel that a crash cut in two: its first facts are there and its last is not, so it is taken again.
pub(crate) fn is_half_done(state: &State, command: &Command) -> bool {
    let cut = state.stopping.is_none() || state.canceling;
    matches!(command, Command::Cancel { .. }) && state.end.is_none() && cut
}

/// Facts that, with a command as their cause, only the cancel of a run that stops already begins with.
pub(crate) fn is_of_second(body: &Body) -> bool {
    matches!(body, Body::AttemptUnknown(_) | Body::UndoUnknown(_) | Body::RequestWithdrawn(_))
}

/// A fact about the run itself.
pub(crate) fn of_run(ctx: &Context, body: impl Into<Body>) -> Event {
    Event { at: ctx.now, step: None, iteration: None, attempt: None, cause: ctx.cause.clone(), body: body.into() }
}

/// What is being taken back is left as it is, and nobody is asked about it any more.
fn leave_undo(state: &State, ctx: &Context) -> Vec<Event> {
    let Some(this) = state.undoing() else { return Vec::new() };
    let slot = &state.steps[this.step].slots[this.slot];
    let id = &state.plan.steps[this.step].id;
    let (gate, attempt) = match (this.unknown(), this.in_flight()) {
        (Some((gate, attempt)), _) => (gate.clone(), attempt),
        (None, Some(attempt)) => (About::Undo(attempt).gate(&state.run, id, slot.key.as_deref()), attempt),
        (None, None) => return Vec::new(),
    };
    let place = Place { step: this.step, slot, attempt: Some(attempt) };
    let mut events = Vec::new();
    if this.in_flight().is_some() {
        let message = format!("{REASON} while it was under way; it may have happened");
        events.push(place.event(state, ctx, UndoUnknown { gate: gate.clone(), message }));
    }
    events.push(place.event(state, ctx, RequestWithdrawn { gate, reason: REASON.to_owned() }));
    events
}
