//! A definition compiled: steps in an order that can be followed, every expression read and checked.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    Digest, StepId, canonical,
    catalog::{Catalog, Spec, Takes},
    definition::{ApproveWhen, Bundle, Field, Problem, Retry, Step, StepKind, Wait, nearest},
    event::{GateClass, PlannedStep},
    payload::EffectClass,
    time::Span,
};

use crate::{
    expr::{self, ExprError, Template},
    tree::Tree,
    trigger::{self, PlanTrigger},
};

/// What a run follows.
#[derive(Debug)]
pub struct Plan {
    pub(crate) workflow: String,
    /// In an order in which every step comes after those it needs.
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) output: Option<Tree>,
    input: Vec<Field>,
    listed: Vec<PlannedStep>,
    triggers: Vec<PlanTrigger>,
}

#[derive(Debug)]
pub(crate) struct PlanStep {
    pub(crate) id: StepId,
    /// Positions in `Plan::steps`.
    pub(crate) needs: Vec<usize>,
    pub(crate) action: Action,
    pub(crate) when: Option<Template>,
    pub(crate) for_each: Option<PlanForEach>,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<Span>,
    pub(crate) approve: Option<PlanApprove>,
    pub(crate) schema: Option<String>,
    pub(crate) spec: Spec,
    /// Digest of the files that its answer depends on beside the request: of the agent or connector, the
    /// prompt, the template and the schema.
    pub(crate) material: Digest,
}

#[derive(Debug)]
pub(crate) enum Action {
    Agent { agent: String, with: Tree, prompt: Option<String>, template: Option<String> },
    Call { connector: String, operation: String, with: Tree },
    Run { argv: Vec<Template>, stdin: Option<Template> },
    Set { value: Tree },
    Ask { prompt: Template, form: Vec<Field> },
    Wait { span: bool, text: Template },
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
pub(crate) struct PlanApprove {
    pub(crate) summary: Option<Template>,
    pub(crate) why: Option<Template>,
    pub(crate) evidence: Option<Tree>,
    pub(crate) expires: Option<Span>,
}

impl Plan {
    /// Compiles `bundle` against what `catalog` offers. `file` names the definition in problems.
    ///
    /// # Errors
    /// Everything that would keep a run from being followed to its end, each with its place.
    pub fn compile(bundle: &Bundle, catalog: &Catalog, file: &str) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler { bundle, catalog, file, problems: Vec::new() };
        let plan = compiler.plan();
        match plan {
            Some(plan) if compiler.problems.is_empty() => Ok(plan),
            _ => Err(compiler.problems),
        }
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

    /// The steps in the order of the file, for the first event of a history.
    #[must_use]
    pub fn listed(&self) -> &[PlannedStep] {
        &self.listed
    }

