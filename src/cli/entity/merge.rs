//! `cairn entity merge`.

use cairn_memory::AsOf;
use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Outcome, asked, exit, named, open};

/// Make two entities one: both names mean the second from then on. Its own values win, the first fills what it
/// lacks. `cairn entity split` takes it back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn entity merge client/brandt-kg client/brandt -m 'renamed in May'")]
pub struct Merge {
    /// The one whose name becomes another name
    entity: String,
    /// The one that stays
    into: String,
    /// Why
    #[arg(short = 'm', long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    now: asked::Now,
}

impl Merge {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let entity = named(&memory, &self.entity, &AsOf::Now)?.id;
        let into = named(&memory, &self.into, &AsOf::Now)?.id;
        let verb = Verb::EntityMerge { entity: entity.clone(), into: into.clone(), reason: self.reason.clone() };
        let (command, state) = asked::ask(context, &store, verb, self.now)?;
        context.screen.document(&asked::document(&command, &state));
        context.screen.say(format!("{entity} into {into}: {}", state.words()));
        Ok(exit::OK)
    }
}
