//! `memory.context`: everything that a step should know, in one answer and within a budget of tokens.
//!
//! Knowledge that applies, facts that were asked for, and what is recalled; each with its id, so that an answer can
//! cite it, and what is not known in words, so that nobody guesses it.

use std::collections::BTreeMap;

use cairn_store_layout::definition::{
    Knowledge,
    knowledge::{Asked, Chosen, Content, Selection, select},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{HITS_MAX, block::Block, blocking, facts, used};
use crate::{
    effects::{Attempt, Done, Fault, RecallHit, RecallQuery},
    store::knowledge,
};

/// Tokens of the text unless said.
const BUDGET: usize = 1_500;
/// Bounds of the budget.
const BUDGET_BOUNDS: std::ops::RangeInclusive<usize> = 50..=32_000;
/// Knowledge takes at most so many hundredths of the budget.
const KNOWLEDGE_SHARE: usize = 60;
/// Facts are looked for among so many passages about the entity.
const PASSAGES_MAX: usize = 500;
/// The most that one step may need to know.
const NEEDS_MAX: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    entity: Option<String>,
    /// The step that will use it.
    #[serde(default, rename = "for")]
    step: Option<String>,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    budget: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    since: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    as_of: Option<Timestamp>,
    /// What must be known about the entity; what is not becomes `missing`.
    #[serde(default)]
    needs: Vec<String>,
}

pub(super) async fn context(attempt: &Attempt<'_>, mut input: Input) -> Result<Done, Fault> {
    let budget = input.budget.unwrap_or(BUDGET);
    check(&input, budget)?;
    // an expression that came to nothing asks about nothing
    input.entity = input.entity.filter(|entity| !entity.is_empty());
    let soft = |why| Fault::soft("memory", why);
    let root = attempt.world.root.clone();
    let files = blocking(move || knowledge::read(&root).map_err(|e| Fault::soft("io", e.to_string()))).await?;
    let asked = Asked {
        workflow: Some(input.workflow.clone().unwrap_or_else(|| attempt.job.workflow.clone())),
        step: input.step.clone(),
        entity: input.entity.clone(),
    };
    let day = input.as_of.unwrap_or(attempt.job.at).to_zoned(TimeZone::UTC).date();
    let (templates, told): (Vec<Knowledge>, Vec<Knowledge>) =
        files.knowledge.into_iter().partition(|k| matches!(k.content, Content::Template(_)));
    let selection = select(&told, &asked, day, budget * KNOWLEDGE_SHARE / 100);
    // they are no part of the text
    let templates = select(&templates, &asked, day, usize::MAX);

    let memory = &attempt.world.memory;
    let (mut fields, mut about) = (None, Vec::new());
    if let Some(entity) = &input.entity {
        fields = memory.fields(entity.clone(), input.as_of).await.map_err(soft)?;
        if !input.needs.is_empty() {
            about = memory.about(entity.clone(), input.as_of, PASSAGES_MAX).await.map_err(soft)?;
        }
    }
    let (facts, missing) = facts::find(&input.needs, input.entity.as_deref(), fields.as_ref(), &about);
    let recalled = recall(attempt, &input).await?;

    let mut block = Block::new(budget);
    block.knowledge(&selection.chosen);
    block.facts(input.entity.as_deref(), &facts, &missing);
    let (mut hits, mut left_out) = (Vec::new(), left_out(&[&selection, &templates]));
    for hit in recalled {
        if facts.iter().any(|fact| fact.passage.as_deref() == Some(&hit.id)) {
            continue;
        }
        if block.quote(&hit, hits.is_empty()) {
            hits.push(hit);
        } else {
            left_out.push(json!({ "id": hit.id, "why": "it does not fit into the budget" }));
        }
    }
    let mut passages: Vec<String> = facts.iter().filter_map(|fact| fact.passage.clone()).collect();
    passages.extend(hits.iter().map(|hit| hit.id.clone()));
    passages.sort_unstable();
    passages.dedup();
    let chosen = || selection.chosen.iter().chain(&templates.chosen);
    let learned = used(attempt, passages, chosen().map(|c| c.knowledge.id.clone()).collect());
    let output = json!({
        "text": block.text(),
        "hits": hits,
        "citations": citations(&facts, &hits, chosen()),
        "facts": facts.into_iter().map(|fact| (fact.need.clone(), json!(fact))).collect::<Map<String, Value>>(),
        "rules": told_as(&selection, "rules"),
        "preferences": preferences(&selection),
        "examples": told_as(&selection, "examples"),
        "templates": told_as(&templates, "templates"),
        "entity": input.entity.as_ref().zip(fields).map(|(id, fields)| json!({ "id": id, "fields": fields })),
        "missing": missing,
        "left_out": left_out,
    });
    Ok(Done { learned, ..Done::of(output) })
}

