//! The reference model of one slot: a plain step, or one iteration of a `for_each` step.

use cairn_store_layout::{CommandId, Digest, GateId, command::Verb};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    model::{Around, Request, RequestKind, Seen, at, moment, text},
    workload::{After, Does, Lease, MeantStep, event_name},
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
    /// Waits for an event.
    Listening(Timestamp, Timestamp, Seen),
    /// Waits for its turn; its gate is behind it or not.
    Queued {
        approved: bool,
    },
    /// A round went well.
    Judged,
    /// The next round begins at, since when.
    Paused(Timestamp, Timestamp, Seen),
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
    pub(crate) attempt: u32,
    /// How many attempts there were in earlier rounds.
    base: u32,
    /// How many rounds there were before this one.
    rounds: u32,
    /// Attempts that a person gave beyond the bound, by saying that one did not happen.
    given: u32,
    /// It has one of the places of `max_parallel`: from its start until it is over or a person is asked.
    placed: bool,
    /// What it asked for, once it had its turn.
    leased: Option<Lease>,
    asked: Option<Lease>,
    /// Whether what is unknown was looked for: `None` not yet, `Some(true)` by a probe that is under way.
    probing: Option<bool>,
    request: Value,
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
            ("gate.opened", Phase::Pending | Phase::Paused(..)) if meant.approve => {
                self.is_due(now, seen)?;
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
            ("attempt.succeeded", Phase::InFlight) if self.is_current(line) && !line["cached_from"].is_null() => {
                if !meant.cache || !around.sink.gave_like(&self.request, &line["output"]) {
                    return Err("E1: an answer is taken that nobody gave, or nobody wants".to_owned());
                }
                done(meant)
            }
            ("attempt.succeeded", Phase::InFlight) if self.is_current(line) => {
                if meant.does != Does::Child {
                    self.is_answer(line, around)?;
                }
                done(meant)
            }
            // a run that stops waits for its child, and nothing follows from how that ended
            ("attempt.failed", Phase::InFlight)
                if self.is_current(line) && meant.does == Does::Child && around.stopping =>
            {
                match (moment(line, "retry_at"), line["then"] == "skip") {
                    (None, true) => Phase::Skipped,
                    _ => return Err(format!("E8: {} follows from a child of a run that stops", line["then"])),
                }
            }
            ("attempt.failed", Phase::InFlight) if self.is_current(line) => self.failed(line, meant, now, seen)?,
            ("attempt.unknown", Phase::InFlight) if self.is_current(line) => {
                self.probing = None;
                self.gate = gate;
                Phase::Unknown
            }
            ("probe.started", Phase::Unknown) if meant.probe && self.probing.is_none() && self.is_current(line) => {
                self.probing = Some(true);
                Phase::Unknown
            }
            ("probe.failed", Phase::Unknown) if self.probing == Some(true) && self.is_current(line) => {
                self.probing = Some(false);
                Phase::Unknown
            }
            ("attempt.succeeded", Phase::Unknown) if self.is_probed(line) => {
                self.world_gave(around).ok_or("E6: a probe counts as a yes, but it did not happen")?;
                done(meant)
            }
            ("attempt.failed", Phase::Unknown) if self.is_probed(line) => {
                if self.world_gave(around).is_some() {
                    return Err("E6: a probe counts as a no, but it happened".to_owned());
                }
                if around.stopping {
                    return self.is_left(line);
                }
                self.failed(line, meant, now, seen)?
            }
            ("attempt.succeeded", Phase::Unknown) if self.is_settled(line, around, "done") => done(meant),
            ("attempt.failed", Phase::Unknown) if self.is_settled(line, around, "not_done") => {
                if around.stopping {
                    return self.is_left(line);
                }
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
                    "output" => done(meant),
                    _ => Phase::Failed,
                }
            }
            ("request.withdrawn", Phase::Unknown)
                if around.undoes && meant.undo.is_some() && line["cause"].is_null() =>
            {
                return Err("E8: what may have to be taken back is asked no more".to_owned());
            }
            ("request.withdrawn", Phase::Gated(..) | Phase::Asked(_) | Phase::Unknown | Phase::Failing) => {
                Phase::Skipped
            }
            ("step.repeated", Phase::Judged) => self.next_round(line, meant, now, seen)?,
            ("step.succeeded", Phase::Judged) if meant.repeat.is_some_and(|r| r.until == self.rounds + 1) => {
                Phase::Done
            }
            ("step.failed", Phase::Judged)
                if meant.repeat.is_some_and(|r| r.max == self.rounds + 1 && r.until > r.max) =>
            {
                Phase::Failed
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
            ("wait.opened", Phase::Pending) => {
                let until = moment(line, "until").ok_or("no time")?;
                match meant.does {
                    Does::Listen { within, event, .. }
                        if until == now + SignedDuration::from_secs(within.cast_signed())
                            && text(line, "event") == event_name(event) => {}
                    _ => return Err(format!("E7: the wait ends at {until}")),
                }
                Phase::Listening(until, now, seen)
            }
            ("signal.taken", Phase::Pending | Phase::Listening(..)) if matches!(meant.does, Does::Listen { .. }) => {
                Phase::Done
            }
            ("lease.asked", Phase::Pending | Phase::Approved) if self.leased.is_none() => {
                let asked = Lease::read(line);
                if meant.lease.as_ref() != Some(&asked) || (meant.approve && self.phase == Phase::Pending) {
                    return Err(format!("it asks for {asked:?}, {:?} is meant", meant.lease));
                }
                self.asked = Some(asked);
                Phase::Queued { approved: self.phase == Phase::Approved }
            }
            ("lease.granted", Phase::Queued { approved }) => {
                let approved = *approved;
                self.leased = self.asked.clone();
                if approved { Phase::Approved } else { Phase::Pending }
            }
            ("timer.fired", Phase::Timer(until, set, begun) | Phase::Listening(until, set, begun)) => {
                in_time(*until, *set, *begun, now, seen)?;
                Phase::Done
            }
            ("step.succeeded", Phase::Pending) if meant.does == Does::Set => Phase::Done,
            ("step.failed", Phase::Pending) if text(line, "code") == "expression" => Phase::Failed,
            ("step.skipped", Phase::Pending) => Phase::Skipped,
            ("step.skipped", phase) if around.stopping => match phase {
                Phase::InFlight if meant.does.changes() => {
                    return Err("E6: what may have happened counts as not done".to_owned());
                }
                Phase::Gated(..) | Phase::Asked(_) | Phase::Unknown | Phase::Failing => {
                    return Err(format!("the operator is asked still: {phase:?}"));
                }
                _ => Phase::Skipped,
            },
            (_, phase) => return Err(format!("E1: `{}` is {phase:?}", meant.id)),
        };
        self.placed = match next {
            Phase::InFlight | Phase::Queued { .. } => true,
            Phase::Retrying(..) | Phase::Judged | Phase::Paused(..) => self.placed,
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
            Phase::Pending | Phase::Paused(..) if !meant.approve && meant.does.has_effect() => {
                self.is_due(now, seen)?;
            }
            Phase::Approved => {}
            Phase::Retrying(due, set, begun) => in_time(due, set, begun, now, seen)?,
            other => return Err(format!("A1: `{}` starts an attempt while {other:?}", meant.id)),
        }
        if meant.lease.is_some() && self.leased.is_none() {
            return Err("it begins without its turn".to_owned());
        }
        self.request = line["effect"]["request"].clone();
        if line["attempt"].as_u64() != Some(u64::from(self.attempt) + 1) {
            return Err(format!("E1: attempt {} follows attempt {}", line["attempt"], self.attempt));
        }
        let tried = self.attempt - self.base;
        if tried >= meant.attempts + self.given {
            return Err(format!("E7: attempt {} of at most {}", tried + 1, meant.attempts + self.given));
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
        let class = ["soft", "hard", "business"].iter().position(|class| *class == text(line, "class"));
        let after = meant.on[class.ok_or("it has no class")?];
        let again = (class == Some(0) || after == After::Retry) && self.attempt - self.base < meant.attempts;
        let then = &line["then"];
        match (moment(line, "retry_at"), again) {
            (Some(due), true) if then.is_null() => return Ok(Phase::Retrying(due, now, seen)),
            (None, false) => {}
            _ => return Err(format!("E7: tried again: {}, must be: {again}", line["retry_at"])),
        }
        match after {
            After::Fail | After::Retry if then.is_null() => Ok(Phase::Failed),
            After::Skip if then == "skip" => Ok(Phase::Skipped),
            After::Ask if then["ask"].is_string() => {
                self.gate = GateId::new(text(then, "ask")).ok();
                Ok(Phase::Failing)
            }
            _ => Err(format!("E7: {after:?} was to follow, {then} does")),
        }
    }

    /// A round that was not the last: the next one is an effect of its own.
    fn next_round(&mut self, line: &Value, meant: &MeantStep, now: Timestamp, seen: Seen) -> Result<Phase, String> {
        let repeat = meant.repeat.ok_or("it does not repeat")?;
        self.rounds += 1;
        if line["round"].as_u64() != Some(u64::from(self.rounds) + 1) || self.rounds >= repeat.max.min(repeat.until) {
            return Err(format!("E7: round {} follows round {} of {repeat:?}", line["round"], self.rounds));
        }
        let due = repeat.every.map(|seconds| now + SignedDuration::from_secs(seconds.cast_signed()));
        if moment(line, "due") != due {
            return Err(format!("E7: the next round is due at {}, must be {due:?}", line["due"]));
        }
        (self.base, self.given, self.key, self.digest) = (self.attempt, 0, None, None);
        Ok(Phase::Paused(due.unwrap_or(now), now, seen))
    }

    /// The pause before a round is over.
    fn is_due(&self, now: Timestamp, seen: Seen) -> Result<(), String> {
        match self.phase {
            Phase::Paused(due, set, begun) => in_time(due, set, begun, now, seen),
            _ => Ok(()),
        }
    }

    /// What did not happen is not tried again by a run that stops.
    fn is_left(&mut self, line: &Value) -> Result<(), String> {
        if line["then"] != "skip" || !line["retry_at"].is_null() {
            return Err("E8: a run that stops tries something again".to_owned());
        }
        self.phase = Phase::Skipped;
        Ok(())
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

    fn is_probed(&self, line: &Value) -> bool {
        line["settled_by"] == "probe" && self.probing == Some(true) && self.is_current(line)
    }

    /// Nobody knows whether it happened, it says how to look, and nobody looks.
    pub(crate) fn is_forgotten(&self, meant: &MeantStep) -> bool {
        meant.probe && self.phase == Phase::Unknown && self.probing.is_none()
    }

    fn world_gave<'a>(&self, around: &Around<'a>) -> Option<&'a Value> {
        around.sink.gave(&Digest::new(self.key.as_deref()?).ok()?)
    }

    fn is_settled(&self, line: &Value, around: &Around<'_>, how: &str) -> bool {
        let verb = verb_of(line, around);
        matches!(verb, Some(Verb::AskAnswer { answer, .. }) if answer["outcome"] == how)
            && line["settled_by"].is_string()
            && self.is_current(line)
    }
}

/// What a success means: an end, or a round.
fn done(meant: &MeantStep) -> Phase {
    if meant.repeat.is_some() { Phase::Judged } else { Phase::Done }
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
pub(crate) fn in_time(due: Timestamp, set: Timestamp, begun: Seen, now: Timestamp, seen: Seen) -> Result<(), String> {
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
