//! `cairn run history`.

use cairn_store_layout::{paths, record::Record, time, view};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Context, Outcome};
use crate::cli::failure::{Failure, exit};

/// Show everything that happened to one run, oldest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn run history 7k2m9q\n  cairn run history 7k2m9q --json | jq -c '.items[] | [.at,.kind]'"
)]
pub struct History {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl History {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let run = reader.resolve_run(&self.run)?;
        let history = reader.history(&run)?;
        let history = history.ok_or_else(|| Failure::not_found(format!("run {run} has no history")))?;
        let first = history.records.len().saturating_sub(self.limit.unwrap_or(usize::MAX));
        let records = &history.records[first..];

        let screen = &mut context.screen;
        screen.list("cairn.history/1", &records.iter().map(document).collect::<Vec<_>>(), None);
        let rows: Vec<Vec<String>> = records
            .iter()
            .map(|record| {
                let event = &record.event;
                let place = match (&event.step, &event.iteration) {
                    (Some(step), Some(iteration)) => format!("{step} [{iteration}]"),
                    (Some(step), None) => step.to_string(),
                    (None, _) => String::new(),
                };
                let what = view::describe(event);
                vec![record.n.to_string(), screen.time_full(event.at), place, view::kind_word(event), what]
            })
            .collect();
        screen.table(&["N", "AT", "STEP", "KIND", "WHAT"], &rows);
        screen.note(format!("the file: {}", reader.store().path(&paths::run(&run)).display()));
        Ok(exit::OK)
    }
}

/// The record as in the file, with spilled values filled in.
fn document(record: &Record) -> Value {
    let event = &record.event;
    let (kind, v) = event.body.kind();
    let mut out: Map<String, Value> = event.body.to_fields().unwrap_or_default();
    let head = json!({
        "n": record.n, "at": time::write(event.at), "kind": kind, "v": v, "step": event.step,
        "iteration": event.iteration, "attempt": event.attempt, "cause": event.cause,
    });
    if let Value::Object(head) = head {
        out.extend(head);
    }
    Value::Object(out)
}
