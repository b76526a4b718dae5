//! `cairn mem`: what was learned, and where each piece came from.

mod add;
mod audit;
mod forget;
mod search;
mod show;
mod stats;
mod tidy;

use cairn_memory::Memory;
use cairn_store_layout::{passage::Passage, time};
use clap::Subcommand;

use self::{
    add::{Add, Supersede},
    audit::Audit,
    forget::Forget,
    search::{Explain, Search},
    tidy::Tidy,
};
use super::{
    context::{Context, Outcome},
    failure::{Failure, chain, exit},
};
use crate::{embedders, store::Store};

/// What was learned.
#[derive(Debug, Subcommand)]
pub enum Mem {
    /// Recall passages by words and likeness, and say why each matched
    Search(Search),
    /// Say why a passage is found by a question, or why it is not
    Explain(Explain),
    /// Remember a passage in your own words
    Add(Add),
    /// Remember a passage that takes the place of another one
    Supersede(Supersede),
    /// Recall a passage no more
    Forget(Forget),
    /// Forget and summarise by policies/memory.toml
    Tidy(Tidy),
    /// What in memory and knowledge deserves a look
    Audit(Audit),
    /// Show one passage with its source and how often it was used
    Show {
        /// The passage: its id, or a beginning of at least 4 characters
        id: String,
    },
    /// What memory holds, which embedder answers, and what waits for vectors
    Stats,
}

impl Mem {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Search(search) => search.run(context),
            Self::Explain(explain) => explain.run(context),
            Self::Add(add) => add.run(context),
            Self::Supersede(supersede) => supersede.run(context),
            Self::Forget(forget) => forget.run(context),
            Self::Tidy(tidy) => tidy.run(context),
            Self::Audit(audit) => audit.run(context),
            Self::Show { id } => show::run(context, id),
            Self::Stats => stats::run(context),
        }
    }
}

/// The one passage that `id` names, whole or by a beginning.
fn named(memory: &Memory, id: &str) -> Result<Passage, Failure> {
    if let Some(passage) = memory.get(id).map_err(|e| failed(&e))? {
        return Ok(passage);
    }
    let id = id.to_ascii_lowercase();
    let named = if id.len() < 4 { Vec::new() } else { memory.ids(&id).map_err(|e| failed(&e))? };
    if named.len() > 1 {
        return Err(
            Failure::new("ambiguous", exit::USAGE, format!("`{id}` names several passages")).fix("give more of its id")
        );
    }
    let one = named.first().map_or(Ok(None), |one| memory.get(one)).map_err(|e| failed(&e))?;
    one.ok_or_else(|| Failure::not_found(format!("there is no passage `{id}`")).fix("cairn mem search WORDS"))
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
    embedders::open_memory(store.root(), &machine).map_err(|e| failed(&e))
}

fn failed(error: &cairn_memory::MemoryError) -> Failure {
    Failure::failed("memory", chain(error))
        .fix("what is derived can be made again: remove .cairn/index and try once more")
}
