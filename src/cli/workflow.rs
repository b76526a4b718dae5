//! `cairn workflow`: look at definitions and check them, without a kernel.

use std::sync::Arc;

use cairn_store_layout::definition::{Field, Problem, StepKind, Wait, Workflow as Definition, workflow_schema};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit, plural},
    trigger,
};
use crate::store::{
    Store,
    definitions::{LoadedWorkflow, WorkTree},
    fsutil::At as _,
};

/// Look at workflow definitions and check them.
#[derive(Debug, Subcommand)]
pub enum Workflow {
    /// List the workflows of the store
    Ls,
    /// Show one workflow: its input and its steps
    Show {
        /// The name of its folder in workflows/
        name: String,
    },
    /// Let the triggers of the version in the last commit start runs on this machine
    #[command(after_help = "\
What you edit here is trusted as it is taken up; what came by git is off until you trust it.

Examples:
  cairn workflow show invoice-chase
  cairn workflow trust invoice-chase")]
    Trust {
        /// The workflow
        name: String,
    },
    /// Switch the triggers of a workflow off on this machine
    Untrust {
        /// The workflow
        name: String,
    },
    /// Check definitions as they lie on disk; exit code 1 when one can not be used
    #[command(after_help = "Examples:\n  cairn workflow check\n  cairn workflow check invoice-chase")]
    Check {
        /// The workflow; all of them, and agents and connectors, if left out
        name: Option<String>,
    },
    /// Print the JSON Schema of workflow.toml, for editors
    #[command(
        after_help = "Examples:\n  cairn workflow schema > workflow.schema.json\n\nAn editor that knows `#:schema` comments takes it from the first line of a workflow.toml:\n  #:schema ../workflow.schema.json"
    )]
    Schema,
}

impl Workflow {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Ls => ls(context),
            Self::Show { name } => show(context, name),
            Self::Check { name } => check(context, name.as_deref()),
            Self::Schema => schema(context),
            Self::Trust { name } => trigger::trust(context, name),
            Self::Untrust { name } => trigger::untrust(context, name),
        }
    }
}

/// It is a document of its own, so `--json` changes nothing.
fn schema(context: &mut Context) -> Outcome {
    let schema = workflow_schema();
    context.screen.document(&schema);
    context.screen.say(format!("{schema:#}"));
    Ok(exit::OK)
}

/// The names of the workflows in the work tree, good or bad.
pub(super) fn names(store: &Store) -> Result<Vec<String>, Failure> {
    Ok(tree(store)?.workflows.into_keys().collect())
}

/// Everything in the work tree that can not be used as it stands.
pub(super) fn problems(store: &Store) -> Result<Vec<Problem>, Failure> {
    Ok(tree(store)?.problems())
}

/// The definition `name` as it lies in the work tree.
pub(super) fn read(store: &Store, name: &str) -> Result<Definition, Vec<Problem>> {
    let tree = tree(store).map_err(|e| vec![Problem::new(format!("workflows/{name}"), None, e.message)])?;
    match tree.workflows.get(name) {
        Some(Ok(loaded)) => Ok(loaded.bundle.workflow.clone()),
        Some(Err(problems)) => Err(problems.clone()),
        None => Err(vec![Problem::new(format!("workflows/{name}"), None, "there is no such workflow")]),
    }
}

fn tree(store: &Store) -> Result<WorkTree, Failure> {
    Ok(WorkTree::read(store.root()).at("read the definitions in", store.root())?)
}

fn ls(context: &mut Context) -> Outcome {
    let store = context.store()?;
    let tree = tree(&store)?;
    let cairn = context.cairn();
    let triggers = trigger::known(&store);
    let screen = &mut context.screen;
    let item = |name: &String, loaded: &Result<Arc<LoadedWorkflow>, Vec<Problem>>| match loaded {
        Ok(w) => json!({
            "workflow": name, "ok": true, "description": w.bundle.workflow.description,
            "steps": w.bundle.workflow.steps.len(), "problems": [], "triggers": trigger::word(&triggers, name),
        }),
        Err(problems) => {
            json!({"workflow": name, "ok": false, "description": null, "steps": null, "problems": problems, "triggers": trigger::word(&triggers, name)})
        }
    };
    let items: Vec<Value> = tree.workflows.iter().map(|(name, loaded)| item(name, loaded)).collect();
    screen.list("cairn.workflows/1", &items, None);
    if tree.workflows.is_empty() {
        screen.say("no workflows yet");
        screen.note("write workflows/NAME/workflow.toml, or look at complete examples: cairn init DIR --demo");
        return Ok(exit::OK);
    }
    let rows: Vec<Vec<String>> = tree
        .workflows
        .iter()
        .map(|(name, loaded)| match loaded {
            Ok(w) => {
                let definition = &w.bundle.workflow;
                vec![name.clone(), "ok".to_owned(), definition.steps.len().to_string(), definition.description.clone()]
            }
            Err(problems) => {
                vec![name.clone(), "BROKEN".to_owned(), "-".to_owned(), plural(problems.len() as u64, "problem")]
            }
        })
        .collect();
    if triggers.is_empty() {
        screen.table(&["WORKFLOW", "STATE", "STEPS", "DESCRIPTION"], &rows);
    } else {
        let mut rows = rows;
        for row in &mut rows {
            row.insert(3, trigger::word(&triggers, &row[0]).unwrap_or("-").to_owned());
        }
        screen.table(&["WORKFLOW", "STATE", "STEPS", "TRIGGERS", "DESCRIPTION"], &rows);
        trigger::tell_off(screen, &triggers, &cairn);
    }
    if tree.workflows.values().any(Result::is_err) {
        screen.note(format!("what is wrong: {cairn} workflow check"));
    }
    Ok(exit::OK)
}

