//! The workflow as read: steps with their keys, not yet compiled.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Field, Position, Trigger};
use crate::{StepId, payload::EffectClass, time::Span};

/// `workflows/<name>/workflow.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// The folder's name.
    pub name: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// What a run is given.
    pub input: Vec<Field>,
    /// What a run gives back: a value with expressions.
    pub output: Option<Value>,
    /// The steps, in the order of the file.
    pub steps: Vec<Step>,
    /// Steps that follow when everything else is over, however it ended.
    pub finally: Vec<Step>,
    /// What starts runs by itself.
    pub triggers: Vec<Trigger>,
    /// The run is stopped when it takes longer than this.
    pub deadline: Option<Span>,
    /// What a failed step means for the others.
    pub on_failure: Option<OnFailure>,
    /// How many runs with the same key may be under way at once.
    pub concurrency: Option<Concurrency>,
}

/// What a failed step means for the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Steps that do not need it go on; the run fails at the end.
    Continue,
    /// Nothing new begins; what was done stays.
    Stop,
    /// Nothing new begins, and what was done is undone where `undo` says how.
    Undo,
}

/// A workflow with the files of its folder: everything that its digest covers.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The definition.
    pub workflow: Workflow,
    /// The other text files, by path inside the folder: prompts, templates, schemas.
    pub files: BTreeMap<String, String>,
}

/// One `[[step]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// What it does.
    pub kind: StepKind,
    /// The steps that must be over before it, and well.
    pub needs: Vec<StepId>,
    /// Do it only if this expression is true.
    pub when: Option<String>,
    /// Do it once for every element of a list.
    pub for_each: Option<ForEach>,
    /// How long one attempt may take.
    pub timeout: Option<Span>,
    /// What happens after a soft failure.
    pub retry: Retry,
    /// Whether a person is asked before the effect.
    pub approve: Option<Approve>,
    /// Overrides how the effect may be repeated.
    pub effect: Option<EffectClass>,
    /// The schema file that the output must satisfy.
    pub schema: Option<String>,
    /// How many of `needs` must be done.
    pub join: Join,
    /// Do it again until an expression is true.
    pub repeat: Option<Repeat>,
    /// How what it did is taken back.
    pub undo: Option<Undo>,
    /// How to find out whether it happened when its reply was lost.
    pub probe: Option<Probe>,
    /// What follows a failure of each class, once its retries are used up.
    pub on: OnClass,
    /// For how long an equal request need not be asked again.
    pub cache: Option<Span>,
    /// How many steps with the same key may be under way at once, over all runs.
    pub concurrency: Option<Concurrency>,
    /// How many may begin in a length of time, over all runs.
    pub rate: Option<Rate>,
    /// Where its keys stand in the file, `id` among them.
    pub at: BTreeMap<String, Position>,
}

impl Step {
    /// Where `key` stands in the file, else the step itself.
    #[must_use]
    pub fn position(&self, key: &str) -> Option<Position> {
        self.at.get(key).or_else(|| self.at.get("id")).copied()
    }
}

/// The one key that says what a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// `agent = "writer"`.
    Agent {
        /// The agent's name.
        agent: String,
        /// What it is given: a value with expressions.
        with: Value,
        /// The prompt file, for agents that are asked.
        prompt: Option<String>,
        /// The template file, for agents that fill one.
        template: Option<String>,
    },
    /// `call = "mail.send"`.
    Call {
        /// The connector's name.
        connector: String,
        /// Its operation.
        operation: String,
        /// What it is given: a value with expressions.
        with: Value,
    },
    /// `run = ["python3", "score.py"]`.
    Run {
        /// Program and arguments, each may be an expression.
        argv: Vec<String>,
        /// Standard input, may be an expression.
        stdin: Option<String>,
    },
    /// `set = { ... }`: a pure value.
    Set {
        /// The value with expressions.
        value: Value,
    },
    /// `ask = "..."`: a form for the operator.
    Ask {
        /// What is asked; may hold expressions.
        prompt: String,
        /// The fields to fill.
        form: Vec<Field>,
    },
    /// `wait = "5d"`.
    Wait(Wait),
    /// `workflow = "onboard"`: a run of its own, waited for.
    Workflow {
        /// The workflow's name.
        workflow: String,
        /// Its input: a value with expressions.
        with: Value,
    },
}

impl StepKind {
    /// The key that makes a step of this kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Call { .. } => "call",
            Self::Run { .. } => "run",
            Self::Set { .. } => "set",
            Self::Ask { .. } => "ask",
            Self::Wait(_) => "wait",
            Self::Workflow { .. } => "workflow",
        }
    }

    /// Tells whether the step changes or asks the world, so that it has attempts.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::Agent { .. } | Self::Call { .. } | Self::Run { .. } | Self::Workflow { .. })
    }
}

