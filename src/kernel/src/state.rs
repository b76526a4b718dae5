//! What is true of one run, folded from its history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_store_layout::{
    CommandId, Digest, GateId, MachineId, RunId, StepId,
    definition::{Field, OnFailure},
    event::{Parent, RunStarted, StopCause},
    payload::{EffectContent, Request},
};
use jiff::Timestamp;

use crate::{
    agenda::{Agenda, At},
    expr::Value,
    lease::Lease,
    plan::Plan,
    probe::Probing,
    reuse::Reuse,
    scope::Known,
    signal::Signals,
    undo::Completed,
};

/// One run.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) plan: Arc<Plan>,
    pub(crate) run: RunId,
    pub(crate) definition: String,
    pub(crate) machine: MachineId,
    pub(crate) started: Timestamp,
    pub(crate) steps: Vec<StepState>,
    /// What expressions see of the run.
    pub(crate) known: Known,
    /// Set from `run.stopping` on.
    pub(crate) stopping: Option<Stopping>,
    pub(crate) end: Option<End>,
    pub(crate) signals: Signals,
    /// Every effect that was done and can be taken back, in the order they were done.
    pub(crate) completed: Vec<Completed>,
    /// How many of `completed` are still to be taken back, once the run takes back.
    pub(crate) undo_left: usize,
    /// Every request to the operator there ever was.
    pub(crate) requests: BTreeMap<GateId, Asked>,
    pub(crate) agenda: Agenda,
    /// Requests were withdrawn for a cancel whose last fact is missing: a crash cut it in two, and the
    /// command is about to be taken again.
    pub(crate) canceling: bool,
    /// Commands already taken, so that one read twice is done once.
    pub(crate) causes: BTreeSet<CommandId>,
    /// What an earlier history gave.
    pub(crate) reuse: Option<Reuse>,
    /// A fork sees memory as it was then.
    pub(crate) as_of: Option<Timestamp>,
    /// Ordinals that effects had before the run moved to another definition: no key is used for another content.
    pub(crate) used: BTreeMap<(StepId, Option<String>), u32>,
    /// The share of the workflow's `concurrency`, once it was asked for.
    pub(crate) lease: Option<Lease>,
    /// How often it was taken over without its whole past.
    pub(crate) adopted: u32,
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

/// Why a run begins nothing new any more.
#[derive(Debug, Clone)]
pub(crate) struct Stopping {
    pub(crate) why: StopCause,
    pub(crate) message: String,
    pub(crate) undo: bool,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

/// A request to the operator.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) step: usize,
    pub(crate) slot: usize,
    /// It is about taking the effect back, and not about the effect.
    pub(crate) of_undo: bool,
    /// What was decided, once it was.
    pub(crate) how: Option<String>,
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
    /// Slots that want to begin.
    pub(crate) want: BTreeSet<usize>,
    /// Slots to be looked at in any case: a round is over, a turn has come, a probe is to be sent.
    pub(crate) judge: BTreeSet<usize>,
    /// Slots that take a place of `max_parallel`.
    pub(crate) busy: usize,
    /// Slots that are not over.
    pub(crate) open: usize,
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
    /// When the first intent of this effect was recorded: a repeat carries the same date.
    pub(crate) first: Option<Timestamp>,
    /// Since when the other side may know its key: since the first intent that nobody has settled as not done.
    pub(crate) keyed: Option<Timestamp>,
    /// What it gave; of a repeating step what its last round gave.
    pub(crate) output: Option<Value>,
    pub(crate) message: Option<String>,
    /// Which of the slot's effects is the next or under way: one a round, and one for each retry with a comment.
    pub(crate) ordinal: u32,
    /// Counted from 1.
    pub(crate) round: u32,
    /// The number of the last attempt; they are counted through all effects of the slot.
    pub(crate) attempts: u32,
    /// The number of the last attempt at the effect before.
    pub(crate) base: u32,
    /// What a person wants the next attempt of an agent to know.
    pub(crate) comment: Option<String>,
    /// The number of the last attempt to take it back.
    pub(crate) undo_attempt: u32,
    /// When the latest attempt began.
    pub(crate) begun: Option<Timestamp>,
    /// Its share, once it was asked for.
    pub(crate) lease: Option<Lease>,
    /// The probe of its latest attempt.
    pub(crate) probe: Option<Probing>,
    /// It has one of the places of `max_parallel`.
    pub(crate) placed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    Pending,
    Gated {
        gate: GateId,
        digest: Digest,
        expires: Option<Timestamp>,
    },
    Approved,
    /// Its gate is to be opened again.
    Reopening,
    /// Waits for its turn; `approved`: its gate is behind it.
    Queued {
        approved: bool,
    },
    /// `until`: when the kernel itself ends it; only for attempts that nobody else bounds.
    InFlight {
        attempt: u32,
        until: Option<Timestamp>,
    },
    Retrying {
        attempt: u32,
        at: Timestamp,
    },
    Unknown {
        gate: GateId,
        attempt: u32,
    },
    /// It failed; a person decides what that means.
    Undecided {
        gate: GateId,
        attempt: u32,
    },
    Asked {
        gate: GateId,
        digest: Digest,
        form: Vec<Field>,
    },
    Timer {
        until: Timestamp,
    },
    /// Waits for an event.
    Listening {
        until: Option<Timestamp>,
    },
    /// A round went well; whether it was the last is not said yet.
    Judged,
    /// The next round has its time.
    Paused {
        at: Timestamp,
    },
    Done,
    Failed,
    Skipped,
}

