//! `cairn run rerun`.

use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Outcome, again, viewed};

/// Do a run again as a new run: same input, what is done taken over where it still answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run rerun 7k2m9q --wait                    what failed is done again, what was done is taken over
  cairn run rerun 7k2m9q --latest                  with the definition as it is now: what it changed is done again
  cairn run rerun 7k2m9q --from draft              from that step on everything anew
  cairn run rerun 7k2m9q -i as_of=2026-12-01 --no-reuse

A result is taken over for the same step, iteration and request. What was sent is not sent again then, and no gate opens
for it. Questions to you and waits happen again. See what would happen first: cairn run replay 7k2m9q --on latest")]
pub struct Rerun {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// Do this step, and all that need it, anew
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Take nothing over: everything is done, and sent, again
    #[arg(long, conflicts_with = "from")]
    no_reuse: bool,
    #[command(flatten)]
    with: again::With,
}

impl Rerun {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = viewed(&reader, &self.run)?;
        if view.end.is_none() {
            let short = view.run.short();
            context.screen.note(format!(
                "note: run {short} has not ended; what it would still send may come twice (cairn run cancel {short})"
            ));
        }
        let again = self.with.again(&reader, &view, self.from.as_deref())?;
        let verb = Verb::RunRerun { run: view.run.clone(), again, reuse: !self.no_reuse };
        again::begin(context, &mut reader, &view, verb, &self.with.wait)
    }
}