/// How long a `wait` step waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// A length of time from when the step is reached; may be an expression.
    For(String),
    /// A moment or day; may be an expression.
    Until(String),
    /// An event that somebody emits; one that came since the run's start counts.
    Event {
        /// Its name.
        event: String,
        /// Only an event for which this expression is true; `event` is what came with it.
        filter: Option<String>,
        /// Wait no longer than this: the output is null then.
        within: Option<Span>,
    },
}

/// How many of the steps in `needs` must be done before a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// All of them.
    #[default]
    All,
    /// One of them.
    Any,
    /// So many of them.
    Count(u32),
}

/// `repeat = { until = "{{ output.ready }}", max = 10, every = "1m" }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// The expression that ends it; `output` is what the round gave, `round` counts from 1.
    pub until: String,
    /// The most rounds, 1 to 1,000; the step fails when the last one is not enough.
    pub max: u32,
    /// The pause between rounds.
    pub every: Option<Span>,
}

/// `undo = { call = "crm.delete", with = { id = "{{ output.id }}" } }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// `agent`, `call` or `run`; `output` is what the step gave.
    pub kind: StepKind,
}

/// `probe = { call = "crm.find", with = { key = "{{ effect.key }}" }, found = "{{ output.total > 0 }}" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The connector's name.
    pub connector: String,
    /// Its operation; it must only read.
    pub operation: String,
    /// What it is given; `request` is what the lost effect was given, `effect.key` its idempotency key.
    pub with: Value,
    /// True when the effect did happen; `output` is what the probe gave.
    pub found: String,
    /// What the step gives then: a value with expressions; absent: what the probe gave.
    pub output: Option<Value>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The step fails.
    Fail,
    /// The step counts as skipped.
    Skip,
    /// The operator decides: retry, skip, supply the output, or fail.
    Ask,
    /// Another attempt, within the bounds of `retry`; then the step fails.
    Retry,
}

/// `on_soft`, `on_hard`, `on_business`: what follows a failure of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnClass {
    /// When the retries of a soft failure are used up.
    pub soft: AfterFailure,
    /// After a hard failure.
    pub hard: AfterFailure,
    /// After a business failure.
    pub business: AfterFailure,
}

impl Default for OnClass {
    fn default() -> Self {
        Self { soft: AfterFailure::Fail, hard: AfterFailure::Fail, business: AfterFailure::Ask }
    }
}

/// `concurrency = { key = "{{ input.client }}", max = 1 }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    /// Those with the same key count together; may be an expression. Absent: all of this step, or of this workflow.
    pub key: Option<String>,
    /// How many may be under way at once, at least 1.
    pub max: u32,
}

/// `rate = { max = 10, per = "1m", key = "..." }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Those with the same key count together; may be an expression. Absent: all of this step.
    pub key: Option<String>,
    /// How many may begin in `per`, at least 1.
    pub max: u32,
    /// The length of time.
    pub per: Span,
}

/// `for_each = { in = "...", key = "...", where = "...", max_parallel = 4 }`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// An expression that gives a list, or an object whose values are taken.
    pub list: String,
    /// An expression that names the iteration; default: the object's key, or the position.
    pub key: Option<String>,
    /// Take only the elements for which this expression is true.
    pub filter: Option<String>,
    /// How many iterations may be in flight at once.
    pub max_parallel: u32,
}

/// `retry = { attempts = 3, first = "1s", max = "1m" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, 1 to 20.
    pub attempts: u32,
    /// Upper bound of the first pause; it doubles from attempt to attempt.
    pub first: Span,
    /// Upper bound of every pause.
    pub max: Span,
    /// How the pauses grow.
    pub backoff: Backoff,
    /// Whether each pause is drawn between zero and its bound; without, it is the bound itself.
    pub jitter: bool,
    /// Retry only failures with one of these codes; empty: every soft failure.
    pub on: Vec<String>,
    /// No attempt begins later than this after the first.
    pub within: Option<Span>,
}

/// How the pauses between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// Doubles: 1, 2, 4, 8 ...
    #[default]
    Exponential,
    /// Grows by the first: 1, 2, 3, 4 ...
    Linear,
    /// Stays.
    Fixed,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            first: Span::seconds(1),
            max: Span::seconds(60),
            backoff: Backoff::Exponential,
            jitter: true,
            on: Vec::new(),
            within: None,
        }
    }
}

/// `approve = "always"` or `approve = { when = "always", summary = "...", why = "..." }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Approve {
    /// When a person is asked.
    pub when: ApproveWhen,
    /// One line for the list; may hold expressions.
    pub summary: Option<String>,
    /// Why the workflow wants it; may hold expressions.
    pub why: Option<String>,
    /// What it was derived from; a value with expressions.
    pub evidence: Option<Value>,
    /// How long an unanswered gate stands.
    pub expires: Option<Span>,
}

/// When a gate is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApproveWhen {
    /// Never.
    Never,
    /// Before every effect of the step.
    Always,
}
