//! May this happen now, and what follows? Facts or a refusal; nothing is changed.

use cairn_store_layout::{
    GateId, canonical,
    definition::fill,
    event::{
        AskAnswered, AttemptFailed, AttemptSucceeded, AttemptUnknown, Body, Event, FailureClass, GateApproved,
        GateDenied, GateEdited, LeaseGranted, SignalReceived, Then,
    },
    payload::{EffectContent, Purpose},
    view::settle_form,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    advance::{Pass, advance},
    again, cancel,
    command::{Command, Context, Outcome, Refusal},
    evolve::evolve,
    failure,
    gates::About,
    probe::{self, Finding},
    signal,
    state::{Asked, Phase, Slot, State},
    undo,
};

/// Says whether `command` may happen, and which facts follow from it at once.
///
/// # Errors
/// A [`Refusal`] when it may not; nothing follows then.
pub fn decide(state: &State, command: &Command, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let taken = ctx.cause.as_ref().is_some_and(|cause| state.causes.contains(cause));
    if crate::seeded!(TakenTwice: false, else taken) && !cancel::is_half_done(state, command) {
        return Err(Refusal::AlreadyTaken);
    }
    if let (Some(end), false) = (state.end, *command == Command::Advance) {
        return Err(Refusal::RunOver(end.word()));
    }
    match command {
        Command::Advance => Ok(advance(state, ctx)),
        Command::Report { step, iteration, attempt, purpose, outcome } => {
            let index = state.step_index(step).ok_or(Refusal::NotInFlight)?;
            let slot = state.slot(index, iteration.as_deref()).ok_or(Refusal::NotInFlight)?;
            let place = Place { step: index, slot, attempt: Some(*attempt) };
            match purpose {
                Purpose::Step => {}
                Purpose::Undo => return report_undo(state, place, outcome, ctx),
                Purpose::Probe => return probed(state, place, outcome, ctx),
            }
            match &slot.phase {
                Phase::InFlight { attempt: current, .. } if crate::seeded!(LateReplyTaken: true, else current == attempt) =>
                    {}
                _ => return Err(Refusal::NotInFlight),
            }
            Ok(report(state, place, outcome, ctx))
        }
        Command::Approve { gate, digest, by, reason } => {
            let place = gated(state, gate, digest, ctx)?;
            let body =
                GateApproved { gate: gate.clone(), digest: digest.clone(), by: by.clone(), reason: reason.clone() };
            Ok(vec![place.event(state, ctx, body)])
        }
        Command::Deny { gate, digest, by, reason } => {
            let place = gated(state, gate, digest, ctx)?;
            let body =
                GateDenied { gate: gate.clone(), digest: digest.clone(), by: by.clone(), reason: reason.clone() };
            Ok(vec![place.event(state, ctx, body)])
        }
        Command::Edit { gate, digest, input, by, reason } => {
            let place = gated(state, gate, digest, ctx)?;
            let mut effect = place.slot.effect.clone().ok_or(Refusal::BadEdit("the effect is not known"))?;
            let before = effect.request.input_mut().ok_or(Refusal::BadEdit("this effect has no input to edit"))?;
            if before == input {
                return Err(Refusal::BadEdit("nothing was changed"));
            }
            if before.is_object() != input.is_object() {
                return Err(Refusal::BadEdit("it must stay an object of fields"));
            }
            if canonical::is_too_deep(input) {
                return Err(Refusal::BadEdit("it is nested too deeply"));
            }
            *before = input.clone();
            let body = GateEdited {
                gate: gate.clone(),
                before: digest.clone(),
                digest: effect.digest(),
                effect,
                by: by.clone(),
                reason: reason.clone(),
            };
            Ok(vec![place.event(state, ctx, body)])
        }
        Command::Answer { gate, digest, answer, by } => answered(state, gate, digest, answer, by, ctx),
        Command::Signal { signal, name, data, by } => {
            if state.signals.has(signal) {
                return Err(Refusal::AlreadyTaken);
            }
            if !state.plan.listens_to(name) {
                return Err(Refusal::NotListening(name.clone()));
            }
            if state.signals.kept() >= signal::KEPT_MAX {
                return Err(Refusal::TooManySignals);
            }
            if canonical::is_too_deep(data) {
                return Err(Refusal::BadEdit("what comes with it is nested too deeply"));
            }
            let body =
                SignalReceived { signal: signal.clone(), name: name.clone(), data: data.clone(), by: by.clone() };
            Ok(vec![cancel::of_run(ctx, body)])
        }
        Command::Grant { step: None } => {
            state.lease.as_ref().filter(|lease| lease.granted.is_none()).ok_or(Refusal::NotQueued)?;
            Ok(vec![cancel::of_run(ctx, LeaseGranted {})])
        }
        Command::Grant { step: Some((step, iteration)) } => {
            let index = state.step_index(step).ok_or(Refusal::NotQueued)?;
            let slot = state.slot(index, iteration.as_deref()).ok_or(Refusal::NotQueued)?;
            if !matches!(slot.phase, Phase::Queued { .. }) {
                return Err(Refusal::NotQueued);
            }
            Ok(vec![Place { step: index, slot, attempt: None }.event(state, ctx, LeaseGranted {})])
        }
        Command::Resume => again::resume(state, ctx),
        Command::Retry { step, iteration } => again::retry(state, step.as_ref(), iteration.as_deref(), ctx),
        Command::Cancel { by, reason, undo } => cancel::cancel(state, by, reason.as_deref(), *undo, ctx),
    }
}

