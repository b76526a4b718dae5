//! `cairn inbox ls`.

use clap::Args;

use super::{Context, HEAD, Outcome, document, row};
use crate::cli::failure::{exit, plural};

/// Decided requests shown with `--all` when no limit is given.
const DECIDED: usize = 100;

/// List what waits for you, oldest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn inbox ls\n  cairn inbox ls --json | jq -r '.items[] | [.id,.digest] | @tsv'"
)]
pub struct Ls {
    /// Decided ones too, the latest first
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Ls {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let mut items = reader.inbox(if self.all { DECIDED } else { 0 });
        let hidden = items.len().saturating_sub(self.limit.unwrap_or(usize::MAX));
        items.truncate(self.limit.unwrap_or(usize::MAX));
        let cairn = context.cairn();
        let triggers = crate::cli::trigger::known(reader.store());
        crate::cli::trigger::tell_off(&context.screen, &triggers, &cairn);
        let screen = &mut context.screen;
        screen.list("cairn.inbox/1", &items.iter().map(document).collect::<Vec<_>>(), None);
        let Some(first) = items.first() else {
            screen.say("nothing waits for you");
            screen.note(format!("Runs stop here before they send, spend or change anything that is gated.\nstart one: {cairn} run start NAME --wait"));
            return Ok(exit::OK);
        };
        let first = first.id.short().to_owned();
        let rows: Vec<Vec<String>> = items.iter().map(|i| row(i, screen)).collect();
        screen.table(&HEAD, &rows);
        if hidden > 0 {
            screen.note(format!("and {}", plural(hidden as u64, "more request")));
        }
        screen.note(format!("look at one: {cairn} inbox show {first}"));
        Ok(exit::OK)
    }
}
