//! Moving a run to another definition: what it did stays done, what it has not done is asked anew.
//!
//! The run begins again under the new plan, in the same history, with all its results offered to it:
//! a step whose request is the same takes its result over, anything else is done under the new plan.
//! No key is used a second time for another content.

use std::{collections::BTreeMap, sync::Arc};

use cairn_store_layout::{
    definition::fill,
    event::{Event, RequestWithdrawn, RunMigrated, RunStarted},
};

use crate::{
    command::{Context, Refusal},
    expr::to_json,
    plan::Plan,
    reuse::{Collector, Reuse},
    state::{Phase, State},
};

/// Where a run moves to.
#[derive(Debug, Clone)]
pub struct Move {
    /// Git tree id of the definition.
    pub definition: String,
    /// Git blob ids of the agents and connectors, by path.
    pub pins: BTreeMap<String, String>,
    /// The definition compiled.
    pub plan: Arc<Plan>,
    /// Who asks for it.
    pub by: String,
}

/// Says whether the run may move now, and with which facts. Requests to the operator are withdrawn;
/// the new plan opens its own.
///
/// # Errors
/// A [`Refusal`] while an effect is under way or its outcome is unknown, when the run is over, or when
/// its input does not fit.
pub fn migrate(state: &State, to: &Move, ctx: &Context) -> Result<Vec<Event>, Refusal> {
    if ctx.cause.as_ref().is_some_and(|cause| state.causes.contains(cause)) {
        return Err(Refusal::AlreadyTaken);
    }
    if let Some(end) = state.end {
        return Err(Refusal::RunOver(end.word()));
    }
    if state.stopping.is_some() || state.is_draining() {
        return Err(Refusal::CannotMove("it is stopping".to_owned()));
    }
    input_for(state, &to.plan)?;
    let event = |step: Option<usize>, iteration: Option<String>, body| Event {
        at: ctx.now,
        step: step.map(|step| state.plan.steps[step].id.clone()),
        iteration,
        attempt: None,
        cause: ctx.cause.clone(),
        body,
    };
    let mut events = Vec::new();
    for (step, slot) in state.slots() {
        let id = &state.plan.steps[step].id;
        let gate = match &slot.phase {
            Phase::InFlight { .. } => {
                return Err(Refusal::CannotMove(format!(
                    "an attempt of `{id}` is under way; try again when it is over"
                )));
            }
            Phase::Unknown { gate, .. } => {
                let short = gate.short();
                return Err(Refusal::CannotMove(format!("nobody knows whether `{id}` happened; settle {short} first")));
            }
            Phase::Gated { gate, .. } | Phase::Asked { gate, .. } | Phase::Undecided { gate, .. } => gate.clone(),
            _ => continue,
        };
        let reason = "the run moves to another definition".to_owned();
        events.push(event(Some(step), slot.key.clone(), RequestWithdrawn { gate, reason }.into()));
    }
    let body = RunMigrated {
        before: state.definition.clone(),
        definition: to.definition.clone(),
        pins: to.pins.clone(),
        steps: to.plan.listed().to_vec(),
        by: to.by.clone(),
    };
    events.push(event(None, None, body.into()));
    Ok(events)
}

impl State {
    /// The run under `plan`, from a recorded `run.migrated` on. `start` is its first event; `before` has
    /// taken in every event up to the move, and is told to go on with `plan`.
    #[must_use]
    pub fn moved(&self, start: &RunStarted, moved: &RunMigrated, plan: Arc<Plan>, before: &mut Collector) -> Self {
        // it was checked when the move was decided; a plan it does not fit gets what there is
        let input = input_for(self, &plan).unwrap_or_else(|_| start.input.clone());
        let (definition, pins) = (moved.definition.clone(), moved.pins.clone());
        let start = RunStarted { definition, pins, input, ..start.clone() };
        let mut state = Self::begin(plan.clone(), &start, self.started);
        state.machine.clone_from(&self.machine);
        state.reuse = Some(Reuse::joined(before.results(), self.reuse.as_ref()));
        state.used = before.used().clone();
        state.causes.clone_from(&self.causes);
        // what came and was not taken still waits to be; what was decided stays decided
        state.signals = self.signals.clone();
        state.signals.look_again();
        state.requests.clone_from(&self.requests);
        state.adopted = self.adopted;
        before.follow(plan);
        state
    }
}

/// The run's input as the new plan takes it: without fields it has no use for, with the defaults of new ones.
fn input_for(state: &State, plan: &Plan) -> Result<serde_json::Value, Refusal> {
    let mut input = to_json(state.known.input()).map_err(|e| Refusal::CannotMove(e.message))?;
    if let Some(fields) = input.as_object_mut() {
        fields.retain(|name, _| plan.input().iter().any(|field| field.name == *name));
    }
    fill(plan.input(), &input)
        .map_err(|wrong| Refusal::CannotMove(format!("its input does not fit: {}", wrong.join("; "))))
}
