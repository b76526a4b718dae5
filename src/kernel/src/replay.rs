//! Replay: what came from outside is taken out of a recorded history and given to the kernel again;
//! what it decides must be what was recorded.
//!
//! Reports, decisions and times are taken from the history as they are: they came from outside and
//! nothing in here could tell another. Everything that follows from them is computed and compared.
//! Events of one moment are one answer of the kernel. A history may hold the beginning of an answer
//! only, because a crash or a stop cut it there; what was cut off must then follow from the next
//! moment on, or the histories differ.

use cairn_store_layout::{
    event::{
        ArtifactRef, AttemptFailed, Body, Event, FailureDecided, FileWritten, RunMigrated, RunStopping, StopCause,
        UndoFailed, UndoSucceeded, Usage,
    },
    learned::Learned,
    payload::Purpose,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    advance::advance,
    command::{Command, Context, Outcome},
    decide::decide,
    evolve::evolve,
    state::{Phase, State},
};

/// What a replay gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Events that the kernel gave again, exactly.
    pub same: usize,
    /// Events that are not the kernel's to decide: kinds it does not know, moves, changes of the owner.
    pub untold: usize,
    /// The first event that it gives differently. Nothing after it was compared.
    pub difference: Option<Difference>,
}

/// Where a recorded history and the kernel part.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Position of the event in the history, the start being 0.
    pub n: usize,
    /// What was recorded.
    pub recorded: Event,
    /// What the kernel gives instead; absent when it gives nothing.
    pub given: Option<Event>,
    /// Why it gives nothing, if it refused.
    pub refused: Option<String>,
}

impl Replayed {
    /// Tells whether the kernel gave all that is its to give.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.difference.is_none()
    }
}

impl Difference {
    /// The difference in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let kind = |event: &Event| event.body.kind().0.to_owned();
        let given = match (&self.given, &self.refused) {
            (Some(given), _) if kind(given) == kind(&self.recorded) => format!("another `{}`", kind(given)),
            (Some(given), _) => format!("`{}`", kind(given)),
            (None, Some(why)) => format!("no event ({why})"),
            (None, None) => "no event".to_owned(),
        };
        format!("record {} is `{}`, but this build gives {given}", self.n, kind(&self.recorded))
    }
}

/// Replays `events`, which follow the event that `state` begins with and stand at positions from
/// `first` on. `moved` gives the state after a `run.migrated`, which needs a plan that only the
/// caller can load; without one the replay ends there.
pub fn replay(
    mut state: State,
    first: usize,
    events: &[Event],
    moved: &mut dyn FnMut(State, &RunMigrated, usize) -> Option<State>,
) -> Replayed {
    let mut replayed = Replayed { same: 0, untold: 0, difference: None };
    let mut at = 0;
    while at < events.len() {
        let batch = &events[at..at + moment(&events[at..])];
        if let Some(move_at) = batch.iter().position(|event| matches!(event.body, Body::RunMigrated(_))) {
            let Body::RunMigrated(migrated) = &batch[move_at].body else { return replayed };
            let next = moved(state, migrated, first + at + move_at);
            replayed.untold += move_at + 1;
            at += move_at + 1;
            match next {
                Some(next) => state = next,
                None => return replayed,
            }
            continue;
        }
        // found out by the driver, or another machine took the run over: the kernel has no part in it
        let foreign =
            |event: &Event| matches!(event.body, Body::Unknown { .. } | Body::RunAdopted(_)) || is_finding(&event.body);
        if batch.iter().any(foreign) {
            batch.iter().for_each(|event| evolve(&mut state, event));
            replayed.untold += batch.len();
        } else {
            let answer = again(&mut state, batch);
            replayed.same += answer.same;
            if answer.same < batch.len() {
                let (recorded, n) = (batch[answer.same].clone(), first + at + answer.same);
                replayed.difference = Some(Difference { n, recorded, given: answer.given, refused: answer.refused });
                return replayed;
            }
        }
        at += batch.len();
    }
    replayed
}

/// What a probe gave is not kept, only what it means: that is taken as it stands.
fn is_finding(body: &Body) -> bool {
    match body {
        Body::AttemptSucceeded(done) => done.settled_by.as_deref() == Some(crate::probe::BY),
        Body::AttemptFailed(failed) => failed.settled_by.as_deref() == Some(crate::probe::BY),
        _ => false,
    }
}

