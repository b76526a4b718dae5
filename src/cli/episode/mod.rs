//! `cairn episode`: what happened with whom.

mod add;
mod ls;
pub(super) mod timeline;

use clap::Subcommand;

use super::{
    asked,
    context::{Context, Outcome},
    entity::{failed, named, open},
    failure::{Failure, exit},
    when::{self, Edge},
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

/// A moment that a flag was given, if it was.
fn when(flag: &str, text: Option<&str>, edge: Edge) -> Result<Option<jiff::Timestamp>, Failure> {
    text.map(|text| when::given(flag, text, edge)).transpose()
}
