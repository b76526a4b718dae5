//! Results of an earlier history, taken over instead of being asked for again.
//!
//! A result belongs to a step, an iteration, a round and a request. What changed the world is taken
//! over whenever the request is the same, so that nothing leaves twice because of an edit elsewhere.
//! What only looks or computes is taken over when the agent's or connector's file, the prompt, the
//! template and the schema are the same too: an edited prompt is an edited question. Questions to a
//! person and waits are never taken over; they belong to their run. Nor is what was taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_store_layout::{
    Digest, RunId, StepId,
    event::{Body, Event, Origin, Usage},
    money::Usd,
    payload::{EffectClass, EffectContent, Request},
};
use serde_json::Value;

use crate::{
    plan::{Plan, PlanStep},
    state::State,
};

/// What a history gave, by what was asked for. Made by a [`Collector`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    found: BTreeMap<Question, Vec<Found>>,
}

/// Where a result belongs: step, iteration and round.
type Question = (StepId, Option<String>, u32);

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The run that did it.
    pub(crate) from: RunId,
    pub(crate) output: Value,
    /// Which effect of its place gave it; none for one that was taken over itself.
    ordinal: Option<u32>,
    request: Digest,
    /// Digest of the files that the answer depends on beside the request.
    material: Digest,
    class: EffectClass,
}

impl Results {
    /// How many results there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.values().map(Vec::len).sum()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The result of the same request, if there is one that still answers it.
    pub(crate) fn find(
        &self,
        plan: &PlanStep,
        iteration: Option<&str>,
        round: u32,
        request: &Digest,
    ) -> Option<&Found> {
        let question = (plan.id.clone(), iteration.map(str::to_owned), round);
        self.found.get(&question)?.iter().find(|found| {
            let left = matches!(found.class, EffectClass::Idempotent | EffectClass::Once);
            found.request == *request && (left || found.material == plan.material)
        })
    }
}

/// What a history had at one place: a step, or one iteration of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Earlier {
    /// What was asked for last, as a value.
    pub request: Option<Value>,
    /// What it gave, if it was done.
    pub output: Option<Value>,
    /// What its attempts cost.
    pub cost: Usd,
    /// How it ended: `done`, `failed` or `skipped`; absent while it has not.
    pub end: Option<&'static str>,
}

impl Earlier {
    /// Takes in an event of this place.
    pub(crate) fn tell(&mut self, event: &Event) {
        let cost = |usage: &Usage| usage.cost_usd.as_deref().and_then(Usd::parse).unwrap_or_default();
        let asked = |request: &Request| serde_json::to_value(request).ok();
        match &event.body {
            Body::GateOpened(gate) => self.request = asked(&gate.effect.request),
            Body::AttemptStarted(start) => {
                self.request = asked(&start.effect.request);
                self.end = None;
            }
            Body::AttemptSucceeded(done) => {
                self.cost = [self.cost, cost(&done.usage)].into_iter().sum();
                (self.output, self.end) = (Some(done.output.clone()), Some("done"));
            }
            Body::AttemptFailed(failed) => {
                self.cost = [self.cost, cost(&failed.usage)].into_iter().sum();
                self.end = failed.retry_at.is_none().then_some("failed");
            }
            Body::AttemptReused(reused) => (self.output, self.end) = (Some(reused.output.clone()), Some("done")),
            Body::StepSucceeded(done) => {
                self.end = Some("done");
                if let Some(output) = &done.output {
                    self.output = Some(output.clone());
                }
            }
            Body::AskAnswered(answer) => (self.output, self.end) = (Some(answer.answer.clone()), Some("done")),
            Body::SignalTaken(signal) => (self.output, self.end) = (Some(signal.output.clone()), Some("done")),
            Body::TimerFired(_) => (self.output, self.end) = (Some(Value::Null), Some("done")),
            Body::StepFailed(_) => self.end = Some("failed"),
            Body::StepSkipped(_) | Body::GateDenied(_) | Body::GateExpired(_) | Body::RequestWithdrawn(_) => {
                self.end = Some("skipped");
            }
            _ => {}
        }
    }
}

