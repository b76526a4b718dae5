//! `cairn mem search` and `cairn mem explain`: passages by words and likeness, and why each is found or is not.

use cairn_memory::{Explained, Hit, Past, Query, Recalled};
use cairn_store_layout::paths;
use clap::Args;
use serde_json::{Value, json};

use super::{add::labels, failed, line, named, open};
use crate::{
    cli::{
        context::{Context, Outcome},
        failure::{Failure, exit, plural},
        when::{self, Edge, Then},
    },
    store::Store,
};

/// What is looked for, and among what.
#[derive(Debug, Args)]
struct Asked {
    /// Only passages about exactly this; may be given several times
    #[arg(long = "entity", value_name = "ENTITY")]
    entities: Vec<String>,
    /// Only passages of this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only passages with this label; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Only passages recorded since: a day, or a moment
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only passages recorded before: a day, or a moment
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// As memory was then: a day, a moment, or a commit
    #[arg(long, value_name = "WHEN|COMMIT")]
    as_of: Option<String>,
    /// How unlike each other the hits should be, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    diversity: f32,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: usize,
}

/// Recall passages by words and likeness, and say why each matched.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn mem search late payment\n  cairn mem search 'pays late' --entity client/brandt-gmbh\n  cairn mem search 'pays late' --as-of 2026-10-01\n  cairn mem search 'pays late' --pack 800"
)]
pub struct Search {
    /// What is looked for, in any words
    #[arg(required = true)]
    words: Vec<String>,
    #[command(flatten)]
    asked: Asked,
    /// Print what fits into so many tokens as a prompt is given it: quoted, with where each piece is from
    #[arg(long, value_name = "TOKENS")]
    pack: Option<usize>,
}

/// Say why a passage is found by a question, or why it is not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cairn mem explain 3f9a late payment --entity client/brandt-gmbh")]
pub struct Explain {
    /// The passage: its id, or a beginning of at least 4 characters
    id: String,
    /// The question
    #[arg(required = true)]
    words: Vec<String>,
    #[command(flatten)]
    asked: Asked,
}

impl Asked {
    fn query(&self, store: &Store, words: &[String]) -> Result<Query, Failure> {
        if !(0.0..=1.0).contains(&self.diversity) {
            return Err(Failure::usage(format!("--diversity is a share between 0 and 1, not {}", self.diversity)));
        }
        let given = |flag: &str, text: &Option<String>| {
            text.as_deref().map(|text| when::given(flag, text, Edge::Begin)).transpose()
        };
        Ok(Query {
            entities: self.entities.clone(),
            kinds: self.kinds.clone(),
            labels: labels(&self.labels)?,
            since: given("--since", &self.since)?,
            until: given("--until", &self.until)?,
            as_of: self.as_of.as_deref().map(|text| as_of(store, text)).transpose()?,
            diversity: self.diversity,
            limit: self.limit,
            ..Query::new(words.join(" "))
        })
    }
}

/// A day, a moment, or what a commit held.
fn as_of(store: &Store, text: &str) -> Result<Past, Failure> {
    Ok(match when::then(store, text, paths::PASSAGES)? {
        Then::Time(at) => Past::Time(at),
        Then::Commit { at, files } => Past::Files { at, files },
    })
}

impl Search {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let query = self.asked.query(&store, &self.words)?;
        if let Some(budget) = self.pack {
            let pack = memory.pack(&query, budget).map_err(|e| failed(&e))?;
            let mut document = json!(pack);
            document["schema"] = json!("cairn.pack/1");
            context.screen.document(&document);
            context.screen.quote(&pack.text);
            let (n, left) = (plural(pack.citations.len() as u64, "passage"), pack.left_out.len());
            context.screen.note(format!("{n}, about {} tokens; {left} left out", pack.tokens));
            return Ok(exit::OK);
        }
        let found = memory.recall(&query).map_err(|e| failed(&e))?;
        show(context, &found);
        Ok(exit::OK)
    }
}

fn show(context: &mut Context, found: &Recalled) {
    let item = |hit: &Hit| {
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
    }
    for hit in &found.hits {
        screen.heading(&line(&hit.passage));
        screen.quote(hit.passage.text.trim());
        screen.say(format!("    matched: {}", hit.why.words()));
        screen.say("");
    }
}

impl Explain {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let passage = named(&memory, &self.id)?;
        let query = self.asked.query(&store, &self.words)?;
        let explained = memory.explain(&query, &passage.id).map_err(|e| failed(&e))?;
        let Some(explained) = explained else {
            return Err(Failure::not_found(format!("there is no passage `{}`", self.id)).fix("cairn mem search WORDS"));
        };
        let mut document = json!(explained);
        document["schema"] = json!("cairn.explained/1");
        let screen = &mut context.screen;
        screen.document(&document);
        screen.heading(&line(&passage));
        for text in lines(&explained) {
            screen.say(text);
        }
        Ok(exit::OK)
    }
}

/// What speaks for a passage and against it, the verdict first.
fn lines(told: &Explained) -> Vec<String> {
    let place =
        |rank: Option<u32>| rank.map_or(format!("not among the first {}", told.depth), |r| format!("place {r}"));
    let mut lines = vec![told.verdict.clone()];
    lines.extend(told.excluded.iter().map(|why| format!("left out   {why}")));
    lines.push(format!("by words   {}, score {:.3}", place(told.words_rank), told.words_score));
    for word in &told.words {
        let (stem, n, weight) = (&word.stem, word.count, word.weight);
        lines.push(format!("           {stem}: {n} times, weight {weight:.2}, adds {:.3}", word.score));
    }
    let cosine = told.cosine.map_or("no vector".to_owned(), |near| format!("cosine {near:.3}"));
    lines.push(format!("by meaning {}, {cosine} (counts above {:.2})", place(told.similar_rank), told.floor));
    lines.push(format!("together   {}, score {:.4}", place(told.fused_rank), told.score));
    lines
}
