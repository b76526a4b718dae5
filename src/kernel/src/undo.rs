//! Taking back what was done: every completed effect that says how, the last one first, one at a time.
//!
//! Each is taken back at most once, whatever is lost on the way: its intent is durable before it leaves,
//! under a key of its own, and what nobody knows a person settles. What can not be taken back stays
//! visible and keeps nothing else from being taken back.

use cairn_store_layout::{
    GateId,
    event::{Body, Event, FailureClass, UndoFailed, UndoStarted, UndoSucceeded, UndoUnknown, Usage},
    payload::{EffectContent, Purpose},
    text::brief,
};
use jiff::Timestamp;

use crate::{
    advance::Pass,
    command::{Context, Outcome},
    expr::Value,
    failure,
    gates::About,
    state::{Asked, Slot, State},
};

/// An effect that was done and can be taken back.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    pub(crate) step: usize,
    pub(crate) slot: usize,
    ordinal: u32,
    /// What it asked for, in a word or two.
    what: String,
    output: Value,
    phase: Phase,
    /// Why it was not taken back.
    message: Option<String>,
    effect: Option<EffectContent>,
    first: Option<Timestamp>,
    /// The number of the slot's last attempt to take something back before this one.
    base: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Todo,
    InFlight { attempt: u32 },
    Retrying { attempt: u32, at: Timestamp },
    Unknown { gate: GateId, attempt: u32 },
    Undone,
    NotUndone,
}

impl Completed {
    pub(crate) fn new(step: usize, index: usize, slot: &Slot) -> Self {
        Self {
            step,
            slot: index,
            // a run that moved to another definition counts on from there
            ordinal: slot.effect.as_ref().map_or(slot.ordinal, |effect| effect.ordinal),
            what: slot.effect.as_ref().map(|effect| effect.request.name()).unwrap_or_default(),
            output: slot.output.clone().unwrap_or(Value::from(())),
            phase: Phase::Todo,
            message: None,
            effect: None,
            first: None,
            base: 0,
        }
    }

    pub(crate) fn is_at_rest(&self, horizon: Timestamp) -> bool {
        match &self.phase {
            Phase::InFlight { .. } => false,
            Phase::Retrying { at, .. } => *at > horizon,
            _ => true,
        }
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Retrying { at, .. } => Some(*at),
            _ => None,
        }
    }

    pub(crate) fn in_flight(&self) -> Option<u32> {
        match self.phase {
            Phase::InFlight { attempt } => Some(attempt),
            _ => None,
        }
    }

    /// The attempt that nobody knows the outcome of, with the request that settles it.
    pub(crate) fn unknown(&self) -> Option<(&GateId, u32)> {
        match &self.phase {
            Phase::Unknown { gate, attempt } => Some((gate, *attempt)),
            _ => None,
        }
    }

    pub(crate) fn effect(&self) -> Option<&EffectContent> {
        self.effect.as_ref()
    }

    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.first
    }

    fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Undone | Phase::NotUndone)
    }
}

impl State {
    /// What is being taken back, or would be next.
    pub(crate) fn undoing(&self) -> Option<&Completed> {
        let undo = self.stopping.as_ref().is_some_and(|stopping| stopping.undo);
        self.completed[..self.undo_left].last().filter(|_| undo)
    }

    /// What was taken back and what was not, in words; nothing when there was nothing to take back.
    pub(crate) fn undone(&self) -> Option<String> {
        if !self.stopping.as_ref().is_some_and(|stopping| stopping.undo) || self.completed.is_empty() {
            return None;
        }
        let undone = self.completed.iter().filter(|c| c.phase == Phase::Undone).count();
        let mut text = format!("{undone} of {} undone", self.completed.len());
        for left in self.completed.iter().rev().filter(|c| c.phase != Phase::Undone) {
            let id = &self.plan.steps[left.step].id;
            let key = self.steps[left.step].slots[left.slot].key.as_deref();
            let place = key.map_or_else(|| id.to_string(), |key| format!("{id}[{key}]"));
            let why = left.message.as_deref().unwrap_or("nobody knows what became of it");
            text.push_str(&format!("; `{}` of `{place}` was not: {why}", left.what));
        }
        Some(brief(&text, 4_000))
    }

    /// Folds a fact about what is being taken back.
    pub(crate) fn evolve_undo(&mut self, step: usize, event: &Event) {
        let Some(this) = self.undo_left.checked_sub(1).and_then(|last| self.completed.get_mut(last)) else { return };
        let slot = &mut self.steps[this.step].slots[this.slot];
        if this.step != step || slot.key != event.iteration {
            // about nothing that is being taken back: carried in the history, without a meaning here
            return;
        }
        let attempt = event.attempt.unwrap_or(1);
        let settle =
            |requests: &mut std::collections::BTreeMap<GateId, Asked>, phase: &Phase, by: Option<&String>, how| {
                if let (Phase::Unknown { gate, .. }, Some(by)) = (phase, by)
                    && let Some(asked) = requests.get_mut(gate)
                {
                    asked.how = Some(format!("settled as {how} by {by}"));
                }
            };
        match &event.body {
            Body::UndoStarted(start) => {
                if this.first.is_none() {
                    this.base = slot.undo_attempt;
                }
                slot.undo_attempt = attempt;
                this.effect = Some(start.effect.clone());
                this.first = this.first.or(Some(event.at));
                this.phase = Phase::InFlight { attempt };
            }
            Body::UndoSucceeded(done) => {
                settle(&mut self.requests, &this.phase, done.settled_by.as_ref(), "done");
                this.phase = Phase::Undone;
            }
            Body::UndoFailed(failed) => {
                settle(&mut self.requests, &this.phase, failed.settled_by.as_ref(), "not done");
                this.message = Some(failed.message.clone());
                this.phase = match failed.retry_at {
                    Some(at) => Phase::Retrying { attempt, at },
                    None => Phase::NotUndone,
                };
            }
            Body::UndoUnknown(unknown) => {
                this.phase = Phase::Unknown { gate: unknown.gate.clone(), attempt };
                let asked = Asked { step, slot: this.slot, of_undo: true, how: None };
                self.requests.insert(unknown.gate.clone(), asked);
            }
            Body::RequestWithdrawn(_) => {
                this.message = None;
                this.phase = Phase::NotUndone;
            }
            _ => {}
        }
        if this.is_settled() {
            self.undo_left -= 1;
        }
    }
}

