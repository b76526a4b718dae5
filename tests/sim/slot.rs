//! The reference model of one slot: a plain step, or one iteration of a `for_each` step.

use cairn_store_layout::{CommandId, Digest, GateId, command::Verb};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    model::{Around, Request, RequestKind, Seen, at, moment, text},
    workload::{Does, MeantStep},
};

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Phase {
    #[default]
    Pending,
    Gated(Digest, Option<Timestamp>),
    Approved,
    InFlight,
    /// Until when, since when.
    Retrying(Timestamp, Timestamp, Seen),
    Unknown,
    /// It failed, and the operator is asked what follows.
    Failing,
    Asked(Digest),
    Timer(Timestamp, Timestamp, Seen),
    Done,
    Failed,
    Skipped,
}

impl Phase {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) phase: Phase,
    attempt: u32,
    /// Attempts that a person gave beyond the bound, by saying that one did not happen.
    given: u32,
    /// It has one of the places of `max_parallel`: from its start until it is over or a person is asked.
    placed: bool,
    key: Option<String>,
    /// What was approved, or sent first.
    digest: Option<Digest>,
    gate: Option<GateId>,
}

impl Slot {
    pub(crate) fn take(
        &mut self,
        kind: &str,
        line: &Value,
        meant: &MeantStep,
        around: &Around<'_>,
    ) -> Result<(), String> {
        let now = at(line)?;
        let seen = around.seen;
        let digest = Digest::new(text(line, "digest")).ok();
        let gate = GateId::new(text(line, "gate")).ok();
        let next = match (kind, &self.phase) {
            ("gate.opened", Phase::Pending) if meant.approve => {
                self.digest.clone_from(&digest);
                self.gate = gate;
                Phase::Gated(digest.ok_or("no digest")?, moment(line, "expires"))
            }
            ("gate.edited", Phase::Gated(shown, expires)) => {
                let expires = *expires;
                decided(line, around, shown, now, expires, |v| matches!(v, Verb::GateEdit { .. }))?;
                self.digest.clone_from(&digest);
                self.gate = gate;
                Phase::Gated(digest.ok_or("no digest")?, expires)
            }
            ("gate.approved", Phase::Gated(shown, expires)) => {
                decided(line, around, shown, now, *expires, |v| matches!(v, Verb::GateApprove { .. }))?;
                Phase::Approved
            }
            ("gate.denied", Phase::Gated(shown, expires)) => {
                decided(line, around, shown, now, *expires, |v| matches!(v, Verb::GateDeny { .. }))?;
                Phase::Skipped
            }
            ("gate.expired", Phase::Gated(_, Some(expires))) if now >= *expires => Phase::Skipped,
            ("attempt.started", phase) => {
                self.may_start(phase.clone(), line, meant, now, seen)?;
                self.attempt += 1;
                Phase::InFlight
            }
            ("attempt.succeeded", Phase::InFlight) if self.is_current(line) => {
                self.is_answer(line, around)?;
                Phase::Done
            }
            ("attempt.failed", Phase::InFlight) if self.is_current(line) => self.failed(line, meant, now, seen)?,
            ("attempt.unknown", Phase::InFlight) if self.is_current(line) => {
                self.gate = gate;
                Phase::Unknown
            }
            ("attempt.succeeded", Phase::Unknown) if self.is_settled(line, around, "done") => Phase::Done,
            ("attempt.failed", Phase::Unknown) if self.is_settled(line, around, "not_done") => {
                self.given += 1;
                Phase::Retrying(moment(line, "retry_at").ok_or("no next attempt")?, now, seen)
            }
            ("failure.decided", Phase::Failing) => {
                let shown = self.digest.clone().ok_or("nothing was sent")?;
                decided(
                    line,
                    around,
                    &shown,
                    now,
                    None,
                    |v| matches!(v, Verb::AskAnswer { answer, .. } if answer["decision"] == line["decision"]),
                )?;
                match text(line, "decision") {
                    "retry" => {
                        self.given += meant.attempts;
                        Phase::Retrying(now, now, seen)
                    }
                    "skip" => Phase::Skipped,
                    "output" => Phase::Done,
                    _ => Phase::Failed,
                }
            }
            ("request.withdrawn", Phase::Gated(..) | Phase::Asked(_) | Phase::Unknown | Phase::Failing) => {
                Phase::Skipped
            }
            ("ask.opened", Phase::Pending) if meant.does == Does::Ask => {
                self.gate = gate;
                Phase::Asked(digest.ok_or("no digest")?)
            }
            ("ask.answered", Phase::Asked(shown)) => {
                decided(line, around, shown, now, None, |v| matches!(v, Verb::AskAnswer { .. }))?;
                Phase::Done
            }
            ("timer.set", Phase::Pending) => {
                let until = moment(line, "until").ok_or("no time")?;
                match meant.does {
                    Does::Wait(seconds) if until == now + SignedDuration::from_secs(seconds.cast_signed()) => {}
                    _ => return Err(format!("E7: the timer is set to {until} at {now}")),
                }
                Phase::Timer(until, now, seen)
            }
            ("timer.fired", Phase::Timer(until, set, begun)) => {
                in_time(*until, *set, *begun, now, seen)?;
                Phase::Done
            }
            ("step.succeeded", Phase::Pending) if meant.does == Does::Set => Phase::Done,
            ("step.failed", Phase::Pending) if text(line, "code") == "expression" => Phase::Failed,
            ("step.skipped", Phase::Pending) => Phase::Skipped,
            (_, phase) => return Err(format!("E1: `{}` is {phase:?}", meant.id)),
        };
        self.placed = match next {
            Phase::InFlight => true,
            Phase::Retrying(..) => self.placed,
            _ => false,
        };
        self.phase = next;
        Ok(())
    }

