//! What is true of one run, folded from its history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_store_layout::{
    CommandId, Digest, GateId, MachineId, RunId, StepId, definition::Field, event::RunStarted, payload::EffectContent,
};
use jiff::Timestamp;

use crate::{expr::Value, plan::Plan, reuse::Reuse};

/// One run.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) plan: Arc<Plan>,
    pub(crate) run: RunId,
    pub(crate) definition: String,
    pub(crate) machine: MachineId,
    pub(crate) input: Value,
    pub(crate) started: Timestamp,
    pub(crate) steps: Vec<StepState>,
    pub(crate) end: Option<End>,
    /// Commands already taken, so that one read twice is done once.
    pub(crate) causes: BTreeSet<CommandId>,
    /// What an earlier history gave.
    pub(crate) reuse: Option<Reuse>,
    /// A fork sees memory as it was then.
    pub(crate) as_of: Option<Timestamp>,
    /// Ordinals that effects had before the run moved to another definition: no key is used for another content.
    pub(crate) used: BTreeMap<(StepId, Option<String>), u32>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Succeeded,
    /// With a failed step.
    Failed,
    /// By a person.
    Canceled,
}

impl End {
    /// The status word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct StepState {
    /// The `for_each` list was taken.
    pub(crate) expanded: bool,
    pub(crate) slots: Vec<Slot>,
    /// Position of each iteration among the slots.
    pub(crate) index: BTreeMap<String, usize>,
    pub(crate) over: Option<StepEnd>,
    /// Why a `for_each` step failed as a whole.
    pub(crate) message: Option<String>,
    /// What later steps see, once it is over.
    pub(crate) output: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepEnd {
    Done,
    Failed,
    Skipped,
}

impl StepEnd {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A plain step, or one iteration.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) key: Option<String>,
    pub(crate) item: Option<Value>,
    pub(crate) phase: Phase,
    pub(crate) effect: Option<EffectContent>,
    /// How many attempts began.
    pub(crate) attempts: u32,
    /// When the first intent was recorded: a repeat carries the same date.
    pub(crate) first: Option<Timestamp>,
    pub(crate) output: Option<Value>,
    pub(crate) message: Option<String>,
    pub(crate) decided: Option<(GateId, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    Pending,
    Gated { gate: GateId, digest: Digest, expires: Option<Timestamp> },
    Approved,
    InFlight { attempt: u32 },
    Retrying { attempt: u32, at: Timestamp },
    Unknown { gate: GateId, attempt: u32 },
    Asked { gate: GateId, digest: Digest, form: Vec<Field> },
    Timer { until: Timestamp },
    Done,
    Failed,
    Skipped,
}

impl Phase {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped)
    }

    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::InFlight { .. } | Self::Retrying { .. })
    }
}

impl Slot {
    pub(crate) fn new(key: Option<String>, item: Option<Value>) -> Self {
        Self {
            key,
            item,
            phase: Phase::Pending,
            effect: None,
            attempts: 0,
            first: None,
            output: None,
            message: None,
            decided: None,
        }
    }
}

impl State {
    /// A run at its first event.
    #[must_use]
    pub fn begin(plan: Arc<Plan>, start: &RunStarted, at: Timestamp) -> Self {
        let steps = plan.steps.iter().map(|_| StepState::default()).collect();
        Self {
            plan,
            run: start.run.clone(),
            definition: start.definition.clone(),
            machine: start.machine.clone(),
            input: crate::expr::from_json(&start.input),
            started: at,
            steps,
            end: None,
            causes: BTreeSet::new(),
            reuse: None,
            as_of: start.origin.as_ref().and_then(|origin| origin.as_of),
            used: BTreeMap::new(),
        }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The machine that owns it.
    #[must_use]
    pub fn machine(&self) -> &MachineId {
        &self.machine
    }

    /// The workflow's name.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.plan.workflow
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Tells whether this command was taken before.
    #[must_use]
    pub fn has_taken(&self, command: &CommandId) -> bool {
        self.causes.contains(command)
    }

    /// Tells whether the run is over, or waits for nothing but a person or a time after `horizon`.
    #[must_use]
    pub fn is_at_rest(&self, horizon: Timestamp) -> bool {
        self.end.is_some()
            || self.slots().all(|(_, slot)| match &slot.phase {
                Phase::InFlight { .. } | Phase::Approved => false,
                Phase::Retrying { at, .. } => *at > horizon,
                Phase::Timer { until } => *until > horizon,
                _ => true,
            })
    }

    /// The next moment at which time alone changes something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.end.is_some() {
            return None;
        }
        self.slots()
            .filter_map(|(_, slot)| match &slot.phase {
                Phase::Gated { expires, .. } => *expires,
                Phase::Retrying { at, .. } => Some(*at),
                Phase::Timer { until } => Some(*until),
                _ => None,
            })
            .min()
    }

    /// How many steps there are, and how many are over.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.steps.iter().filter(|s| s.over.is_some()).count(), self.steps.len())
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.steps.iter().enumerate().flat_map(|(i, step)| step.slots.iter().map(move |slot| (i, slot)))
    }

    pub(crate) fn step_index(&self, id: &StepId) -> Option<usize> {
        self.plan.steps.iter().position(|s| s.id == *id)
    }

    pub(crate) fn slot(&self, step: usize, iteration: Option<&str>) -> Option<&Slot> {
        let state = &self.steps[step];
        match iteration {
            Some(key) => state.slots.get(*state.index.get(key)?),
            None => state.slots.first().filter(|s| s.key.is_none()),
        }
    }
}
