//! `cairn episode ls`.

use cairn_memory::{AsOf, Happened, Range};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Edge, Outcome, exit, failed, named, open, timeline, when};

/// List what happened, oldest first. With `--entity` everything that is known of its time: runs that touched it, letters
/// to it, passages about it, its changes and its episodes, under all names that mean it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn episode ls --entity client/brandt --since 2026-11-01\n  cairn episode ls --kind call"
)]
pub struct Ls {
    /// The timeline of this entity: its id, or a beginning of it
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// Nothing before this day or moment
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Nothing after this day or moment
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only things of this kind: run, letter, change, passage, call, meeting ...
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The last so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Ls {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let memory = open(context, reader.store())?;
        let range = Range {
            since: when("--since", self.since.as_deref(), Edge::Begin)?,
            until: when("--until", self.until.as_deref(), Edge::End)?,
        };
        let mut lines: Vec<Happened> = match &self.entity {
            Some(text) => {
                let entity = named(&memory, text, &AsOf::Now)?;
                timeline::of(&memory, &reader, &entity.id, range)?
            }
            None => memory.episodes(&[], range).map_err(failed)?.into_iter().map(Happened::from).collect(),
        };
        lines.retain(|line| self.kind.as_ref().is_none_or(|kind| line.kind == *kind));
        let skip = lines.len().saturating_sub(self.limit.unwrap_or(usize::MAX));
        let lines = &lines[skip..];
        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.list("cairn.timeline/1", &lines.iter().map(|line| json!(line)).collect::<Vec<Value>>(), None);
        if lines.is_empty() {
            screen.say("nothing happened, as far as is known");
            screen.note(format!(
                "Steps tell of it with episode.add; tell yourself: {cairn} episode add TEXT --kind call --entity client/brandt"
            ));
            return Ok(exit::OK);
        }
        timeline::print(screen, lines);
        Ok(exit::OK)
    }
}
