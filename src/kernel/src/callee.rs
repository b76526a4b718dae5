//! What a step asks of others, checked when a definition is compiled: the workflows that it starts and
//! the operation that its probe calls.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    catalog::{Callee, Spec},
    definition::{Problem, Step, nearest},
    payload::EffectClass,
};
use serde_json::Value;

use crate::{
    check::Sight,
    compile::Compiler,
    probe::{NAMES, PlanProbe},
};

/// How deep runs may start runs.
pub const DEPTH_MAX: u32 = 8;

impl Compiler<'_> {
    /// The workflow that a step starts: it must be there, and be given what it takes.
    pub(crate) fn callee(&mut self, step: &Step, name: &str, with: &Value) {
        let Some(known) = &self.catalog.workflows else { return };
        let Some(callee) = known.get(name) else {
            let hint = nearest(name, known.keys().map(String::as_str)).map_or_else(
                || format!("write workflows/{name}/workflow.toml"),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no workflow `{name}` that can be used");
            return self.problem(step, "workflow", message, Some(hint));
        };
        let given: Vec<&str> = with.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let fields: Vec<&str> = callee.input.iter().map(|field| field.name.as_str()).collect();
        for wrong in given.iter().filter(|name| !fields.contains(name)) {
            let hint = nearest(wrong, fields.iter().copied()).map_or_else(
                || {
                    if fields.is_empty() {
                        "it takes no input".to_owned()
                    } else {
                        format!("it takes: {}", fields.join(", "))
                    }
                },
                |near| format!("did you mean `{near}`?"),
            );
            self.problem(step, "with", format!("workflow `{name}` has no input `{wrong}`"), Some(hint));
        }
        let needed = callee.input.iter().filter(|field| field.default.is_none() && !field.optional);
        for field in needed.filter(|field| !given.contains(&field.name.as_str())) {
            let hint = Some(format!("add `{} = ...` to `with` of step `{}`", field.name, step.id));
            self.problem(step, "with", format!("workflow `{name}` needs `{}`", field.name), hint);
        }
    }

    /// Workflows that start each other in a circle would never end.
    pub(crate) fn circle(&mut self) {
        let Some(known) = &self.catalog.workflows else { return };
        let own = Callee::of(&self.bundle.workflow);
        if own.calls.is_empty() {
            return;
        }
        let mut path = vec![self.bundle.workflow.name.clone()];
        if let Some(message) = walk(known, &own.calls, &mut path, &mut BTreeMap::new()) {
            self.problems.push(Problem::new(self.file, None, message));
        }
    }

    /// The probe of a step: its own, else that of its operation.
    pub(crate) fn probe(&mut self, step: &Step, spec: &Spec, sight: Sight<'_>) -> Option<PlanProbe> {
        let (probe, own) = match (&step.probe, &spec.probe) {
            (Some(probe), _) => (probe, true),
            (None, probe) => (probe.as_ref()?, false),
        };
        let (key, name) = (if own { "probe" } else { "call" }, format!("{}.{}", probe.connector, probe.operation));
        let found = self.catalog.connectors.get(&probe.connector).and_then(|c| c.get(&probe.operation));
        let Some(looks) = found else {
            self.problem(step, key, format!("the probe calls `{name}`, which does not exist"), None);
            return None;
        };
        if !matches!(looks.effect, EffectClass::None | EffectClass::Read) {
            let hint = Some("a probe may be asked again and again, so it must have effect = \"read\"".to_owned());
            self.problem(step, key, format!("the probe calls `{name}`, which does not only look"), hint);
            return None;
        }
        let (compiled, foreign) = self.read(Some((step, key)), PlanProbe::compile(probe, looks.pin.clone()))?;
        let foreign: BTreeSet<String> = foreign.into_iter().collect();
        if own && !foreign.iter().any(|name| name.split('.').next() == Some("output")) {
            self.check_names(Some((step, key)), &foreign, sight);
        } else if let Some(name) = foreign.first() {
            let hint =
                Some(format!("a probe may use {}; `output` is there only once it has come back", NAMES.join(", ")));
            self.problem(step, key, format!("`{name}` has no value in the probe `{}`", probe.operation), hint);
        }
        Some(compiled)
    }
}

/// Follows who starts whom; says what is wrong with the first path that is too long or comes back.
fn walk(
    known: &BTreeMap<String, Callee>,
    calls: &BTreeSet<String>,
    path: &mut Vec<String>,
    seen: &mut BTreeMap<String, usize>,
) -> Option<String> {
    for name in calls {
        if let Some(start) = path.iter().position(|p| p == name) {
            let circle: Vec<&str> = path[start..].iter().chain([name]).map(String::as_str).collect();
            return Some(format!("workflows start each other in a circle: {}", circle.join(" -> ")));
        }
        // what was sound from this deep is sound from here
        if seen.get(name).is_some_and(|deep| path.len() <= *deep) {
            continue;
        }
        path.push(name.clone());
        if path.len() > DEPTH_MAX as usize + 1 {
            return Some(format!("workflows start each other more than {DEPTH_MAX} deep: {}", path.join(" -> ")));
        }
        if let Some(callee) = known.get(name) {
            let wrong = walk(known, &callee.calls, path, seen);
            if wrong.is_some() {
                return wrong;
            }
        }
        path.pop();
        seen.insert(name.clone(), path.len());
    }
    None
}
