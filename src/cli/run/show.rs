//! `cairn run show`.

use cairn_store_layout::{
    text::DisplayText,
    view::{RunView, SlotState, SlotView, StepView},
};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Outcome, viewed};
use crate::cli::{failure::exit, screen::Screen};

/// Iterations listed one by one; above it, those that are over and well are only counted.
const LISTED_MAX: usize = 20;

/// Show one run: its steps, what it waits for, what it gave back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn run show 7k2m9q\n  cairn run show 7k2m9q --json | jq .view.output")]
pub struct Show {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
}

impl Show {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = viewed(&reader, &self.run)?;
        let commit = reader.commit(&view.run)?;
        let item = view.item(commit.clone());
        let mut document = json!(item);
        document["schema"] = json!("cairn.run/1");
        document["view"] = json!(view);
        context.screen.document(&document);

        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.heading(&format!("{} {}: {}", view.workflow, view.run, item.status.word()));
        screen.say(format!("started  {} by {}", screen.time_full(view.started), view.by));
        if let Some(parent) = &view.parent {
            screen.say(format!("parent   run {}, step {}", parent.run, parent.step));
        }
        if let Some(origin) = &view.origin {
            let from = origin.from.as_ref().map_or(String::new(), |step| format!(", from `{step}` on anew"));
            let then = if origin.as_of.is_some() { ", with memory as it was then" } else { "" };
            screen.say(format!("after    {}{from}{then}", origin.run));
        }
        if let Some(ended) = view.ended {
            screen.say(format!("ended    {}", screen.time_full(ended)));
        }
        if let Some(message) = &view.message {
            screen.say(format!("message  {}", DisplayText::line(message)));
        }
        screen.say(format!("cost     ${}", item.cost_usd));
        screen.say(match &commit {
            Some(commit) => format!("commit   {commit}"),
            None => "commit   none yet; a run is committed when it rests".to_owned(),
        });
        if view.input.as_object().is_some_and(|o| !o.is_empty()) {
            screen.say(format!("input    {}", view.input));
        }
        screen.say("");
        steps(screen, &view);
        if let Some(output) = view.output.as_ref().filter(|o| !o.is_null()) {
            screen.say("\noutput:");
            screen.quote(&format!("{output:#}"));
        }
        let open: Vec<_> = view.requests.iter().filter(|r| r.is_open()).collect();
        if !open.is_empty() {
            screen.say("\nwaits for you:");
            let rows: Vec<Vec<String>> = open.iter().map(|i| crate::cli::inbox::row(i, screen)).collect();
            screen.table(&crate::cli::inbox::HEAD, &rows);
            screen.note(format!("look at one: {cairn} inbox show {}", open[0].id.short()));
        }
        screen.note(format!("everything that happened: {cairn} run history {}", view.run.short()));
        Ok(exit::OK)
    }
}

fn steps(screen: &mut Screen, view: &RunView) {
    let mut rows = Vec::new();
    for step in &view.steps {
        let what = step.what.as_ref().map_or(step.does.clone(), |w| format!("{} {w}", step.does));
        let note = if step.expanded { counts(step) } else { note_of(step) };
        let took = step.started().map_or(String::new(), |at| screen.time(at));
        rows.push(vec![step.id.to_string(), step.state().word().to_owned(), what, took, note]);
        if step.expanded {
            let all = step.slots.len() <= LISTED_MAX;
            for slot in step.slots.iter().filter(|s| all || s.state != SlotState::Done) {
                let key = format!("  {}", slot.iteration.as_deref().unwrap_or_default());
                let at = slot.started.map_or(String::new(), |at| screen.time(at));
                rows.push(vec![key, slot.state.word().to_owned(), String::new(), at, outcome(slot)]);
            }
        }
    }
    screen.table(&["STEP", "STATE", "DOES", "STARTED", "NOTE"], &rows);
}

fn counts(step: &StepView) -> String {
    let mut words = Vec::new();
    use SlotState as S;
    for state in
        [S::Waiting, S::Running, S::Retrying, S::Queued, S::Timer, S::Failed, S::Denied, S::Skipped, S::Done, S::Todo]
    {
        let count = step.slots.iter().filter(|s| s.state == state).count();
        if count > 0 {
            words.push(format!("{count} {}", state.word().to_lowercase()));
        }
    }
    words.join(", ")
}

fn note_of(step: &StepView) -> String {
    step.note.clone().or_else(|| step.slots.first().map(outcome)).unwrap_or_default()
}

/// Why it waits or failed, else the run that it started, or what it wrote.
fn outcome(slot: &SlotView) -> String {
    if let Some(note) = &slot.note {
        return note.clone();
    }
    if let Some(child) = slot.child() {
        return format!("run {}", child.short());
    }
    let files: Vec<String> = slot.attempts.iter().flat_map(|a| &a.files).map(|f| f.path.clone()).collect();
    match (files.as_slice(), &slot.output) {
        ([], Some(Value::String(text))) => text.chars().take(60).collect(),
        ([], _) => String::new(),
        (files, _) => format!("wrote {}", files.join(", ")),
    }
}
