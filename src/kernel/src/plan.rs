//! A definition compiled: steps in an order that can be followed, every expression read and checked.

use std::{collections::BTreeMap, sync::Arc};

use cairn_store_layout::{
    Digest, StepId,
    catalog::{Catalog, Spec},
    definition::{Bundle, Field, Join, OnClass, OnFailure, Problem, Retry},
    event::PlannedStep,
    payload::EffectClass,
    text::brief,
    time::Span,
};

use crate::{
    compile::Compiler,
    expr::{ExprError, Template, Value},
    lease::PlanLease,
    probe::PlanProbe,
    tree::Tree,
    trigger::PlanTrigger,
};

/// What a run follows.
#[derive(Debug)]
pub struct Plan {
    pub(crate) workflow: String,
    /// In an order in which every step comes after those it needs; those of `finally` come last.
    pub(crate) steps: Vec<PlanStep>,
    /// How many of the steps are not of `finally`.
    pub(crate) main: usize,
    pub(crate) output: Option<Tree>,
    pub(crate) on_failure: OnFailure,
    pub(crate) deadline: Option<Span>,
    /// Some step may mention others that are not over yet, by `join` or in `finally`.
    pub(crate) may_see_open: bool,
    /// What must be free before a run begins.
    pub(crate) lease: Option<PlanLease>,
    input: Vec<Field>,
    listed: Vec<PlannedStep>,
    triggers: Vec<PlanTrigger>,
    places: BTreeMap<Arc<str>, usize>,
}

#[derive(Debug)]
pub(crate) struct PlanStep {
    pub(crate) id: StepId,
    /// Positions in `Plan::steps`.
    pub(crate) needs: Vec<usize>,
    pub(crate) join: Join,
    pub(crate) action: Action,
    pub(crate) when: Option<Template>,
    pub(crate) for_each: Option<PlanForEach>,
    pub(crate) repeat: Option<PlanRepeat>,
    pub(crate) retry: Retry,
    pub(crate) on: OnClass,
    pub(crate) timeout: Option<Span>,
    pub(crate) approve: Option<PlanApprove>,
    pub(crate) undo: Option<PlanUndo>,
    pub(crate) schema: Option<String>,
    pub(crate) spec: Spec,
    /// Digest of the files that its answer depends on beside the request: of the agent or connector, the
    /// prompt, the template and the schema.
    pub(crate) material: Digest,
    /// What must be free before it begins.
    pub(crate) lease: Option<PlanLease>,
    /// For how long an answer to the same request will do.
    pub(crate) cache: Option<Span>,
    pub(crate) probe: Option<PlanProbe>,
}

impl PlanStep {
    /// For how long the other side remembers the idempotency key.
    pub(crate) fn window(&self) -> Option<Span> {
        self.spec.dedupe_window.filter(|_| self.spec.effect == EffectClass::Idempotent)
    }
}

#[derive(Debug)]
pub(crate) enum Action {
    Agent { agent: String, with: Tree, prompt: Option<String>, template: Option<String> },
    Call { connector: String, operation: String, with: Tree },
    Run { argv: Vec<Template>, stdin: Option<Template> },
    Set { value: Tree },
    Ask { prompt: Template, form: Vec<Field> },
    Wait { span: bool, text: Template },
    Listen { event: String, filter: Option<Template>, within: Option<Span> },
    Workflow { workflow: String, with: Tree },
}

#[derive(Debug)]
pub(crate) struct PlanForEach {
    pub(crate) list: Template,
    pub(crate) key: Option<Template>,
    pub(crate) filter: Option<Template>,
    pub(crate) max_parallel: usize,
}

#[derive(Debug)]
pub(crate) struct PlanRepeat {
    pub(crate) until: Template,
    pub(crate) max: u32,
    pub(crate) every: Option<Span>,
}

#[derive(Debug)]
pub(crate) struct PlanApprove {
    pub(crate) summary: Option<Template>,
    pub(crate) why: Option<Template>,
    pub(crate) evidence: Option<Tree>,
    pub(crate) expires: Option<Span>,
}

impl PlanApprove {
    /// What the Inbox says in a line.
    pub(crate) fn summary(&self, scope: &Value) -> Result<Option<String>, ExprError> {
        self.summary.as_ref().map(|text| text.text(scope).map(|text| brief(&text, 2_000))).transpose()
    }

    /// Why it is to be done.
    pub(crate) fn why(&self, scope: &Value) -> Result<Option<String>, ExprError> {
        self.why.as_ref().map(|text| text.text(scope).map(|text| brief(&text, 2_000))).transpose()
    }
}

/// How an effect is taken back.
#[derive(Debug)]
pub(crate) struct PlanUndo {
    pub(crate) action: Action,
    pub(crate) spec: Spec,
}

/// What the compiler made of the keys of a workflow.
pub(crate) struct Parts {
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) main: usize,
    pub(crate) output: Option<Tree>,
    pub(crate) lease: Option<PlanLease>,
    pub(crate) listed: Vec<PlannedStep>,
    pub(crate) triggers: Vec<PlanTrigger>,
}

impl Plan {
    /// Compiles `bundle` against what `catalog` offers. `file` names the definition in problems.
    ///
    /// # Errors
    /// Everything that would keep a run from being followed to its end, each with its place.
    pub fn compile(bundle: &Bundle, catalog: &Catalog, file: &str) -> Result<Self, Vec<Problem>> {
        let Parts { steps, main, output, lease, listed, triggers } = Compiler::new(bundle, catalog, file).compile()?;
        let workflow = &bundle.workflow;
        let undoes = steps.iter().any(|step| step.undo.is_some());
        let usual = if undoes { OnFailure::Undo } else { OnFailure::Continue };
        let places = steps.iter().enumerate().map(|(n, step)| (Arc::from(step.id.as_str()), n)).collect();
        Ok(Self {
            workflow: workflow.name.clone(),
            may_see_open: main < steps.len() || steps.iter().any(|step| step.join != Join::All),
            on_failure: workflow.on_failure.unwrap_or(usual),
            deadline: workflow.deadline,
            input: workflow.input.clone(),
            steps,
            main,
            output,
            lease,
            listed,
            triggers,
            places,
        })
    }

    /// The workflow's name.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The fields of the workflow's input.
    #[must_use]
    pub fn input(&self) -> &[Field] {
        &self.input
    }

    /// The steps in the order of the file, for the first event of a history; those of `finally` last.
    #[must_use]
    pub fn listed(&self) -> &[PlannedStep] {
        &self.listed
    }

    /// What starts runs by itself.
    #[must_use]
    pub fn triggers(&self) -> &[PlanTrigger] {
        &self.triggers
    }

    /// Tells whether some step waits for an event of this name.
    #[must_use]
    pub fn listens_to(&self, name: &str) -> bool {
        self.steps.iter().any(|step| matches!(&step.action, Action::Listen { event, .. } if event == name))
    }

    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}