fn show(context: &mut Context, name: &str) -> Outcome {
    let store = context.store()?;
    let tree = tree(&store)?;
    let loaded = match tree.workflows.get(name) {
        Some(Ok(loaded)) => loaded,
        Some(Err(problems)) => return Err(broken(name, problems)),
        None => return Err(unknown(name, &tree)),
    };
    let definition = &loaded.bundle.workflow;
    let cairn = context.cairn();
    let screen = &mut context.screen;
    let steps: Vec<Value> = definition
        .steps
        .iter()
        .map(|s| {
            json!({
                "id": s.id, "does": s.kind.word(), "what": what(&s.kind), "needs": s.needs, "if": s.when,
                "for_each": s.for_each.as_ref().map(|f| &f.list), "approve": s.approve.is_some(),
            })
        })
        .collect();
    let files: Vec<&String> = loaded.bundle.files.keys().collect();
    let triggers: Vec<_> = trigger::known(&store).into_iter().filter(|t| t.workflow == name).collect();
    screen.document(&json!({
        "schema": "cairn.workflow/1", "workflow": name, "description": definition.description,
        "input": definition.input, "steps": steps, "files": files,
        "triggers": triggers.iter().map(|t| trigger::document(t, None)).collect::<Vec<_>>(),
    }));
    screen.heading(name);
    screen.say(&definition.description);
    screen.say("");
    if definition.input.is_empty() {
        screen.say("takes no input");
    } else {
        let rows: Vec<Vec<String>> = definition.input.iter().map(field).collect();
        screen.table(&["INPUT", "TYPE", "DEFAULT", "DESCRIPTION"], &rows);
    }
    screen.say("");
    let rows: Vec<Vec<String>> = definition
        .steps
        .iter()
        .map(|s| {
            let mut notes = Vec::new();
            notes.extend(s.for_each.as_ref().map(|_| "for each".to_owned()));
            notes.extend(s.approve.as_ref().map(|_| "asks you first".to_owned()));
            notes.extend(s.when.as_ref().map(|w| format!("if {w}")));
            let needs: Vec<&str> = s.needs.iter().map(cairn_store_layout::StepId::as_str).collect();
            let does = [s.kind.word(), &what(&s.kind)].join(" ").trim().to_owned();
            vec![s.id.to_string(), does, needs.join(" "), notes.join(", ")]
        })
        .collect();
    screen.table(&["STEP", "DOES", "NEEDS", "NOTE"], &rows);
    if !triggers.is_empty() {
        screen.say("");
        trigger::table(screen, &triggers);
        trigger::tell_off(screen, &triggers, &cairn);
    }
    screen.note(format!("\nstart it: {cairn} run start {name} --wait"));
    Ok(exit::OK)
}

fn check(context: &mut Context, name: Option<&str>) -> Outcome {
    let store = context.store()?;
    let tree = tree(&store)?;
    let problems = match name {
        None => tree.problems(),
        Some(name) => match tree.workflows.get(name) {
            Some(Ok(_)) => Vec::new(),
            Some(Err(problems)) => problems.clone(),
            None => return Err(unknown(name, &tree)),
        },
    };
    let screen = &mut context.screen;
    let items: Vec<Value> = problems.iter().map(|p| json!(p)).collect();
    screen.document(&json!({"schema": "cairn.check/1", "ok": problems.is_empty(), "problems": items}));
    problems.iter().for_each(|p| screen.say(p.to_string()));
    if problems.is_empty() {
        let checked = match name {
            Some(name) => format!("{name} can be used"),
            None => format!("{} can be used", plural(tree.workflows.len() as u64, "workflow")),
        };
        screen.say(checked);
        return Ok(exit::OK);
    }
    screen.note(format!("{}; runs use the last good definition meanwhile", plural(problems.len() as u64, "problem")));
    Ok(exit::FAILED)
}

fn broken(name: &str, problems: &[Problem]) -> Failure {
    let first = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Failure::failed("broken_definition", format!("workflow `{name}` can not be used as it stands"))
        .why(first)
        .fix(format!("correct it, then cairn workflow check {name}; runs use the last good definition meanwhile"))
}

fn unknown(name: &str, tree: &WorkTree) -> Failure {
    let known: Vec<&str> = tree.workflows.keys().map(String::as_str).collect();
    let failure = Failure::not_found(format!("there is no workflow `{name}`"));
    match cairn_store_layout::definition::nearest(name, known.iter().copied()) {
        Some(near) => failure.fix(format!("did you mean {near}?")),
        None if known.is_empty() => failure.fix("write workflows/NAME/workflow.toml"),
        None => failure.fix(format!("workflows here: {}", known.join(", "))),
    }
}

fn field(field: &Field) -> Vec<String> {
    let kind = serde_json::to_value(field.kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let default = match (&field.default, field.optional) {
        (Some(default), _) => default.to_string(),
        (None, true) => "(optional)".to_owned(),
        (None, false) => "(needed)".to_owned(),
    };
    vec![field.name.clone(), kind, default, field.description.clone().unwrap_or_default()]
}

fn what(kind: &StepKind) -> String {
    match kind {
        StepKind::Agent { agent, .. } => agent.clone(),
        StepKind::Call { connector, operation, .. } => format!("{connector}.{operation}"),
        StepKind::Run { argv, .. } => argv.first().cloned().unwrap_or_default(),
        StepKind::Workflow { workflow, .. } => workflow.clone(),
        StepKind::Wait(Wait::For(text) | Wait::Until(text) | Wait::Event { event: text, .. }) => text.clone(),
        StepKind::Set { .. } | StepKind::Ask { .. } => String::new(),
    }
}
