//! The workflow as read: steps with their keys, not yet compiled.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Field, Position};
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
        }
    }

    /// Tells whether the step changes or asks the world, so that it has attempts.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::Agent { .. } | Self::Call { .. } | Self::Run { .. })
    }
}

/// How long a `wait` step waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// A length of time from when the step is reached; may be an expression.
    For(String),
    /// A moment or day; may be an expression.
    Until(String),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, 1 to 20.
    pub attempts: u32,
    /// Upper bound of the first pause; it doubles from attempt to attempt.
    pub first: Span,
    /// Upper bound of every pause.
    pub max: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first: Span::seconds(1), max: Span::seconds(60) }
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
