//! `cairn mem`: what was learned, and where each piece came from.

mod add;
mod audit;
mod search;
mod show;
mod tidy;

use cairn_memory::Memory;
use cairn_store_layout::{passage::Passage, time};
use clap::Subcommand;

use self::{add::Add, audit::Audit, search::Search, tidy::Tidy};
use super::{
    context::{Context, Outcome},
    failure::{Failure, chain},
};
use crate::store::Store;

/// What was learned.
#[derive(Debug, Subcommand)]
pub enum Mem {
    /// Recall passages by words and likeness, and say why each matched
    Search(Search),
    /// Remember a passage in your own words
    Add(Add),
    /// Forget and summarise by policies/memory.toml
    Tidy(Tidy),
    /// What in memory and knowledge deserves a look
    Audit(Audit),
    /// Show one passage with its source and how often it was used
    Show {
        /// The passage: its id, or a beginning of at least 4 characters
        id: String,
    },
}

impl Mem {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Search(search) => search.run(context),
            Self::Add(add) => add.run(context),
            Self::Tidy(tidy) => tidy.run(context),
            Self::Audit(audit) => audit.run(context),
            Self::Show { id } => show::run(context, id),
        }
    }
}

fn line(passage: &Passage) -> String {
    let about = passage.entity.as_deref().map_or(String::new(), |e| format!(" about {e}"));
    let day = &time::write(passage.recorded_at)[..10];
    format!(
        "{} {}{about}, {day}, from {}",
        &passage.id[..passage.id.len().min(8)],
        passage.kind,
        passage.source.words()
    )
}

fn open(context: &Context, store: &Store) -> Result<Memory, Failure> {
    let machine = context.machine(store)?;
    Memory::open(store.root(), &machine).map_err(|e| failed(&e))
}

fn failed(error: &cairn_memory::MemoryError) -> Failure {
    Failure::failed("memory", chain(error))
        .fix("what is derived can be made again: remove .cairn/index and try once more")
}
