//! A dry run of a recorded run on another definition: what would be taken over, what would be done
//! anew, what is new and what is gone. Nothing is asked of the world.
//!
//! A step that would be done anew is taken to give what it gave before, so that the steps after it can
//! be compared too; what rests on that is a guess, and [`StepDiff::assumed`] says so. A gate is taken
//! to be approved, a form to be filled as it was, a time to have come.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_store_layout::{
    CommandId, StepId,
    event::{Body, Event, Origin, RunStarted, Usage},
    ids::ulid_from,
    money::Usd,
    payload::Purpose,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    command::{Command, Context, Outcome},
    decide::handle,
    plan::{Action, Plan},
    reuse::{Collector, Earlier},
    state::{End, Phase, State},
};

/// How a step, or an iteration of it, would fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Its result stands: the same request, or the same value.
    Same,
    /// It would be done again: what it asks for, or what its answer depends on, is different.
    Redone,
    /// It was not done before.
    New,
    /// It would no longer be done.
    Gone,
    /// It can not be told before something that is new has been done.
    Open,
}

impl Verdict {
    /// The word for lists and scripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Redone => "redone",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Open => "open",
        }
    }
}

/// One step, or one iteration, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDiff {
    /// The step.
    pub step: StepId,
    /// The iteration of a `for_each` step.
    pub iteration: Option<String>,
    /// How it would fare.
    pub verdict: Verdict,
    /// What it had.
    pub before: Option<Earlier>,
    /// What it would ask for.
    pub request: Option<Value>,
    /// What it would give, as far as that is known.
    pub output: Option<Value>,
    /// The output is the earlier one and not what the new request would give.
    pub assumed: bool,
}

/// A run compared with what it would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Its steps, in the order of the new definition; what is gone comes last.
    pub steps: Vec<StepDiff>,
    /// How it would end, if that can be told.
    pub end: Option<End>,
    /// What it would give back, if it would succeed.
    pub output: Option<Value>,
    /// Why it would fail, if it would.
    pub message: Option<String>,
}

impl Comparison {
    /// How many steps or iterations have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }

    /// What was spent on steps with this verdict.
    #[must_use]
    pub fn cost(&self, verdict: Verdict) -> Usd {
        self.steps.iter().filter(|s| s.verdict == verdict).filter_map(|s| Some(s.before.as_ref()?.cost)).sum()
    }
}

/// The most answers given in one dry run: a definition that never ends is not followed for ever.
const ANSWERS_MAX: usize = 200_000;

/// Runs `start`'s input through `plan` with what `before` collected of the run's history.
#[must_use]
pub fn compare(plan: Arc<Plan>, start: &RunStarted, began: Timestamp, before: &Collector) -> Comparison {
    let mut dry = Dry::new(plan, start, began, before);
    dry.ask(&Command::Advance);
    for _ in 0..ANSWERS_MAX {
        let Some(command) = dry.next() else { break };
        if !dry.ask(&command) {
            break;
        }
    }
    dry.told()
}

type Place = (StepId, Option<String>);

struct Dry<'a> {
    state: State,
    before: &'a BTreeMap<Place, Earlier>,
    now: Timestamp,
    events: Vec<Event>,
    /// Places whose answer is not known: nothing had been done there before.
    stuck: BTreeSet<Place>,
}

impl<'a> Dry<'a> {
    fn new(plan: Arc<Plan>, start: &RunStarted, began: Timestamp, before: &'a Collector) -> Self {
        let origin = Origin { run: start.run.clone(), records: 0, from: None, as_of: None };
        let state = State::begin(plan, start, began).with_results(Arc::new(before.results()), &origin);
        Self { state, before: before.earlier(), now: began, events: Vec::new(), stuck: BTreeSet::new() }
    }

    fn ask(&mut self, command: &Command) -> bool {
        let ctx = Context { now: self.now, entropy: 0, cause: None };
        match handle(&mut self.state, command, &ctx) {
            Ok(events) => {
                self.events.extend(events);
                true
            }
            Err(_) => false,
        }
    }

