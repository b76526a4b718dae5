//! `cairn episode`: what happened with whom.

mod add;
mod ls;
pub(super) mod timeline;

use clap::Subcommand;

use super::{
    asked,
    context::{Context, Outcome},
    entity::{failed, moment, named, open},
    failure::{Failure, exit},
};

/// What happened with whom.
#[derive(Debug, Subcommand)]
pub enum Episode {
    /// Record a call, a meeting, a note
    Add(add::Add),
    /// List what happened: one timeline of runs, letters, notes, passages, changes and episodes
    Ls(ls::Ls),
}

impl Episode {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Add(verb) => verb.run(context),
            Self::Ls(verb) => verb.run(context),
        }
    }
}

/// A moment that was typed.
fn when(text: Option<&str>, end_of_day: bool) -> Result<Option<jiff::Timestamp>, Failure> {
    let read = |text: &str| {
        moment(text, end_of_day).ok_or_else(|| {
            Failure::usage(format!("`{text}` is no day and no moment"))
                .fix("write it like 2026-11-22 or 2026-11-22T08:00:00Z")
        })
    };
    text.map(read).transpose()
}
