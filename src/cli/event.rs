//! `cairn event`: tell runs and triggers that something happened, and what was told.

use cairn_store_layout::{
    CommandId,
    command::{Command, SCHEMA, Verb, is_event_name},
    event::{Body, EventReceived},
    ids::ulid_from,
    record::Record,
    view::KernelHealth,
};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
    host::State,
};
use crate::store::{artifacts, fsutil, inbox, lock};

/// Events shown on a terminal when no limit is given.
const LIMIT: usize = 50;

/// Tell runs and triggers that something happened.
#[derive(Debug, Subcommand)]
pub enum Event {
    /// Emit an event
    Emit(Emit),
    /// List the events that this machine has taken, newest first
    Ls {
        /// Only those of this name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// At most so many (50 on a terminal, else all)
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

/// Emit an event: every run that waits for its name is told, now or when it comes to wait.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn event emit payment.received --data '{\"invoice\":\"2043\"}'\n  cairn event emit go --run 7k2m9q"
)]
pub struct Emit {
    /// Its name: a letter, then letters, digits, `.`, `-` or `_`
    name: String,
    /// What comes with it, as JSON
    #[arg(long, value_name = "JSON", default_value = "null")]
    data: String,
    /// Only for this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Its id, a ulid in lower case: emitting the same id twice counts once
    #[arg(long, value_name = "ULID")]
    id: Option<String>,
}

impl Event {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Emit(emit) => emit.run(context),
            Self::Ls { name, limit } => ls(context, name.as_deref(), *limit),
        }
    }
}

impl Emit {
    fn run(&self, context: &mut Context) -> Outcome {
        if !is_event_name(&self.name) {
            return Err(Failure::usage(format!("`{}` can not name an event", self.name))
                .fix("use a letter, then letters, digits, `.`, `-` or `_`, in lower case"));
        }
        let data: Value = serde_json::from_str(&self.data).map_err(|e| {
            Failure::usage(format!("--data is not JSON: {e}")).fix("a text needs its quotes: '\"text\"'")
        })?;
        let at = Timestamp::now();
        let id = match &self.id {
            Some(id) => CommandId::new(id.to_ascii_lowercase()).map_err(|e| Failure::usage(e.to_string()))?,
            None => {
                let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
                CommandId::new(ulid_from(millis, crate::store::random())).expect("a ulid is a command id")
            }
        };
        let reader = context.reader()?;
        let store = reader.store().clone();
        let (mut machine, mut run) = (context.machine(&store)?, None);
        if let Some(text) = &self.run {
            let view = super::run::viewed(&reader, text)?;
            if let Some(end) = view.end {
                let message = format!("run {} is over already: {}", view.run.short(), end.word());
                return Err(Failure::new("already_over", exit::STALE, message));
            }
            // only the machine that owns the run can tell it
            (machine, run) = (view.machine, Some(view.run));
        }
        let verb = Verb::EventEmit { name: self.name.clone(), data, run };
        let command = Command { schema: SCHEMA.to_owned(), id: id.clone(), at, by: context.by(), verb };
        inbox::put(store.root(), &machine, &command).map_err(crate::store::error::StoreError::from)?;
        let state = match lock::probe(store.root())? {
            KernelHealth::Down => State::Saved,
            _ => State::Sent,
        };
        context.screen.document(&json!({"schema": "cairn.command/1", "command": id, "state": state.word()}));
        context.screen.say(match state {
            State::Saved => format!("event {} {}", self.name, state.words()),
            _ => format!("event {} given to the kernel", self.name),
        });
        Ok(exit::OK)
    }
}

fn ls(context: &mut Context, name: Option<&str>, limit: Option<usize>) -> Outcome {
    let store = context.store()?;
    let machine = context.machine(&store)?;
    let short = context.screen.is_tty() && !context.screen.is_json();
    let limit = limit.unwrap_or(if short { LIMIT } else { usize::MAX });
    let mut events: Vec<(Timestamp, EventReceived)> = Vec::new();
    let mut logs = fsutil::list(&store.path(&cairn_store_layout::paths::log_dir(&machine))).unwrap_or_default();
    logs.sort_by_key(std::fs::DirEntry::file_name);
    for log in logs.iter().rev() {
        let bytes = fsutil::read(&log.path()).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines().rev().filter(|line| line.contains("\"kind\":\"event.received\"")) {
            if events.len() >= limit {
                break;
            }
            let record = Record::decode(line, &mut |digest| artifacts::get(store.root(), digest).ok().flatten());
            if let Ok(Record { event, .. }) = record
                && let Body::EventReceived(received) = event.body
                && name.is_none_or(|name| name == received.name)
            {
                events.push((event.at, received));
            }
        }
    }
    let item = |(at, e): &(Timestamp, EventReceived)| json!({"event": e.event, "name": e.name, "at": cairn_store_layout::time::write(*at), "by": e.by, "run": e.run, "data": e.data});
    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.list("cairn.events/1", &events.iter().map(item).collect::<Vec<_>>(), None);
    if events.is_empty() {
        screen.say("no events yet");
        screen.note(format!("emit one: {cairn} event emit NAME --data JSON"));
        return Ok(exit::OK);
    }
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|(at, e)| {
            let run = e.run.as_ref().map_or(String::new(), |run| run.short().to_owned());
            let data: String = e.data.to_string().chars().take(60).collect();
            vec![screen.time(*at), e.name.clone(), e.by.clone(), run, data]
        })
        .collect();
    screen.table(&["AT", "NAME", "BY", "FOR", "DATA"], &rows);
    Ok(exit::OK)
}
