//! What the verbs share that send a run on its way again: the target, the answer, the new run.

use cairn_store_layout::{
    CommandId, RunId,
    command::{Again, Verb},
    definition::Field,
    event::Body,
    view::{RunStatus, RunView},
};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Context;
use crate::{
    cli::{
        context::Outcome,
        failure::{Failure, exit},
        host::{self, Wait},
        inbox as requests, workflow,
    },
    store::{
        inbox,
        past::{self, Loader},
        reader::Reader,
    },
};

/// Which version, with which input.
#[derive(Debug, Args)]
pub struct With {
    /// With the latest version of the definition, agents and connectors
    #[arg(long, conflicts_with = "pinned")]
    latest: bool,
    /// With the version of the earlier run (the default)
    #[arg(long)]
    pinned: bool,
    /// A field of the input that is other than it was
    #[arg(short, long, value_name = "NAME=VALUE")]
    input: Vec<String>,
    #[command(flatten)]
    pub(super) wait: Wait,
}

impl With {
    /// The way a run is done again, its input read by the fields of the definition that it will follow.
    pub(super) fn again(&self, reader: &Reader, view: &RunView, from: Option<&str>) -> Result<Again, Failure> {
        let from = from.map(|from| from.parse()).transpose().map_err(|e| Failure::usage(format!("{e}")))?;
        if let Some(step) = &from
            && !self.latest
            && view.step(step).is_none()
        {
            let steps: Vec<&str> = view.steps.iter().map(|s| s.id.as_str()).collect();
            return Err(Failure::not_found(format!("{} has no step `{step}`", view.workflow))
                .fix(format!("its steps: {}", steps.join(", "))));
        }
        let fields = if self.input.is_empty() { Vec::new() } else { self.fields(reader, view)? };
        let mut input = Map::new();
        for given in &self.input {
            let (name, typed) = given.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{given}` is not NAME=VALUE")).fix("for example: -i as_of=2026-11-22")
            })?;
            let Some(field) = fields.iter().find(|f| f.name == name) else {
                let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
                let takes = if names.is_empty() { "no input".to_owned() } else { names.join(", ") };
                return Err(
                    Failure::usage(format!("{} takes no `{name}`", view.workflow)).fix(format!("it takes {takes}"))
                );
            };
            input.insert(name.to_owned(), field.read(typed).map_err(Failure::usage)?);
        }
        Ok(Again { from, latest: self.latest, input })
    }

    fn fields(&self, reader: &Reader, view: &RunView) -> Result<Vec<Field>, Failure> {
        if self.latest {
            let definition = workflow::read(reader.store(), &view.workflow).map_err(|problems| {
                let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Failure::new("bad_definition", exit::REFUSED, "the definition can not be used as it stands")
                    .why(why.join("\n"))
                    .fix("cairn workflow check")
            })?;
            return Ok(definition.input);
        }
        let events = past::events(reader.store().root(), &view.run)?.unwrap_or_default();
        let mut loader = Loader::new(reader.store().root())?;
        let pinned = loader.load_last(&events).map_err(|error| bad_past(&view.run, &error))?;
        Ok(pinned.plan.input().to_vec())
    }
}

/// A history whose definition or origin can not be read.
pub(super) fn bad_past(run: &RunId, error: &past::PastError) -> Failure {
    Failure::failed("bad_history", format!("run {} can not be read again: {error}", run.short()))
        .why("nothing was changed")
        .fix("cairn verify tells what is damaged or missing")
}

/// The run that `text` names as far as it can be read, so that a damaged one can be named too.
pub(super) fn readable(reader: &Reader, text: &str) -> Result<RunView, Failure> {
    let run = reader.resolve_run(text)?;
    let history = reader.history_prefix(&run);
    let history = history.ok_or_else(|| Failure::not_found(format!("nothing of run {run} can be read")))?;
    Ok(history.fold(&cairn_store_layout::paths::run(&run))?)
}

/// A run that is over can not go on; a new one can.
pub(super) fn refuse_over(view: &RunView, verb: &str) -> Result<(), Failure> {
    let Some(end) = view.end else { return Ok(()) };
    let short = view.run.short();
    let failed = view.steps.iter().find(|s| s.state() == cairn_store_layout::view::SlotState::Failed);
    let again = match failed {
        Some(_) => format!("cairn run rerun {short}  (a new run; what is done is taken over, the rest is done again)"),
        None => format!("cairn run rerun {short} --from STEP  (a new run, done anew from that step on)"),
    };
    Err(Failure::new("already_over", exit::STALE, format!("run {short} is over already: {}", end.word()))
        .why(format!("what has ended stays as it is recorded; there is nothing to {verb}"))
        .fix(again))
}

/// Sends a command about a run that goes on, and says what came of it.
pub(super) fn ask(context: &mut Context, reader: &mut Reader, view: &RunView, verb: Verb, wait: &Wait) -> Outcome {
    let command = inbox::submit(reader.store(), &view.machine, verb, &context.by())?;
    let sent = host::follow(context, reader, &view.run, &command, wait)?;
    let did = did(reader, &view.run, &command);
    let status = sent.item.as_ref().map(|i| i.status);
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.run/1", "run": view.run, "workflow": view.workflow, "status": status,
        "commit": sent.item.as_ref().and_then(|i| i.commit.clone()), "command": command, "state": sent.state.word(),
        "did": did,
    }));
    let short = view.run.short();
    match (&sent.state, did.is_empty()) {
        (host::State::Applied, false) => did.iter().for_each(|line| screen.say(format!("run {short}: {line}"))),
        (host::State::Applied, true) => screen.say(format!("run {short} is followed again")),
        (state, _) => screen.say(format!("asked run {short}: {}", state.words())),
    }
    if let Some(status) = status {
        screen.note(format!("it is {}: cairn run show {short}", status.word()));
    }
    Ok(if wait.is_set() { sent.exit() } else { exit::OK })
}

/// What a history says that a command did.
fn did(reader: &Reader, run: &RunId, command: &CommandId) -> Vec<String> {
    let records = reader.history(run).ok().flatten().map(|h| h.records).unwrap_or_default();
    let caused = records.iter().filter(|r| r.event.cause.as_ref() == Some(command));
    let line = |event: &cairn_store_layout::event::Event| {
        let place = match (&event.step, &event.iteration) {
            (Some(step), Some(key)) => format!("{step} [{key}]: "),
            (Some(step), None) => format!("{step}: "),
            _ => String::new(),
        };
        format!("{place}{}", cairn_store_layout::view::describe(event))
    };
    caused.filter(|r| !matches!(r.event.body, Body::RunStarted(_))).map(|r| line(&r.event)).collect()
}

/// Asks for a new run that does `view` again, follows it and shows it.
pub(super) fn begin(context: &mut Context, reader: &mut Reader, view: &RunView, verb: Verb, wait: &Wait) -> Outcome {
    let here = context.machine(reader.store())?;
    let command = inbox::submit(reader.store(), &here, verb, &context.by())?;
    let run = RunId::from(command.clone());
    let followed = host::follow(context, reader, &run, &command, wait)?;
    let status = followed.item.as_ref().map_or(RunStatus::Waiting, |i| i.status);
    let new = reader.view(&run)?;
    let reused = new.as_ref().map(taken_over).unwrap_or_default();
    let open: Vec<_> = new.iter().flat_map(|v| &v.requests).filter(|r| r.is_open()).cloned().collect();
    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.run/1", "run": run, "workflow": view.workflow, "status": status,
        "commit": followed.item.as_ref().and_then(|i| i.commit.clone()), "state": followed.state.word(),
        "origin": new.as_ref().and_then(|v| v.origin.clone()), "reused": reused,
        "requests": open.iter().map(requests::document).collect::<Vec<Value>>(),
        "message": followed.item.as_ref().map(|i| i.note.clone()),
    }));
    let of = view.run.short();
    match &followed.item {
        None => screen.say(format!("run {run} of {}, after {of}: {}", view.workflow, followed.state.words())),
        Some(item) => {
            screen.say(format!("run {run} of {}, after {of}: {}", view.workflow, item.status.word()));
            screen.say(match reused {
                0 => "nothing was taken over".to_owned(),
                n => format!(
                    "{} taken over; nothing of that is sent or asked again",
                    crate::cli::failure::plural(n, "result")
                ),
            });
        }
    }
    if let Some(first) = open.first() {
        screen.note(format!("{} for you, first: {cairn} inbox show {}", requests_wait(open.len()), first.id.short()));
    }
    screen.note(format!("look at it: {cairn} run show {}", run.short()));
    Ok(if wait.is_set() { followed.exit() } else { exit::OK })
}

fn requests_wait(n: usize) -> String {
    if n == 1 { "1 waits".to_owned() } else { format!("{n} wait") }
}

/// How many results a run took over.
fn taken_over(view: &RunView) -> u64 {
    let slots = view.steps.iter().flat_map(|step| &step.slots);
    slots.filter(|slot| slot.reused_from.is_some()).count() as u64
}
