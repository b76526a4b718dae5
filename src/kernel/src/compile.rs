//! From a definition as read to steps in an order that can be followed, with every expression read.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    Digest, StepId, canonical,
    catalog::{Catalog, Spec},
    definition::{Approve, ApproveWhen, Bundle, Join, Problem, Step, StepKind, Undo, Wait, nearest},
    event::PlannedStep,
    payload::EffectClass,
    time::Span,
};

use crate::{
    check::Sight,
    expr::{ExprError, Template},
    lease::PlanLease,
    plan::{Action, Parts, PlanApprove, PlanForEach, PlanRepeat, PlanStep, PlanUndo},
    tree::Tree,
    trigger,
};

/// Reads one definition and gathers what is wrong with it.
pub(crate) struct Compiler<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) catalog: &'a Catalog,
    pub(crate) file: &'a str,
    pub(crate) problems: Vec<Problem>,
}

/// The steps compiled so far.
#[derive(Default)]
struct Compiled<'a> {
    steps: Vec<Option<PlanStep>>,
    place: BTreeMap<&'a StepId, usize>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(bundle: &'a Bundle, catalog: &'a Catalog, file: &'a str) -> Self {
        Self { bundle, catalog, file, problems: Vec::new() }
    }

    pub(crate) fn compile(mut self) -> Result<Parts, Vec<Problem>> {
        match self.parts() {
            Some(parts) if self.problems.is_empty() => Ok(parts),
            _ => Err(self.problems),
        }
    }

    fn parts(&mut self) -> Option<Parts> {
        let workflow = &self.bundle.workflow;
        let mut compiled = Compiled::default();
        let main: BTreeSet<&str> = workflow.steps.iter().map(|s| s.id.as_str()).collect();
        self.list(&workflow.steps, None, &mut compiled)?;
        self.list(&workflow.finally, Some(&main), &mut compiled)?;
        let output = workflow.output.as_ref().and_then(|value| {
            let tree = self.read(None, Tree::parse(value))?;
            let sight = Sight { earlier: &main, more: &[], finally: false };
            self.check_names(None, &tree.names(), sight);
            Some(tree)
        });
        let steps: Option<Vec<PlanStep>> = compiled.steps.into_iter().collect();
        let listed = workflow.steps.iter().map(|s| planned(s, false));
        let listed = listed.chain(workflow.finally.iter().map(|s| planned(s, true))).collect();
        let triggers = trigger::compile(workflow, self.file, &mut self.problems);
        let lease = PlanLease::compile(workflow.name.clone(), workflow.concurrency.as_ref(), None, |_, key| {
            let template = self.read(None, Template::parse(key))?;
            let sight = Sight { earlier: &BTreeSet::new(), more: &[], finally: false };
            self.check_names(None, &template.names(), sight);
            Some(template)
        });
        self.circle();
        Some(Parts { steps: steps?, main: workflow.steps.len(), output, lease, listed, triggers })
    }

    /// Compiles the main steps, or those of `finally`, which may mention every one of `main`.
    fn list(&mut self, steps: &'a [Step], main: Option<&BTreeSet<&'a str>>, compiled: &mut Compiled<'a>) -> Option<()> {
        // everything that comes before a step by its needs, so that what it mentions can be checked
        let mut before: BTreeMap<&StepId, BTreeSet<&str>> = BTreeMap::new();
        for index in self.order(steps, main.is_some())? {
            let step = &steps[index];
            let mut earlier: BTreeSet<&str> = step.needs.iter().map(StepId::as_str).collect();
            earlier.extend(main.into_iter().flatten());
            for need in &step.needs {
                earlier.extend(before.get(need).into_iter().flatten());
            }
            let needs = step.needs.iter().filter_map(|n| compiled.place.get(n).copied()).collect();
            let done = self.step(step, needs, &earlier, main.is_some());
            before.insert(&step.id, earlier);
            compiled.place.insert(&step.id, compiled.steps.len());
            compiled.steps.push(done);
        }
        Some(())
    }

    /// Positions of the steps so that needs come first; the order of the file otherwise.
    fn order(&mut self, steps: &[Step], finally: bool) -> Option<Vec<usize>> {
        let known: BTreeMap<&StepId, usize> = steps.iter().enumerate().map(|(i, s)| (&s.id, i)).collect();
        let mut sound = true;
        for step in steps {
            for need in step.needs.iter().filter(|need| !known.contains_key(need)) {
                sound = false;
                let (message, hint) = self.no_such_need(step, need, &known, finally);
                self.problem(step, "needs", message, hint);
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

    fn no_such_need(
        &self,
        step: &Step,
        need: &StepId,
        known: &BTreeMap<&StepId, usize>,
        finally: bool,
    ) -> (String, Option<String>) {
        let workflow = &self.bundle.workflow;
        let elsewhere = if finally { &workflow.steps } else { &workflow.finally };
        if elsewhere.iter().any(|other| other.id == *need) {
            let (message, hint) = if finally {
                ("is not of `finally`", "steps of `finally` begin when all others are over: leave this need out")
            } else {
                ("is of `finally`", "nothing can follow `finally` but another step of it")
            };
            return (format!("step `{}` needs `{need}`, which {message}", step.id), Some(hint.to_owned()));
        }
        let hint =
            nearest(need.as_str(), known.keys().map(|k| k.as_str())).map(|near| format!("did you mean `{near}`?"));
        (format!("step `{}` needs `{need}`, which is no step here", step.id), hint)
    }

    fn step(&mut self, step: &Step, needs: Vec<usize>, earlier: &BTreeSet<&str>, finally: bool) -> Option<PlanStep> {
        let mut more = Vec::new();
        let plain = Sight { earlier, more: &[], finally };
        if step.for_each.is_some() {
            more.extend(["item", "key"]);
        }
        let each = Sight { earlier, more: &more.clone(), finally };
        if step.repeat.is_some() {
            more.extend(["round", "previous"]);
        }
        let sight = Sight { earlier, more: &more, finally };
        if step.join != Join::All && step.needs.is_empty() {
            let hint = Some("add `needs`, or leave `join` out".to_owned());
            self.problem(step, "join", format!("step `{}` joins nothing: it has no `needs`", step.id), hint);
        }
        if finally && step.undo.is_some() {
            let message = "`undo` has no meaning in `finally`: nothing is taken back after it".to_owned();
            self.problem(step, "undo", message, None);
        }
        let when = self.template(step, "if", step.when.as_deref(), sight);
        let for_each = step.for_each.as_ref().and_then(|f| {
            Some(PlanForEach {
                list: self.template(step, "for_each", Some(&f.list), plain)?,
                key: self.template(step, "for_each", f.key.as_deref(), each),
                filter: self.template(step, "for_each", f.filter.as_deref(), each),
                max_parallel: f.max_parallel as usize,
            })
        });
        let repeat = step.repeat.as_ref().and_then(|r| {
            let inside: Vec<&str> = more.iter().copied().chain(["output"]).collect();
            let sight = Sight { earlier, more: &inside, finally };
            Some(PlanRepeat {
                until: self.template(step, "repeat", Some(&r.until), sight)?,
                max: r.max,
                every: r.every,
            })
        });
        let approve = step.approve.as_ref().filter(|a| a.when == ApproveWhen::Always);
        let approve = approve.map(|a| self.approve(step, a, sight));
        let undo = step.undo.as_ref().and_then(|undo| self.undo(step, undo, earlier));
        if let Some(path) = &step.schema {
            self.schema(step, path);
        }
        let spec = self.spec(step, &step.kind, None);
        let material = self.material(step, spec.as_ref());
        let action = self.action(step, &step.kind, None, sight);
        if step.for_each.is_some() && for_each.is_none()
            || step.repeat.is_some() && repeat.is_none()
            || step.undo.is_some() && undo.is_none()
        {
            return None;
        }
        let mut spec = spec?;
        spec.effect = step.effect.unwrap_or(spec.effect);
        if step.cache.is_some() && !matches!(spec.effect, EffectClass::None | EffectClass::Read) {
            let message = format!("step `{}` changes something, so an earlier answer can not stand for it", step.id);
            self.problem(step, "cache", message, Some("`cache` is for effects of class none and read".to_owned()));
        }
        let probe = self.probe(step, &spec, sight);
        let usual = format!("{}/{}", self.bundle.workflow.name, step.id);
        let lease = PlanLease::compile(usual, step.concurrency.as_ref(), step.rate.as_ref(), |key, text| {
            self.template(step, key, Some(text), each)
        });
        Some(PlanStep {
            id: step.id.clone(),
            needs,
            join: step.join,
            action: action?,
            when,
            for_each,
            repeat,
            retry: step.retry.clone(),
            on: step.on,
            timeout: step.timeout,
            approve,
            undo,
            schema: step.schema.clone(),
            spec,
            material,
            lease,
            cache: step.cache,
            probe,
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

    fn approve(&mut self, step: &Step, approve: &Approve, sight: Sight<'_>) -> PlanApprove {
        PlanApprove {
            summary: self.template(step, "approve", approve.summary.as_deref(), sight),
            why: self.template(step, "approve", approve.why.as_deref(), sight),
            evidence: approve.evidence.as_ref().and_then(|e| self.tree(step, "approve", e, sight)),
            expires: approve.expires,
        }
    }

    fn undo(&mut self, step: &Step, undo: &Undo, earlier: &BTreeSet<&str>) -> Option<PlanUndo> {
        let more: &[&str] = if step.for_each.is_some() { &["output", "item", "key"] } else { &["output"] };
        let sight = Sight { earlier, more, finally: false };
        let spec = self.spec(step, &undo.kind, Some("undo"));
        let action = self.action(step, &undo.kind, Some("undo"), sight);
        Some(PlanUndo { action: action?, spec: spec? })
    }

    /// What a step, or its `undo`, does. `under`: the key it stands in, when it is not the step itself.
    fn action(&mut self, step: &Step, kind: &StepKind, under: Option<&str>, sight: Sight<'_>) -> Option<Action> {
        let at = |key| under.unwrap_or(key);
        Some(match kind {
            StepKind::Agent { agent, with, prompt, template } => {
                let tree = self.tree(step, at("with"), with, sight);
                for (key, path) in [("prompt", prompt), ("template", template)] {
                    if let Some(path) = path {
                        self.text_file(step, at(key), path, with);
                    }
                }
                Action::Agent { agent: agent.clone(), with: tree?, prompt: prompt.clone(), template: template.clone() }
            }
            StepKind::Call { connector, operation, with } => Action::Call {
                connector: connector.clone(),
                operation: operation.clone(),
                with: self.tree(step, at("with"), with, sight)?,
            },
            StepKind::Run { argv, stdin } => Action::Run {
                argv: argv
                    .iter()
                    .map(|a| self.template(step, at("run"), Some(a), sight))
                    .collect::<Option<Vec<_>>>()?,
                stdin: self.template(step, at("stdin"), stdin.as_deref(), sight),
            },
            StepKind::Set { value } => Action::Set { value: self.tree(step, "set", value, sight)? },
            StepKind::Ask { prompt, form } => {
                if form.is_empty() {
                    let hint = Some("add form = [{ name = \"answer\" }]".to_owned());
                    self.problem(step, "ask", format!("step `{}` asks but has no form", step.id), hint);
                }
                Action::Ask { prompt: self.template(step, "ask", Some(prompt), sight)?, form: form.clone() }
            }
            StepKind::Workflow { workflow, with } => {
                Action::Workflow { workflow: workflow.clone(), with: self.tree(step, "with", with, sight)? }
            }
            StepKind::Wait(wait) => self.wait(step, wait, sight)?,
        })
    }

    fn wait(&mut self, step: &Step, wait: &Wait, sight: Sight<'_>) -> Option<Action> {
        let (span, text) = match wait {
            Wait::Event { event, filter, within } => {
                if event.is_empty() || event.len() > 200 || event.contains("{{") || event.contains('\n') {
                    let message = format!("`{event}` can not name an event: 1 to 200 characters, no expression");
                    self.problem(step, "wait", message, None);
                }
                let inside: Vec<&str> = sight.more.iter().copied().chain(["event"]).collect();
                let sight = Sight { more: &inside, ..sight };
                let filter = self.template(step, "wait", filter.as_deref(), sight);
                return Some(Action::Listen { event: event.clone(), filter, within: *within });
            }
            Wait::For(text) => (true, text),
            Wait::Until(text) => (false, text),
        };
        let template = self.template(step, "wait", Some(text), sight)?;
        if let Template::Plain(plain) = &template {
            let checked = if span { Span::parse(plain).map(drop) } else { crate::advance::moment(plain).map(drop) };
            if let Err(why) = checked {
                self.problem(step, "wait", why, None);
            }
        }
        Some(Action::Wait { span, text: template })
    }

    pub(crate) fn template(
        &mut self,
        step: &Step,
        key: &str,
        text: Option<&str>,
        sight: Sight<'_>,
    ) -> Option<Template> {
        let template = self.read(Some((step, key)), Template::parse(text?))?;
        self.check_names(Some((step, key)), &template.names(), sight);
        Some(template)
    }

    pub(crate) fn tree(&mut self, step: &Step, key: &str, value: &serde_json::Value, sight: Sight<'_>) -> Option<Tree> {
        let tree = self.read(Some((step, key)), Tree::parse(value))?;
        self.check_names(Some((step, key)), &tree.names(), sight);
        Some(tree)
    }

    pub(crate) fn read<T>(&mut self, at: Option<(&Step, &str)>, result: Result<T, ExprError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let position = at.and_then(|(step, key)| step.position(key));
                self.problems.push(Problem::new(self.file, position, error.message));
                None
            }
        }
    }

    pub(crate) fn problem(&mut self, step: &Step, key: &str, message: String, hint: Option<String>) {
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

fn planned(step: &Step, finally: bool) -> PlannedStep {
    let what = match &step.kind {
        StepKind::Agent { agent, .. } => Some(agent.clone()),
        StepKind::Call { connector, operation, .. } => Some(format!("{connector}.{operation}")),
        StepKind::Run { argv, .. } => argv.first().cloned(),
        StepKind::Workflow { workflow, .. } => Some(workflow.clone()),
        StepKind::Wait(Wait::Event { event, .. }) => Some(event.clone()),
        _ => None,
    };
    PlannedStep { id: step.id.clone(), does: step.kind.word().to_owned(), what, needs: step.needs.clone(), finally }
}
