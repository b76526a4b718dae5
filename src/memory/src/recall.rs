//! From a question to hits: every part proposes, the two rankings are merged, fused and varied.
//!
//! Fusion is by rank (reciprocal rank fusion, k = 60), because a BM25 score and a cosine have no
//! common scale.

use std::collections::BTreeMap;

use cairn_store_layout::passage::TEXT_BYTES_MAX;

use crate::{
    EmbedError,
    bm25::{Bm25, Statistics, bag},
    catalogue::{Catalogue, Row},
    embed::{self, Embedder, Vector},
    filter::Filter,
    part::{Ask, Part, PartError, Proposal},
    query::{Hit, LIMIT_MAX, Query, Recalled, Why},
    varied,
    words::{self, Word},
};

/// The constant of reciprocal rank fusion: how slowly a place lower in a ranking loses weight.
const FUSION: f64 = 60.0;
/// Each ranking is fused down to this place at least, so that a passage middling in both can win.
const DEPTH: usize = 50;

/// A question with everything that was found on the way to its answer.
pub(crate) struct Ranked {
    pub(crate) asked: Vec<Word>,
    pub(crate) bm25: Bm25,
    /// The question's vector, or why there is none.
    pub(crate) vector: Result<Vector, EmbedError>,
    /// How many places of each ranking were fused.
    pub(crate) depth: usize,
    pub(crate) text: Vec<(Row, f64)>,
    pub(crate) near: Vec<(Row, f32)>,
    /// Both rankings fused, best first.
    pub(crate) fused: Vec<(Row, f64)>,
    /// The rows that answer, with their scores.
    pub(crate) chosen: Vec<(Row, f64)>,
}

/// Answers `query` from `parts`, which together hold every row of `catalogue` once.
pub(crate) fn recall(
    catalogue: &Catalogue,
    parts: &[&dyn Part],
    embedder: &dyn Embedder,
    query: &Query,
    filter: &Filter<'_>,
) -> Result<Recalled, PartError> {
    let known = catalogue.passages();
    let Some(ranked) = rank(catalogue, parts, embedder, query, filter)? else {
        return Ok(Recalled { hits: Vec::new(), known, words_only: None });
    };
    let mut whys = whys(&ranked.text, &ranked.near);
    let mut reader = catalogue.reader();
    let mut hits = Vec::with_capacity(ranked.chosen.len());
    for (row, score) in &ranked.chosen {
        let passage = reader.passage(*row)?;
        let matched_words = matched(&ranked.asked, &passage.text);
        let why = whys.remove(row).unwrap_or_default();
        hits.push(Hit { passage, score: *score, why: Why { matched_words, ..why } });
    }
    Ok(Recalled { hits, known, words_only: ranked.vector.err().map(|why| why.0) })
}

/// Ranks passages for a question; `None` when it has no word.
pub(crate) fn rank(
    catalogue: &Catalogue,
    parts: &[&dyn Part],
    embedder: &dyn Embedder,
    query: &Query,
    filter: &Filter<'_>,
) -> Result<Option<Ranked>, PartError> {
    let limit = query.limit.clamp(1, LIMIT_MAX);
    let asked = words::words(head(&query.text));
    if asked.is_empty() {
        return Ok(None);
    }
    let stems = Bm25::stems(asked.iter().map(|word| word.stem.as_str()));
    let mut all = Statistics::none(stems.len());
    parts.iter().for_each(|part| all.add(&part.statistics(&stems)));
    all.subtract(&catalogue.counted_twice(&stems));
    let bm25 = Bm25::new(stems, &all);
    let vector = embed::checked(embedder, &[head(&query.text)])
        .map(|mut vectors| Vector::new(vectors.pop().expect("one vector for one text")));
    let depth = DEPTH.max(limit);
    let ask = Ask { catalogue, filter, bm25: &bm25, vector: vector.as_ref().ok(), floor: embedder.floor(), depth };
    let mut merged = Proposal::default();
    for part in parts {
        let proposal = part.propose(&ask)?;
        merged.text.extend(proposal.text);
        merged.vector.extend(proposal.vector);
    }
    let (text, near) = (ask.cut(merged.text), ask.cut(merged.vector));
    let mut fused: Vec<(Row, f64)> = whys(&text, &near).iter().map(|(row, why)| (*row, score(why))).collect();
    fused.sort_unstable_by(|a, b| ask.order(a, b));
    let chosen = if query.diversity > 0.0 {
        varied::choose(&fused, &vectors(parts, &fused)?, query.diversity.min(1.0), limit)
    } else {
        fused[..limit.min(fused.len())].to_vec()
    };
    Ok(Some(Ranked { asked, vector, depth, text, near, fused, chosen, bm25 }))
}

/// The vectors of rows, as far as there are any.
pub(crate) fn vectors(parts: &[&dyn Part], rows: &[(Row, f64)]) -> Result<BTreeMap<Row, Vector>, PartError> {
    let mut rows: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
    rows.sort_unstable();
    let mut out = BTreeMap::new();
    for part in parts {
        out.extend(part.vectors(&rows)?);
    }
    Ok(out)
}

/// The place of each row in the two sorted rankings.
pub(crate) fn whys(text: &[(Row, f64)], vector: &[(Row, f32)]) -> BTreeMap<Row, Why> {
    let mut whys: BTreeMap<Row, Why> = BTreeMap::new();
    for (rank, (row, _)) in (1..).zip(text) {
        whys.entry(*row).or_default().text_rank = Some(rank);
    }
    for (rank, (row, _)) in (1..).zip(vector) {
        whys.entry(*row).or_default().vector_rank = Some(rank);
    }
    whys
}

fn score(why: &Why) -> f64 {
    [why.text_rank, why.vector_rank].into_iter().flatten().map(|rank| 1.0 / (FUSION + f64::from(rank))).sum()
}

/// The question's words that a text holds in some form.
pub(crate) fn matched(asked: &[Word], text: &str) -> Vec<String> {
    let bag = bag(text);
    let mut out: Vec<String> = Vec::new();
    for word in asked {
        if bag.contains_key(&word.stem) && !out.contains(&word.surface) {
            out.push(word.surface.clone());
        }
    }
    out
}

/// A question longer than any passage is answered by its head.
fn head(text: &str) -> &str {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}
