//! `cairn trigger`, and what other verbs say of triggers.

use std::collections::BTreeSet;

use cairn_store_layout::{
    RunId,
    command::Verb,
    definition::nearest,
    event::TriggerFired,
    view::{RunItem, RunStatus},
};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
    host::{self, Wait},
    screen::Screen,
};
use crate::store::{
    Store, definitions,
    git::Repo,
    identity, inbox,
    reader::Reader,
    triggers::{self, Desk, Listed, Trusted},
};

/// What starts runs by itself.
#[derive(Debug, Subcommand)]
pub enum Trigger {
    /// List triggers: when each starts its next run, what it did last, and why it is off
    #[command(
        after_help = "Examples:\n  cairn trigger ls\n  cairn trigger ls --json | jq '.items[] | select(.on | not)'"
    )]
    Ls,
    /// Start the run of a trigger now, also one that is off
    Fire(Fire),
}

/// Start the run of a trigger now, also one that is off.
#[derive(Debug, Args)]
#[command(after_help = "\
`where`, `overlap` and `dedupe_key` are not asked: you are.

Examples:
  cairn trigger fire invoice-chase weekdays --wait
  cairn trigger fire thank-you paid --data '{\"invoice\": \"2043\"}'
  cairn trigger fire file-mail inbox --file mails/a.eml")]
pub struct Fire {
    /// The workflow
    workflow: String,
    /// The trigger's name in it
    trigger: String,
    /// For a trigger by event: what comes with it, as JSON
    #[arg(long, value_name = "JSON", conflicts_with_all = ["file", "run"])]
    data: Option<String>,
    /// For a trigger by file: its path below files/
    #[arg(long, value_name = "PATH", conflicts_with = "run")]
    file: Option<String>,
    /// For a trigger by the end of a run: the run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Trigger {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Ls => ls(context),
            Self::Fire(fire) => fire.run(context),
        }
    }
}

/// The triggers of the last commit's definitions, as they stand on this machine.
pub(super) fn listed(store: &Store) -> Result<Vec<Listed>, Failure> {
    Ok(triggers::list(store, identity::known(store)?.as_ref(), Timestamp::now())?)
}

/// The same for verbs that are about something else: what keeps triggers from being read is not their matter.
pub(super) fn known(store: &Store) -> Vec<Listed> {
    listed(store).unwrap_or_default()
}

/// The workflows whose triggers are off.
pub(super) fn off(triggers: &[Listed]) -> Vec<&str> {
    let off: BTreeSet<&str> = triggers.iter().filter(|t| !t.trusted).map(|t| t.workflow.as_str()).collect();
    off.into_iter().collect()
}

/// `on` or `OFF` for a workflow that has triggers.
pub(super) fn word(triggers: &[Listed], workflow: &str) -> Option<&'static str> {
    let first = triggers.iter().find(|t| t.workflow == workflow)?;
    Some(if first.trusted { "on" } else { "OFF" })
}

/// Says which triggers are off and how to switch them on.
pub(super) fn tell_off(screen: &Screen, triggers: &[Listed], cairn: &str) {
    for workflow in off(triggers) {
        screen.note(format!(
            "triggers of {workflow} are off: this version came by git. Read it, then: {cairn} workflow trust {workflow}"
        ));
    }
}

/// One trigger for programs.
pub(super) fn document(t: &Listed, result: Option<RunStatus>) -> Value {
    let last = t.last.as_ref().map(|(at, fired)| {
        json!({
            "at": cairn_store_layout::time::write(*at), "due": fired.due.map(cairn_store_layout::time::write),
            "saw": fired.saw, "run": fired.run, "status": result, "left_out": fired.left_out,
        })
    });
    json!({
        "workflow": t.workflow, "trigger": t.trigger, "by": t.goes_by, "on": t.trusted,
        "why": (!t.trusted).then_some("this version is not trusted on this machine"),
        "next": t.next.map(cairn_store_layout::time::write), "missed": t.missed, "waits": t.waits, "last": last,
    })
}

/// The triggers in a table.
pub(super) fn table(screen: &mut Screen, triggers: &[Listed]) {
    let rows: Vec<Vec<String>> = triggers.iter().map(|t| row(screen, t, None)).collect();
    screen.table(&HEAD, &rows);
}

/// `cairn workflow trust`.
pub(super) fn trust(context: &mut Context, name: &str) -> Outcome {
    let store = &context.store()?;
    let repo = Repo::open(store.root()).map_err(crate::store::StoreError::from)?;
    let pins = definitions::pin(&repo, name).map_err(|error| {
        let failure = match error {
            definitions::PinError::NoSuchWorkflow(_) => {
                Failure::not_found(format!("there is no workflow `{name}` in the last commit"))
            }
            error => Failure::failed("broken_definition", error.to_string()),
        };
        let names = repo.folders_in("workflows").unwrap_or_default();
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) if near != name => failure.fix(format!("did you mean {near}?")),
            _ => failure.fix(format!("cairn workflow check {name}; what you edit here is trusted as it is taken up")),
        }
    })?;
    let machine = context.machine(store)?;
    let trusted = Trusted { definition: pins.definition.clone(), by: context.by(), at: Timestamp::now() };
    Desk::here(store, &machine)?.trust(name, &trusted)?;
    let triggers: Vec<Listed> = listed(store)?.into_iter().filter(|t| t.workflow == name).collect();
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.trust/1", "workflow": name, "definition": pins.definition, "trusted": true,
        "triggers": triggers.iter().map(|t| document(t, None)).collect::<Vec<_>>(),
    }));
    if triggers.is_empty() {
        screen.say(format!("{name} is trusted; it has no triggers"));
    } else {
        screen.say(format!("the triggers of {name} are on here, from now:"));
        table(screen, &triggers);
    }
    Ok(exit::OK)
}

