//! `cairn episode add`.

use std::{collections::BTreeMap, path::Path};

use cairn_store_layout::{
    EntityId,
    command::{NewEpisode, Verb},
    episode::TEXT_BYTES_MAX,
};
use clap::Args;

use super::{Context, Edge, Failure, Outcome, asked, exit, when};
use crate::cli::context::read_text;

/// Record what happened with somebody.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn episode add 'Asked for two more weeks' --kind call --entity client/brandt\n  cairn episode add - --kind meeting --entity client/brandt --at 2026-11-20 < minutes.txt"
)]
pub struct Add {
    /// What happened; `-` reads it from stdin
    text: String,
    /// What kind of thing it was: call, meeting, mail, note
    #[arg(long, value_name = "KIND", default_value = "note")]
    kind: String,
    /// With whom or about what, as often as there are any
    #[arg(long = "entity", value_name = "ENTITY")]
    entities: Vec<String>,
    /// When it happened, if not now: a day or a moment
    #[arg(long, value_name = "WHEN")]
    at: Option<String>,
    /// Where more of it is found, such as file=mail/2041.eml
    #[arg(long = "ref", value_name = "NAME=TEXT")]
    refs: Vec<String>,
    #[command(flatten)]
    now: asked::Now,
}

impl Add {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let text = if self.text == "-" { read_text(Path::new("-"))? } else { self.text.clone() };
        let text = text.trim().to_owned();
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            let message = format!("an episode has between 1 and {TEXT_BYTES_MAX} bytes of text, not {}", text.len());
            return Err(Failure::usage(message));
        }
        let entity = |text: &String| EntityId::new(text.as_str()).map_err(|e| Failure::usage(e.to_string()));
        let entities = self.entities.iter().map(entity).collect::<Result<_, _>>()?;
        let mut refs = BTreeMap::new();
        for given in &self.refs {
            let (name, value) =
                given.split_once('=').ok_or_else(|| Failure::usage(format!("`{given}` is not NAME=TEXT")))?;
            refs.insert(name.to_owned(), value.to_owned());
        }
        let happened = when("--at", self.at.as_deref(), Edge::Begin)?;
        let new = NewEpisode { kind: self.kind.clone(), text, entities, happened, refs, labels: BTreeMap::new() };
        let (command, state) = asked::ask(context, &store, Verb::EpisodeAdd(new), self.now)?;
        context.screen.document(&asked::document(&command, &state));
        context.screen.say(format!("episode: {}", state.words()));
        Ok(exit::OK)
    }
}