    /// Tells whether it counts against `max_parallel`. One that a person sent on has to wait until another
    /// one makes room: it gave its place up when nobody knew what had become of it.
    pub(crate) fn holds_a_place(&self) -> bool {
        self.placed
    }

    /// What the operator is asked here, if anything is.
    pub(crate) fn request(&self) -> Option<Request> {
        let gate = self.gate.clone()?;
        let (kind, digest) = match &self.phase {
            Phase::Gated(digest, _) => (RequestKind::Gate, digest.clone()),
            Phase::Asked(digest) => (RequestKind::Ask, digest.clone()),
            Phase::Unknown => (RequestKind::Settle, self.digest.clone()?),
            Phase::Failing => (RequestKind::Decide, self.digest.clone()?),
            _ => return None,
        };
        Some(Request { gate, digest, kind })
    }

    fn may_start(
        &mut self,
        phase: Phase,
        line: &Value,
        meant: &MeantStep,
        now: Timestamp,
        seen: Seen,
    ) -> Result<(), String> {
        match phase {
            Phase::Pending if !meant.approve && meant.does.has_effect() => {}
            Phase::Approved => {}
            Phase::Retrying(due, set, begun) => in_time(due, set, begun, now, seen)?,
            other => return Err(format!("A1: `{}` starts an attempt while {other:?}", meant.id)),
        }
        if line["attempt"].as_u64() != Some(u64::from(self.attempt) + 1) {
            return Err(format!("E1: attempt {} follows attempt {}", line["attempt"], self.attempt));
        }
        if self.attempt >= meant.attempts + self.given {
            return Err(format!("E7: attempt {} of at most {}", self.attempt + 1, meant.attempts + self.given));
        }
        let digest = Digest::new(text(line, "digest")).map_err(|e| e.to_string())?;
        match &self.digest {
            Some(before) if *before != digest => {
                return Err(format!("A1, E5: {} was approved or sent before, now {}", before.short(), digest.short()));
            }
            _ => self.digest = Some(digest),
        }
        let key = text(line, "key").to_owned();
        match &self.key {
            Some(before) if *before != key => Err(format!("E5: the key {before} became {key}")),
            _ => {
                self.key = Some(key);
                Ok(())
            }
        }
    }