/// The form of a request as filled: an `ask`, an outcome that is settled, or what a failure means.
fn answered(
    state: &State,
    gate: &GateId,
    digest: &cairn_store_layout::Digest,
    answer: &Value,
    by: &str,
    ctx: &Context,
) -> Result<Vec<Event>, Refusal> {
    let (asked, place) = find(state, gate)?;
    let settles = |answer: &Value| {
        let answer = fill(&settle_form(), answer).map_err(Refusal::BadAnswer)?;
        Ok(answer.get("outcome").and_then(Value::as_str) == Some("done"))
    };
    if let (true, Some(this)) = (asked.of_undo, state.undoing()) {
        let Some((_, attempt)) = this.unknown().filter(|(of, _)| *of == gate) else {
            return Err(Refusal::NoSuchRequest(gate.clone()));
        };
        fresh(gate, digest, this.effect())?;
        let place = Place { attempt: Some(attempt), ..place };
        return Ok(vec![place.event(state, ctx, undo::settled(settles(answer)?, by, ctx.now))]);
    }
    match &place.slot.phase {
        Phase::Asked { digest: current, form, .. } => {
            same(gate, digest, current)?;
            let answer = fill(form, answer).map_err(Refusal::BadAnswer)?;
            let body = AskAnswered { gate: gate.clone(), answer, by: by.to_owned() };
            Ok(vec![place.event(state, ctx, body)])
        }
        Phase::Unknown { attempt, .. } => {
            fresh(gate, digest, place.slot.effect.as_ref())?;
            let body = settled(settles(answer)?, by, ctx.now, state.is_cutting_short(place.step));
            let place = Place { attempt: Some(*attempt), ..place };
            Ok(vec![place.event(state, ctx, body)])
        }
        Phase::Undecided { .. } => {
            fresh(gate, digest, place.slot.effect.as_ref())?;
            Ok(vec![place.event(state, ctx, failure::decided(gate, answer, by)?)])
        }
        _ => Err(wrong_verb(gate, place.slot)),
    }
}

/// Decides and folds, and leaves what would be next for later: for a kernel that is about to stop.
///
/// # Errors
/// A [`Refusal`]; the state is unchanged then.
pub fn settle(state: &mut State, command: &Command, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let events = decide(state, command, ctx)?;
    for event in &events {
        evolve(state, event);
    }
    Ok(events)
}