/// How many events at the head are one answer: those of one moment.
fn moment(events: &[Event]) -> usize {
    events.iter().take_while(|event| event.at == events[0].at).count()
}

/// How far the kernel's answer is that of a batch, and how it goes on instead.
struct Answer {
    same: usize,
    given: Option<Event>,
    refused: Option<String>,
}

/// Lets the kernel answer what a batch answered, and takes in as much as is the same. Of the ways in
/// which the batch can have come about, the one that explains most of it counts.
fn again(state: &mut State, batch: &[Event]) -> Answer {
    let mut best: Option<(Answer, Vec<Event>)> = None;
    for (command, entropy) in causes(state, batch) {
        let ctx = Context { now: batch[0].at, entropy, cause: batch[0].cause.clone() };
        let (answer, given) = match decide(state, &command, &ctx) {
            Ok(given) => {
                let redraw = |drawn| match command {
                    Command::Advance => advance(state, &Context { entropy: drawn, ..ctx.clone() }),
                    _ => Vec::new(),
                };
                (Answer { same: alike(batch, &given, redraw), given: None, refused: None }, given)
            }
            Err(refusal) => (Answer { same: 0, given: None, refused: Some(refusal.to_string()) }, Vec::new()),
        };
        if best.as_ref().is_none_or(|(most, _)| answer.same > most.same) {
            best = Some((answer, given));
        }
    }
    let Some((mut answer, mut given)) = best else { return Answer { same: 0, given: None, refused: None } };
    batch[..answer.same].iter().for_each(|event| evolve(state, event));
    let ctx = Context { now: batch[0].at, entropy: 0, cause: None };
    let mut layer = answer.same;
    while answer.same < batch.len() {
        if layer < given.len() || given.is_empty() {
            answer.given = given.get(layer).cloned();
            break;
        }
        // what follows is decided layer by layer, as `handle` does
        given = advance(state, &ctx);
        let redraw = |drawn| advance(state, &Context { entropy: drawn, ..ctx.clone() });
        layer = alike(&batch[answer.same..], &given, redraw);
        batch[answer.same..answer.same + layer].iter().for_each(|event| evolve(state, event));
        answer.same += layer;
    }
    state.signals.looked_at();
    answer
}

/// How many events at the head of both are equal. A child run that took too long fails by time alone, beside
/// whatever else is answered then, and the pause before its next attempt is drawn: `redraw` gives what would
/// follow with these random bits.
fn alike(batch: &[Event], given: &[Event], redraw: impl Fn(u64) -> Vec<Event>) -> usize {
    let is_drawn = |n: usize, event: &Event| match (&event.body, &given[n].body) {
        (Body::AttemptFailed(recorded), Body::AttemptFailed(_)) => {
            let pause = recorded.retry_at.map(|at| at.duration_since(event.at).as_millis());
            let drawn = pause.and_then(|pause| u64::try_from(pause).ok());
            drawn.is_some_and(|drawn| redraw(drawn).get(n) == Some(event))
        }
        _ => false,
    };
    let pairs = batch.iter().zip(given).enumerate();
    pairs.take_while(|(n, (one, other))| one == other || is_drawn(*n, one)).count()
}