    fn failed(&mut self, line: &Value, meant: &MeantStep, now: Timestamp, seen: Seen) -> Result<Phase, String> {
        let Some(due) = moment(line, "retry_at") else {
            let last = self.attempt >= meant.attempts;
            if let Some(gate) = line["then"]["ask"].as_str() {
                self.gate = GateId::new(gate).ok();
                return Ok(Phase::Failing);
            }
            return if text(line, "class") == "soft" && !last {
                Err("E7: a soft failure within the bounds is not retried".to_owned())
            } else {
                Ok(Phase::Failed)
            };
        };
        if text(line, "class") != "soft" {
            return Err(format!("E7: a failure of class {} is retried", line["class"]));
        }
        Ok(Phase::Retrying(due, now, seen))
    }

    fn is_current(&self, line: &Value) -> bool {
        line["attempt"].as_u64() == Some(u64::from(self.attempt))
    }

    /// What is recorded is what the world answered, unless it is too long to stand in the line.
    fn is_answer(&self, line: &Value, around: &Around<'_>) -> Result<(), String> {
        let key = self.key.as_deref().and_then(|k| Digest::new(k).ok()).ok_or("it was never sent")?;
        let gave = around.sink.gave(&key).ok_or("E1: it succeeds, but the world never answered so")?;
        let recorded = &line["output"];
        if recorded == gave || recorded.get("$artifact").is_some() {
            return Ok(());
        }
        Err(format!("E1: the world answered {gave}, {recorded} was recorded"))
    }

    fn is_settled(&self, line: &Value, around: &Around<'_>, how: &str) -> bool {
        let verb = verb_of(line, around);
        matches!(verb, Some(Verb::AskAnswer { answer, .. }) if answer["outcome"] == how)
            && line["settled_by"].is_string()
            && self.is_current(line)
    }
}

/// A1 and A3: the operator said just this, about the digest that was shown, before it lapsed.
fn decided(
    line: &Value,
    around: &Around<'_>,
    shown: &Digest,
    now: Timestamp,
    expires: Option<Timestamp>,
    is_kind: impl Fn(&Verb) -> bool,
) -> Result<(), String> {
    let verb = verb_of(line, around).ok_or("A2: nobody asked for it")?;
    let named = match verb {
        Verb::GateApprove { digest, .. }
        | Verb::GateDeny { digest, .. }
        | Verb::GateEdit { digest, .. }
        | Verb::AskAnswer { digest, .. } => Some(digest),
        _ => None,
    };
    if !is_kind(verb) || named != Some(shown) {
        return Err(format!("A1: {} was shown, the operator asked {verb:?}", shown.short()));
    }
    match expires {
        Some(expires) if now >= expires => Err(format!("A3: it lapsed at {expires}, it is {now}")),
        _ => Ok(()),
    }
}

fn verb_of<'a>(line: &Value, around: &Around<'a>) -> Option<&'a Verb> {
    let cause = CommandId::new(text(line, "cause")).ok()?;
    around.asked.get(&cause)
}

/// E7: never early, by the time that really passed if the kernel was up all the while.
fn in_time(due: Timestamp, set: Timestamp, begun: Seen, now: Timestamp, seen: Seen) -> Result<(), String> {
    if now < due {
        return Err(format!("E7: it was due at {due}, it is {now}"));
    }
    let passed = SignedDuration::try_from(seen.up.saturating_sub(begun.since)).unwrap_or_default();
    let wanted = due.duration_since(set);
    // a kernel that was started in between began with the wall clock again
    if begun.life != 0 && begun.life == seen.life && passed + SignedDuration::from_millis(10) < wanted {
        return Err(format!("E7: only {passed:#} passed of {wanted:#}"));
    }
    Ok(())
}
