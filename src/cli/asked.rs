//! Commands that no run owns: given to the kernel, and followed until it says what became of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use cairn_store_layout::{CommandId, command::Verb, paths, view::KernelHealth};
use clap::Args;
use serde_json::{Value, json};

use super::{
    context::Context,
    failure::{Failure, exit},
    host::{self, State},
};
use crate::store::{Store, inbox, lock};

const LOOK: Duration = Duration::from_millis(20);
/// How long it is looked whether a running kernel takes the command.
const GLANCE: Duration = Duration::from_secs(5);

/// The flag `--wait` of commands that no run owns.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Now {
    /// If no kernel runs, be the kernel until nothing is left to do
    #[arg(long)]
    pub(super) wait: bool,
}

/// Gives `verb` to the kernel of this machine and says what became of it.
///
/// # Errors
/// When the kernel refused it: what is no longer as it was shown exits 4, everything else 5.
pub(super) fn ask(context: &Context, store: &Store, verb: Verb, now: Now) -> Result<(CommandId, State), Failure> {
    let machine = context.machine(store)?;
    let command = inbox::submit(store, &machine, verb, &context.by())?;
    let file = store.path(&paths::command(&machine, &command));
    let end = Instant::now() + GLANCE;
    loop {
        let gone = !file.exists();
        // read after the look at the file: a kernel writes its answer before it removes the file
        match host::answered(store, &machine, &command) {
            Some(State::Refused(refusal)) => {
                let (code, exit) = match refusal.code.as_str() {
                    "version_conflict" => ("version_conflict", exit::STALE),
                    "stale_digest" => ("stale_digest", exit::STALE),
                    "already_decided" => ("already_decided", exit::STALE),
                    "schema" => ("schema", exit::REFUSED),
                    _ => ("refused", exit::REFUSED),
                };
                return Err(Failure::new(code, exit, "the kernel did not follow the command; nothing was changed")
                    .why(refusal.message)
                    .fix("look at what is there now: cairn inbox ls, cairn entity show ID, cairn mem show ID")
                    .details(json!({"refusal": refusal.code})));
            }
            _ if gone => return Ok((command, State::Applied)),
            _ => {}
        }
        match lock::probe(store.root())? {
            KernelHealth::Down if now.wait => drop(host::be_kernel_for_now(store)?),
            KernelHealth::Down => return Ok((command, State::Saved)),
            KernelHealth::Running { .. } if Instant::now() >= end => return Ok((command, State::Sent)),
            KernelHealth::Running { .. } => thread::sleep(LOOK),
        }
    }
}

/// The document of a command that was given.
pub(super) fn document(command: &CommandId, state: &State) -> Value {
    json!({"schema": "cairn.command/1", "command": command, "state": state.word()})
}
