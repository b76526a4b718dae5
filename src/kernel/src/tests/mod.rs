//! Tables of facts: what was recorded, what is asked, what follows.

mod across;
mod adopting;
mod again;
mod compile;
mod crash;
mod ending;
mod failing;
mod replay;
mod room;
mod rounds;
mod run;
mod schedule;
mod trigger;

use std::{collections::BTreeMap, sync::Arc};

use cairn_store_layout::{
    MachineId, RunId,
    catalog::{Catalog, Spec},
    definition::{Bundle, Problem, parse_workflow},
    event::{Event, GateClass, Origin, RunStarted, Usage},
    payload::{EffectClass, Purpose},
    view::describe,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Command, Context, Outcome, Plan, Results, State, handle, react};

pub(super) const T0: &str = "2026-11-22T08:00:00Z";

pub(super) fn catalog() -> Catalog {
    let mut catalog = Catalog::builtin();
    let spec = |effect, class| Spec { pin: Some("pin".to_owned()), ..Spec::plain(effect, class) };
    catalog.agents.insert("writer".to_owned(), spec(EffectClass::None, GateClass::Run));
    let adds = BTreeMap::from([("from".to_owned(), "us@x.example".to_owned())]);
    let send = Spec { adds, ..spec(EffectClass::Once, GateClass::Send) };
    let send = BTreeMap::from([("send".to_owned(), send)]);
    catalog.connectors.insert("mail".to_owned(), send);
    catalog
}

pub(super) fn compile_with(text: &str, files: &[(&str, &str)]) -> Result<Plan, Vec<Problem>> {
    let workflow = parse_workflow("demo", "workflows/demo/workflow.toml", text)?;
    let files = files.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Plan::compile(&Bundle { workflow, files }, &catalog(), "workflows/demo/workflow.toml")
}

/// A run under test: feeds commands, keeps the history, tells it in words.
pub(super) struct Bench {
    pub(super) state: State,
    pub(super) history: Vec<Event>,
    pub(super) now: Timestamp,
    pub(super) plan: Arc<Plan>,
    /// What it may take over.
    pub(super) results: Option<Results>,
}

impl Bench {
    pub(super) fn new(text: &str, input: Value) -> Self {
        Self::after(text, input, None)
    }

    /// A run that takes over what an earlier one gave.
    pub(super) fn after(text: &str, input: Value, earlier: Option<(Origin, Results)>) -> Self {
        Self::with_files(text, &[], input, earlier)
    }

    /// The same, with files beside the definition.
    pub(super) fn with_files(
        text: &str,
        files: &[(&str, &str)],
        input: Value,
        earlier: Option<(Origin, Results)>,
    ) -> Self {
        Self::following(compile_with(text, files).expect("the workflow compiles"), input, earlier)
    }

    pub(super) fn following(plan: Plan, input: Value, earlier: Option<(Origin, Results)>) -> Self {
        let (origin, results) = earlier.unzip();
        let plan = Arc::new(plan);
        let at: Timestamp = T0.parse().expect("a moment");
        let start = RunStarted {
            run: RunId::new("01kaxw00000000000000000000").expect("a run id"),
            workflow: "demo".to_owned(),
            definition: "tree".to_owned(),
            pins: BTreeMap::new(),
            input,
            trigger: "manual".to_owned(),
            by: "test".to_owned(),
            machine: MachineId::new("mabcdefghi").expect("a machine id"),
            steps: plan.listed().to_vec(),
            parent: None,
            origin: origin.clone(),
            fired: None,
        };
        let event = Event { at, step: None, iteration: None, attempt: None, cause: None, body: start.clone().into() };
        let mut state = State::begin(plan.clone(), &start, at);
        if let (Some(origin), Some(results)) = (&origin, &results) {
            state = state.with_results(Arc::new(results.clone()), origin);
        }
        let mut bench = Self { state, history: vec![event], now: at, plan, results };
        bench.ask(&Command::Advance).expect("a run may always advance");
        bench
    }

    pub(super) fn ask(&mut self, command: &Command) -> Result<Vec<Event>, crate::Refusal> {
        let ctx = Context { now: self.now, entropy: 500, cause: None };
        let events = handle(&mut self.state, command, &ctx)?;
        self.history.extend(events.clone());
        Ok(events)
    }

    /// The same, by a command that names itself, at a moment of its own.
    pub(super) fn bid(&mut self, command: &Command) -> Result<Vec<Event>, crate::Refusal> {
        self.tick();
        let id = cairn_store_layout::ids::ulid_from(0, self.history.len() as u128);
        let cause = Some(id.parse().expect("a command id"));
        let events = handle(&mut self.state, command, &Context { now: self.now, entropy: 500, cause })?;
        self.history.extend(events.clone());
        self.tick();
        Ok(events)
    }

    /// A driver never gives the same moment twice.
    pub(super) fn tick(&mut self) {
        self.now += SignedDuration::from_micros(1);
    }

    pub(super) fn later(&mut self, seconds: i64) -> Vec<Event> {
        self.now += SignedDuration::from_secs(seconds);
        self.ask(&Command::Advance).expect("a run may always advance")
    }

    pub(super) fn report(
        &mut self,
        step: &str,
        iteration: Option<&str>,
        attempt: u32,
        outcome: Outcome,
    ) -> Result<Vec<Event>, crate::Refusal> {
        self.tick();
        self.ask(&Command::Report {
            step: step.parse().expect("a step id"),
            iteration: iteration.map(str::to_owned),
            attempt,
            purpose: Purpose::Step,
            outcome,
        })
    }

    pub(super) fn done(&mut self, step: &str, iteration: Option<&str>, output: Value) {
        self.report(step, iteration, 1, succeeded(output)).expect("the attempt is in flight");
    }

    /// The history since the start, a line an event, without times.
    pub(super) fn told(&self) -> String {
        let line = |e: &Event| {
            let step = e.step.as_ref().map_or("run", |s| s.as_str());
            let iteration = e.iteration.as_deref().map_or(String::new(), |i| format!("[{i}]"));
            format!("{step}{iteration} {}: {}\n", e.body.kind().0, describe(e))
        };
        self.history[1..].iter().map(line).collect()
    }

    /// The same history folded into a fresh state.
    pub(super) fn replayed(&self) -> State {
        let cairn_store_layout::event::Body::RunStarted(start) = &self.history[0].body else { panic!("a start") };
        let mut state = State::begin(self.plan.clone(), start, self.history[0].at);
        for event in &self.history[1..] {
            crate::evolve(&mut state, event);
        }
        state
    }

    /// Decides the whole history again, which must have been answered a moment at a time.
    #[track_caller]
    pub(super) fn redecided(&self) {
        let replayed = again::replayed(self, &self.history);
        assert!(replayed.is_same(), "{:?}\n{}", replayed.difference.map(|d| d.words()), self.told());
    }

    pub(super) fn performs(&self) -> usize {
        self.history.iter().flat_map(|e| react(&self.state, e)).count()
    }
}

pub(super) fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded { output, usage: Usage::default(), artifacts: vec![], files: vec![], learned: vec![] }
}

pub(super) fn failed(class: cairn_store_layout::event::FailureClass, message: &str) -> Outcome {
    Outcome::Failed {
        class,
        code: "test".to_owned(),
        message: message.to_owned(),
        usage: Usage::default(),
        artifacts: vec![],
        retry_after: None,
    }
}

pub(super) fn nothing() -> Value {
    json!({})
}
