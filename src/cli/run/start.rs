//! `cairn run start`.

use std::path::PathBuf;

use cairn_store_layout::{
    RunId,
    command::Verb,
    definition::{self, Workflow, nearest},
    view::RunStatus,
};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Context, Outcome};
use crate::{
    cli::{
        failure::{Failure, exit},
        host::{self, Wait},
        inbox, workflow,
    },
    store::{self, Store, reader::Reader},
};

/// Runs that are looked through for one of the same workflow that has not ended.
const RECENT: usize = 1_000;

/// Start a run of a workflow.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run start invoice-chase --wait
  cairn run start client-onboarding -i enquiry=onboarding/harbour-yoga.eml --wait=30s
  echo '{\"brief\": \"content/briefs/winter-light.md\"}' | cairn run start content-production --input-file -")]
pub struct Start {
    /// The workflow: the name of its folder in workflows/
    workflow: String,
    /// A field of the input
    #[arg(short, long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    /// The input as a JSON object, from a file or `-`
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    #[command(flatten)]
    wait: Wait,
}

impl Start {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = Reader::new(context.store()?);
        let store = reader.store().clone();
        let definition = self.definition(context, &store)?;
        let input = self.input(definition.as_ref())?;
        let machine = context.machine(&store)?;
        reader.refresh_recent(RECENT)?;
        let unfinished = reader.runs().find(|r| r.workflow == self.workflow && !r.status.is_final());
        if let Some(other) = unfinished {
            context.screen.note(format!(
                "note: run {} of {} has not ended; what it would still send may come twice (cairn run cancel {})",
                other.run.short(),
                self.workflow,
                other.run.short()
            ));
        }
        let verb = Verb::RunStart { workflow: self.workflow.clone(), input };
        let command = store::inbox::submit(&store, &machine, verb, &context.by())?;
        let run = RunId::from(command.clone());
        let followed = host::follow(context, &mut reader, &run, &command, &self.wait)?;

        // before its first event a run waits: for a kernel
        let status = followed.item.as_ref().map_or(RunStatus::Waiting, |i| i.status);
        let commit = followed.item.as_ref().and_then(|i| i.commit.clone());
        let requests = reader.view(&run)?.map(|v| v.requests).unwrap_or_default();
        let open: Vec<_> = requests.iter().filter(|r| r.is_open()).collect();
        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.run/1", "run": run, "workflow": self.workflow, "status": status, "commit": commit,
            "state": followed.state.word(), "requests": open.iter().map(|r| inbox::document(r)).collect::<Vec<_>>(),
            "message": followed.item.as_ref().map(|i| i.note.clone()),
        }));
        match &followed.item {
            None => screen.say(format!("run {run} of {}: {}", self.workflow, followed.state.words())),
            Some(item) => {
                screen.say(format!("run {run} of {}: {}", self.workflow, item.status.word()));
                if !item.note.is_empty() && open.is_empty() {
                    screen.quote(&item.note);
                }
            }
        }
        if !open.is_empty() {
            let rows: Vec<Vec<String>> = open.iter().map(|i| inbox::row(i, screen)).collect();
            screen.table(&inbox::HEAD, &rows);
            let first = open[0].id.short();
            let decide = if open[0].ask.is_some() { "answer" } else { "approve" };
            screen.note(format!("\nnext:\n  {cairn} inbox show {first}\n  {cairn} inbox {decide} {first} --wait"));
        } else if status == RunStatus::Failed {
            screen.note(format!("see: {cairn} run show {}", run.short()));
        }
        Ok(if self.wait.is_set() { followed.exit() } else { exit::OK })
    }

    /// The definition as it lies in the work tree; `None` when it can not be read, in which case the
    /// kernel uses the last good one.
    fn definition(&self, context: &Context, store: &Store) -> Result<Option<Workflow>, Failure> {
        let names = workflow::names(store)?;
        if !names.contains(&self.workflow) {
            let failure = Failure::not_found(format!("there is no workflow `{}`", self.workflow));
            let near = nearest(&self.workflow, names.iter().map(String::as_str));
            return Err(match near {
                Some(near) => failure.fix(format!("did you mean {near}? cairn run start {near}")),
                None if names.is_empty() => {
                    failure.fix("write workflows/NAME/workflow.toml, or see cairn init DIR --demo")
                }
                None => failure.fix(format!("workflows here: {}", names.join(", "))),
            });
        }
        match workflow::read(store, &self.workflow) {
            Ok(workflow) => Ok(Some(workflow)),
            Err(problems) => {
                for problem in problems {
                    context.screen.note(format!("warning: {problem}"));
                }
                context
                    .screen
                    .note("the definition can not be used as it stands; the last good one is, if there is one");
                Ok(None)
            }
        }
    }

    fn input(&self, definition: Option<&Workflow>) -> Result<Value, Failure> {
        let mut input = match &self.input_file {
            None => Map::new(),
            Some(file) => match serde_json::from_str(&super::super::context::read_text(file)?) {
                Ok(Value::Object(map)) => map,
                Ok(_) => return Err(Failure::usage("the input is not a JSON object")),
                Err(e) => return Err(Failure::usage(format!("the input is not JSON: {e}"))),
            },
        };
        let fields = definition.map(|d| d.input.as_slice()).unwrap_or_default();
        for given in &self.input {
            let (name, typed) = given.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{given}` is not NAME=VALUE")).fix("for example: -i as_of=2026-11-22")
            })?;
            let value = match fields.iter().find(|f| f.name == name) {
                Some(field) => field.read(typed).map_err(|why| Failure::usage(why).fix(self.help(fields)))?,
                None => Value::String(typed.to_owned()),
            };
            input.insert(name.to_owned(), value);
        }
        let input = Value::Object(input);
        if definition.is_some() {
            // the kernel fills in the defaults; here the operator only learns early what does not fit
            definition::fill(fields, &input).map_err(|wrong| {
                Failure::usage(format!("the input does not fit: {}", wrong.join("; "))).fix(self.help(fields))
            })?;
        }
        Ok(input)
    }

    fn help(&self, fields: &[definition::Field]) -> String {
        let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
        match names.as_slice() {
            [] => format!("{} takes no input", self.workflow),
            names => format!("{} takes {}; see cairn workflow show {}", self.workflow, names.join(", "), self.workflow),
        }
    }
}