/// Decides, folds, and goes on until nothing more is ready: the outcome of one step and the start of
/// the next come back together, to be made durable in one write.
///
/// # Errors
/// A [`Refusal`]; the state is unchanged then.
pub fn handle(state: &mut State, command: &Command, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let mut events = settle(state, command, ctx)?;
    let ctx = Context { cause: None, ..ctx.clone() };
    loop {
        let more = advance(state, &ctx);
        if more.is_empty() {
            state.signals.looked_at();
            return Ok(events);
        }
        for event in &more {
            evolve(state, event);
        }
        events.extend(more);
    }
}

/// Where in the run something happens.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) step: usize,
    pub(crate) slot: &'a Slot,
    pub(crate) attempt: Option<u32>,
}

impl Place<'_> {
    pub(crate) fn event(&self, state: &State, ctx: &Context, body: impl Into<Body>) -> Event {
        Event {
            at: ctx.now,
            step: Some(state.plan.steps[self.step].id.clone()),
            iteration: self.slot.key.clone(),
            attempt: self.attempt,
            cause: ctx.cause.clone(),
            body: body.into(),
        }
    }
}

fn find<'a>(state: &'a State, gate: &GateId) -> Result<(&'a Asked, Place<'a>), Refusal> {
    let asked = state.requests.get(gate).ok_or_else(|| Refusal::NoSuchRequest(gate.clone()))?;
    if let Some(how) = &asked.how {
        return Err(Refusal::AlreadyDecided { gate: gate.clone(), how: how.clone() });
    }
    let slot = state
        .steps
        .get(asked.step)
        .and_then(|step| step.slots.get(asked.slot))
        .ok_or_else(|| Refusal::NoSuchRequest(gate.clone()))?;
    Ok((asked, Place { step: asked.step, slot, attempt: None }))
}

/// The place of a gate that still waits and still shows `digest`.
fn gated<'a>(
    state: &'a State,
    gate: &GateId,
    digest: &cairn_store_layout::Digest,
    ctx: &Context,
) -> Result<Place<'a>, Refusal> {
    let (_, place) = find(state, gate)?;
    let Phase::Gated { digest: current, expires, .. } = &place.slot.phase else {
        return Err(wrong_verb(gate, place.slot));
    };
    same(gate, digest, current)?;
    // the event that says so may still be on its way: the time counts, not who was asked first
    if crate::seeded!(LapsedApproval: false, else expires.is_some_and(|at| at <= ctx.now)) {
        return Err(Refusal::Expired(gate.clone()));
    }
    Ok(place)
}

fn wrong_verb(gate: &GateId, slot: &Slot) -> Refusal {
    let wanted = match &slot.phase {
        Phase::Gated { .. } => "approve, deny or edit",
        _ => "answer",
    };
    Refusal::WrongVerb { gate: gate.clone(), wanted }
}

fn same(
    gate: &GateId,
    shown: &cairn_store_layout::Digest,
    current: &cairn_store_layout::Digest,
) -> Result<(), Refusal> {
    if crate::seeded!(StaleApproval: true, else shown == current) {
        return Ok(());
    }
    Err(Refusal::StaleDigest { gate: gate.clone(), shown: shown.clone(), current: current.clone() })
}

/// An answer about an effect names the digest of that effect.
fn fresh(gate: &GateId, shown: &cairn_store_layout::Digest, effect: Option<&EffectContent>) -> Result<(), Refusal> {
    effect.map_or(Ok(()), |effect| same(gate, shown, &effect.digest()))
}

fn report_undo(state: &State, place: Place<'_>, outcome: &Outcome, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let this = state.undoing().filter(|this| {
        let here = this.step == place.step && state.steps[this.step].slots[this.slot].key == place.slot.key;
        here && this.in_flight().is_some() && this.in_flight() == place.attempt
    });
    let (this, attempt) = this.zip(place.attempt).ok_or(Refusal::NotInFlight)?;
    let bodies = undo::report(state, this, attempt, outcome, ctx);
    Ok(bodies.into_iter().map(|body| place.event(state, ctx, body)).collect())
}

