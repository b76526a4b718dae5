//! `cairn mem add` and `cairn mem supersede`: a passage in a person's own words, given to the kernel.

use std::{collections::BTreeMap, path::Path};

use cairn_store_layout::command::{NewPassage, Verb};
use clap::Args;
use serde_json::json;

use super::{named, open};
use crate::cli::{
    asked::{self, Now},
    context::{Context, Outcome, read_text},
    failure::{Failure, exit},
    when::{self, Edge},
};

/// Remember a passage in your own words.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn mem add 'Brandt pays after the second reminder' --entity client/brandt-gmbh\n  cairn mem add 'Closed for holidays' --entity client/nordlys --valid-to 2027-01-06\n  cairn mem add - < note.txt"
)]
pub struct Add {
    /// The text; `-` reads it from stdin
    text: String,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    now: Now,
}

/// Remember a passage that takes the place of another one.
///
/// The old one stays in the store and is found by `mem show`, and by a search as of a time before this; it is no longer
/// recalled as current.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn mem supersede 3f9a 'Brandt pays within 14 days since October'")]
pub struct Supersede {
    /// The passage that no longer holds: its id, or a beginning of at least 4 characters
    id: String,
    /// What holds instead; `-` reads it from stdin
    text: String,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    now: Now,
}

#[derive(Debug, Args)]
struct About {
    /// Its kind; `note` unless said
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Whom or what it is about, such as client/brandt-gmbh
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// A label, such as topic=payment; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// From when it holds: a day, or a moment; from now unless said
    #[arg(long, value_name = "WHEN")]
    valid_from: Option<String>,
    /// Until when it holds: a day, or a moment; until superseded unless said
    #[arg(long, value_name = "WHEN")]
    valid_to: Option<String>,
}

impl Add {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let passage = self.about.passage(&self.text)?;
        give(context, passage, self.now)
    }
}

impl Supersede {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let old = named(&memory, &self.id)?;
        let mut passage = self.about.passage(&self.text)?;
        // it is about the same unless said
        passage.entity = passage.entity.or(old.entity);
        if self.about.kind.is_none() {
            passage.kind = old.kind;
        }
        passage.supersedes = vec![old.id];
        give(context, passage, self.now)
    }
}

impl About {
    fn passage(&self, text: &str) -> Result<NewPassage, Failure> {
        let text = if text == "-" { read_text(Path::new("-"))? } else { text.to_owned() };
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(Failure::usage("there is no text to remember"));
        }
        if text.len() > cairn_store_layout::passage::TEXT_BYTES_MAX {
            let max = cairn_store_layout::passage::TEXT_BYTES_MAX;
            return Err(Failure::usage(format!("the text has {} bytes; a passage holds at most {max}", text.len()))
                .fix("split it into passages that each say one thing"));
        }
        let kind = self.kind.clone().unwrap_or_else(|| "note".to_owned());
        let given = |flag: &str, text: &Option<String>, edge| {
            text.as_deref().map(|text| when::given(flag, text, edge)).transpose()
        };
        Ok(NewPassage {
            text,
            kind,
            entity: self.entity.clone(),
            labels: labels(&self.labels)?,
            valid_from: given("--valid-from", &self.valid_from, Edge::Begin)?,
            valid_to: given("--valid-to", &self.valid_to, Edge::End)?,
            supersedes: Vec::new(),
        })
    }
}

/// Reads `name=value` pairs.
pub(super) fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(Failure::usage(format!("`{text}` is no label")).fix("write it as --label name=value")),
    };
    given.iter().map(pair).collect()
}

fn give(context: &mut Context, passage: NewPassage, now: Now) -> Outcome {
    let store = context.store()?;
    let (command, state) = asked::ask(context, &store, Verb::MemoryAdd(passage), now)?;
    context.screen.document(&json!({"schema": "cairn.command/1", "command": command, "state": state.word()}));
    context.screen.say(format!("passage {}", state.words()));
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_name_and_a_value() {
        assert_eq!(labels(&["a=b=c".to_owned()]).unwrap()["a"], "b=c");
        assert!(labels(&["a".to_owned()]).is_err() && labels(&["=b".to_owned()]).is_err());
    }
}