/// The commands that can have caused a batch, with the random bits they would have needed.
fn causes(state: &State, batch: &[Event]) -> Vec<(Command, u64)> {
    let first = &batch[0];
    let mut all = Vec::new();
    if let Some(canceled) = batch.iter().find_map(|event| match &event.body {
        Body::RunCanceled(canceled) => Some(canceled),
        _ => None,
    }) {
        let (by, reason) = (canceled.by.clone(), canceled.reason.clone());
        all.push((Command::Cancel { by, reason, undo: false }, 0));
    }
    // in front of the outcome itself stands what the attempt remembered
    let outcome = batch.iter().find(|event| Learned::of(&event.body).is_none()).unwrap_or(first);
    match &outcome.body {
        Body::GateApproved(e) => {
            let (gate, digest, by, reason) = (e.gate.clone(), e.digest.clone(), e.by.clone(), e.reason.clone());
            all.push((Command::Approve { gate, digest, by, reason }, 0));
        }
        Body::GateDenied(e) => {
            let (gate, digest, by, reason) = (e.gate.clone(), e.digest.clone(), e.by.clone(), e.reason.clone());
            all.push((Command::Deny { gate, digest, by, reason }, 0));
        }
        Body::GateEdited(e) => {
            let input = e.effect.request.input().cloned().unwrap_or_default();
            let (gate, digest, by, reason) = (e.gate.clone(), e.before.clone(), e.by.clone(), e.reason.clone());
            all.push((Command::Edit { gate, digest, input, by, reason }, 0));
        }
        Body::AskAnswered(e) => {
            // the answer names what was asked: only the run knows its digest
            let asked = state.slots().find_map(|(_, slot)| match &slot.phase {
                Phase::Asked { gate, digest, .. } if *gate == e.gate => Some(digest.clone()),
                _ => None,
            });
            if let Some(digest) = asked {
                let (gate, answer, by) = (e.gate.clone(), e.answer.clone(), e.by.clone());
                all.push((Command::Answer { gate, digest, answer, by }, 0));
            }
        }
        Body::RunStopping(RunStopping { why: StopCause::Canceled, by, reason, undo, .. }) => {
            let (by, reason) = (by.clone().unwrap_or_default(), reason.clone());
            all.push((Command::Cancel { by, reason, undo: *undo }, 0));
        }
        Body::SignalReceived(e) => {
            let (signal, name, data, by) = (e.signal.clone(), e.name.clone(), e.data.clone(), e.by.clone());
            all.push((Command::Signal { signal, name, data, by }, 0));
        }
        Body::FailureDecided(e) => all.extend(decided(state, outcome, e)),
        Body::LeaseGranted(_) => {
            let step = outcome.step.clone().map(|step| (step, outcome.iteration.clone()));
            all.push((Command::Grant { step }, 0));
        }
        Body::ProbeFailed(e) => all.extend(reported(outcome, Outcome::Unknown { message: e.message.clone() }, 0)),
        Body::AttemptStarted(_) | Body::LeaseAsked(_) if first.cause.is_some() => {
            all.push((Command::Resume, 0));
            all.push((Command::Retry { step: None, iteration: None }, 0));
            all.push((Command::Retry { step: first.step.clone(), iteration: None }, 0));
            all.push((Command::Retry { step: first.step.clone(), iteration: first.iteration.clone() }, 0));
        }
        Body::AttemptSucceeded(e) => match &e.settled_by {
            Some(by) => all.extend(settled(state, outcome, "done", by)),
            None if e.cached_from.is_some() => {
                let from = e.cached_from.clone();
                let cached = |from| Outcome::Cached { output: e.output.clone(), from };
                all.extend(from.and_then(|from| reported(outcome, cached(from), 0)));
            }
            None => all.extend(went_well(outcome, batch, (&e.output, &e.usage), (&e.artifacts, &e.files))),
        },
        Body::AttemptFailed(e) => match &e.settled_by {
            Some(by) => all.extend(settled(state, outcome, "not_done", by)),
            None => all.extend(failures(outcome, e)),
        },
        Body::AttemptUnknown(e) => {
            all.extend(reported(outcome, Outcome::Unknown { message: e.message.clone() }, 0));
            // a second cancel ends the run, and what it had under way stays unknown
            all.push((Command::Cancel { by: String::new(), reason: None, undo: false }, 0));
        }
        Body::UndoSucceeded(UndoSucceeded { settled_by: Some(by), .. }) => {
            all.extend(settled_undo(state, "done", by));
        }
        Body::UndoFailed(UndoFailed { settled_by: Some(by), .. }) => all.extend(settled_undo(state, "not_done", by)),
        Body::UndoSucceeded(e) => {
            all.extend(went_well(outcome, batch, (&e.output, &e.usage), (&e.artifacts, &e.files)));
        }
        Body::UndoFailed(e) => {
            let (usage, artifacts) = (e.usage.clone(), e.artifacts.clone());
            let failed = AttemptFailed {
                class: e.class,
                code: e.code.clone(),
                message: e.message.clone(),
                retry_at: e.retry_at,
                usage,
                artifacts,
                settled_by: None,
                then: None,
            };
            all.extend(failures(outcome, &failed));
        }
        Body::UndoUnknown(e) => {
            all.extend(reported(outcome, Outcome::Unknown { message: e.message.clone() }, 0));
            all.push((Command::Cancel { by: String::new(), reason: None, undo: false }, 0));
        }
        // cut off before its outcome: whatever it gave, this is how its answer began
        body if Learned::of(body).is_some() => {
            let done = || Outcome::Succeeded {
                output: Value::Null,
                usage: Usage::default(),
                artifacts: Vec::new(),
                files: Vec::new(),
                learned: learned(batch),
            };
            let purposes = [Purpose::Step, Purpose::Undo];
            all.extend(purposes.into_iter().filter_map(|purpose| reported_as(outcome, purpose, done(), 0)));
        }
        // cut off before its end
        Body::RequestWithdrawn(_) => all.push((Command::Cancel { by: String::new(), reason: None, undo: false }, 0)),
        _ => {}
    }
    if first.cause.is_none() {
        all.push((Command::Advance, 0));
    }
    all
}

