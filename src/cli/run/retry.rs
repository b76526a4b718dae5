//! `cairn run retry`.

use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Outcome, again, viewed};
use crate::cli::{failure::Failure, host::Wait};

/// Begin a new attempt of what failed or pauses, in a run that goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run retry 7k2m9q                       everything that failed or pauses
  cairn run retry 7k2m9q --step send/2043      one iteration of one step

The new attempt has the idempotency key of the one before. A failure that other steps have taken into account stays one:
when the run is over, do it again with cairn run rerun RUN --from STEP.")]
pub struct Retry {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// Only this step, or this iteration of it
    #[arg(long, value_name = "STEP[/ITERATION]")]
    step: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Retry {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = viewed(&reader, &self.run)?;
        again::refuse_over(&view, "retry")?;
        let (step, iteration) = match &self.step {
            None => (None, None),
            Some(text) => {
                let (step, iteration) = text.split_once('/').map_or((text.as_str(), None), |(s, i)| (s, Some(i)));
                let step = step.parse().map_err(|e| Failure::usage(format!("{e}")))?;
                (Some(step), iteration.map(str::to_owned))
            }
        };
        let verb = Verb::RunRetry { run: view.run.clone(), step, iteration };
        again::ask(context, &mut reader, &view, verb, &self.wait)
    }
}
