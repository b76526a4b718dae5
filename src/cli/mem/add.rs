//! `cairn mem add`: a passage in a person's own words, given to the kernel.

use std::path::Path;

use cairn_store_layout::command::{NewPassage, Verb};
use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        context::{Context, Outcome, read_text},
        failure::{Failure, exit},
        host::State,
    },
    store::{inbox, lock},
};

/// Remember a passage in your own words.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn mem add 'Brandt pays after the second reminder' --entity client/brandt-gmbh\n  cairn mem add - < note.txt"
)]
pub struct Add {
    /// The text; `-` reads it from stdin
    text: String,
    /// Its kind
    #[arg(long, value_name = "KIND", default_value = "note")]
    kind: String,
    /// Whom or what it is about, such as client/brandt-gmbh
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
}

impl Add {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let text = if self.text == "-" { read_text(Path::new("-"))? } else { self.text.clone() };
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(Failure::usage("there is no text to remember"));
        }
        if text.len() > cairn_store_layout::passage::TEXT_BYTES_MAX {
            let max = cairn_store_layout::passage::TEXT_BYTES_MAX;
            return Err(Failure::usage(format!("the text has {} bytes; a passage holds at most {max}", text.len()))
                .fix("split it into passages that each say one thing"));
        }
        let machine = context.machine(&store)?;
        let verb = Verb::MemoryAdd(NewPassage {
            text,
            kind: self.kind.clone(),
            entity: self.entity.clone(),
            ..NewPassage::default()
        });
        let command = inbox::submit(&store, &machine, verb, &context.by())?;
        let state = match lock::probe(store.root())? {
            cairn_store_layout::view::KernelHealth::Down => State::Saved,
            cairn_store_layout::view::KernelHealth::Running { .. } => State::Sent,
        };
        context.screen.document(&json!({"schema": "cairn.command/1", "command": command, "state": state.word()}));
        context.screen.say(match state {
            State::Saved => format!("passage {}", state.words()),
            _ => "passage given to the kernel".to_owned(),
        });
        Ok(exit::OK)
    }
}
