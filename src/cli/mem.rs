//! `cairn mem`: what was learned, and where each piece came from.

use std::path::Path;

use cairn_memory::{Memory, Query};
use cairn_store_layout::{
    command::{NewPassage, Verb},
    passage::Passage,
    time,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome, read_text},
    failure::{Failure, chain, exit, plural},
    host::State,
};
use crate::store::{Store, inbox, lock};

/// What was learned.
#[derive(Debug, Subcommand)]
pub enum Mem {
    /// Recall passages by words and likeness, and say why each matched
    Search(Search),
    /// Remember a passage in your own words
    Add(Add),
    /// Show one passage with its source
    Show {
        /// The passage: its id, or a beginning of at least 4 characters
        id: String,
    },
}

/// Recall passages by words and likeness, and say why each matched.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn mem search late payment\n  cairn mem search 'pays late' --entity client/brandt-gmbh"
)]
pub struct Search {
    /// What is looked for, in any words
    #[arg(required = true)]
    words: Vec<String>,
    /// Only passages about exactly this
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// Only passages of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: usize,
}

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

impl Mem {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Search(search) => search.run(context),
            Self::Add(add) => add.run(context),
            Self::Show { id } => show(context, id),
        }
    }
}

impl Search {
    fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let query = Query {
            entity: self.entity.clone(),
            kind: self.kind.clone(),
            limit: self.limit,
            ..Query::new(self.words.join(" "))
        };
        let found = memory.recall(&query).map_err(|e| failed(&e))?;
        let item = |hit: &cairn_memory::Hit| {
            let mut value = json!(hit.passage);
            value["score"] = json!(hit.score);
            value["why"] = json!(hit.why.words());
            value
        };
        let items: Vec<Value> = found.hits.iter().map(item).collect();
        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.list("cairn.passages/1", &items, None);
        if let Some(why) = &found.words_only {
            screen.note(format!("by words only: {why}"));
        }
        if found.hits.is_empty() {
            screen.say(format!("nothing found among {}", plural(found.known as u64, "passage")));
            screen.note(format!("Memory fills as runs finish; add to it yourself: {cairn} mem add TEXT"));
            return Ok(exit::OK);
        }
        for hit in &found.hits {
            screen.heading(&line(&hit.passage));
            screen.quote(hit.passage.text.trim());
            screen.say(format!("    matched: {}", hit.why.words()));
            screen.say("");
        }
        Ok(exit::OK)
    }
}

impl Add {
    fn run(&self, context: &mut Context) -> Outcome {
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

fn show(context: &mut Context, id: &str) -> Outcome {
    let store = context.store()?;
    let memory = open(context, &store)?;
    let passage = match memory.get(id).map_err(|e| failed(&e))? {
        Some(passage) => passage,
        None => {
            let id = id.to_ascii_lowercase();
            let all = memory.list(None, usize::MAX).map_err(|e| failed(&e))?;
            let mut named = all.into_iter().filter(|p| id.len() >= 4 && p.id.starts_with(&id));
            match (named.next(), named.next()) {
                (Some(one), None) => one,
                (Some(_), Some(_)) => {
                    return Err(Failure::new("ambiguous", exit::USAGE, format!("`{id}` names several passages"))
                        .fix("give more of its id"));
                }
                _ => {
                    return Err(Failure::not_found(format!("there is no passage `{id}`")).fix("cairn mem search WORDS"));
                }
            }
        }
    };
    let mut document = json!(passage);
    document["schema"] = json!("cairn.passage/1");
    let screen = &mut context.screen;
    screen.document(&document);
    screen.heading(&line(&passage));
    screen.say(format!("id        {}", passage.id));
    screen.say(format!("recorded  {}", screen.time_full(passage.recorded_at)));
    screen.say(format!("source    {}", passage.source.words()));
    if let Some(until) = passage.valid_to {
        screen.say(format!("holds     until {}", screen.time_full(until)));
    }
    for before in &passage.supersedes {
        screen.say(format!("replaces  {before}"));
    }
    for (name, value) in &passage.labels {
        screen.say(format!("label     {name} = {value}"));
    }
    screen.say("");
    screen.quote(passage.text.trim());
    Ok(exit::OK)
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