impl Pass<'_> {
    /// Takes back what is next. Tells whether nothing is left.
    pub(crate) fn undo(&mut self) -> bool {
        let state = self.state;
        let Some(this) = state.undoing() else { return true };
        let plan = &state.plan.steps[this.step];
        let slot = &state.steps[this.step].slots[this.slot];
        let key = slot.key.as_deref();
        let effect = match &this.phase {
            Phase::Todo => {
                let Some(undo) = &plan.undo else { return true };
                let scope = self.scope(this.step, Some(slot)).with([("output", this.output.clone())]);
                match crate::act::request(&undo.action, &undo.spec, None, &scope.value()) {
                    Ok(Some(request)) => EffectContent {
                        run: state.run.clone(),
                        step: plan.id.clone(),
                        iteration: slot.key.clone(),
                        ordinal: this.ordinal,
                        purpose: Purpose::Undo,
                        definition: state.definition.clone(),
                        pin: undo.spec.pin.clone(),
                        class: undo.spec.effect,
                        request,
                    },
                    Ok(None) => return true,
                    Err(error) => {
                        let body = not_done(FailureClass::Hard, "expression", brief(&error.message, 2_000));
                        self.put(plan, key, None, body);
                        return false;
                    }
                }
            }
            Phase::Retrying { at, .. } if self.ctx.now >= *at => match &this.effect {
                Some(effect) => effect.clone(),
                None => return false,
            },
            _ => return false,
        };
        let body = UndoStarted { key: effect.key(), digest: effect.digest(), effect };
        self.put(plan, key, Some(slot.undo_attempt + 1), body);
        false
    }
}

/// What follows from how an attempt to take something back came out.
pub(crate) fn report(state: &State, this: &Completed, attempt: u32, outcome: &Outcome, ctx: &Context) -> Vec<Body> {
    let plan = &state.plan.steps[this.step];
    match outcome {
        Outcome::Succeeded { output, usage, artifacts, files, learned } => {
            let (output, usage) = (output.clone(), usage.clone());
            let (artifacts, files) = (artifacts.clone(), files.clone());
            let done = UndoSucceeded { output, usage, artifacts, files, settled_by: None };
            let learned = learned.iter().map(|learned| learned.clone().in_run());
            learned.chain([done.into()]).collect()
        }
        // what takes something back is never answered from memory; were it, it would be done
        Outcome::Cached { output, .. } => {
            vec![UndoSucceeded { output: output.clone(), ..done_without_trace(None) }.into()]
        }
        Outcome::Failed { class, code, message, usage, artifacts, retry_after } => {
            let tried = failure::Tried { attempt: attempt - this.base, first: this.first };
            let again = *class == FailureClass::Soft;
            let retry_at = again.then(|| failure::retry_at(&plan.retry, tried, code, *retry_after, ctx)).flatten();
            let (usage, artifacts) = (usage.clone(), artifacts.clone());
            let failed = not_done(*class, code, message.clone());
            vec![UndoFailed { retry_at, usage, artifacts, ..failed }.into()]
        }
        Outcome::Unknown { message } => {
            let key = state.steps[this.step].slots[this.slot].key.as_deref();
            let gate = About::Undo(attempt).gate(&state.run, &plan.id, key);
            vec![UndoUnknown { gate, message: message.clone() }.into()]
        }
    }
}

/// What a person says became of an attempt to take something back.
pub(crate) fn settled(done: bool, by: &str, now: Timestamp) -> Body {
    let settled_by = Some(by.to_owned());
    if done {
        return done_without_trace(settled_by).into();
    }
    let failed = not_done(FailureClass::Soft, "not_done", format!("settled as not done by {by}"));
    UndoFailed { retry_at: Some(now), settled_by, ..failed }.into()
}

fn done_without_trace(settled_by: Option<String>) -> UndoSucceeded {
    let (output, usage) = (serde_json::Value::Null, Usage::default());
    UndoSucceeded { output, usage, artifacts: Vec::new(), files: Vec::new(), settled_by }
}

fn not_done(class: FailureClass, code: &str, message: String) -> UndoFailed {
    let (usage, artifacts) = (Usage::default(), Vec::new());
    UndoFailed { class, code: code.to_owned(), message, retry_at: None, usage, artifacts, settled_by: None }
}
