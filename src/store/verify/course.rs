//! The course of one run as a whole: what may begin once it stops, which events are taken, which rounds
//! follow, and that nothing is taken back that was not done, twice, or before what was done after it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    CommandId, Digest, StepId,
    event::{Body, Event, RunStarted, UndoStarted},
    payload::{EffectContent, Purpose},
};

/// A finding: its code, and what is wrong.
type Finding = (&'static str, String);
type Slot = (Option<StepId>, Option<String>);

/// What decides how a run may go on.
#[derive(Default)]
pub(super) struct Course {
    finally: BTreeSet<StepId>,
    /// Set once the run stops; whether it takes back what was done.
    stopping: Option<bool>,
    rounds: BTreeMap<Slot, u32>,
    kept: BTreeSet<CommandId>,
    received: BTreeSet<CommandId>,
    /// What each place asked for last.
    sent: BTreeMap<Slot, EffectContent>,
    /// The keys under which what was done would be taken back, in the order it was done.
    done: Vec<Digest>,
    undo: BTreeMap<Digest, Undo>,
    /// What is being taken back.
    under_way: Option<Digest>,
    /// The last attempt to take something back at each place.
    attempts: BTreeMap<Slot, u32>,
}

/// Where taking something back stands.
#[derive(Clone, Copy, PartialEq)]
enum Undo {
    InFlight,
    Open,
    Over,
}

impl Course {
    pub(super) fn begin(&mut self, start: &RunStarted) {
        self.finally = start.steps.iter().filter(|s| s.finally).map(|s| s.id.clone()).collect();
    }

    /// Takes in the next event; tells what it may not be.
    pub(super) fn follow(&mut self, event: &Event) -> Option<Finding> {
        let slot = (event.step.clone(), event.iteration.clone());
        match &event.body {
            Body::RunStopping(stop) => {
                let before = self.stopping.replace(stop.undo);
                before.and(bad("the run stops a second time".to_owned()))
            }
            Body::RunMigrated(moved) => {
                self.finally = moved.steps.iter().filter(|s| s.finally).map(|s| s.id.clone()).collect();
                self.rounds.clear();
                None
            }
            Body::AttemptStarted(start) => {
                self.sent.insert(slot, start.effect.clone());
                self.begins(event)
            }
            Body::GateOpened(_) | Body::AskOpened(_) | Body::TimerSet(_) | Body::WaitOpened(_) => self.begins(event),
            Body::AttemptSucceeded(_) => {
                if let Some(effect) = self.sent.get(&slot) {
                    let undo = EffectContent { purpose: Purpose::Undo, ..effect.clone() };
                    self.done.push(undo.key());
                }
                None
            }
            Body::StepRepeated(next) => {
                let before = self.rounds.insert(slot, next.round).unwrap_or(1);
                let follows = next.round == before + 1;
                bad(format!("round {} follows round {before}", next.round)).filter(|_| !follows)
            }
            Body::SignalReceived(signal) => {
                self.kept.insert(signal.signal.clone());
                let first = self.received.insert(signal.signal.clone());
                bad(format!("event {} is received twice", signal.signal)).filter(|_| !first)
            }
            Body::SignalTaken(taken) => {
                let was = self.kept.remove(&taken.signal);
                bad(format!("event {} is taken, but was not there to be", taken.signal)).filter(|_| !was)
            }
            Body::UndoStarted(start) => self.undo(event, slot, start),
            Body::UndoSucceeded(_) => self.undone(event, &slot, Undo::Over),
            Body::UndoUnknown(_) => self.undone(event, &slot, Undo::Open),
            // without an attempt its expression had no value: nothing left
            Body::UndoFailed(_) if event.attempt.is_none() => None,
            Body::UndoFailed(failed) => {
                let over = if failed.retry_at.is_some() { Undo::Open } else { Undo::Over };
                self.undone(event, &slot, over)
            }
            _ => None,
        }
    }

    /// Tells whether the run stops.
    pub(super) fn stops(&self) -> bool {
        self.stopping.is_some()
    }

    /// A run that stops begins nothing but steps of `finally`.
    fn begins(&self, event: &Event) -> Option<Finding> {
        let last = event.step.as_ref().is_some_and(|step| self.finally.contains(step));
        let late = self.stopping.is_some() && !last;
        bad(format!("`{}` although the run stops", event.body.kind().0)).filter(|_| late)
    }

    fn undo(&mut self, event: &Event, slot: Slot, start: &UndoStarted) -> Option<Finding> {
        let number = event.attempt.unwrap_or(0);
        let before = self.attempts.insert(slot, number).unwrap_or(0);
        let known = self.undo.insert(start.key.clone(), Undo::InFlight);
        let place = self.done.iter().position(|key| *key == start.key);
        let last = self.under_way.replace(start.key.clone()).filter(|last| *last != start.key);
        let last = last.and_then(|last| self.done.iter().position(|key| *key == last));
        if self.stopping != Some(true) {
            return bad("something is taken back although the run does not take back".to_owned());
        }
        if start.effect.purpose != Purpose::Undo {
            return Some(("wrong_effect", "the effect is not one that takes something back".to_owned()));
        }
        let message = match (place, known) {
            (None, _) => "what is taken back was never done".to_owned(),
            (_, Some(Undo::Over)) => "it is taken back a second time".to_owned(),
            (_, Some(Undo::InFlight)) => {
                format!("attempt {number} to take it back begins before the one before is over")
            }
            (Some(place), _) if last.is_some_and(|last| last <= place) => {
                "it is taken back after something that was done before it".to_owned()
            }
            _ if number != before + 1 => format!("attempt {number} to take it back follows attempt {before}"),
            _ => return None,
        };
        bad(message)
    }

    fn undone(&mut self, event: &Event, slot: &Slot, to: Undo) -> Option<Finding> {
        let current = self.under_way.as_ref().and_then(|key| self.undo.get_mut(key));
        let legal = current.as_ref().is_some_and(|undo| **undo != Undo::Over)
            && self.attempts.get(slot).copied() == event.attempt;
        if let Some(current) = current {
            *current = to;
        }
        bad(format!("`{}` of nothing that is being taken back", event.body.kind().0)).filter(|_| !legal)
    }
}

fn bad(message: String) -> Option<Finding> {
    Some(("bad_order", message))
}
