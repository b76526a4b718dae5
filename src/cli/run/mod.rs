//! `cairn run`: start runs and look at them.

pub mod adopt;
pub mod cancel;
pub mod history;
pub mod ls;
pub mod show;
pub mod start;

use cairn_store_layout::{RunId, view::RunView};
use clap::Subcommand;

use super::{
    context::{Context, Outcome},
    failure::Failure,
};
use crate::store::reader::Reader;

/// Start, list and look at runs.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Start a run of a workflow
    Start(start::Start),
    /// List runs, newest first
    Ls(ls::Ls),
    /// Show one run: its steps, what it waits for, what it gave back
    Show(show::Show),
    /// Show everything that happened to one run
    History(history::History),
    /// End a run before its time
    Cancel(cancel::Cancel),
    /// Take over a run of a machine id that was retired here
    Adopt(adopt::Adopt),
}

impl Run {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Start(verb) => verb.run(context),
            Self::Ls(verb) => verb.run(context),
            Self::Show(verb) => verb.run(context),
            Self::History(verb) => verb.run(context),
            Self::Cancel(verb) => verb.run(context),
            Self::Adopt(verb) => verb.run(context),
        }
    }
}

/// The view of the run that `text` names.
pub(super) fn viewed(reader: &Reader, text: &str) -> Result<RunView, Failure> {
    let run: RunId = reader.resolve_run(text)?;
    let view = reader.view(&run)?;
    view.ok_or_else(|| Failure::not_found(format!("run {run} has no whole record yet")).fix("try again in a moment"))
}
