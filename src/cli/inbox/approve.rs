//! `cairn inbox approve`.

use clap::Args;

use super::{
    Context, Outcome,
    decision::{Choice, Decision, decide},
};

/// Let exactly what was shown happen, once.
///
/// With --digest it is exact and asks nothing. Without, it shows the text and asks; --yes answers for
/// what was just shown (levels 1 and 2). Level 3 (a rule changes, or the text hides characters) always
/// needs --confirm ID.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn inbox approve a3f2 --digest 9c1e77d0\n  cairn inbox approve a3f2 --yes --wait\n  cairn inbox ls --json | jq -r '.items[].id' | cairn inbox approve - --yes"
)]
pub struct Approve {
    #[command(flatten)]
    choice: Choice,
    /// The id once more, where hidden characters or a changed rule ask for it (level 3)
    #[arg(long, value_name = "ID")]
    confirm: Vec<String>,
}

impl Approve {
    pub(in crate::cli) fn run(&self, context: &mut Context) -> Outcome {
        decide(context, Decision::Approve, &self.choice, &self.confirm)
    }
}
