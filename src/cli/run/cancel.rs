//! `cairn run cancel`.

use cairn_store_layout::command::Verb;
use clap::Args;
use serde_json::json;

use super::{Context, Outcome, open};
use crate::cli::{
    failure::exit,
    host::{self, Wait},
};
use crate::store::inbox;

/// End a run before its time. What it did stays done, unless --undo; what waits for approval will not happen.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn run cancel 7k2m9q -m 'started twice'\n  cairn run cancel 7k2m9q --undo     takes back what its definition says how to; again without --undo ends it at once"
)]
pub struct Cancel {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// Why
    #[arg(short = 'm', long, value_name = "WHY")]
    reason: Option<String>,
    /// Take back first what it did, newest first, where its definition says how
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Cancel {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = open(&reader, &self.run)?;
        let reason = self.reason.clone().filter(|r| !r.trim().is_empty());
        let verb = Verb::RunCancel { run: view.run.clone(), reason, undo: self.undo };
        let command = inbox::submit(reader.store(), &view.machine, verb, &context.by())?;
        let sent = host::follow(context, &mut reader, &view.run, &command, &self.wait)?;
        let status = sent.item.as_ref().map(|i| i.status);
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.run/1", "run": view.run, "workflow": view.workflow, "status": status,
            "commit": sent.item.as_ref().and_then(|i| i.commit.clone()), "command": command, "state": sent.state.word(),
        }));
        match status {
            Some(s) if s.is_final() => screen.say(format!("run {} is {}", view.run.short(), s.word())),
            _ => screen.say(format!("asked to cancel run {}: {}", view.run.short(), sent.state.words())),
        }
        Ok(exit::OK)
    }
}