/// The report of an attempt that went well, at a step or at taking it back.
fn went_well(
    event: &Event,
    batch: &[Event],
    (output, usage): (&Value, &Usage),
    (artifacts, files): (&[ArtifactRef], &[FileWritten]),
) -> Option<(Command, u64)> {
    let done = Outcome::Succeeded {
        output: output.clone(),
        usage: usage.clone(),
        artifacts: artifacts.to_vec(),
        files: files.to_vec(),
        learned: learned(batch),
    };
    reported(event, done, 0)
}

fn learned(batch: &[Event]) -> Vec<Learned> {
    batch.iter().map_while(|event| Learned::of(&event.body)).collect()
}

fn reported(event: &Event, outcome: Outcome, entropy: u64) -> Option<(Command, u64)> {
    let purpose = match event.body {
        Body::UndoSucceeded(_) | Body::UndoFailed(_) | Body::UndoUnknown(_) => Purpose::Undo,
        Body::ProbeFailed(_) => Purpose::Probe,
        _ => Purpose::Step,
    };
    reported_as(event, purpose, outcome, entropy)
}

fn reported_as(event: &Event, purpose: Purpose, outcome: Outcome, entropy: u64) -> Option<(Command, u64)> {
    let (step, iteration, attempt) = (event.step.clone()?, event.iteration.clone(), event.attempt?);
    Some((Command::Report { step, iteration, attempt, purpose, outcome }, entropy))
}

/// A failure with each reason that its next attempt can be due when it is: by our own pause, whose
/// random bits are then known, or because the other side asked for it.
fn failures(event: &Event, failed: &AttemptFailed) -> Vec<(Command, u64)> {
    let outcome = |retry_after| Outcome::Failed {
        class: failed.class,
        code: failed.code.clone(),
        message: failed.message.clone(),
        usage: failed.usage.clone(),
        artifacts: failed.artifacts.clone(),
        retry_after,
    };
    let pause = failed.retry_at.map_or(SignedDuration::ZERO, |at| at.duration_since(event.at));
    let drawn = u64::try_from(pause.as_millis()).unwrap_or(0);
    let own = reported(event, outcome(None), drawn);
    let asked = failed.retry_at.and_then(|_| reported(event, outcome(Some(pause)), 0));
    own.into_iter().chain(asked).collect()
}

fn settled_undo(state: &State, how: &str, by: &str) -> Option<(Command, u64)> {
    let this = state.undoing()?;
    let (gate, digest) = (this.unknown()?.0.clone(), this.effect()?.digest());
    Some((Command::Answer { gate, digest, answer: json!({ "outcome": how }), by: by.to_owned() }, 0))
}

/// What a person made of a failure.
fn decided(state: &State, event: &Event, decided: &FailureDecided) -> Option<(Command, u64)> {
    let step = state.step_index(event.step.as_ref()?)?;
    let digest = state.slot(step, event.iteration.as_deref())?.effect.as_ref()?.digest();
    let answer = json!({ "decision": decided.decision, "output": decided.output, "comment": decided.comment });
    Some((Command::Answer { gate: decided.gate.clone(), digest, answer, by: decided.by.clone() }, 0))
}

fn settled(state: &State, event: &Event, how: &str, by: &str) -> Option<(Command, u64)> {
    let step = state.step_index(event.step.as_ref()?)?;
    let slot = state.slot(step, event.iteration.as_deref())?;
    let Phase::Unknown { gate, .. } = &slot.phase else { return None };
    let digest = slot.effect.as_ref()?.digest();
    Some((Command::Answer { gate: gate.clone(), digest, answer: json!({ "outcome": how }), by: by.to_owned() }, 0))
}
