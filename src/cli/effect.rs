//! `cairn effect`: what was asked of the world, and what is known of it.

use cairn_store_layout::{
    payload::Purpose,
    text::DisplayText,
    view::{EffectState, EffectView, effects},
};
use clap::Subcommand;
use serde_json::json;

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
};
use crate::store::reader::Reader;

/// Effects shown on a terminal when no limit is given.
const LIMIT: usize = 50;

/// What was asked of the world, and what is known of it.
#[derive(Debug, Subcommand)]
pub enum Effect {
    /// List effects, those of the newest run first
    #[command(after_help = "Examples:\n  cairn effect ls --unknown\n  cairn effect ls --run 7k2m9q --json")]
    Ls {
        /// Only those of which nobody knows whether they happened
        #[arg(long)]
        unknown: bool,
        /// Only those of this run
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// At most so many (50 on a terminal, else all)
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one effect: its intent, its receipt, what a probe found
    Show {
        /// Its idempotency key, or a unique beginning of at least 4 characters
        key: String,
    },
}

impl Effect {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Ls { unknown, run, limit } => ls(context, *unknown, run.as_deref(), *limit),
            Self::Show { key } => show(context, key),
        }
    }
}

fn ls(context: &mut Context, unknown: bool, run: Option<&str>, limit: Option<usize>) -> Outcome {
    let reader = context.reader()?;
    let wanted = |entry: &EffectView| !unknown || entry.state == EffectState::Unknown;
    let short = context.screen.is_tty() && !context.screen.is_json();
    let limit = limit.unwrap_or(if short { LIMIT } else { usize::MAX });
    let mut found: Vec<EffectView> =
        entries(&reader, run)?.flatten().filter(wanted).take(limit.saturating_add(1)).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.list("cairn.effects/1", &found.iter().map(|e| json!(e)).collect::<Vec<_>>(), None);
    let Some(first) = found.first() else {
        screen.say(if unknown { "of every effect it is known whether it happened" } else { "no effects yet" });
        return Ok(exit::OK);
    };
    let first = first.key.as_str()[..8].to_owned();
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|e| {
            let (key, run) = (e.key.as_str()[..8].to_owned(), e.run.short().to_owned());
            let tries = e.attempts.to_string();
            vec![key, run, place(e), what(e), class(e), screen.time(e.intent), e.state.word().to_owned(), tries]
        })
        .collect();
    screen.table(&["KEY", "RUN", "STEP", "WHAT", "REPEATS", "INTENT", "STATE", "TRIES"], &rows);
    if more {
        screen.note("and more; see --limit");
    }
    screen.note(format!("look at one: {cairn} effect show {first}"));
    Ok(exit::OK)
}

fn show(context: &mut Context, key: &str) -> Outcome {
    let reader = context.reader()?;
    let key = key.to_ascii_lowercase();
    let mut named =
        entries(&reader, None)?.flatten().filter(|e| key.len() >= 4 && e.key.as_str().starts_with(key.as_str()));
    let entry = match (named.next(), named.next()) {
        (Some(one), None) => one,
        (Some(_), Some(_)) => {
            let message = format!("`{key}` names several effects");
            return Err(Failure::new("ambiguous", exit::USAGE, message).fix("give more of its key"));
        }
        (None, _) => return Err(Failure::not_found(format!("there is no effect `{key}`")).fix("cairn effect ls")),
    };
    let mut document = json!(entry);
    document["schema"] = json!("cairn.effect/1");
    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.document(&document);
    screen.heading(&format!("{}: {}", what(&entry), entry.state.word()));
    screen.say(format!("key       {}", entry.key));
    screen.say(format!("run       {} of {}, step {}", entry.run, entry.workflow, place(&entry)));
    screen.say(format!("repeats   {}", class(&entry)));
    screen.say(format!("digest    {}", entry.digest));
    screen.say(format!("intent    {}", screen.time_full(entry.intent)));
    screen.say(format!("attempts  {}", entry.attempts));
    screen.say(match (entry.receipt, entry.state) {
        (Some(at), _) => format!("receipt   {}", screen.time_full(at)),
        (None, EffectState::Unknown) => "receipt   none: nobody knows whether it happened".to_owned(),
        (None, _) => "receipt   none yet".to_owned(),
    });
    if let Some(by) = &entry.settled_by {
        screen.say(format!("settled   by {}", DisplayText::line(by)));
    }
    if let Some(from) = &entry.cached_from {
        screen.say(format!("answered  by run {from}, which asked the same before"));
    }
    if let Some(probe) = &entry.probe {
        screen.say(format!("probe     {}", DisplayText::line(probe)));
    }
    if let Some(message) = &entry.message {
        screen.say("");
        screen.quote(message);
    }
    if let Some(gate) = &entry.gate {
        screen.note(format!("say what happened: {cairn} inbox show {}", gate.short()));
    }
    Ok(exit::OK)
}

/// The effects of one run, or of every run, the newest first; those of one run in their order.
fn entries<'a>(reader: &'a Reader, run: Option<&str>) -> Result<impl Iterator<Item = Vec<EffectView>> + 'a, Failure> {
    let runs = match run {
        Some(text) => vec![reader.resolve_run(text)?],
        None => reader.runs().map(|item| item.run).collect(),
    };
    // one that can not be read was told when the reader read its lists
    let of = |run| reader.history_prefix(&run).map(|history| effects(&history.records)).unwrap_or_default();
    Ok(runs.into_iter().map(of))
}

fn place(entry: &EffectView) -> String {
    match &entry.iteration {
        Some(iteration) => format!("{}[{iteration}]", entry.step),
        None => entry.step.to_string(),
    }
}

fn what(entry: &EffectView) -> String {
    match entry.purpose {
        Purpose::Step | Purpose::Probe => entry.what.clone(),
        Purpose::Undo => format!("undo: {}", entry.what),
    }
}

fn class(entry: &EffectView) -> String {
    json!(entry.class).as_str().map_or_else(String::new, str::to_owned)
}
