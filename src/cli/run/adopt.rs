//! `cairn run adopt`.

use cairn_store_layout::command::Verb;
use clap::Args;
use serde_json::json;

use super::{Context, Outcome, open};
use crate::cli::{
    failure::exit,
    host::{self, Wait},
};
use crate::store::inbox;

/// Take over a run of a machine id that was retired here.
///
/// After a store was restored from an older state, or a damaged journal was accepted, its unfinished runs
/// wait: what they did since is not known, so it could be done a second time. Look at the run and at the
/// other side first. Effects that the run still knows of keep their idempotency keys; what waited for your
/// approval is asked again, and approvals of before are refused.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn run adopt 7k2m9q\n  cairn run cancel 7k2m9q      (end it instead)")]
pub struct Adopt {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    #[command(flatten)]
    wait: Wait,
}

impl Adopt {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = open(&reader, &self.run)?;
        let here = context.machine(reader.store())?;
        let command = inbox::submit(reader.store(), &here, Verb::RunAdopt { run: view.run.clone() }, &context.by())?;
        let sent = host::follow(context, &mut reader, &view.run, &command, &self.wait)?;
        let status = sent.item.as_ref().map(|i| i.status);
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.run/1", "run": view.run, "workflow": view.workflow, "status": status,
            "commit": sent.item.as_ref().and_then(|i| i.commit.clone()), "command": command, "state": sent.state.word(),
        }));
        screen.say(format!("asked to adopt run {}: {}", view.run.short(), sent.state.words()));
        Ok(if self.wait.is_set() { sent.exit() } else { exit::OK })
    }
}
