//! A run compared with what another version of its definition would make of it: for `replay --on` and
//! `migrate`. Reads histories and git; asks nothing of the world.

use std::sync::Arc;

use cairn_kernel::{Comparison, StepDiff, Verdict, compare};
use cairn_store_layout::{event::Event, paths};
use serde_json::{Value, json};

use super::again::bad_past;
use crate::{
    cli::{
        failure::{Failure, exit},
        screen::Screen,
    },
    store::{
        definitions::{self, Pinned, Pins},
        past::{self, Loader},
        reader::Reader,
    },
};

/// The most lines of a table; what is the same is counted beyond it.
const LISTED_MAX: usize = 60;

/// Another version of a definition.
pub(super) struct Target {
    /// Its git tree id, or the folder.
    pub(super) name: String,
    pins: Option<Pins>,
    plan: Arc<cairn_kernel::Plan>,
}

impl Target {
    /// The version that `text` names: `latest`, a git tree id, or the folder of a workflow in this store.
    pub(super) fn find(reader: &Reader, loader: &mut Loader, workflow: &str, text: &str) -> Result<Self, Failure> {
        let bad = |why: String| {
            Failure::new("bad_definition", exit::REFUSED, format!("`{text}` is no version of {workflow} that can be used"))
                .why(why)
                .fix("name `latest`, a git tree id (git log --format=%T, or `definition` in cairn run show --json), or a folder")
        };
        let folder = std::path::Path::new(text);
        if text != "latest" && folder.is_dir() {
            let here = reader.store().path(&paths::workflow_dir(workflow));
            if folder.canonicalize().ok() != here.canonicalize().ok() {
                return Err(bad(format!("it is not the folder {}", here.display())));
            }
            let plan = loader.work_tree(workflow).map_err(|e| bad(e.to_string()))?;
            return Ok(Self { name: text.to_owned(), pins: None, plan: Arc::new(plan) });
        }
        let pins = match text {
            "latest" => definitions::pin(loader.repo(), workflow),
            tree => match tree.parse() {
                Ok(tree) => definitions::pin_tree(loader.repo(), workflow, &tree),
                Err(_) => return Err(bad("it is neither a folder nor a git tree id of 40 hex digits".to_owned())),
            },
        };
        let pins = pins.map_err(|e| bad(e.to_string()))?;
        let pinned: Arc<Pinned> = loader.load(workflow, &pins).map_err(|e| bad(e.to_string()))?;
        Ok(Self { name: pins.definition.clone(), pins: Some(pins), plan: pinned.plan.clone() })
    }

    /// Tells whether the run follows this version already.
    pub(super) fn is(&self, pins: &Pins) -> bool {
        self.pins.as_ref() == Some(pins)
    }
}

/// Compares the run that `events` tell of with what `target` would make of it.
pub(super) fn with(events: &[Event], target: &Target, loader: &mut Loader) -> Result<Comparison, Failure> {
    let start = past::start_of(events).map_err(|e| Failure::failed("bad_history", e.to_string()))?;
    let collected = past::collect(events, &mut |workflow, pins| loader.load(workflow, pins));
    let collected = collected.map_err(|error| bad_past(&start.run, &error))?;
    Ok(compare(target.plan.clone(), start, events[0].at, &collected))
}

/// The comparison for a script.
pub(super) fn document(comparison: &Comparison, target: &Target) -> Value {
    let step = |step: &StepDiff| {
        json!({
            "step": step.step, "iteration": step.iteration, "verdict": step.verdict.word(), "assumed": step.assumed,
            "before": step.before.as_ref().map(|b| json!({
                "request": b.request, "output": b.output, "cost_usd": b.cost.to_string(), "end": b.end,
            })),
            "request": step.request, "output": step.output,
        })
    };
    let verdicts = [Verdict::Same, Verdict::Redone, Verdict::New, Verdict::Gone, Verdict::Open];
    let counts: serde_json::Map<String, Value> =
        verdicts.into_iter().map(|v| (v.word().to_owned(), json!(comparison.count(v)))).collect();
    let costs: serde_json::Map<String, Value> =
        verdicts.into_iter().map(|v| (v.word().to_owned(), json!(comparison.cost(v).to_string()))).collect();
    json!({
        "on": target.name, "steps": comparison.steps.iter().map(step).collect::<Vec<_>>(), "counts": counts,
        "spent_usd": costs, "end": comparison.end.map(cairn_kernel::End::word), "output": comparison.output,
        "message": comparison.message,
    })
}

/// The comparison for a person.
pub(super) fn show(screen: &mut Screen, comparison: &Comparison, before: Option<&Value>) {
    let mut rows = Vec::new();
    let listed = |step: &&StepDiff| comparison.steps.len() <= LISTED_MAX || step.verdict != Verdict::Same;
    for step in comparison.steps.iter().filter(listed) {
        let place = match &step.iteration {
            Some(key) => format!("{} [{key}]", step.step),
            None => step.step.to_string(),
        };
        let earlier = step.before.as_ref();
        let was = earlier.and_then(|b| b.end).unwrap_or("-");
        let cost = earlier.map_or(String::new(), |b| b.cost.to_string());
        rows.push(vec![place, step.verdict.word().to_owned(), was.to_owned(), cost, note(step)]);
    }
    screen.table(&["STEP", "VERDICT", "WAS", "SPENT $", "WHY"], &rows);
    let count = |verdict| comparison.count(verdict);
    screen.say(format!(
        "\n{} same, {} redone (spent ${} before), {} new, {} gone, {} open",
        count(Verdict::Same),
        count(Verdict::Redone),
        comparison.cost(Verdict::Redone),
        count(Verdict::New),
        count(Verdict::Gone),
        count(Verdict::Open)
    ));
    if comparison.steps.iter().any(|step| step.assumed) {
        screen.say("steps after a redone one are compared as if it gave what it gave before");
    }
    match (&comparison.message, &comparison.output, before) {
        (Some(message), ..) => screen.say(format!("it would fail: {message}")),
        (None, Some(after), Some(before)) if after == before => screen.say("output: the same"),
        (None, Some(after), Some(before)) => {
            screen.say("output before:");
            screen.quote(&format!("{before:#}"));
            screen.say("output after:");
            screen.quote(&format!("{after:#}"));
        }
        _ => {}
    }
}

fn note(step: &StepDiff) -> String {
    let earlier = step.before.as_ref();
    let request = earlier.and_then(|b| b.request.as_ref());
    match step.verdict {
        Verdict::Redone if request.is_some() && request == step.request.as_ref() => {
            "its agent, connector, prompt, template or schema is another".to_owned()
        }
        Verdict::Redone if request.is_some() => "it asks for something else".to_owned(),
        Verdict::Redone => "it gives something else".to_owned(),
        Verdict::Open => "it rests on what is not done yet".to_owned(),
        Verdict::Gone => "what it did stays done".to_owned(),
        Verdict::New | Verdict::Same => String::new(),
    }
}