/// Reads a history into its results.
#[derive(Debug)]
pub struct Collector {
    run: RunId,
    plan: Arc<Plan>,
    open: BTreeMap<(StepId, Option<String>), Open>,
    results: Results,
    earlier: BTreeMap<(StepId, Option<String>), Earlier>,
    used: BTreeMap<(StepId, Option<String>), u32>,
    /// The effect of a place that is being taken back.
    undoing: Option<u32>,
}

/// A place whose result is still to come.
#[derive(Debug, Default)]
struct Open {
    round: u32,
    /// What the definition asked for: an edit changes what is sent, not what was asked.
    proposed: Option<Digest>,
    sent: Option<Digest>,
    ordinal: u32,
}

impl Collector {
    /// Reads the history of `run`, which began with `plan`.
    #[must_use]
    pub fn new(run: RunId, plan: Arc<Plan>) -> Self {
        let (open, earlier, used) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { run, plan, open, results: Results::default(), earlier, used, undoing: None }
    }

    /// Goes on under another plan: the history holds a `run.migrated` here.
    pub fn follow(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
        self.open.clear();
        // what the run had until here is offered to the new plan and told anew by it
        self.earlier.clear();
    }

    /// Takes in the next event.
    pub fn take(&mut self, event: &Event) {
        let Some(step) = event.step.clone() else { return };
        let place = (step, event.iteration.clone());
        self.earlier.entry(place.clone()).or_default().tell(event);
        match &event.body {
            Body::GateOpened(gate) => self.asked(&place, &gate.effect),
            Body::GateEdited(edit) => self.note_use(&place, &edit.effect),
            Body::AskOpened(_) => *self.used.entry(place).or_default() += 1,
            Body::AttemptStarted(start) => self.asked(&place, &start.effect),
            Body::StepRepeated(_) => {
                let open = self.open.entry(place).or_default();
                *open = Open { round: open.round + 1, ..Open::default() };
            }
            Body::AttemptSucceeded(done) => {
                let open = self.open.entry(place.clone()).or_default();
                let (round, ordinal) = (open.round, Some(open.ordinal));
                let digests = [open.proposed.clone(), open.sent.clone()];
                let digests: BTreeSet<Digest> = digests.into_iter().flatten().collect();
                for request in digests {
                    self.keep(&place, round, ordinal, request, self.run.clone(), &done.output);
                }
            }
            Body::AttemptReused(reused) => {
                let round = self.open.entry(place.clone()).or_default().round;
                self.keep(&place, round, None, reused.request.clone(), reused.from.clone(), &reused.output);
            }
            Body::UndoStarted(start) => self.undoing = Some(start.effect.ordinal),
            Body::UndoSucceeded(_) => self.taken_back(&place),
            _ => {}
        }
    }

    /// The results so far.
    #[must_use]
    pub fn results(&self) -> Results {
        self.results.clone()
    }

    /// What the history had at each place since its last `run.migrated`.
    #[must_use]
    pub fn earlier(&self) -> &BTreeMap<(StepId, Option<String>), Earlier> {
        &self.earlier
    }

    /// The first ordinal that no effect or request of a place has had.
    pub(crate) fn used(&self) -> &BTreeMap<(StepId, Option<String>), u32> {
        &self.used
    }

    fn asked(&mut self, place: &(StepId, Option<String>), effect: &EffectContent) {
        self.note_use(place, effect);
        let digest = effect.request.digest();
        let open = self.open.entry(place.clone()).or_default();
        open.proposed.get_or_insert_with(|| digest.clone());
        open.sent = Some(digest);
        open.ordinal = effect.ordinal;
    }

