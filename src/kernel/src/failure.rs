//! What follows a failure: another attempt, a question to the operator, a skipped step, or a failed one.

use cairn_store_layout::{
    canonical,
    definition::{AfterFailure, Backoff, Retry, fill},
    event::{AttemptFailed, Body, FailureClass, FailureDecided, FailureDecision, Then},
    payload::Request,
    view::decide_form,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    command::{Context, Refusal},
    gates::About,
    plan::PlanStep,
    state::{Slot, State},
};

/// Which attempt at an effect it was, from 1, and when the first one began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) attempt: u32,
    pub(crate) first: Option<Timestamp>,
}

/// Fills in what follows the failure of `attempt`: `retry_at` and `then`.
pub(crate) fn follow(
    state: &State,
    plan: &PlanStep,
    slot: &Slot,
    attempt: u32,
    retry_after: Option<SignedDuration>,
    ctx: &Context,
    mut failed: AttemptFailed,
) -> AttemptFailed {
    let rule = match failed.class {
        FailureClass::Soft => plan.on.soft,
        FailureClass::Hard => plan.on.hard,
        FailureClass::Business => plan.on.business,
    };
    if failed.class == FailureClass::Soft || rule == AfterFailure::Retry {
        let tried = Tried { attempt: attempt - slot.base, first: slot.first };
        failed.retry_at = retry_at(&plan.retry, tried, &failed.code, retry_after, ctx);
    }
    if failed.retry_at.is_none() {
        failed.then = match rule {
            AfterFailure::Fail | AfterFailure::Retry => None,
            AfterFailure::Skip => Some(Then::Skip),
            AfterFailure::Ask => {
                Some(Then::Ask(About::Failure(attempt).gate(&state.run, &plan.id, slot.key.as_deref())))
            }
        };
    }
    failed
}

/// When the next attempt begins, if the bounds of `retry` leave one.
pub(crate) fn retry_at(
    retry: &Retry,
    tried: Tried,
    code: &str,
    retry_after: Option<SignedDuration>,
    ctx: &Context,
) -> Option<Timestamp> {
    let bound = crate::seeded!(RetryForEver: u32::MAX, else retry.attempts);
    if tried.attempt >= bound || !retry.on.is_empty() && !retry.on.iter().any(|known| known == code) {
        return None;
    }
    let pause = pause(retry, tried.attempt, ctx.entropy);
    // a pause that the other side asks for is kept, up to an hour
    let at = ctx.now + retry_after.map_or(pause, |asked| pause.max(asked.min(SignedDuration::from_hours(1))));
    let last = retry.within.zip(tried.first).map(|(within, first)| first + within.0);
    last.is_none_or(|last| at <= last).then_some(at)
}

/// With jitter anything from nothing to the bound, without it the bound itself.
fn pause(retry: &Retry, attempt: u32, entropy: u64) -> SignedDuration {
    let first = retry.first.0.as_millis().max(0);
    let before = attempt.saturating_sub(1);
    let bound = match retry.backoff {
        Backoff::Exponential => first.saturating_mul(1_i128 << before.min(30)),
        Backoff::Linear => first.saturating_mul(i128::from(attempt)),
        Backoff::Fixed => first,
    };
    let bound = bound.min(retry.max.0.as_millis()).max(0);
    let millis = if retry.jitter { i128::from(entropy) % (bound + 1) } else { bound };
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(0))
}

/// What the operator makes of a failure, from the form as filled.
///
/// # Errors
/// What does not fit.
pub(crate) fn decided(gate: &cairn_store_layout::GateId, answer: &Value, by: &str) -> Result<Body, Refusal> {
    let answer = fill(&decide_form(), answer).map_err(Refusal::BadAnswer)?;
    let bad = |why: &str| Err(Refusal::BadAnswer(vec![why.to_owned()]));
    let decision = match answer["decision"].as_str() {
        Some("retry") => FailureDecision::Retry,
        Some("skip") => FailureDecision::Skip,
        Some("output") => FailureDecision::Output,
        _ => FailureDecision::Fail,
    };
    let output = Some(answer["output"].clone()).filter(|output| !output.is_null());
    if output.is_some() && decision != FailureDecision::Output {
        return bad("`output` goes with the decision `output` alone");
    }
    if output.as_ref().is_some_and(canonical::is_too_deep) {
        return bad("`output` is nested too deeply");
    }
    let comment = answer["comment"].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    Ok(FailureDecided { gate: gate.clone(), decision, output, comment, by: by.to_owned() }.into())
}

/// A comment reaches an agent alone; for anything else it is a note in the history.
pub(crate) fn tells(slot: &Slot, decided: &FailureDecided) -> bool {
    let agent = slot.effect.as_ref().is_some_and(|effect| matches!(effect.request, Request::Agent { .. }));
    agent && decided.comment.is_some()
}
