//! `cairn run resume`.

use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Outcome, again};
use crate::cli::host::Wait;

/// Let a run go on that stands still: a parked one is read again, a pause between attempts ends now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run resume 7k2m9q            the next attempt begins now, not at its time
  cairn run resume 7k2m9q --wait

What waits for you is answered, not resumed: cairn inbox ls. A run that has ended is done again: cairn run rerun.")]
pub struct Resume {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    #[command(flatten)]
    wait: Wait,
}

impl Resume {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = again::readable(&reader, &self.run)?;
        again::refuse_over(&view, "resume")?;
        let verb = Verb::RunResume { run: view.run.clone() };
        again::ask(context, &mut reader, &view, verb, &self.wait)
    }
}
