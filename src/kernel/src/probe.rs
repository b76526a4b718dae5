//! Looking whether a lost effect happened: what is asked, and what the answer means.
//!
//! A probe only reads, so it may be repeated. It never decides alone what it could not see: an answer
//! that is no clear yes or no leaves the question to the operator, who may also be first.

use cairn_store_layout::{
    definition::Probe,
    event::{AttemptFailed, AttemptSucceeded, Body, Event, ProbeFailed, ProbeStarted, Usage},
    payload::{EffectClass, EffectContent, Purpose, Request},
    text::brief,
};
use jiff::Timestamp;

use crate::{
    command::Outcome,
    expr::{ExprError, Template, Value, from_json, to_json},
    plan::PlanStep,
    scope::Scope,
    state::{Slot, State},
    tree::Tree,
};

/// Who settled it, when the probe did.
pub(crate) const BY: &str = "probe";
/// The names that a probe's expressions have beside those of the step.
pub(crate) const NAMES: [&str; 3] = ["request", "effect", "output"];

/// A probe, compiled.
#[derive(Debug)]
pub(crate) struct PlanProbe {
    connector: String,
    operation: String,
    with: Tree,
    found: Template,
    output: Option<Tree>,
    /// Git blob id of the connector's file.
    pin: Option<String>,
}

impl PlanProbe {
    /// Compiles `probe`. The names that its expressions use are given back, those of [`NAMES`] left out.
    pub(crate) fn compile(probe: &Probe, pin: Option<String>) -> Result<(Self, Vec<String>), ExprError> {
        let compiled = Self {
            connector: probe.connector.clone(),
            operation: probe.operation.clone(),
            with: Tree::parse(&probe.with)?,
            found: Template::parse(&probe.found)?,
            output: probe.output.as_ref().map(Tree::parse).transpose()?,
            pin,
        };
        let mut names = compiled.with.names();
        // what the probe gives is not known when it is asked
        let mut foreign: Vec<String> = names.iter().filter(|name| head(name) == "output").cloned().collect();
        names.extend(compiled.found.names());
        names.extend(compiled.output.iter().flat_map(Tree::names));
        foreign.extend(names.into_iter().filter(|name| !NAMES.contains(&head(name))));
        Ok((compiled, foreign))
    }
}

/// A probe of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probing {
    pub(crate) effect: EffectContent,
    pub(crate) since: Timestamp,
    /// It came back without an answer.
    pub(crate) over: bool,
}

impl Probing {
    /// Folds a fact about a probe; the slot stays where it is.
    pub(crate) fn evolve(slot: &mut Slot, event: &Event) {
        match &event.body {
            Body::ProbeStarted(probe) => {
                slot.probe = Some(Self { effect: probe.effect.clone(), since: event.at, over: false });
            }
            // one that could not even be asked has no effect of its own
            _ => {
                let lost = slot.effect.clone();
                slot.probe = slot.probe.take().or(lost.map(|effect| Self { effect, since: event.at, over: true }));
                slot.probe.iter_mut().for_each(|probe| probe.over = true);
            }
        }
    }
}

/// The fact that a probe is sent, for a slot whose outcome is unknown; `scope` is that of the step.
pub(crate) fn begin(state: &State, plan: &PlanStep, slot: &Slot, scope: &Scope) -> Option<Body> {
    let (probe, lost) = (plan.probe.as_ref()?, slot.effect.as_ref()?);
    if slot.probe.is_some() {
        return None;
    }
    let input = probe.with.eval(&with_lost(scope, lost, None).value()).and_then(|value| to_json(&value));
    Some(match input {
        Ok(input) => {
            let effect = EffectContent {
                run: state.run.clone(),
                step: plan.id.clone(),
                iteration: slot.key.clone(),
                ordinal: lost.ordinal,
                purpose: Purpose::Probe,
                definition: lost.definition.clone(),
                pin: probe.pin.clone(),
                class: EffectClass::Read,
                request: Request::Call {
                    connector: probe.connector.clone(),
                    operation: probe.operation.clone(),
                    input,
                    schema: None,
                },
            };
            ProbeStarted { effect }.into()
        }
        Err(error) => failed(&error.message),
    })
}

/// What the world's answer to a probe means.
pub(crate) enum Finding {
    /// The effect happened.
    Done(Box<AttemptSucceeded>),
    /// It did not: as a soft failure, which the caller dates its next attempt of.
    NotDone(Box<AttemptFailed>),
    /// Nobody knows still.
    Open(Box<Body>),
}

/// Reads the answer to a probe.
pub(crate) fn found(plan: &PlanStep, slot: &Slot, scope: &Scope, outcome: &Outcome) -> Option<Finding> {
    let (probe, lost) = (plan.probe.as_ref()?, slot.effect.as_ref()?);
    let output = match outcome {
        Outcome::Succeeded { output, .. } | Outcome::Cached { output, .. } => output,
        Outcome::Failed { code, message, .. } => return Some(open(&format!("{code}: {message}"))),
        Outcome::Unknown { message } => return Some(open(message)),
    };
    let scope = with_lost(scope, lost, Some(from_json(output))).value();
    let answer = crate::advance::truth(&probe.found, &scope).and_then(|found| {
        let given = match (&probe.output, found) {
            (Some(tree), true) => to_json(&tree.eval(&scope)?)?,
            _ => output.clone(),
        };
        Ok((found, given))
    });
    Some(match answer {
        Ok((true, output)) => Finding::Done(Box::new(AttemptSucceeded {
            output,
            usage: Usage::default(),
            artifacts: Vec::new(),
            files: Vec::new(),
            settled_by: Some(BY.to_owned()),
            cached_from: None,
        })),
        Ok((false, _)) => Finding::NotDone(Box::new(AttemptFailed {
            class: cairn_store_layout::event::FailureClass::Soft,
            code: "not_done".to_owned(),
            message: format!("{}.{} says that it did not happen", probe.connector, probe.operation),
            retry_at: None,
            usage: Usage::default(),
            artifacts: Vec::new(),
            settled_by: Some(BY.to_owned()),
            then: None,
        })),
        Err(error) => open(&error.message),
    })
}

/// It did not find out.
fn open(message: &str) -> Finding {
    Finding::Open(Box::new(failed(message)))
}

fn failed(message: &str) -> Body {
    ProbeFailed { message: brief(message, 2_000) }.into()
}

/// The step's scope with what was lost and, once it is there, what the probe gave.
fn with_lost(scope: &Scope, lost: &EffectContent, output: Option<Value>) -> Scope {
    let request = match lost.request.input() {
        Some(input) => from_json(input),
        None => Value::from(minijinja::value::Serde(&lost.request)),
    };
    let effect = minijinja::context! { key => lost.key().as_str() };
    let names = [("request", request), ("effect", effect)];
    scope.with(names.into_iter().chain(output.map(|output| ("output", output))))
}

fn head(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}
