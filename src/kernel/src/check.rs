//! What a definition mentions must be there: agents, operations and their fields, files, names.

use std::collections::BTreeSet;

use cairn_store_layout::{
    catalog::{Spec, Takes},
    definition::{Position, Problem, Step, StepKind, nearest},
    event::GateClass,
    payload::EffectClass,
};

use crate::{compile::Compiler, expr};

/// What an expression may mention where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// The steps that come before it.
    pub(crate) earlier: &'a BTreeSet<&'a str>,
    /// Names beside `input`, `steps` and `run`.
    pub(crate) more: &'a [&'a str],
    /// It stands in `finally`, where the run's end is known.
    pub(crate) finally: bool,
}

impl Compiler<'_> {
    /// What the catalog says of a step's kind. `under`: the key it stands in, when it is not the step itself.
    pub(crate) fn spec(&mut self, step: &Step, kind: &StepKind, under: Option<&str>) -> Option<Spec> {
        let at = |key| under.unwrap_or(key);
        Some(match kind {
            StepKind::Agent { agent, .. } => {
                let Some(spec) = self.catalog.agents.get(agent) else {
                    let hint = nearest(agent, self.catalog.agents.keys().map(String::as_str))
                        .map_or_else(|| format!("write agents/{agent}.toml"), |near| format!("did you mean `{near}`?"));
                    self.problem(step, at("agent"), format!("there is no agent `{agent}`"), Some(hint));
                    return None;
                };
                spec.clone()
            }
            StepKind::Call { connector, operation, with } => {
                let Some(operations) = self.catalog.connectors.get(connector) else {
                    let hint = nearest(connector, self.catalog.connectors.keys().map(String::as_str)).map_or_else(
                        || format!("write connectors/{connector}.toml"),
                        |near| format!("did you mean `{near}`?"),
                    );
                    self.problem(step, at("call"), format!("there is no connector `{connector}`"), Some(hint));
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
                        at("call"),
                        format!("connector `{connector}` has no operation `{operation}`"),
                        Some(hint),
                    );
                    return None;
                };
                let spec = spec.clone();
                if let Some(takes) = spec.takes {
                    self.fields(step, at("with"), &format!("{connector}.{operation}"), takes, with);
                }
                spec
            }
            // nobody can tell what a program does, so it is never repeated unless the definition says it may be
            StepKind::Run { .. } => Spec::plain(EffectClass::Once, GateClass::Run),
            // the child's id derives from the attempt: starting it again finds it
            StepKind::Workflow { workflow, with } => {
                self.callee(step, workflow, with);
                Spec::plain(EffectClass::Idempotent, GateClass::Run)
            }
            _ => Spec::plain(EffectClass::None, GateClass::Data),
        })
    }

    /// The fields of a built-in operation: known and complete, so that no gate opens on what can not be done.
    fn fields(&mut self, step: &Step, key: &str, operation: &str, takes: Takes, with: &serde_json::Value) {
        let given: Vec<&str> = with.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let known: Vec<&str> = takes.required.iter().chain(takes.optional).copied().collect();
        for name in given.iter().filter(|name| !known.contains(name)) {
            let hint = nearest(name, known.iter().copied())
                .map_or_else(|| format!("it takes: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            self.problem(step, key, format!("`{operation}` takes no `{name}`"), Some(hint));
        }
        for name in takes.required.iter().filter(|name| !given.contains(name)) {
            let hint = Some(format!("add `{name} = ...` to `with` of step `{}`", step.id));
            self.problem(step, key, format!("`{operation}` needs `{name}`"), hint);
        }
    }

    /// A prompt or template: it must exist, be a template, and take only what `with` gives.
    pub(crate) fn text_file(&mut self, step: &Step, key: &str, path: &str, with: &serde_json::Value) {
        let Some(text) = self.file_of(step, key, path) else { return };
        let file = format!("{}/{path}", self.folder());
        match expr::names_of(&text) {
            Err(error) => {
                let at = error.line.map(|line| Position { line, column: 1 });
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
                        Position { line, column: 1 }
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

    pub(crate) fn schema(&mut self, step: &Step, path: &str) {
        let Some(text) = self.file_of(step, "output", path) else { return };
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let at = Position { line: small(error.line()), column: small(error.column()) };
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

    /// Every name must be one that will have a value when the step is reached.
    pub(crate) fn check_names(&mut self, at: Option<(&Step, &str)>, names: &BTreeSet<String>, sight: Sight<'_>) {
        let earlier = sight.earlier;
        let position = at.and_then(|(step, key)| step.position(key));
        for name in names {
            let mut parts = name.split('.');
            let (head, second) = (parts.next().unwrap_or_default(), parts.next());
            let fault = match (head, second) {
                ("run", Some("status" | "failure")) if sight.finally => None,
                ("run", Some(field @ ("status" | "failure"))) => {
                    Some((format!("`run.{field}` has a value only in `finally`"), None))
                }
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
                    let workflow = &self.bundle.workflow;
                    let exists = workflow.steps.iter().chain(&workflow.finally).any(|s| s.id.as_str() == id);
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
                (name, _) if sight.more.contains(&name) => None,
                ("item" | "key", _) => Some((format!("`{head}` has a value only inside a for_each step"), None)),
                ("round" | "previous", _) => {
                    Some((format!("`{head}` has a value only inside a step with `repeat`"), None))
                }
                ("output", _) => {
                    Some(("`output` has a value only in `undo` and in `until` of `repeat`".to_owned(), None))
                }
                ("event", _) => Some(("`event` has a value only in `where` of a wait for one".to_owned(), None)),
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
}
