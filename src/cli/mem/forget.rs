//! `cairn mem forget`: a passage is recalled no more.

use cairn_store_layout::command::Verb;
use clap::Args;
use serde_json::json;

use super::{line, named, open};
use crate::cli::{
    asked::{self, Now},
    context::{Context, Outcome},
    failure::exit,
};

/// Recall a passage no more.
///
/// Its text stays in the store's past, as everything that was ever committed does; who forgot it, when and why is
/// recorded. Adding the same text again brings it back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn mem forget 3f9a -m 'that was another Brandt'")]
pub struct Forget {
    /// The passage: its id, or a beginning of at least 4 characters
    id: String,
    /// Why; kept with the fact
    #[arg(short = 'm', long, value_name = "WHY")]
    reason: String,
    #[command(flatten)]
    now: Now,
}

impl Forget {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let passage = named(&memory, &self.id)?;
        let verb = Verb::MemoryForget { passage: passage.id.clone(), reason: self.reason.clone() };
        let (command, state) = asked::ask(context, &store, verb, self.now)?;
        let mut document = asked::document(&command, &state);
        document["passage"] = json!(passage.id);
        context.screen.document(&document);
        context.screen.say(format!("forget {}: {}", line(&passage), state.words()));
        Ok(exit::OK)
    }
}
