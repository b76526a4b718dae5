//! `cairn entity blame`: from a value to the change, the run, the step, and the agent with its prompt.

use std::collections::{BTreeMap, BTreeSet};

use cairn_memory::AsOf;
use cairn_store_layout::{
    RunId, StepId,
    passage::Source,
    payload::Request,
    time,
    view::{RunView, StepView},
};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure, Outcome, exit, failed, named, open, plain};
use crate::store::reader::Reader;

/// Show of each field since when it has its value, and from whom: a person, or a run with its step and the agents
/// and prompts that this step was given its input by.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity blame client/brandt\n  cairn entity blame client/brandt payment_terms_days"
)]
pub struct Blame {
    /// The entity: its id, or a beginning of it that no other has
    entity: String,
    /// Only this field
    field: Option<String>,
}

/// Where a value came from.
struct Origin {
    words: String,
    document: Value,
}

impl Blame {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let memory = open(context, reader.store())?;
        let entity = named(&memory, &self.entity, &AsOf::Now)?;
        if let Some(field) = self.field.as_ref().filter(|field| !entity.fields.contains_key(*field)) {
            return Err(Failure::not_found(format!("{} has no field `{field}`", entity.id))
                .fix(format!("cairn entity show {}", entity.id)));
        }
        let history = memory.entity_history(&entity.id, &AsOf::Now).map_err(failed)?;
        let mut views = BTreeMap::new();
        let (mut items, mut rows) = (Vec::new(), Vec::new());
        for (name, field) in &entity.fields {
            if self.field.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            let entry = history.iter().find(|entry| entry.line.id == field.change);
            let source = entry.and_then(|entry| entry.line.source.as_ref());
            let reason = entry.and_then(|entry| entry.line.reason.clone());
            let origin = origin(&reader, &mut views, source);
            items.push(json!({
                "field": name, "value": field.value, "since": time::write(field.since), "change": field.change,
                "of": field.of, "reason": reason, "source": source, "origin": origin.document,
            }));
            let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
            let value = cairn_store_layout::text::brief(&plain(&field.value), 40);
            rows.push(vec![name.clone(), value, context.screen.time(field.since), format!("{}{why}", origin.words)]);
        }
        context.screen.list("cairn.blame/1", &items, None);
        context.screen.table(&["FIELD", "VALUE", "SINCE", "FROM"], &rows);
        Ok(exit::OK)
    }
}

fn origin(reader: &Reader, views: &mut BTreeMap<RunId, Option<RunView>>, source: Option<&Source>) -> Origin {
    let (run, step) = match source {
        Some(Source::Run { run, step, .. }) => (run, step),
        Some(other) => return Origin { words: other.words(), document: json!({"person": other.words()}) },
        None => return Origin { words: "a change that this build can not read".to_owned(), document: Value::Null },
    };
    let view = views.entry(run.clone()).or_insert_with(|| reader.view(run).ok().flatten());
    let Some(view) = view else {
        let words = format!("run {} step {step}; its history is not here", run.short());
        return Origin { words, document: json!({"run": run, "step": step}) };
    };
    let asked = asked_before(view, step);
    let told: Vec<String> = asked
        .iter()
        .map(|(step, agent, prompt)| {
            let prompt = prompt.as_ref().map_or(String::new(), |prompt| format!(" with {prompt}"));
            format!("{step} ({agent}{prompt})")
        })
        .collect();
    let after = if told.is_empty() { String::new() } else { format!(", from {}", told.join(", ")) };
    let document = json!({
        "run": run, "workflow": view.workflow, "step": step,
        "agents": asked.iter().map(|(step, agent, prompt)| json!({"step": step, "agent": agent, "prompt": prompt})).collect::<Vec<_>>(),
    });
    Origin { words: format!("run {} of {} step {step}{after}", run.short(), view.workflow), document }
}

/// The agents that were asked on the way to a step, the nearest of each way: step, agent, prompt or template.
fn asked_before(view: &RunView, step: &StepId) -> Vec<(StepId, String, Option<String>)> {
    let find = |id: &StepId| view.steps.iter().find(|step| step.id == *id);
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    let mut next: Vec<StepId> = find(step).map_or_else(Vec::new, |step| step.needs.clone());
    while let Some(id) = next.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(step) = find(&id) else { continue };
        match agent(step) {
            Some((agent, prompt)) => found.push((id, agent, prompt)),
            None => next.extend(step.needs.clone()),
        }
    }
    found.sort();
    found
}

fn agent(step: &StepView) -> Option<(String, Option<String>)> {
    step.slots.iter().find_map(|slot| match slot.effect.as_ref().map(|effect| &effect.request) {
        Some(Request::Agent { agent, prompt, template, .. }) => {
            Some((agent.clone(), prompt.clone().or_else(|| template.clone())))
        }
        _ => None,
    })
}
