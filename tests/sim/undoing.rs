//! The reference model of taking back: what was done and says how, the last one first, each at most once.

use cairn_store_layout::{CommandId, Digest, GateId, command::Verb};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    model::{Around, Request, RequestKind, Seen, at, moment, text},
    slot::in_time,
    workload::MeantStep,
};

/// A step, and which of its iterations.
pub(crate) type Place = (String, Option<String>);

/// What was done and can be taken back, in the order in which it was done.
#[derive(Debug, Default)]
pub(crate) struct Undoing {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    place: Place,
    phase: Phase,
    /// The numbers of its attempts go on from those of earlier rounds.
    base: u64,
    attempt: u64,
    /// Attempts that a person gave beyond the bound.
    given: u64,
    key: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Todo,
    InFlight,
    Retrying(Timestamp, Timestamp, Seen),
    Unknown(GateId),
    Undone,
    /// For good, and why that is right.
    Left(&'static str),
}

impl Undoing {
    pub(crate) fn completed(&mut self, place: Place) {
        let (phase, key, digest) = (Phase::Todo, None, None);
        self.done.push(Done { place, phase, base: 0, attempt: 0, given: 0, key, digest });
    }

    /// Tells whether nothing is left to take back.
    pub(crate) fn is_settled(&self) -> bool {
        self.done.iter().all(|done| matches!(done.phase, Phase::Undone | Phase::Left(_)))
    }

    /// Tells whether a line that withdraws a request is about this.
    pub(crate) fn asks(&self, gate: &str) -> bool {
        self.done.iter().any(|done| matches!(&done.phase, Phase::Unknown(of) if of.as_str() == gate))
    }

    pub(crate) fn request(&self) -> Option<Request> {
        let this = self.done.iter().rev().find(|done| matches!(done.phase, Phase::Unknown(_)))?;
        let Phase::Unknown(gate) = &this.phase else { return None };
        Some(Request { gate: gate.clone(), digest: this.digest.clone()?, kind: RequestKind::Settle })
    }

    /// E8: takes a line about what is being taken back.
    pub(crate) fn take(
        &mut self,
        kind: &str,
        line: &Value,
        place: &Place,
        meant: &MeantStep,
        around: &Around<'_>,
    ) -> Result<(), String> {
        let attempts = self.done.iter().filter(|done| done.place == *place).map(|done| done.attempt).max();
        let open = |done: &&mut Done| !matches!(done.phase, Phase::Undone | Phase::Left(_));
        let this = self.done.iter_mut().rev().find(open).ok_or("E8: there is nothing to take back")?;
        if this.place != *place {
            return Err(format!("E8: {place:?} is taken back before {:?}, which was done after it", this.place));
        }
        let (now, seen) = (at(line)?, around.seen);
        let number = line["attempt"].as_u64().unwrap_or(0);
        let mine = |this: &Done| number == this.attempt;
        this.phase = match (kind, this.phase.clone()) {
            ("undo.started", phase @ (Phase::Todo | Phase::Retrying(..))) => {
                match phase {
                    Phase::Retrying(due, set, begun) => in_time(due, set, begun, now, seen)?,
                    _ => this.base = attempts.unwrap_or(0),
                }
                this.attempt = this.attempt.max(this.base);
                if number != this.attempt + 1 {
                    return Err(format!("E8: attempt {number} to take {place:?} back follows {}", this.attempt));
                }
                if number - this.base > u64::from(meant.attempts) + this.given {
                    return Err(format!("E8: {place:?} is tried to be taken back for ever"));
                }
                this.attempt = number;
                let digest = Digest::new(text(line, "digest")).map_err(|e| e.to_string())?;
                let key = text(line, "key").to_owned();
                if this.key.as_ref().is_some_and(|k| *k != key) || this.digest.as_ref().is_some_and(|d| *d != digest) {
                    return Err(format!("E5, E8: what takes {place:?} back became something else"));
                }
                (this.key, this.digest) = (Some(key), Some(digest));
                Phase::InFlight
            }
            ("undo.succeeded", Phase::InFlight) if mine(this) => {
                let key = this.key.as_deref().and_then(|key| Digest::new(key).ok()).ok_or("it was never sent")?;
                around.sink.gave(&key).ok_or("E8: it counts as taken back, but the world never answered so")?;
                Phase::Undone
            }
            ("undo.failed", Phase::InFlight) if mine(this) => match moment(line, "retry_at") {
                Some(due) if text(line, "class") == "soft" => Phase::Retrying(due, now, seen),
                None if text(line, "class") != "soft" => Phase::Left("the world refuses"),
                None if number - this.base >= u64::from(meant.attempts) => Phase::Left("tried often enough"),
                _ => return Err("E8: what may pass is not tried again, or what will not is".to_owned()),
            },
            ("undo.unknown", Phase::InFlight) if mine(this) => {
                Phase::Unknown(GateId::new(text(line, "gate")).map_err(|e| e.to_string())?)
            }
            ("undo.succeeded", Phase::Unknown(_)) if mine(this) && settles(line, around, "done") => Phase::Undone,
            ("undo.failed", Phase::Unknown(_)) if mine(this) && settles(line, around, "not_done") => {
                this.given += 1;
                Phase::Retrying(moment(line, "retry_at").ok_or("E8: no next attempt")?, now, seen)
            }
            ("request.withdrawn", Phase::Unknown(gate)) if gate.as_str() == text(line, "gate") => {
                Phase::Left("the operator ended it")
            }
            (_, phase) => return Err(format!("E8: taking {place:?} back is {phase:?}, attempt {}", this.attempt)),
        };
        Ok(())
    }
}

fn settles(line: &Value, around: &Around<'_>, how: &str) -> bool {
    let verb = CommandId::new(text(line, "cause")).ok().and_then(|cause| around.asked.get(&cause));
    line["settled_by"].is_string() && matches!(verb, Some(Verb::AskAnswer { answer, .. }) if answer["outcome"] == how)
}