/// `cairn workflow untrust`.
pub(super) fn untrust(context: &mut Context, name: &str) -> Outcome {
    let store = &context.store()?;
    let machine = context.machine(store)?;
    let was = Desk::here(store, &machine)?.untrust(name)?;
    let screen = &mut context.screen;
    screen.document(&json!({"schema": "cairn.trust/1", "workflow": name, "trusted": false, "was": was}));
    screen.say(match was {
        true => format!("the triggers of {name} are off here; runs that go on are not touched"),
        false => format!("{name} was not trusted here"),
    });
    Ok(exit::OK)
}

const HEAD: [&str; 6] = ["WORKFLOW", "TRIGGER", "BY", "STATE", "NEXT", "LAST"];

fn ls(context: &mut Context) -> Outcome {
    let reader = context.reader()?;
    let triggers = listed(reader.store())?;
    let runs: Vec<RunItem> = reader.runs().collect();
    let cairn = context.cairn();
    let screen = &mut context.screen;
    let result = |t: &Listed| {
        let run = t.last.as_ref()?.1.run.as_ref()?;
        runs.iter().find(|item| item.run == *run).map(|item| item.status)
    };
    let items: Vec<Value> = triggers.iter().map(|t| document(t, result(t))).collect();
    screen.list("cairn.triggers/1", &items, None);
    if triggers.is_empty() {
        screen.say("no triggers: runs are started by you");
        screen.note("add [[trigger]] to a workflow, for example: cron = \"0 8 * * 1-5\"");
        return Ok(exit::OK);
    }
    let rows: Vec<Vec<String>> = triggers.iter().map(|t| row(screen, t, result(t))).collect();
    screen.table(&HEAD, &rows);
    tell_off(screen, &triggers, &cairn);
    Ok(exit::OK)
}

fn row(screen: &Screen, t: &Listed, result: Option<RunStatus>) -> Vec<String> {
    let next = match (t.next, t.missed) {
        (None, 0) => "-".to_owned(),
        (Some(at), 0) => screen.time(at),
        (next, missed) => {
            let next = next.map_or(String::new(), |at| format!("{} ", screen.time(at)));
            format!("{next}({missed} passed, for the next kernel)")
        }
    };
    let last = t.last.as_ref().map_or("-".to_owned(), |(at, fired)| {
        format!("{} {}", screen.time(fired.due.unwrap_or(*at)), outcome(fired, result))
    });
    let state = match (t.trusted, t.waits) {
        (false, _) => "OFF",
        (true, true) => "on, one waits",
        (true, false) => "on",
    };
    vec![t.workflow.clone(), t.trigger.clone(), t.goes_by.clone(), state.to_owned(), next, last]
}

fn outcome(fired: &TriggerFired, result: Option<RunStatus>) -> String {
    match (&fired.run, &fired.left_out) {
        (Some(run), _) => format!("run {} {}", run.short(), result.map_or("", RunStatus::word)).trim().to_owned(),
        (None, Some(why)) => format!("left out: {why}"),
        (None, None) => "waits for an earlier run".to_owned(),
    }
}

impl Fire {
    fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = Reader::new(context.store()?);
        let store = reader.store().clone();
        let data = match (&self.data, &self.file, &self.run) {
            (Some(text), _, _) => serde_json::from_str(text).map_err(|e| {
                Failure::usage(format!("--data is not JSON: {e}")).fix("for example: --data '{\"sum\": 12}'")
            })?,
            (_, Some(path), _) => Value::String(path.trim_start_matches("files/").to_owned()),
            (_, _, Some(run)) => {
                reader.refresh()?;
                Value::String(reader.resolve_run(run)?.to_string())
            }
            _ => Value::Null,
        };
        let machine = context.machine(&store)?;
        let verb = Verb::TriggerFire { workflow: self.workflow.clone(), trigger: self.trigger.clone(), data };
        let command = inbox::submit(&store, &machine, verb, &context.by())?;
        let run = RunId::from(command.clone());
        let followed = host::follow(context, &mut reader, &run, &command, &self.wait)?;
        let status = followed.item.as_ref().map_or(RunStatus::Waiting, |i| i.status);
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.run/1", "run": run, "workflow": self.workflow, "trigger": self.trigger, "status": status,
            "commit": followed.item.as_ref().and_then(|i| i.commit.clone()), "state": followed.state.word(),
        }));
        let how = followed.item.as_ref().map_or_else(|| followed.state.words(), |item| item.status.word().into());
        screen.say(format!("run {run} of {} by trigger {}: {how}", self.workflow, self.trigger));
        Ok(if self.wait.is_set() { followed.exit() } else { exit::OK })
    }
}
