//! May this happen now, and what follows? Facts or a refusal; nothing is changed.

use cairn_store_layout::{
    GateId, canonical,
    definition::fill,
    event::{
        AskAnswered, AttemptFailed, AttemptSucceeded, AttemptUnknown, Body, Event, FailureClass, GateApproved,
        GateDenied, GateEdited, PassageRemembered, RequestWithdrawn, RunCanceled,
    },
    payload::EffectClass,
    view::settle_form,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    advance::advance,
    again,
    command::{Command, Context, Outcome, Refusal},
    evolve::evolve,
    state::{Phase, Slot, State},
};

/// Says whether `command` may happen, and which facts follow from it at once.
///
/// # Errors
/// A [`Refusal`] when it may not; nothing follows then.
pub fn decide(state: &State, command: &Command, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    if ctx.cause.as_ref().is_some_and(|cause| state.causes.contains(cause)) {
        return Err(Refusal::AlreadyTaken);
    }
    if let (Some(end), false) = (state.end, *command == Command::Advance) {
        return Err(Refusal::RunOver(end.word()));
    }
    match command {
        Command::Advance => Ok(advance(state, ctx)),
        Command::Report { step, iteration, attempt, outcome } => {
            let index = state.step_index(step).ok_or(Refusal::NotInFlight)?;
            let slot = state.slot(index, iteration.as_deref()).ok_or(Refusal::NotInFlight)?;
            match &slot.phase {
                Phase::InFlight { attempt: current } if current == attempt => {}
                _ => return Err(Refusal::NotInFlight),
            }
            Ok(report(state, Place { step: index, slot, attempt: Some(*attempt) }, outcome, ctx))
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
        Command::Answer { gate, digest, answer, by } => {
            let place = find(state, gate)?;
            match &place.slot.phase {
                Phase::Asked { digest: current, form, .. } => {
                    fresh(gate, digest, current)?;
                    let answer = fill(form, answer).map_err(Refusal::BadAnswer)?;
                    let body = AskAnswered { gate: gate.clone(), answer, by: by.clone() };
                    Ok(vec![place.event(state, ctx, body)])
                }
                Phase::Unknown { attempt, .. } => {
                    let current = place.slot.effect.as_ref().map(cairn_store_layout::payload::EffectContent::digest);
                    if let Some(current) = current {
                        fresh(gate, digest, &current)?;
                    }
                    let answer = fill(&settle_form(), answer).map_err(Refusal::BadAnswer)?;
                    let place = Place { attempt: Some(*attempt), ..place };
                    Ok(vec![place.event(state, ctx, settled(&answer, by, ctx.now))])
                }
                _ => Err(wrong_verb(gate, place.slot)),
            }
        }
        Command::Resume => again::resume(state, ctx),
        Command::Retry { step, iteration } => again::retry(state, step.as_ref(), iteration.as_deref(), ctx),
        Command::Cancel { by, reason } => {
            let mut events = Vec::new();
            for (step, slot) in state.slots() {
                let (gate, attempt) = match &slot.phase {
                    Phase::Gated { gate, .. } | Phase::Asked { gate, .. } | Phase::Unknown { gate, .. } => {
                        (gate.clone(), None)
                    }
                    // nobody will wait for the reply, so what it would have said stays unknown
                    Phase::InFlight { attempt } if changes_something(slot) => {
                        let place = Place { step, slot, attempt: Some(*attempt) };
                        let message = "the run was canceled while it was under way; it may have happened".to_owned();
                        let gate = place.settling(state);
                        events.push(place.event(state, ctx, AttemptUnknown { gate: gate.clone(), message }));
                        (gate, Some(*attempt))
                    }
                    _ => continue,
                };
                let body = RequestWithdrawn { gate, reason: "the run was canceled".to_owned() };
                events.push(Place { step, slot, attempt }.event(state, ctx, body));
            }
            events.push(Event {
                at: ctx.now,
                step: None,
                iteration: None,
                attempt: None,
                cause: ctx.cause.clone(),
                body: RunCanceled { by: by.clone(), reason: reason.clone() }.into(),
            });
            Ok(events)
        }
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
struct Place<'a> {
    step: usize,
    slot: &'a Slot,
    attempt: Option<u32>,
}

impl Place<'_> {
    /// The request that settles the attempt, should its outcome be unknown.
    fn settling(&self, state: &State) -> GateId {
        let step = &state.plan.steps[self.step].id;
        GateId::derive(&state.run, step, self.slot.key.as_deref(), self.attempt.unwrap_or(1))
    }

    fn event(&self, state: &State, ctx: &Context, body: impl Into<Body>) -> Event {
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

fn changes_something(slot: &Slot) -> bool {
    let class = slot.effect.as_ref().map(|effect| effect.class);
    matches!(class, Some(EffectClass::Idempotent | EffectClass::Once))
}

fn find<'a>(state: &'a State, gate: &GateId) -> Result<Place<'a>, Refusal> {
    for (step, slot) in state.slots() {
        match &slot.phase {
            Phase::Gated { gate: g, .. } | Phase::Asked { gate: g, .. } | Phase::Unknown { gate: g, .. }
                if g == gate =>
            {
                return Ok(Place { step, slot, attempt: None });
            }
            _ => {}
        }
        if let Some((decided, how)) = &slot.decided
            && decided == gate
        {
            return Err(Refusal::AlreadyDecided { gate: gate.clone(), how: how.clone() });
        }
    }
    Err(Refusal::NoSuchRequest(gate.clone()))
}

/// The place of a gate that still waits and still shows `digest`.
fn gated<'a>(
    state: &'a State,
    gate: &GateId,
    digest: &cairn_store_layout::Digest,
    ctx: &Context,
) -> Result<Place<'a>, Refusal> {
    let place = find(state, gate)?;
    let Phase::Gated { digest: current, expires, .. } = &place.slot.phase else {
        return Err(wrong_verb(gate, place.slot));
    };
    fresh(gate, digest, current)?;
    // the event that says so may still be on its way: the time counts, not who was asked first
    if expires.is_some_and(|at| at <= ctx.now) {
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

fn fresh(
    gate: &GateId,
    shown: &cairn_store_layout::Digest,
    current: &cairn_store_layout::Digest,
) -> Result<(), Refusal> {
    if shown == current {
        return Ok(());
    }
    Err(Refusal::StaleDigest { gate: gate.clone(), shown: shown.clone(), current: current.clone() })
}

fn report(state: &State, place: Place<'_>, outcome: &Outcome, ctx: &Context) -> Vec<Event> {
    let plan = &state.plan.steps[place.step];
    match outcome {
        Outcome::Succeeded { output, usage, artifacts, files, passages } => {
            let body = AttemptSucceeded {
                output: output.clone(),
                usage: usage.clone(),
                artifacts: artifacts.clone(),
                files: files.clone(),
                settled_by: None,
                cached_from: None,
            };
            let mut events = Vec::new();
            for passage in passages {
                events.push(place.event(state, ctx, PassageRemembered { passage: passage.clone() }));
            }
            events.push(place.event(state, ctx, body));
            events
        }
        Outcome::Failed { class, code, message, usage, artifacts, retry_after } => {
            let attempt = place.attempt.unwrap_or(1);
            let again = *class == FailureClass::Soft && attempt < plan.retry.attempts;
            let retry_at = again.then(|| {
                let pause = pause(&plan.retry, attempt, ctx.entropy);
                // a pause that the other side asks for is kept, up to an hour
                ctx.now + retry_after.map_or(pause, |asked| pause.max(asked.min(SignedDuration::from_hours(1))))
            });
            let body = AttemptFailed {
                class: *class,
                code: code.clone(),
                message: message.clone(),
                retry_at,
                usage: usage.clone(),
                artifacts: artifacts.clone(),
                settled_by: None,
                then: None,
            };
            vec![place.event(state, ctx, body)]
        }
        Outcome::Unknown { message } => {
            let gate = place.settling(state);
            vec![place.event(state, ctx, AttemptUnknown { gate, message: message.clone() })]
        }
    }
}

/// Full jitter: anything from nothing to the bound, which doubles from attempt to attempt.
fn pause(retry: &cairn_store_layout::definition::Retry, attempt: u32, entropy: u64) -> SignedDuration {
    let first = retry.first.0.as_millis().max(0);
    let bound = first.saturating_mul(1_i128 << attempt.saturating_sub(1).min(30)).min(retry.max.0.as_millis());
    let millis = i128::from(entropy) % (bound.max(0) + 1);
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(0))
}

fn settled(answer: &Value, by: &str, now: Timestamp) -> Body {
    if answer.get("outcome").and_then(Value::as_str) == Some("done") {
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
        retry_at: Some(now),
        usage: cairn_store_layout::event::Usage::default(),
        artifacts: Vec::new(),
        settled_by: Some(by.to_owned()),
        then: None,
    }
    .into()
}
