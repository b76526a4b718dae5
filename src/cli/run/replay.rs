//! `cairn run replay`.

use cairn_store_layout::{RunId, event::Event, record::Record};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Outcome, again::bad_past, compared, viewed};
use crate::{
    cli::failure::{Failure, exit, plural},
    store::{
        past::{self, Loader, Recheck},
        reader::Reader,
    },
};

/// Decide a run again from its history: prove that this build would do the same, or compare it with
/// another version of its definition. Offline; nothing is sent, asked or changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run replay 7k2m9q                          the same decisions, byte for byte?
  cairn run replay --all                           of every run in the store
  cairn run replay 7k2m9q --on latest              what would the definition of today make of it?
  cairn run replay 7k2m9q --on workflows/invoice-chase --json

Replies, decisions and times are taken from the history; everything that follows from them is computed and compared.
Exit code 1 when it differs.")]
pub struct Replay {
    /// The run: its id, or a unique end of at least 4 characters
    #[arg(required_unless_present = "all")]
    run: Option<String>,
    /// Compare with this version: `latest`, a git tree id, or the folder of a workflow as it lies there
    #[arg(long, value_name = "VERSION", conflicts_with = "all")]
    on: Option<String>,
    /// Every run of the store
    #[arg(long, conflicts_with = "run")]
    all: bool,
}

impl Replay {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let mut loader = Loader::new(reader.store().root())?;
        match (&self.run, &self.on) {
            (Some(run), Some(on)) => self.compare(context, &reader, &mut loader, run, on),
            (Some(run), None) => {
                let run = reader.resolve_run(run)?;
                one(context, &reader, &mut loader, &run)
            }
            (None, _) => all(context, &reader, &mut loader),
        }
    }

    fn compare(&self, context: &mut Context, reader: &Reader, loader: &mut Loader, run: &str, on: &str) -> Outcome {
        let view = viewed(reader, run)?;
        let target = compared::Target::find(reader, loader, &view.workflow, on)?;
        let events = past::events(reader.store().root(), &view.run)?.unwrap_or_default();
        let comparison = compared::with(&events, &target, loader)?;
        let mut document = compared::document(&comparison, &target);
        document["schema"] = json!("cairn.comparison/1");
        document["run"] = json!(view.run);
        document["workflow"] = json!(view.workflow);
        document["definition"] = json!(view.definition);
        document["output_before"] = json!(view.output);
        let screen = &mut context.screen;
        screen.document(&document);
        screen.heading(&format!("run {} of {} on {on}: a dry run, nothing was done", view.run.short(), view.workflow));
        compared::show(screen, &comparison, view.output.as_ref());
        Ok(exit::OK)
    }
}

fn one(context: &mut Context, reader: &Reader, loader: &mut Loader, run: &RunId) -> Outcome {
    let checked = past::recheck(reader.store().root(), run, loader).map_err(|error| bad_past(run, &error))?;
    let checked = checked.ok_or_else(|| Failure::not_found(format!("run {run} has no history")))?;
    let screen = &mut context.screen;
    let mut document = item(run, &Ok(checked.clone()));
    document["schema"] = json!("cairn.replay/1");
    screen.document(&document);
    match &checked.difference {
        None => {
            screen.say(format!("run {}: {}", run.short(), same(&checked)));
            Ok(exit::OK)
        }
        Some(difference) => {
            screen.say(format!("run {} differs: {}", run.short(), difference.words()));
            if let Some(refused) = &difference.refused {
                screen.say(format!("this build refuses: {refused}"));
            }
            screen.say("recorded:");
            screen.quote(&line(difference.n, &difference.recorded));
            if let Some(given) = &difference.given {
                screen.say("this build:");
                screen.quote(&line(difference.n, given));
            }
            screen.note(format!(
                "an unfinished run like this is parked as nondeterministic; go on with cairn run migrate {0} or cairn run rerun {0}",
                run.short()
            ));
            Ok(exit::FAILED)
        }
    }
}

fn all(context: &mut Context, reader: &Reader, loader: &mut Loader) -> Outcome {
    let mut items = Vec::new();
    let mut rows = Vec::new();
    let mut good = 0_u64;
    for run in reader.runs() {
        let checked = past::recheck(reader.store().root(), &run.run, loader).map_err(|error| error.to_string());
        let checked = checked.and_then(|checked| checked.ok_or_else(|| "it has no history".to_owned()));
        items.push(item(&run.run, &checked));
        match &checked {
            Ok(checked) if checked.is_same() => good += 1,
            Ok(checked) => {
                let words = checked.difference.as_ref().map_or(String::new(), cairn_kernel::Difference::words);
                rows.push(vec![run.run.short().to_owned(), run.workflow.clone(), words]);
            }
            Err(why) => rows.push(vec![run.run.short().to_owned(), run.workflow.clone(), why.clone()]),
        }
    }
    let ok = rows.is_empty();
    let screen = &mut context.screen;
    screen.document(&json!({ "schema": "cairn.replay/1", "ok": ok, "items": items, "next": null }));
    if !ok {
        screen.table(&["RUN", "WORKFLOW", "WHAT"], &rows);
    }
    screen.say(match (ok, good) {
        (true, n) => format!("{}: this build decides as is recorded", plural(n, "run")),
        (false, n) => format!("{} as recorded, {} not", plural(n, "run"), rows.len()),
    });
    Ok(if ok { exit::OK } else { exit::FAILED })
}

fn same(checked: &Recheck) -> String {
    let told = format!("{} decided again, byte for byte the same", plural(checked.same as u64, "record"));
    match checked.untold {
        0 => told,
        n => format!("{told}; {} not the kernel's to decide", plural(n as u64, "record")),
    }
}

fn item(run: &RunId, checked: &Result<Recheck, String>) -> Value {
    match checked {
        Err(why) => json!({ "run": run, "ok": false, "error": why }),
        Ok(checked) => json!({
            "run": run, "ok": checked.is_same(), "same": checked.same, "untold": checked.untold,
            "difference": checked.difference.as_ref().map(|d| json!({
                "n": d.n, "recorded": line(d.n, &d.recorded), "given": d.given.as_ref().map(|g| line(d.n, g)),
                "refused": d.refused, "message": d.words(),
            })),
        }),
    }
}

/// The event as its line, without what was too large for it.
fn line(n: usize, event: &Event) -> String {
    let record = Record { n: n as u64, event: event.clone() };
    record.encode().map_or_else(|e| e.to_string(), |(line, _)| line.trim_end().to_owned())
}
