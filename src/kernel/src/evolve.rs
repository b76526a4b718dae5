//! What is true once a fact is recorded. Total: a recorded fact can not be refused.

use std::collections::BTreeMap;

use cairn_store_layout::{
    GateId,
    event::{Body, Event, FailureDecision, Then},
    payload::Request,
};

use crate::{
    cancel,
    expr::{Value, from_json},
    failure,
    lease::Lease,
    plan::PlanStep,
    probe::Probing,
    state::{Asked, End, Phase, Slot, State, StepEnd, Stopping},
    undo::Completed,
};

/// Folds one fact into the state.
pub fn evolve(state: &mut State, event: &Event) {
    if let Some(cause) = &event.cause {
        state.causes.insert(cause.clone());
        state.canceling |= state.stopping.is_some() && cancel::is_of_second(&event.body);
    }
    match &event.body {
        Body::RunSucceeded(_) => state.end = Some(End::Succeeded),
        Body::RunFailed(_) => state.end = Some(End::Failed),
        Body::RunCanceled(_) => state.end = Some(End::Canceled),
        Body::RunStopping(stop) => {
            state.stopping = Some(Stopping {
                why: stop.why,
                message: stop.message.clone(),
                undo: stop.undo,
                by: stop.by.clone(),
                reason: stop.reason.clone(),
            });
        }
        Body::RunAdopted(adopted) => {
            state.machine = adopted.machine.clone();
            if adopted.asks_again {
                state.distrust();
            }
        }
        Body::SignalReceived(signal) => state.signals.received(signal),
        Body::LeaseAsked(asked) if event.step.is_none() => state.lease = Some(Lease::asked(asked, event.at)),
        Body::LeaseGranted(_) if event.step.is_none() => Lease::grant(&mut state.lease, event.at),
        _ => {
            if let Some(step) = event.step.as_ref().and_then(|id| state.step_index(id)) {
                evolve_step(state, step, event);
            }
        }
    }
}

fn evolve_step(state: &mut State, step: usize, event: &Event) {
    match &event.body {
        Body::UndoStarted(_) | Body::UndoSucceeded(_) | Body::UndoFailed(_) | Body::UndoUnknown(_) => {
            return state.evolve_undo(step, event);
        }
        Body::RequestWithdrawn(gone) if state.requests.get(&gone.gate).is_some_and(|asked| asked.of_undo) => {
            decided(state, &gone.gate, format!("withdrawn: {}", gone.reason));
            return state.evolve_undo(step, event);
        }
        Body::SignalTaken(taken) => state.signals.taken(&taken.signal),
        Body::RequestWithdrawn(gone) if state.stopping.is_none() && gone.reason == cancel::REASON => {
            state.canceling = true;
        }
        _ => {}
    }
    let plan = state.plan.clone();
    let plan = &plan.steps[step];
    let in_list = plan.for_each.is_some();
    let this = &mut state.steps[step];
    if let Body::StepExpanded(list) = &event.body {
        this.expanded = true;
        this.slots = list.items.iter().map(|i| Slot::new(Some(i.key.clone()), Some(from_json(&i.item)))).collect();
        this.index = list.items.iter().enumerate().map(|(n, i)| (i.key.clone(), n)).collect();
        for slot in 0..state.steps[step].slots.len() {
            state.count_in((step, slot));
        }
        return;
    }
    if in_list && event.iteration.is_none() {
        return evolve_list(state, step, event);
    }
    let index = match event.iteration.as_ref().map_or(Some(0), |key| this.index.get(key).copied()) {
        Some(index) if index < this.slots.len() => {
            state.count_out((step, index));
            index
        }
        _ => {
            if in_list {
                // an iteration nobody announced: carried in the history, without a meaning here
                return;
            }
            this.slots.push(Slot::new(None, None));
            0
        }
    };
    note_request(state, step, index, event);
    let slot = &mut state.steps[step].slots[index];
    evolve_slot(plan, slot, event);
    let done = match &event.body {
        Body::AttemptSucceeded(_) => true,
        // done by this run itself, before it moved to another definition
        Body::AttemptReused(reused) => reused.from == state.run,
        _ => false,
    };
    if done && plan.undo.is_some() {
        let done = Completed::new(step, index, slot);
        crate::seeded!(UndoneForward: state.completed.insert(0, done), else state.completed.push(done));
        state.undo_left = state.completed.len();
    }
    state.count_in((step, index));
    if !in_list {
        let end = match state.steps[step].slots[index].phase {
            Phase::Done => Some(StepEnd::Done),
            Phase::Failed => Some(StepEnd::Failed),
            Phase::Skipped => Some(StepEnd::Skipped),
            _ => None,
        };
        let output = state.steps[step].slots[index].output.clone();
        close(state, step, end, output.as_ref());
    }
}