    /// What the world, the operator or the clock would say next; `None` when nobody knows.
    fn next(&mut self) -> Option<Command> {
        if self.state.lease.as_ref().is_some_and(|lease| lease.granted.is_none()) {
            return Some(Command::Grant { step: None });
        }
        let mut due: Option<Timestamp> = None;
        for (index, slot) in self.state.slots() {
            let place = (self.state.plan.steps[index].id.clone(), slot.key.clone());
            if self.stuck.contains(&place) {
                continue;
            }
            let earlier = self.before.get(&place);
            match &slot.phase {
                Phase::Gated { gate, digest, .. } => {
                    let (gate, digest) = (gate.clone(), digest.clone());
                    return Some(Command::Approve { gate, digest, by: String::new(), reason: None });
                }
                // whose turn it is depends on other runs; here it is ours
                Phase::Queued { .. } => return Some(Command::Grant { step: Some(place) }),
                Phase::InFlight { attempt, .. } => {
                    let Some(output) = earlier.and_then(|e| e.output.clone()) else {
                        self.stuck.insert(place);
                        continue;
                    };
                    let outcome = Outcome::Succeeded {
                        output,
                        usage: Usage::default(),
                        artifacts: Vec::new(),
                        files: Vec::new(),
                        learned: Vec::new(),
                    };
                    let (step, iteration) = place;
                    let (attempt, purpose) = (*attempt, Purpose::Step);
                    return Some(Command::Report { step, iteration, attempt, purpose, outcome });
                }
                Phase::Asked { gate, digest, form } => {
                    let answer = earlier.and_then(|e| e.output.clone());
                    let fits = answer.filter(|answer| cairn_store_layout::definition::fill(form, answer).is_ok());
                    let Some(answer) = fits else {
                        self.stuck.insert(place);
                        continue;
                    };
                    let (gate, digest) = (gate.clone(), digest.clone());
                    return Some(Command::Answer { gate, digest, answer, by: String::new() });
                }
                Phase::Listening { until } => {
                    let output = earlier.and_then(|e| e.output.clone()).filter(|output| !output.is_null());
                    let Action::Listen { event, .. } = &self.state.plan.steps[index].action else { continue };
                    if let Some(data) = output {
                        self.stuck.insert(place);
                        let n = self.events.len() as u128;
                        let Ok(signal) = CommandId::new(ulid_from(0, n)) else { continue };
                        return Some(Command::Signal { signal, name: event.clone(), data, by: String::new() });
                    }
                    match until {
                        Some(until) => due = Some(due.map_or(*until, |at| at.min(*until))),
                        None => drop(self.stuck.insert(place)),
                    }
                }
                Phase::Paused { at: until } | Phase::Timer { until } => {
                    due = Some(due.map_or(*until, |at| at.min(*until)));
                }
                _ => {}
            }
        }
        self.now = due?;
        Some(Command::Advance)
    }

    fn told(self) -> Comparison {
        let mut told: BTreeMap<Place, Told> = BTreeMap::new();
        for event in &self.events {
            if let Some(step) = &event.step {
                let told = told.entry((step.clone(), event.iteration.clone())).or_default();
                told.now.tell(event);
                told.reused |= matches!(event.body, Body::AttemptReused(_));
                told.sent |= matches!(event.body, Body::AttemptStarted(_));
            }
        }
        let mut steps = Vec::new();
        let mut seen: BTreeSet<Place> = BTreeSet::new();
        for (index, plan) in self.state.plan.steps.iter().enumerate() {
            let whole = (plan.id.clone(), None);
            let in_list = plan.for_each.is_some();
            let this = &self.state.steps[index];
            let places: Vec<Place> = if in_list && this.expanded {
                seen.insert(whole);
                this.slots.iter().map(|slot| (plan.id.clone(), slot.key.clone())).collect()
            } else {
                vec![whole]
            };
            for place in places {
                steps.push(diff(&place, told.remove(&place).unwrap_or_default(), self.before.get(&place)));
                seen.insert(place);
            }
        }
        for (place, earlier) in self.before {
            // the line of a list as a whole is not one of its iterations
            let listed = place.1.is_none() && self.before.keys().any(|other| other.0 == place.0 && other.1.is_some());
            if !seen.contains(place) && !listed {
                let (step, iteration) = place.clone();
                let (verdict, before) = (Verdict::Gone, Some(earlier.clone()));
                steps.push(StepDiff { step, iteration, verdict, before, request: None, output: None, assumed: false });
            }
        }
        let (mut output, mut message) = (None, None);
        for event in &self.events {
            match &event.body {
                Body::RunSucceeded(done) => output = Some(done.output.clone()),
                Body::RunFailed(failed) => message = Some(failed.message.clone()),
                _ => {}
            }
        }
        Comparison { steps, end: self.state.end(), output, message }
    }
}

/// What the dry run told of one place.
#[derive(Default)]
struct Told {
    now: Earlier,
    reused: bool,
    sent: bool,
}

fn diff(place: &Place, told: Told, before: Option<&Earlier>) -> StepDiff {
    let Told { now, reused, sent } = told;
    let verdict = match before {
        _ if now == Earlier::default() => Verdict::Open,
        None => Verdict::New,
        Some(_) if reused => Verdict::Same,
        // it failed then, and would be asked the same
        Some(earlier) if sent && earlier.end != Some("done") && earlier.request == now.request => Verdict::Same,
        Some(_) if sent => Verdict::Redone,
        Some(earlier) if (earlier.end, &earlier.output) == (now.end, &now.output) => Verdict::Same,
        Some(_) => Verdict::Redone,
    };
    StepDiff {
        step: place.0.clone(),
        iteration: place.1.clone(),
        verdict,
        before: before.cloned(),
        request: now.request.or_else(|| before.filter(|_| reused)?.request.clone()),
        output: now.output,
        assumed: sent && now.end == Some("done"),
    }
}
