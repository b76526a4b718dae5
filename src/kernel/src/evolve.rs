//! What is true once a fact is recorded. Total: a recorded fact can not be refused.

use std::collections::BTreeMap;

use cairn_store_layout::event::{Body, Event};

use crate::{
    expr::{Value, from_json},
    state::{End, Phase, Slot, State, StepEnd},
};

/// Folds one fact into the state.
pub fn evolve(state: &mut State, event: &Event) {
    if let Some(cause) = &event.cause {
        state.causes.insert(cause.clone());
    }
    match &event.body {
        Body::RunSucceeded(_) => state.end = Some(End::Succeeded),
        Body::RunFailed(_) => state.end = Some(End::Failed),
        Body::RunCanceled(_) => state.end = Some(End::Canceled),
        Body::RunAdopted(adopted) => state.machine = adopted.machine.clone(),
        _ => {
            if let Some(step) = event.step.as_ref().and_then(|id| state.step_index(id)) {
                evolve_step(state, step, event);
            }
        }
    }
}

fn evolve_step(state: &mut State, step: usize, event: &Event) {
    let in_list = state.plan.steps[step].for_each.is_some();
    let this = &mut state.steps[step];
    if let Body::StepExpanded(list) = &event.body {
        this.expanded = true;
        this.slots = list.items.iter().map(|i| Slot::new(Some(i.key.clone()), Some(from_json(&i.item)))).collect();
        this.index = list.items.iter().enumerate().map(|(n, i)| (i.key.clone(), n)).collect();
        return;
    }
    if in_list && event.iteration.is_none() {
        // the step as a whole
        let end = match &event.body {
            Body::StepSucceeded(done) => {
                this.output = Some(match &done.output {
                    Some(output) => from_json(output),
                    None => outputs(&this.slots),
                });
                StepEnd::Done
            }
            Body::StepFailed(failed) => {
                this.message = Some(failed.message.clone());
                StepEnd::Failed
            }
            Body::StepSkipped(_) => StepEnd::Skipped,
            _ => return,
        };
        this.over = Some(end);
        return;
    }
    let index = match event.iteration.as_ref().map_or(Some(0), |key| this.index.get(key).copied()) {
        Some(index) if index < this.slots.len() => index,
        _ => {
            if in_list {
                // an iteration nobody announced: carried in the history, without a meaning here
                return;
            }
            this.slots.push(Slot::new(None, None));
            0
        }
    };
    let slot = &mut this.slots[index];
    evolve_slot(slot, event);
    if !in_list {
        this.over = match slot.phase {
            Phase::Done => {
                this.output = slot.output.clone();
                Some(StepEnd::Done)
            }
            Phase::Failed => Some(StepEnd::Failed),
            Phase::Skipped => Some(StepEnd::Skipped),
            _ => None,
        };
    }
}

/// The output of a `for_each` step: that of each iteration that was done, by key.
fn outputs(slots: &[Slot]) -> Value {
    let done = slots.iter().filter(|s| s.phase == Phase::Done);
    let by_key = done.filter_map(|s| Some((s.key.clone()?, s.output.clone().unwrap_or(Value::from(())))));
    // collected straight into a `Value`, the pairs would become a list of pairs
    Value::from(by_key.collect::<BTreeMap<String, Value>>())
}

fn note_settled(slot: &mut Slot, by: Option<&String>, how: &str) {
    if let (Phase::Unknown { gate, .. }, Some(by)) = (&slot.phase, by) {
        slot.decided = Some((gate.clone(), format!("settled as {how} by {by}")));
    }
}

fn evolve_slot(slot: &mut Slot, event: &Event) {
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
        Body::AttemptStarted(start) => {
            slot.effect = Some(start.effect.clone());
            slot.attempts = attempt;
            slot.first = slot.first.or(Some(event.at));
            Phase::InFlight { attempt }
        }
        Body::AttemptSucceeded(done) => {
            slot.output = Some(from_json(&done.output));
            note_settled(slot, done.settled_by.as_ref(), "done");
            Phase::Done
        }
        Body::AttemptReused(reused) => {
            slot.output = Some(from_json(&reused.output));
            Phase::Done
        }
        Body::AttemptFailed(failed) => {
            slot.message = Some(failed.message.clone());
            note_settled(slot, failed.settled_by.as_ref(), "not done");
            match failed.retry_at {
                Some(at) => Phase::Retrying { attempt, at },
                None => Phase::Failed,
            }
        }
        Body::AttemptUnknown(unknown) => Phase::Unknown { gate: unknown.gate.clone(), attempt },
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
        Body::GateApproved(d) => {
            slot.decided = Some((d.gate.clone(), format!("approved by {} at {}", d.by, event.at)));
            Phase::Approved
        }
        Body::GateDenied(d) => {
            slot.decided = Some((d.gate.clone(), format!("denied by {} at {}", d.by, event.at)));
            Phase::Skipped
        }
        Body::GateExpired(d) => {
            slot.decided = Some((d.gate.clone(), format!("expired at {}", event.at)));
            Phase::Skipped
        }
        Body::RequestWithdrawn(d) => {
            slot.decided = Some((d.gate.clone(), format!("withdrawn: {}", d.reason)));
            Phase::Skipped
        }
        Body::AskOpened(ask) => {
            Phase::Asked { gate: ask.gate.clone(), digest: ask.digest.clone(), form: ask.form.clone() }
        }
        Body::AskAnswered(answer) => {
            slot.decided = Some((answer.gate.clone(), format!("answered by {} at {}", answer.by, event.at)));
            slot.output = Some(from_json(&answer.answer));
            Phase::Done
        }
        Body::TimerSet(timer) => Phase::Timer { until: timer.until },
        Body::TimerFired(_) => {
            slot.output = Some(Value::from(()));
            Phase::Done
        }
        _ => return,
    };
}