/// A `for_each` step as a whole.
fn evolve_list(state: &mut State, step: usize, event: &Event) {
    let this = &mut state.steps[step];
    let mut output = None;
    let end = match &event.body {
        Body::StepSucceeded(done) => {
            output = Some(match &done.output {
                Some(output) => from_json(output),
                None => outputs(&this.slots),
            });
            StepEnd::Done
        }
        Body::StepFailed(failed) => {
            this.message = Some(failed.message.clone());
            if !this.slots.iter().any(|slot| slot.phase == Phase::Failed) && step < state.plan.main {
                state.agenda.failed += 1;
            }
            StepEnd::Failed
        }
        Body::StepSkipped(_) => StepEnd::Skipped,
        _ => return,
    };
    // a list that is cut short takes what it had not begun with it
    if this.open > 0 {
        for index in 0..state.steps[step].slots.len() {
            if !state.steps[step].slots[index].phase.is_over() {
                state.count_out((step, index));
                state.steps[step].slots[index].phase = Phase::Skipped;
                state.count_in((step, index));
            }
        }
    }
    close(state, step, Some(end), output.as_ref());
}

/// What later steps see of a step.
fn close(state: &mut State, step: usize, end: Option<StepEnd>, output: Option<&Value>) {
    state.steps[step].over = end;
    if let Some(end) = end {
        let output = output.filter(|_| end == StepEnd::Done);
        state.known.step(state.plan.steps[step].id.as_str(), end.word(), output);
    }
}

/// The output of a `for_each` step: that of each iteration that was done, by key.
fn outputs(slots: &[Slot]) -> Value {
    let done = slots.iter().filter(|s| s.phase == Phase::Done);
    let by_key = done.filter_map(|s| Some((s.key.clone()?, s.output.clone().unwrap_or(Value::from(())))));
    // collected straight into a `Value`, the pairs would become a list of pairs
    Value::from(by_key.collect::<BTreeMap<String, Value>>())
}

/// Keeps every request to the operator, and what became of it.
fn note_request(state: &mut State, step: usize, slot: usize, event: &Event) {
    let opened = match &event.body {
        Body::GateOpened(gate) => Some(&gate.gate),
        Body::AskOpened(ask) => Some(&ask.gate),
        Body::AttemptUnknown(unknown) => Some(&unknown.gate),
        Body::AttemptFailed(failed) => match &failed.then {
            Some(Then::Ask(gate)) => Some(gate),
            _ => None,
        },
        _ => None,
    };
    if let Some(gate) = opened {
        state.requests.insert(gate.clone(), Asked { step, slot, of_undo: false, how: None });
    }
    let phase = state.steps[step].slots[slot].phase.clone();
    let settled = |by: Option<&String>, how: &str| match (&phase, by) {
        (Phase::Unknown { gate, .. }, Some(by)) => Some((gate.clone(), format!("settled as {how} by {by}"))),
        _ => None,
    };
    let how = match &event.body {
        Body::GateApproved(d) => Some((d.gate.clone(), format!("approved by {} at {}", d.by, event.at))),
        Body::GateDenied(d) => Some((d.gate.clone(), format!("denied by {} at {}", d.by, event.at))),
        Body::GateExpired(d) => Some((d.gate.clone(), format!("expired at {}", event.at))),
        Body::RequestWithdrawn(d) => Some((d.gate.clone(), format!("withdrawn: {}", d.reason))),
        Body::AskAnswered(d) => Some((d.gate.clone(), format!("answered by {} at {}", d.by, event.at))),
        Body::FailureDecided(d) => Some((d.gate.clone(), format!("decided by {} at {}", d.by, event.at))),
        Body::AttemptSucceeded(done) => settled(done.settled_by.as_ref(), "done"),
        Body::AttemptFailed(failed) => settled(failed.settled_by.as_ref(), "not done"),
        _ => None,
    };
    if let Some((gate, how)) = how {
        decided(state, &gate, how);
    }
}

fn decided(state: &mut State, gate: &GateId, how: String) {
    if let Some(asked) = state.requests.get_mut(gate) {
        asked.how = Some(how);
    }
}