fn check(input: &Input, budget: usize) -> Result<(), Fault> {
    let bad = |message: String| Err(Fault::hard("bad_input", message));
    if !BUDGET_BOUNDS.contains(&budget) {
        let (min, max) = (BUDGET_BOUNDS.start(), BUDGET_BOUNDS.end());
        return bad(format!("`budget` must be {min} to {max} tokens, not {budget}"));
    }
    if let Some(limit) = input.limit.filter(|limit| !(1..=HITS_MAX).contains(limit)) {
        return bad(format!("`limit` must be 1 to {HITS_MAX}, not {limit}"));
    }
    if input.needs.len() > NEEDS_MAX || input.needs.iter().any(|need| need.trim().is_empty() || need.len() > 200) {
        return bad(format!("`needs` names at most {NEEDS_MAX} things, none of them empty"));
    }
    Ok(())
}

/// What is recalled for the question, if there is one.
async fn recall(attempt: &Attempt<'_>, input: &Input) -> Result<Vec<RecallHit>, Fault> {
    let Some(query) = input.query.clone().filter(|query| !query.trim().is_empty()) else { return Ok(Vec::new()) };
    let limit = input.limit.unwrap_or(5);
    let narrow = input.since.is_some() || input.until.is_some() || input.kinds.len() > 1;
    let query = RecallQuery {
        query,
        entity: input.entity.clone(),
        kind: if let [kind] = input.kinds.as_slice() { Some(kind.clone()) } else { None },
        labels: input.labels.clone(),
        as_of: input.as_of,
        // what is narrowed below must have enough to choose from
        limit: if narrow { HITS_MAX } else { limit },
    };
    let mut hits = attempt.world.memory.recall(query).await.map_err(|why| Fault::soft("memory", why))?;
    let within = |hit: &RecallHit| {
        let Ok(at) = hit.recorded_at.parse::<Timestamp>() else { return false };
        input.since.is_none_or(|since| since <= at) && input.until.is_none_or(|until| at < until)
    };
    hits.retain(|hit| (input.kinds.is_empty() || input.kinds.contains(&hit.kind)) && within(hit));
    hits.truncate(limit);
    Ok(hits)
}

fn told_as(selection: &Selection<'_>, folder: &str) -> Vec<Value> {
    let chosen = selection.chosen.iter().filter(|chosen| chosen.knowledge.folder() == folder);
    chosen
        .map(|Chosen { knowledge, why, .. }| match &knowledge.content {
            Content::Example { given, wanted } => {
                json!({ "id": knowledge.id, "given": given, "wanted": wanted, "source": knowledge.file(), "why": why })
            }
            _ => json!({ "id": knowledge.id, "text": knowledge.text(), "source": knowledge.file(), "why": why }),
        })
        .collect()
}

/// By topic, because one speaks about each.
fn preferences(selection: &Selection<'_>) -> Map<String, Value> {
    let one = |Chosen { knowledge, why, .. }: &Chosen<'_>| match (&knowledge.content, &knowledge.topic) {
        (Content::Preference { value, .. }, Some(topic)) => {
            let source = knowledge.file();
            let told =
                json!({ "id": knowledge.id, "value": value, "text": knowledge.text(), "source": source, "why": why });
            Some((topic.clone(), told))
        }
        _ => None,
    };
    selection.chosen.iter().filter_map(one).collect()
}

fn left_out(selections: &[&Selection<'_>]) -> Vec<Value> {
    let all = selections.iter().flat_map(|selection| &selection.left_out);
    all.map(|left| json!({ "id": left.id, "why": left.why })).collect()
}

fn citations<'a>(
    facts: &[facts::Fact],
    hits: &[RecallHit],
    chosen: impl Iterator<Item = &'a Chosen<'a>>,
) -> Vec<Value> {
    let facts = facts.iter().filter_map(|fact| {
        let why = format!("it says the {}", fact.need);
        Some(json!({ "id": fact.passage.as_ref()?, "source": fact.source, "why": why }))
    });
    let hits = hits.iter().map(|hit| json!({ "id": hit.id, "source": hit.source, "why": hit.why }));
    let knowledge = chosen.map(|c| json!({ "id": c.knowledge.id, "source": c.knowledge.file(), "why": c.why }));
    facts.chain(hits).chain(knowledge).collect()
}