impl Phase {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped)
    }

    /// Whether a slot that comes here has one of the places of `max_parallel`; nothing: as before. A pause
    /// keeps the place of what it is a pause of, and a question to a person gives it up.
    pub(crate) fn places(&self) -> Option<bool> {
        match self {
            Self::InFlight { .. } | Self::Queued { .. } => Some(true),
            Self::Retrying { .. } | Self::Judged | Self::Paused { .. } => None,
            _ => Some(false),
        }
    }

    /// When time alone changes it, and whether a run that waits for that moment alone is at rest until
    /// shortly before it.
    pub(crate) fn due(&self) -> Option<(Timestamp, bool)> {
        match self {
            Self::Retrying { at, .. } | Self::Timer { until: at } | Self::Paused { at } => Some((*at, true)),
            Self::Listening { until: Some(at) } => Some((*at, true)),
            Self::Gated { expires: Some(at), .. } | Self::InFlight { until: Some(at), .. } => Some((*at, false)),
            _ => None,
        }
    }
}

impl Slot {
    pub(crate) fn new(key: Option<String>, item: Option<Value>) -> Self {
        Self {
            key,
            item,
            phase: Phase::Pending,
            effect: None,
            first: None,
            keyed: None,
            output: None,
            message: None,
            ordinal: 0,
            round: 1,
            attempts: 0,
            base: 0,
            comment: None,
            undo_attempt: 0,
            begun: None,
            lease: None,
            probe: None,
            placed: false,
        }
    }

    /// Tells whether it takes one of the places of `max_parallel`: its turn, waited for or come, keeps the place.
    pub(crate) fn takes_place(&self) -> bool {
        self.placed || (self.lease.is_some() && !self.phase.is_over())
    }

    /// Tells whether a probe is under way.
    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Unknown { .. }) && self.probe.as_ref().is_some_and(|probe| !probe.over)
    }

    /// Tells whether it waits for a child run.
    pub(crate) fn awaits_child(&self) -> bool {
        let is_child = |effect: &EffectContent| matches!(effect.request, Request::Workflow { .. });
        matches!(self.phase, Phase::InFlight { .. }) && self.effect.as_ref().is_some_and(is_child)
    }

    /// Tells whether an attempt is under way that the driver carries out itself: a run that waits for
    /// nothing but its child runs is at rest.
    pub(crate) fn keeps_awake(&self) -> bool {
        match self.phase {
            Phase::Approved | Phase::Reopening | Phase::Judged => true,
            Phase::InFlight { .. } => !self.awaits_child(),
            _ => self.is_probing(),
        }
    }

    /// The next effect of the slot begins at its beginning.
    pub(crate) fn next_effect(&mut self) {
        self.ordinal += 1;
        self.base = self.attempts;
        self.effect = None;
        (self.first, self.keyed) = (None, None);
    }
}

impl State {
    /// A run at its first event.
    #[must_use]
    pub fn begin(plan: Arc<Plan>, start: &RunStarted, at: Timestamp) -> Self {
        let steps = plan.steps.iter().map(|_| StepState::default()).collect();
        let known = Known::new(&plan, start.run.as_str(), at, crate::expr::from_json(&start.input));
        Self {
            plan,
            run: start.run.clone(),
            definition: start.definition.clone(),
            machine: start.machine.clone(),
            started: at,
            steps,
            known,
            stopping: None,
            end: None,
            signals: Signals::default(),
            completed: Vec::new(),
            undo_left: 0,
            requests: BTreeMap::new(),
            agenda: Agenda::default(),
            canceling: false,
            causes: BTreeSet::new(),
            reuse: None,
            as_of: start.origin.as_ref().and_then(|origin| origin.as_of),
            used: BTreeMap::new(),
            lease: None,
            adopted: 0,
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

    /// Tells whether some step of the run waits, or may come to wait, for an event of this name.
    #[must_use]
    pub fn listens_to(&self, name: &str) -> bool {
        self.end.is_none() && self.plan.listens_to(name)
    }

    /// Tells whether the run is over, or waits for nothing but a person, an event, its turn, a child run, or a
    /// time after `horizon`.
    #[must_use]
    pub fn is_at_rest(&self, horizon: Timestamp) -> bool {
        if self.end.is_some() {
            return true;
        }
        let undo = self.undoing().is_none_or(|undo| undo.is_at_rest(horizon));
        undo && self.agenda.is_at_rest(horizon, |at| self.moves_by_time(at))
    }

    /// The next moment at which time alone changes something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.end.is_some() || self.canceling {
            return None;
        }
        // while it waits for what is under way to come back, nothing else has a time
        let own = if self.is_draining() { None } else { self.agenda.next(|at| self.moves_by_time(at)) };
        let undo = self.undoing().and_then(Completed::due);
        [own, undo, self.deadline()].into_iter().flatten().min()
    }