fn evolve_slot(plan: &PlanStep, slot: &mut Slot, event: &Event) {
    let attempt = event.attempt.unwrap_or(1);
    slot.phase = match &event.body {
        Body::StepSucceeded(done) => {
            if let Some(output) = &done.output {
                slot.output = Some(from_json(output));
            }
            Phase::Done
        }
        Body::StepFailed(failed) => {
            slot.message = Some(failed.message.clone());
            Phase::Failed
        }
        Body::StepSkipped(_) => Phase::Skipped,
        Body::StepRepeated(next) => {
            slot.round = next.round;
            slot.comment = None;
            slot.next_effect();
            Phase::Paused { at: next.due.unwrap_or(event.at) }
        }
        Body::AttemptStarted(start) => {
            slot.effect = Some(start.effect.clone());
            slot.first = slot.first.or(Some(event.at));
            slot.keyed = slot.keyed.or(Some(event.at));
            slot.attempts = attempt;
            (slot.begun, slot.probe) = (Some(event.at), None);
            // a program or a call is bounded by whoever carries it out; a child run is not
            let child = matches!(start.effect.request, Request::Workflow { .. });
            Phase::InFlight { attempt, until: plan.timeout.filter(|_| child).map(|span| event.at + span.0) }
        }
        Body::AttemptSucceeded(done) => {
            slot.output = Some(from_json(&done.output));
            if plan.repeat.is_some() { Phase::Judged } else { Phase::Done }
        }
        Body::AttemptReused(reused) => {
            slot.output = Some(from_json(&reused.output));
            if plan.repeat.is_some() { Phase::Judged } else { Phase::Done }
        }
        Body::AttemptFailed(failed) => {
            slot.message = Some(failed.message.clone());
            if failed.settled_by.is_some() {
                slot.keyed = None;
            }
            match (failed.retry_at, &failed.then) {
                (Some(at), _) => Phase::Retrying { attempt, at },
                (None, None) => Phase::Failed,
                (None, Some(Then::Skip)) => Phase::Skipped,
                (None, Some(Then::Ask(gate))) => Phase::Undecided { gate: gate.clone(), attempt },
            }
        }
        Body::FailureDecided(decided) => match decided.decision {
            FailureDecision::Retry if failure::tells(slot, decided) => {
                slot.comment = decided.comment.clone();
                slot.next_effect();
                Phase::Pending
            }
            FailureDecision::Retry => Phase::Retrying { attempt: slot.attempts, at: event.at },
            FailureDecision::Skip => Phase::Skipped,
            FailureDecision::Output => {
                // none and null are one in a line, so they must be one here
                slot.output = Some(decided.output.as_ref().map_or(Value::from(()), from_json));
                if plan.repeat.is_some() { Phase::Judged } else { Phase::Done }
            }
            FailureDecision::Fail => Phase::Failed,
        },
        Body::AttemptUnknown(unknown) => {
            slot.probe = None;
            Phase::Unknown { gate: unknown.gate.clone(), attempt }
        }
        Body::ProbeStarted(_) | Body::ProbeFailed(_) => return Probing::evolve(slot, event),
        Body::LeaseAsked(asked) => {
            slot.lease = Some(Lease::asked(asked, event.at));
            // what failed was approved before, if it had to be
            Phase::Queued { approved: matches!(slot.phase, Phase::Approved | Phase::Failed) }
        }
        Body::LeaseGranted(_) => {
            Lease::grant(&mut slot.lease, event.at);
            match slot.phase {
                Phase::Queued { approved: true } => Phase::Approved,
                _ => Phase::Pending,
            }
        }
        Body::GateOpened(gate) => {
            slot.effect = Some(gate.effect.clone());
            Phase::Gated { gate: gate.gate.clone(), digest: gate.digest.clone(), expires: gate.expires }
        }
        Body::GateEdited(edit) => {
            slot.effect = Some(edit.effect.clone());
            let expires = match &slot.phase {
                Phase::Gated { expires, .. } => *expires,
                _ => None,
            };
            Phase::Gated { gate: edit.gate.clone(), digest: edit.digest.clone(), expires }
        }
        Body::GateApproved(_) => Phase::Approved,
        Body::GateDenied(_) | Body::GateExpired(_) | Body::RequestWithdrawn(_) => Phase::Skipped,
        Body::AskOpened(ask) => {
            Phase::Asked { gate: ask.gate.clone(), digest: ask.digest.clone(), form: ask.form.clone() }
        }
        Body::AskAnswered(answer) => {
            slot.output = Some(from_json(&answer.answer));
            Phase::Done
        }
        Body::TimerSet(timer) => Phase::Timer { until: timer.until },
        Body::TimerFired(_) => {
            slot.output = Some(Value::from(()));
            Phase::Done
        }
        Body::WaitOpened(wait) => Phase::Listening { until: wait.until },
        Body::SignalTaken(signal) => {
            slot.output = Some(from_json(&signal.output));
            Phase::Done
        }
        _ => return,
    };
    slot.placed = slot.phase.places().unwrap_or(slot.placed);
}
