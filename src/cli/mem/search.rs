//! `cairn mem search`: passages by words and likeness, each with the reason why it matched.

use cairn_memory::Query;
use clap::Args;
use serde_json::{Value, json};

use super::{failed, line, open};
use crate::cli::{
    context::{Context, Outcome},
    failure::{exit, plural},
};

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

impl Search {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let query = Query {
            entities: self.entity.clone().into_iter().collect(),
            kinds: self.kind.clone().into_iter().collect(),
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
