//! Folds what happens to one slot, a plain step or one iteration, into what is shown of it.

use serde_json::Value;

use super::{AttemptView, SlotState, SlotView};
use crate::{
    RunId,
    event::{Body, Event, FailureDecision, Then},
    payload::Request,
};

impl SlotView {
    /// A slot that nothing has happened to.
    pub(super) fn new(iteration: Option<String>, item: Option<Value>) -> Self {
        Self {
            iteration,
            item,
            state: SlotState::Todo,
            started: None,
            ended: None,
            effect: None,
            gate: None,
            attempts: Vec::new(),
            output: None,
            round: 0,
            undo: None,
            note: None,
            reused_from: None,
        }
    }

    /// Adds the next event that is about it.
    pub(super) fn apply(&mut self, event: &Event) {
        let at = event.at;
        self.started = self.started.or(Some(at));
        let mut note = None;
        self.state = match &event.body {
            Body::StepSucceeded(done) => {
                self.output = done.output.clone().or(self.output.take());
                SlotState::Done
            }
            Body::StepFailed(failed) => {
                note = Some(failed.message.clone());
                SlotState::Failed
            }
            Body::StepSkipped(skipped) => {
                note = Some(skipped.reason.clone());
                SlotState::Skipped
            }
            Body::AttemptStarted(start) => {
                self.effect = Some(start.effect.clone());
                let child = matches!(start.effect.request, Request::Workflow { .. })
                    .then(|| RunId::child(&start.key, event.attempt.unwrap_or(1), at));
                let round = (self.round > 1).then(|| format!("round {}", self.round));
                let words = round.into_iter().chain(child.iter().map(|child| format!("run {}", child.short())));
                note = Some(words.collect::<Vec<_>>().join(", ")).filter(|words| !words.is_empty());
                self.attempts.push(AttemptView {
                    number: event.attempt.unwrap_or(1),
                    started: at,
                    child,
                    ended: None,
                    failure: None,
                    retry_at: None,
                    usage: crate::event::Usage::default(),
                    artifacts: Vec::new(),
                    files: Vec::new(),
                });
                SlotState::Running
            }
            Body::AttemptSucceeded(done) => {
                self.output = Some(done.output.clone());
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.ended = Some(at);
                    attempt.usage = done.usage.clone();
                    attempt.artifacts = done.artifacts.clone();
                    attempt.files = done.files.clone();
                }
                SlotState::Done
            }
            Body::AttemptFailed(failed) => {
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.ended = Some(at);
                    attempt.failure = Some((failed.class, format!("{}: {}", failed.code, failed.message)));
                    attempt.retry_at = failed.retry_at;
                    attempt.usage = failed.usage.clone();
                    attempt.artifacts = failed.artifacts.clone();
                }
                note = Some(match failed.retry_at {
                    Some(next) => format!("{}, next {}", failed.message, crate::time::short(next)),
                    None => failed.message.clone(),
                });
                match (failed.retry_at, &failed.then) {
                    (Some(_), _) => SlotState::Retrying,
                    (None, None) => SlotState::Failed,
                    (None, Some(Then::Skip)) => SlotState::Skipped,
                    (None, Some(Then::Ask(gate))) => {
                        self.gate = Some(gate.clone());
                        SlotState::Waiting
                    }
                }
            }
            Body::FailureDecided(decided) => {
                note = Some(super::describe(event));
                match decided.decision {
                    FailureDecision::Retry => SlotState::Todo,
                    FailureDecision::Skip => SlotState::Skipped,
                    FailureDecision::Output => {
                        self.output.clone_from(&decided.output);
                        SlotState::Done
                    }
                    FailureDecision::Fail => SlotState::Failed,
                }
            }
            Body::AttemptUnknown(unknown) => {
                self.gate = Some(unknown.gate.clone());
                note = Some(unknown.message.clone());
                SlotState::Waiting
            }
            Body::GateOpened(gate) => {
                self.gate = Some(gate.gate.clone());
                self.effect = Some(gate.effect.clone());
                note = Some(format!("approve {}", gate.gate.short()));
                SlotState::Waiting
            }
            Body::GateEdited(edit) => {
                self.effect = Some(edit.effect.clone());
                note = self.note.take();
                SlotState::Waiting
            }
            Body::AskOpened(ask) => {
                self.gate = Some(ask.gate.clone());
                note = Some(format!("answer {}", ask.gate.short()));
                SlotState::Waiting
            }
            Body::GateApproved(_) => SlotState::Todo,
            Body::GateDenied(denied) => {
                let reason = denied.reason.as_deref().map_or(String::new(), |r| format!(": {r}"));
                note = Some(format!("denied by {}{reason}", denied.by));
                SlotState::Denied
            }
            Body::GateExpired(_) => {
                note = Some("nobody decided in time".to_owned());
                SlotState::Denied
            }
            Body::RequestWithdrawn(withdrawn) => {
                note = Some(withdrawn.reason.clone());
                SlotState::Skipped
            }
            Body::AskAnswered(answer) => {
                self.output = Some(answer.answer.clone());
                SlotState::Done
            }
            Body::TimerSet(timer) => {
                note = Some(format!("until {}", crate::time::short(timer.until)));
                SlotState::Timer
            }
            Body::TimerFired(_) => SlotState::Done,
            Body::WaitOpened(wait) => {
                note = Some(format!("event {}", wait.event));
                SlotState::Timer
            }
            Body::SignalTaken(signal) => {
                self.output = Some(signal.output.clone());
                SlotState::Done
            }
            Body::AttemptReused(reused) => {
                self.output = Some(reused.output.clone());
                note = Some(format!("taken over from {}", reused.from.short()));
                self.reused_from = Some(reused.from.clone());
                SlotState::Done
            }
            Body::LeaseAsked(_) => {
                note = Some("waits for its turn".to_owned());
                SlotState::Queued
            }
            Body::LeaseGranted(_) => SlotState::Todo,
            Body::StepRepeated(round) => {
                self.round = round.round;
                note = Some(format!("round {}", round.round));
                if round.due.is_some() { SlotState::Timer } else { SlotState::Todo }
            }
            // whoever settles it reads what became of looking it up
            Body::ProbeStarted(probe) => {
                note = Some(format!("asks {} whether it happened", probe.effect.request.name()));
                self.state
            }
            Body::ProbeFailed(failed) => {
                note = Some(format!("could not find out whether it happened: {}", failed.message));
                self.state
            }
            _ => self.state,
        };
        self.note = note;
        if self.state.is_over() {
            self.ended = Some(at);
        }
    }
}