    /// What was taken back is no result any more: whoever relies on it again has to have it done again.
    fn taken_back(&mut self, place: &(StepId, Option<String>)) {
        let Some(undone) = self.undoing.take() else { return };
        for (question, found) in &mut self.results.found {
            if (&question.0, &question.1) == (&place.0, &place.1) {
                found.retain(|found| found.ordinal != Some(undone));
            }
        }
        self.results.found.retain(|_, found| !found.is_empty());
    }

    fn note_use(&mut self, place: &(StepId, Option<String>), effect: &EffectContent) {
        let next = self.used.entry(place.clone()).or_default();
        *next = (*next).max(effect.ordinal + 1);
    }

    fn keep(
        &mut self,
        place: &(StepId, Option<String>),
        round: u32,
        ordinal: Option<u32>,
        request: Digest,
        from: RunId,
        output: &Value,
    ) {
        let Some(plan) = self.plan.steps.iter().find(|s| s.id == place.0) else { return };
        let (material, class) = (plan.material.clone(), plan.spec.effect);
        let found = Found { from, output: output.clone(), ordinal, request, material, class };
        // a later result of the same question stands before an earlier one
        self.results.found.entry((place.0.clone(), place.1.clone(), round)).or_default().insert(0, found);
    }
}

/// The results that a run may take over.
#[derive(Debug, Clone)]
pub(crate) struct Reuse {
    results: Arc<Results>,
    /// Steps that are done anew whatever was asked.
    anew: BTreeSet<StepId>,
}

impl Reuse {
    /// What the run itself gave so far, then what `offered` had for steps that were not to be done anew.
    pub(crate) fn joined(mut own: Results, offered: Option<&Self>) -> Self {
        let offered = offered
            .into_iter()
            .flat_map(|reuse| reuse.results.found.iter().filter(|(question, _)| !reuse.anew.contains(&question.0)));
        for (question, found) in offered {
            own.found.entry(question.clone()).or_default().extend(found.iter().cloned());
        }
        Self { results: Arc::new(own), anew: BTreeSet::new() }
    }
}

impl State {
    /// Offers the run what the history that `origin` names gave. The same results must be offered
    /// whenever its history is read again.
    #[must_use]
    pub fn with_results(mut self, results: Arc<Results>, origin: &Origin) -> Self {
        let anew = origin.from.as_ref().map(|from| self.plan.from(from)).unwrap_or_default();
        self.reuse = Some(Reuse { results, anew });
        self
    }

    /// What was given to the same request before, if it may be taken over.
    pub(crate) fn found(
        &self,
        plan: &PlanStep,
        iteration: Option<&str>,
        round: u32,
        request: &Digest,
    ) -> Option<&Found> {
        let reuse = self.reuse.as_ref().filter(|reuse| !reuse.anew.contains(&plan.id))?;
        reuse.results.find(plan, iteration, round, request)
    }
}

impl State {
    /// The ordinal of the first effect of a place: past all those it had before the run moved.
    pub(crate) fn first_ordinal(&self, plan: &PlanStep, iteration: Option<&str>) -> u32 {
        if self.used.is_empty() {
            return 0;
        }
        self.used.get(&(plan.id.clone(), iteration.map(str::to_owned))).copied().unwrap_or(0)
    }
}

impl Plan {
    /// A step and every step that needs it, however far away.
    #[must_use]
    pub fn from(&self, step: &StepId) -> BTreeSet<StepId> {
        let mut reached = BTreeSet::new();
        // in an order in which needs come first, one pass finds all of them
        for plan in &self.steps {
            if plan.id == *step || plan.needs.iter().any(|need| reached.contains(&self.steps[*need].id)) {
                reached.insert(plan.id.clone());
            }
        }
        reached
    }

    /// Tells whether the workflow has this step.
    #[must_use]
    pub fn has_step(&self, step: &StepId) -> bool {
        self.steps.iter().any(|s| s.id == *step)
    }
}