    /// Tells whether the attempt that started a child run still waits for its end.
    #[must_use]
    pub fn awaits(&self, parent: &Parent) -> bool {
        let slot = self.step_index(&parent.step).and_then(|step| self.slot(step, parent.iteration.as_deref()));
        let here = |slot: &Slot| matches!(slot.phase, Phase::InFlight { attempt, .. } if attempt == parent.attempt);
        self.end.is_none() && slot.is_some_and(|slot| slot.awaits_child() && here(slot))
    }

    /// Tells whether a second cancel ended the run on its way to its end.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        let was_ending = self.stopping.is_some() || self.is_main_over();
        self.end == Some(End::Canceled) && was_ending && self.steps.iter().any(|step| step.over.is_none())
    }

    /// Tells whether the run stops although a step still waits for the end of this child, and whether what the
    /// child did is taken back then.
    #[must_use]
    pub fn gives_up(&self, parent: &Parent) -> Option<bool> {
        let is_main = self.step_index(&parent.step).is_some_and(|step| step < self.plan.main);
        self.stopping.as_ref().filter(|_| is_main && self.awaits(parent)).map(|stopping| stopping.undo)
    }

    /// How many steps there are, and how many are over.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.steps.iter().filter(|s| s.over.is_some()).count(), self.steps.len())
    }

    /// When the run has taken too long, as long as that means anything.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let counts = self.stopping.is_none() && !self.is_main_over();
        self.plan.deadline.filter(|_| counts).map(|span| self.started + span.0)
    }

    /// A step has failed and the run stops for it: it waits for what is under way, and begins nothing.
    pub(crate) fn is_draining(&self) -> bool {
        self.stopping.is_none() && self.plan.on_failure != OnFailure::Continue && self.agenda.failed > 0
    }

    /// Tells whether the run is on its way to its end: it stops, or only `finally` is left.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.end.is_some() || self.stopping.is_some() || self.is_main_over()
    }

    /// Tells whether the run stops before this step is over; `finally` is not cut short.
    pub(crate) fn is_cutting_short(&self, step: usize) -> bool {
        self.stopping.is_some() && step < self.plan.main
    }

    /// Tells whether every step that is not of `finally` is over.
    pub(crate) fn is_main_over(&self) -> bool {
        self.steps[..self.plan.main].iter().all(|step| step.over.is_some())
    }

    /// How many more iterations of a list may be under way.
    pub(crate) fn room(&self, step: usize) -> usize {
        let most = self.plan.steps[step].for_each.as_ref().map_or(1, |list| list.max_parallel);
        most.saturating_sub(self.steps[step].busy)
    }

    /// Tells whether the time that a slot waits for lets it go on: not while others have all places of its
    /// list, and not once the run stops.
    fn moves_by_time(&self, (step, slot): At) -> bool {
        let slot = &self.steps[step].slots[slot];
        if self.stopping.is_some() && step < self.plan.main {
            return slot.awaits_child();
        }
        let goes_on = matches!(slot.phase, Phase::Retrying { .. } | Phase::Paused { .. });
        !goes_on || slot.takes_place() || self.room(step) > 0
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.steps.iter().enumerate().flat_map(|(i, step)| step.slots.iter().map(move |slot| (i, slot)))
    }

    pub(crate) fn step_index(&self, id: &StepId) -> Option<usize> {
        self.plan.index_of(id.as_str())
    }

    pub(crate) fn slot(&self, step: usize, iteration: Option<&str>) -> Option<&Slot> {
        let state = &self.steps[step];
        match iteration {
            Some(key) => state.slots.get(*state.index.get(key)?),
            None => state.slots.first().filter(|s| s.key.is_none()),
        }
    }
}