fn report(state: &State, place: Place<'_>, outcome: &Outcome, ctx: &Context) -> Vec<Event> {
    let plan = &state.plan.steps[place.step];
    let attempt = place.attempt.unwrap_or(1);
    match outcome {
        Outcome::Succeeded { output, usage, artifacts, files, learned } => {
            let body = AttemptSucceeded {
                output: output.clone(),
                usage: usage.clone(),
                artifacts: artifacts.clone(),
                files: files.clone(),
                settled_by: None,
                cached_from: None,
            };
            let mut events = Vec::new();
            for learned in learned {
                events.push(place.event(state, ctx, learned.clone().in_run()));
            }
            events.push(place.event(state, ctx, body));
            events
        }
        Outcome::Cached { output, from } => {
            let body = AttemptSucceeded {
                output: output.clone(),
                usage: cairn_store_layout::event::Usage::default(),
                artifacts: Vec::new(),
                files: Vec::new(),
                settled_by: None,
                cached_from: Some(from.clone()),
            };
            vec![place.event(state, ctx, body)]
        }
        Outcome::Failed { class, code, message, usage, artifacts, retry_after } => {
            let failed = AttemptFailed {
                class: *class,
                code: code.clone(),
                message: message.clone(),
                retry_at: None,
                usage: usage.clone(),
                artifacts: artifacts.clone(),
                settled_by: None,
                then: None,
            };
            // a child that is over while the run stops: nothing follows from it any more
            let late = state.stopping.is_some() && place.step < state.plan.main;
            let body = if late {
                AttemptFailed { then: Some(Then::Skip), ..failed }
            } else {
                failure::follow(state, plan, place.slot, attempt, *retry_after, ctx, failed)
            };
            vec![place.event(state, ctx, body)]
        }
        Outcome::Unknown { message } => {
            let gate = About::Outcome(attempt).gate(&state.run, &plan.id, place.slot.key.as_deref());
            vec![place.event(state, ctx, AttemptUnknown { gate, message: message.clone() })]
        }
    }
}

/// What follows from the answer to a probe.
fn probed(state: &State, place: Place<'_>, outcome: &Outcome, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    let attempt = match &place.slot.phase {
        Phase::Unknown { attempt, .. } if place.attempt == Some(*attempt) && place.slot.is_probing() => *attempt,
        _ => return Err(Refusal::NotInFlight),
    };
    let plan = &state.plan.steps[place.step];
    // what it sees beside the lost effect is what the step itself saw
    let scope = Pass::new(state, ctx).scope(place.step, Some(place.slot));
    let body = match probe::found(plan, place.slot, &scope, outcome).ok_or(Refusal::NotInFlight)? {
        Finding::Done(done) => Body::from(*done),
        Finding::Open(body) => *body,
        Finding::NotDone(not) if state.is_cutting_short(place.step) => {
            AttemptFailed { then: Some(Then::Skip), ..*not }.into()
        }
        // a failure that may pass: tried again within its bounds
        Finding::NotDone(not) => failure::follow(state, plan, place.slot, attempt, None, ctx, *not).into(),
    };
    Ok(vec![place.event(state, ctx, body)])
}

/// What a person says became of an attempt. `cut`: one that did not happen is not tried again.
fn settled(done: bool, by: &str, now: Timestamp, cut: bool) -> Body {
    if done {
        return AttemptSucceeded {
            output: Value::Null,
            usage: cairn_store_layout::event::Usage::default(),
            artifacts: Vec::new(),
            files: Vec::new(),
            settled_by: Some(by.to_owned()),
            cached_from: None,
        }
        .into();
    }
    AttemptFailed {
        class: FailureClass::Soft,
        code: "not_done".to_owned(),
        message: format!("settled as not done by {by}"),
        retry_at: (!cut).then_some(now),
        usage: cairn_store_layout::event::Usage::default(),
        artifacts: Vec::new(),
        settled_by: Some(by.to_owned()),
        then: cut.then_some(Then::Skip),
    }
    .into()
}
