//! `cairn run ls`.

use cairn_store_layout::view::{RunItem, RunStatus};
use clap::Args;
use serde_json::json;

use super::{Context, Outcome};
use crate::cli::failure::{Failure, exit};

/// Runs shown on a terminal when no limit is given.
const LIMIT: usize = 50;

/// List runs, newest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn run ls\n  cairn run ls --status waiting\n  cairn run ls --json | jq -r '.items[].run'"
)]
pub struct Ls {
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Only runs in this state: running, waiting, succeeded, failed, canceled
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<RunStatus>,
    /// At most so many (50 on a terminal, else all)
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only runs older than this one: the `next` of the list before
    #[arg(long, value_name = "RUN")]
    before: Option<String>,
}

impl Ls {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let before = self.before.as_deref().map(|text| reader.resolve_run(text)).transpose()?;
        let wanted = |r: &RunItem| {
            self.workflow.as_ref().is_none_or(|w| *w == r.workflow)
                && self.status.is_none_or(|s| s == r.status)
                && before.as_ref().is_none_or(|b| r.run < *b)
        };
        let short = context.screen.is_tty() && !context.screen.is_json();
        let limit = self.limit.unwrap_or(if short { LIMIT } else { usize::MAX });
        let mut runs: Vec<RunItem> = reader.runs().filter(wanted).take(limit.saturating_add(1)).collect();
        let more = runs.len() > limit;
        runs.truncate(limit);
        let next = if more { runs.last().map(|r| r.run.to_string()) } else { None };

        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.list("cairn.runs/1", &runs.iter().map(|r| json!(r)).collect::<Vec<_>>(), next.as_deref());
        if runs.is_empty() {
            let filtered = self.workflow.is_some() || self.status.is_some() || before.is_some();
            screen.say(if filtered { "no run matches" } else { "no runs yet" });
            screen.note(format!("start one: {cairn} run start NAME --wait (names: {cairn} workflow ls)"));
            return Ok(exit::OK);
        }
        let rows: Vec<Vec<String>> = runs
            .iter()
            .map(|r| {
                let steps = format!("{}/{}", r.steps_done, r.steps);
                let (run, status, at) = (r.run.short().to_owned(), r.status.word().to_owned(), screen.time(r.started));
                let of = r.parent.as_ref().map(|parent| format!("for run {}", parent.short()));
                let note = of.into_iter().chain((!r.note.is_empty()).then(|| r.note.clone()));
                let note = note.collect::<Vec<_>>().join("; ");
                vec![run, r.workflow.clone(), status, at, steps, r.cost_usd.clone(), note]
            })
            .collect();
        screen.table(&["RUN", "WORKFLOW", "STATUS", "STARTED", "STEPS", "COST $", "NOTE"], &rows);
        if let Some(next) = next {
            screen.note(format!("older ones: {cairn} run ls --before {next}"));
        }
        Ok(exit::OK)
    }
}

fn status(word: &str) -> Result<RunStatus, String> {
    use RunStatus as S;
    let all = [S::Running, S::Waiting, S::Succeeded, S::Failed, S::Canceled];
    all.into_iter()
        .find(|s| s.word() == word)
        .ok_or_else(|| Failure::usage("use running, waiting, succeeded, failed or canceled").message)
}