    /// What starts runs by itself.
    #[must_use]
    pub fn triggers(&self) -> &[PlanTrigger] {
        &self.triggers
    }
}

struct Compiler<'a> {
    bundle: &'a Bundle,
    catalog: &'a Catalog,
    file: &'a str,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn plan(&mut self) -> Option<Plan> {
        let workflow = &self.bundle.workflow;
        let order = self.order(&workflow.steps)?;
        let mut place: BTreeMap<&StepId, usize> = BTreeMap::new();
        // everything that comes before a step by its needs, so that what it mentions can be checked
        let mut before: BTreeMap<&StepId, BTreeSet<&str>> = BTreeMap::new();
        let mut steps = Vec::new();
        for index in order {
            let step = &workflow.steps[index];
            let mut earlier: BTreeSet<&str> = step.needs.iter().map(StepId::as_str).collect();
            for need in &step.needs {
                earlier.extend(before.get(need).into_iter().flatten());
            }
            let needs = step.needs.iter().filter_map(|n| place.get(n).copied()).collect();
            let compiled = self.step(step, needs, &earlier);
            before.insert(&step.id, earlier);
            place.insert(&step.id, steps.len());
            steps.push(compiled);
        }
        let all: BTreeSet<&str> = workflow.steps.iter().map(|s| s.id.as_str()).collect();
        let output = workflow.output.as_ref().and_then(|value| {
            let tree = self.read(None, Tree::parse(value))?;
            self.check_names(None, &tree.names(), &all, false);
            Some(tree)
        });
        let steps: Option<Vec<PlanStep>> = steps.into_iter().collect();
        let listed = workflow.steps.iter().map(planned).collect();
        let triggers = trigger::compile(workflow, self.file, &mut self.problems);
        let (workflow, input) = (workflow.name.clone(), workflow.input.clone());
        Some(Plan { workflow, steps: steps?, output, input, listed, triggers })
    }

    /// Positions of the steps so that needs come first; the order of the file otherwise.
    fn order(&mut self, steps: &[Step]) -> Option<Vec<usize>> {
        let known: BTreeMap<&StepId, usize> = steps.iter().enumerate().map(|(i, s)| (&s.id, i)).collect();
        let mut sound = true;
        for step in steps {
            for need in &step.needs {
                if !known.contains_key(need) {
                    sound = false;
                    let hint = nearest(need.as_str(), known.keys().map(|k| k.as_str()))
                        .map(|near| format!("did you mean `{near}`?"));
                    self.problem(
                        step,
                        "needs",
                        format!("step `{}` needs `{need}`, which is no step here", step.id),
                        hint,
                    );
                }
            }
        }
        if !sound {
            return None;
        }
        let mut order = Vec::new();
        let mut done = BTreeSet::new();
        while order.len() < steps.len() {
            let ready = (0..steps.len()).find(|i| {
                !done.contains(i) && steps[*i].needs.iter().all(|n| known.get(n).is_some_and(|k| done.contains(k)))
            });
            match ready {
                Some(index) => {
                    done.insert(index);
                    order.push(index);
                }
                None => {
                    let cycle = cycle(steps, &known, &done);
                    let first = &steps[cycle[0]];
                    let names: Vec<&str> = cycle.iter().chain(&cycle[..1]).map(|i| steps[*i].id.as_str()).collect();
                    self.problem(
                        first,
                        "needs",
                        format!("the steps wait for each other: {}", names.join(" -> ")),
                        Some("remove one of these needs".to_owned()),
                    );
                    return None;
                }
            }
        }
        Some(order)
    }

    fn step(&mut self, step: &Step, needs: Vec<usize>, earlier: &BTreeSet<&str>) -> Option<PlanStep> {
        let in_list = step.for_each.is_some();
        let when = self.template(step, "if", step.when.as_deref(), earlier, in_list);
        let for_each = step.for_each.as_ref().and_then(|f| {
            Some(PlanForEach {
                list: self.template(step, "for_each", Some(&f.list), earlier, false)?,
                key: self.template(step, "for_each", f.key.as_deref(), earlier, true),
                filter: self.template(step, "for_each", f.filter.as_deref(), earlier, true),
                max_parallel: f.max_parallel as usize,
            })
        });
        let approve = step.approve.as_ref().filter(|a| a.when == ApproveWhen::Always).map(|a| PlanApprove {
            summary: self.template(step, "approve", a.summary.as_deref(), earlier, in_list),
            why: self.template(step, "approve", a.why.as_deref(), earlier, in_list),
            evidence: a.evidence.as_ref().and_then(|e| self.tree(step, "approve", e, earlier, in_list)),
            expires: a.expires,
        });
        if let Some(path) = &step.schema {
            self.schema(step, path);
        }
        let spec = self.spec(step);
        if let (Some(takes), StepKind::Call { connector, operation, with }) =
            (spec.as_ref().and_then(|s| s.takes), &step.kind)
        {
            self.fields(step, &format!("{connector}.{operation}"), takes, with);
        }
        let material = self.material(step, spec.as_ref());
        let action = self.action(step, earlier, in_list);
        if in_list && for_each.is_none() {
            return None;
        }
        Some(PlanStep {
            id: step.id.clone(),
            needs,
            action: action?,
            when,
            for_each,
            retry: step.retry.clone(),
            timeout: step.timeout,
            approve,
            schema: step.schema.clone(),
            spec: spec?,
            material,
        })
    }

    fn action(&mut self, step: &Step, earlier: &BTreeSet<&str>, in_list: bool) -> Option<Action> {
        Some(match &step.kind {
            StepKind::Agent { agent, with, prompt, template } => {
                let tree = self.tree(step, "with", with, earlier, in_list);
                for (key, path) in [("prompt", prompt), ("template", template)] {
                    if let Some(path) = path {
                        self.text_file(step, key, path, with);
                    }
                }
                Action::Agent { agent: agent.clone(), with: tree?, prompt: prompt.clone(), template: template.clone() }
            }
            StepKind::Call { connector, operation, with } => Action::Call {
                connector: connector.clone(),
                operation: operation.clone(),
                with: self.tree(step, "with", with, earlier, in_list)?,
            },
            StepKind::Run { argv, stdin } => Action::Run {
                argv: argv
                    .iter()
                    .map(|a| self.template(step, "run", Some(a), earlier, in_list))
                    .collect::<Option<Vec<_>>>()?,
                stdin: self.template(step, "stdin", stdin.as_deref(), earlier, in_list),
            },
            StepKind::Set { value } => Action::Set { value: self.tree(step, "set", value, earlier, in_list)? },
            StepKind::Ask { prompt, form } => {
                if form.is_empty() {
                    let hint = Some("add form = [{ name = \"answer\" }]".to_owned());
                    self.problem(step, "ask", format!("step `{}` asks but has no form", step.id), hint);
                }
                Action::Ask { prompt: self.template(step, "ask", Some(prompt), earlier, in_list)?, form: form.clone() }
            }
            StepKind::Workflow { workflow, with } => {
                Action::Workflow { workflow: workflow.clone(), with: self.tree(step, "with", with, earlier, in_list)? }
            }
            StepKind::Wait(wait) => {
                let (span, text) = match wait {
                    Wait::Event { .. } => {
                        self.problem(step, "wait", "waiting for an event is not possible yet".to_owned(), None);
                        return None;
                    }
                    Wait::For(text) => (true, text),
                    Wait::Until(text) => (false, text),
                };
                let template = self.template(step, "wait", Some(text), earlier, in_list)?;
                if let Template::Plain(plain) = &template {
                    let checked =
                        if span { Span::parse(plain).map(drop) } else { crate::advance::moment(plain).map(drop) };
                    if let Err(why) = checked {
                        self.problem(step, "wait", why, None);
                    }
                }
                Action::Wait { span, text: template }
            }
        })
    }

    fn material(&self, step: &Step, spec: Option<&Spec>) -> Digest {
        let (prompt, template) = match &step.kind {
            StepKind::Agent { prompt, template, .. } => (prompt.as_ref(), template.as_ref()),
            _ => (None, None),
        };
        let text = |path: Option<&String>| path.and_then(|path| self.bundle.files.get(path));
        canonical::digest(&serde_json::json!({
            "pin": spec.and_then(|s| s.pin.as_ref()), "prompt": text(prompt), "template": text(template),
            "schema": text(step.schema.as_ref()),
        }))
    }

    fn spec(&mut self, step: &Step) -> Option<Spec> {
        let found = match &step.kind {
            StepKind::Agent { agent, .. } => {
                let Some(spec) = self.catalog.agents.get(agent) else {
                    let hint = nearest(agent, self.catalog.agents.keys().map(String::as_str))
                        .map_or_else(|| format!("write agents/{agent}.toml"), |near| format!("did you mean `{near}`?"));
                    self.problem(step, "agent", format!("there is no agent `{agent}`"), Some(hint));
                    return None;
                };
                spec.clone()
            }
            StepKind::Call { connector, operation, .. } => {
                let Some(operations) = self.catalog.connectors.get(connector) else {
                    let hint = nearest(connector, self.catalog.connectors.keys().map(String::as_str)).map_or_else(
                        || format!("write connectors/{connector}.toml"),
                        |near| format!("did you mean `{near}`?"),
                    );
                    self.problem(step, "call", format!("there is no connector `{connector}`"), Some(hint));
                    return None;
                };
                let Some(spec) = operations.get(operation) else {
                    let known: Vec<&str> = operations.keys().map(String::as_str).collect();
                    let hint = nearest(operation, known.iter().copied()).map_or_else(
                        || format!("it has: {}", known.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    self.problem(
                        step,
                        "call",
                        format!("connector `{connector}` has no operation `{operation}`"),
                        Some(hint),
                    );
                    return None;
                };
                spec.clone()
            }
            // nobody can tell what a program does, so it is never repeated unless the definition says it may be
            StepKind::Run { .. } => {
                Spec { effect: EffectClass::Once, class: GateClass::Run, pin: None, adds: BTreeMap::new(), takes: None }
            }
            _ => Spec {
                effect: EffectClass::None,
                class: GateClass::Data,
                pin: None,
                adds: BTreeMap::new(),
                takes: None,
            },
        };
        Some(Spec { effect: step.effect.unwrap_or(found.effect), ..found })
    }

    /// The fields of a built-in operation: known and complete, so that no gate opens on what can not be done.
    fn fields(&mut self, step: &Step, operation: &str, takes: Takes, with: &serde_json::Value) {
        let given: Vec<&str> = with.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let known: Vec<&str> = takes.required.iter().chain(takes.optional).copied().collect();
        for name in given.iter().filter(|name| !known.contains(name)) {
            let hint = nearest(name, known.iter().copied())
                .map_or_else(|| format!("it takes: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            self.problem(step, "with", format!("`{operation}` takes no `{name}`"), Some(hint));
        }
        for name in takes.required.iter().filter(|name| !given.contains(name)) {
            let hint = Some(format!("add `{name} = ...` to `with` of step `{}`", step.id));
            self.problem(step, "with", format!("`{operation}` needs `{name}`"), hint);
        }
    }

    /// A prompt or template: it must exist, be a template, and take only what `with` gives.
    fn text_file(&mut self, step: &Step, key: &str, path: &str, with: &serde_json::Value) {
        let Some(text) = self.file_of(step, key, path) else { return };
        let file = format!("{}/{path}", self.folder());
        match expr::names_of(&text) {
            Err(error) => {
                let at = error.line.map(|line| cairn_store_layout::definition::Position { line, column: 1 });
                self.problems.push(Problem::new(file, at, error.message));
            }
            Ok(names) => {
                let given: Vec<&str> = with.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
                for name in names {
                    if given.contains(&name.as_str())
                        || ["range", "dict", "days_between", "add_days"].contains(&name.as_str())
                    {
                        continue;
                    }
                    let line = text.lines().position(|l| l.contains(name.as_str())).map(|n| {
                        let line = u32::try_from(n + 1).unwrap_or(u32::MAX);
                        cairn_store_layout::definition::Position { line, column: 1 }
                    });
                    let hint = nearest(&name, given.iter().copied()).map_or_else(
                        || format!("add `{name} = ...` to `with` of step `{}`", step.id),
                        |near| format!("did you mean `{near}`? `with` of step `{}` has: {}", step.id, given.join(", ")),
                    );
                    let message = format!("`{name}` has no value: step `{}` does not give it", step.id);
                    self.problems.push(Problem::new(file.clone(), line, message).hint(hint));
                }
            }
        }
    }

    fn schema(&mut self, step: &Step, path: &str) {
        let Some(text) = self.file_of(step, "output", path) else { return };
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let at =
                cairn_store_layout::definition::Position { line: small(error.line()), column: small(error.column()) };
            let file = format!("{}/{path}", self.folder());
            self.problems.push(Problem::new(file, Some(at), format!("not JSON: {error}")));
        }
    }

    fn file_of(&mut self, step: &Step, key: &str, path: &str) -> Option<String> {
        if let Some(text) = self.bundle.files.get(path) {
            return Some(text.clone());
        }
        let hint = nearest(path, self.bundle.files.keys().map(String::as_str))
            .map_or_else(|| format!("write {}/{path}", self.folder()), |near| format!("did you mean `{near}`?"));
        self.problem(step, key, format!("there is no file `{path}` in the workflow's folder"), Some(hint));
        None
    }

    fn folder(&self) -> String {
        cairn_store_layout::paths::workflow_dir(&self.bundle.workflow.name)
    }

    fn template(
        &mut self,
        step: &Step,
        key: &str,
        text: Option<&str>,
        earlier: &BTreeSet<&str>,
        in_list: bool,
    ) -> Option<Template> {
        let template = self.read(Some((step, key)), Template::parse(text?))?;
        self.check_names(Some((step, key)), &template.names(), earlier, in_list);
        Some(template)
    }

    fn tree(
        &mut self,
        step: &Step,
        key: &str,
        value: &serde_json::Value,
        earlier: &BTreeSet<&str>,
        in_list: bool,
    ) -> Option<Tree> {
        let tree = self.read(Some((step, key)), Tree::parse(value))?;
        self.check_names(Some((step, key)), &tree.names(), earlier, in_list);
        Some(tree)
    }

    fn read<T>(&mut self, at: Option<(&Step, &str)>, result: Result<T, ExprError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let position = at.and_then(|(step, key)| step.position(key));
                self.problems.push(Problem::new(self.file, position, error.message));
                None
            }
        }
    }

    /// Every name must be one that will have a value when the step is reached.
    fn check_names(
        &mut self,
        at: Option<(&Step, &str)>,
        names: &BTreeSet<String>,
        earlier: &BTreeSet<&str>,
        in_list: bool,
    ) {
        let position = at.and_then(|(step, key)| step.position(key));
        for name in names {
            let mut parts = name.split('.');
            let (head, second) = (parts.next().unwrap_or_default(), parts.next());
            let fault = match (head, second) {
                ("run", Some(field)) if !["id", "date", "workflow"].contains(&field) => {
                    Some((format!("`run.{field}` is unknown"), Some("run has: id, date, workflow".to_owned())))
                }
                ("input", Some(field)) => {
                    let fields: Vec<&str> = self.bundle.workflow.input.iter().map(|f| f.name.as_str()).collect();
                    (!fields.contains(&field)).then(|| {
                        let hint = nearest(field, fields.iter().copied()).map_or_else(
                            || "declare it with [[input]]".to_owned(),
                            |near| format!("did you mean `{near}`?"),
                        );
                        (format!("the workflow has no input `{field}`"), Some(hint))
                    })
                }
                ("steps", Some(id)) => (!earlier.contains(id)).then(|| {
                    let exists = self.bundle.workflow.steps.iter().any(|s| s.id.as_str() == id);
                    let hint = if exists {
                        Some(format!("add \"{id}\" to `needs`"))
                    } else {
                        nearest(id, earlier.iter().copied()).map(|near| format!("did you mean `steps.{near}`?"))
                    };
                    let message = if exists {
                        format!("`steps.{id}` is used, but the step does not need `{id}`")
                    } else {
                        format!("there is no step `{id}`")
                    };
                    (message, hint)
                }),
                ("run" | "input" | "steps" | "range" | "dict" | "days_between" | "add_days", _) => None,
                ("item" | "key", _) if in_list => None,
                ("item" | "key", _) => Some((format!("`{head}` has a value only inside a for_each step"), None)),
                _ => {
                    let scope = ["input", "steps", "run", "item", "key"];
                    let hint = nearest(head, scope).map_or_else(
                        || format!("known names: {}", scope.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    Some((format!("the name `{head}` is unknown"), Some(hint)))
                }
            };
            if let Some((message, hint)) = fault {
                let mut problem = Problem::new(self.file, position, message);
                problem.hint = hint;
                self.problems.push(problem);
            }
        }
    }

    fn problem(&mut self, step: &Step, key: &str, message: String, hint: Option<String>) {
        let mut problem = Problem::new(self.file, step.position(key), message);
        problem.hint = hint;
        self.problems.push(problem);
    }
}

/// One cycle among the steps that are not `done`, by position.
fn cycle(steps: &[Step], known: &BTreeMap<&StepId, usize>, done: &BTreeSet<usize>) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..steps.len()).find(|i| !done.contains(i)).unwrap_or(0);
    loop {
        if let Some(start) = path.iter().position(|p| *p == at) {
            return path.split_off(start);
        }
        path.push(at);
        // every step that is left has a need that is left, or it would have been ready
        let next = steps[at].needs.iter().filter_map(|n| known.get(n)).find(|n| !done.contains(n));
        match next {
            Some(next) => at = *next,
            None => return vec![at],
        }
    }
}

fn planned(step: &Step) -> PlannedStep {
    let what = match &step.kind {
        StepKind::Agent { agent, .. } => Some(agent.clone()),
        StepKind::Call { connector, operation, .. } => Some(format!("{connector}.{operation}")),
        StepKind::Run { argv, .. } => argv.first().cloned(),
        _ => None,
    };
    PlannedStep { id: step.id.clone(), does: step.kind.word().to_owned(), what, needs: step.needs.clone() }
}
