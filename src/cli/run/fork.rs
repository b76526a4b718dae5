//! `cairn run fork`.

use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Outcome, again, viewed};

/// Go on from a step of a run as a new run, with memory as it was when that step began.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run fork 7k2m9q --from draft --wait
  cairn run fork 7k2m9q --from draft --latest      what would today's prompt have made of it?

The steps before are taken over; memory.recall finds what was known then, nothing later. What the fork does is real:
letters wait behind their gates as ever.")]
pub struct Fork {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// The step it goes on from: this and all that need it are done anew
    #[arg(long, value_name = "STEP")]
    from: String,
    #[command(flatten)]
    with: again::With,
}

impl Fork {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = viewed(&reader, &self.run)?;
        let again = self.with.again(&reader, &view, Some(&self.from))?;
        let verb = Verb::RunFork { run: view.run.clone(), again };
        again::begin(context, &mut reader, &view, verb, &self.with.wait)
    }
}
