//! `cairn inbox deny`.

use clap::Args;

use super::{
    Context, Outcome,
    decision::{Choice, Decision, decide},
};

/// Do not let it happen. Steps that need it are skipped; nothing has failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn inbox deny a3f2 -m 'they paid this morning'")]
pub struct Deny {
    #[command(flatten)]
    choice: Choice,
}

impl Deny {
    pub(in crate::cli) fn run(&self, context: &mut Context) -> Outcome {
        decide(context, Decision::Deny, &self.choice, &[])
    }
}
