//! `cairn run`: start runs and look at them.

pub mod adopt;
pub mod again;
pub mod cancel;
mod compared;
pub mod fork;
pub mod history;
pub mod ls;
pub mod migrate;
pub mod replay;
pub mod rerun;
pub mod resume;
pub mod retry;
pub mod show;
pub mod start;

use cairn_store_layout::{RunId, view::RunView};
use clap::Subcommand;

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
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
    /// Let a run go on that stands still: read a parked one again, end a pause now
    Resume(resume::Resume),
    /// Begin a new attempt of what failed or pauses
    Retry(retry::Retry),
    /// Do a run again as a new run, taking over what is done
    Rerun(rerun::Rerun),
    /// Go on from a step of a run as a new run, with memory as it was then
    Fork(fork::Fork),
    /// Decide a run again from its history, or compare it with another version
    Replay(replay::Replay),
    /// Move a run to another version of its definition
    Migrate(migrate::Migrate),
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
            Self::Resume(verb) => verb.run(context),
            Self::Retry(verb) => verb.run(context),
            Self::Rerun(verb) => verb.run(context),
            Self::Fork(verb) => verb.run(context),
            Self::Replay(verb) => verb.run(context),
            Self::Migrate(verb) => verb.run(context),
            Self::Cancel(verb) => verb.run(context),
            Self::Adopt(verb) => verb.run(context),
        }
    }
}

/// The view of the run that `text` names, for a verb that means nothing once the run is over.
fn open(reader: &Reader, text: &str) -> Result<RunView, Failure> {
    let view = viewed(reader, text)?;
    let Some(end) = view.end else { return Ok(view) };
    let short = view.run.short();
    let message = format!("run {short} is over already: {}", end.word());
    Err(Failure::new("already_over", exit::STALE, message).fix(format!("cairn run show {short}")))
}

/// The view of the run that `text` names.
pub(super) fn viewed(reader: &Reader, text: &str) -> Result<RunView, Failure> {
    let run: RunId = reader.resolve_run(text)?;
    let view = reader.view(&run)?;
    view.ok_or_else(|| Failure::not_found(format!("run {run} has no whole record yet")).fix("try again in a moment"))
}
