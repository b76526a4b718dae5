//! `cairn entity split`.

use cairn_store_layout::command::Verb;
use clap::Args;

use super::{Context, Failure, Outcome, asked, exit, failed, id, open};

/// Take the merge of a name back: it is an entity of its own again. What was changed since the merge stays with the
/// one that it was merged into.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn entity split client/brandt-kg -m 'two firms after all'")]
pub struct Split {
    /// The name that was merged
    entity: String,
    /// Why
    #[arg(short = 'm', long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    now: asked::Now,
}

impl Split {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let entity = id(&self.entity)?;
        let Some(merge) = memory.merge_of(&entity).map_err(failed)? else {
            return Err(Failure::not_found(format!("{entity} is merged into nothing"))
                .fix(format!("cairn entity history {entity}")));
        };
        let verb = Verb::EntitySplit { entity: entity.clone(), merge: merge.line.id, reason: self.reason.clone() };
        let (command, state) = asked::ask(context, &store, verb, self.now)?;
        context.screen.document(&asked::document(&command, &state));
        context.screen.say(format!("{entity}: {}", state.words()));
        Ok(exit::OK)
    }
}
