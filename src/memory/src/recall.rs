//! From a question to hits: every part proposes, the two rankings are merged and fused.
//!
//! Fusion is by rank (reciprocal rank fusion, k = 60), because a BM25 score and a cosine have no
//! common scale.

use std::collections::{BTreeMap, HashMap};

use cairn_store_layout::passage::TEXT_BYTES_MAX;
use jiff::Timestamp;

use crate::{
    EmbedError,
    bm25::{Bm25, bag},
    catalogue::{Catalogue, Moment, Row},
    embed::{self, Embedder, Vector},
    part::{Ask, Part, PartError, Proposal},
    query::{Hit, LIMIT_MAX, Query, Recalled, Why},
    words::{self, Word},
};

/// The constant of reciprocal rank fusion: how slowly a place lower in a ranking loses weight.
const FUSION: f64 = 60.0;
/// Each ranking is fused down to this place at least, so that a passage middling in both can win.
const DEPTH: usize = 50;

/// Answers `query` from `parts`, which together hold every passage of `catalogue` once.
pub(crate) fn recall(
    catalogue: &Catalogue,
    parts: &[&dyn Part],
    embedder: &dyn Embedder,
    query: &Query,
    now: Timestamp,
) -> Result<Recalled, PartError> {
    let limit = query.limit.clamp(1, LIMIT_MAX);
    let asked = words::words(head(&query.text));
    if asked.is_empty() {
        return Ok(Recalled { hits: Vec::new(), known: catalogue.len() as usize, words_only: None });
    }
    let stems: Vec<String> = asked.iter().map(|w| w.stem.clone()).collect();
    let counts: Vec<_> = parts.iter().map(|p| p.counts()).collect();
    let bm25 = Bm25::new(&stems, &counts);
    let (vector, words_only) = match embed::checked(embedder, &[head(&query.text)]) {
        Ok(mut vectors) => (vectors.pop().map(Vector::new), None),
        Err(EmbedError(why)) => (None, Some(why)),
    };
    let ask = Ask {
        catalogue,
        query,
        moment: Moment::new(query.as_of, now),
        bm25: &bm25,
        vector: vector.as_ref(),
        floor: embedder.floor(),
        depth: DEPTH.max(limit),
    };
    let mut merged = Proposal::default();
    for part in parts {
        let proposal = part.propose(&ask)?;
        merged.text.extend(proposal.text);
        merged.vector.extend(proposal.vector);
    }
    let whys = fuse(&ask.cut(merged.text), &ask.cut(merged.vector));
    let mut scored: Vec<(Row, f64)> = whys.iter().map(|(row, why)| (*row, score(why))).collect();
    scored.sort_unstable_by(|a, b| ask.order(a, b));
    scored.truncate(limit);
    let hits = scored.into_iter().map(|(row, score)| {
        let passage = catalogue.passage(row).clone();
        let matched_words = matched(&asked, &passage.text);
        Hit { passage, score, why: Why { matched_words, ..whys[&row].clone() } }
    });
    Ok(Recalled { hits: hits.collect(), known: catalogue.len() as usize, words_only })
}

/// Notes the place of each row in the two sorted rankings.
fn fuse(text: &[(Row, f64)], vector: &[(Row, f32)]) -> BTreeMap<Row, Why> {
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

fn matched(asked: &[Word], text: &str) -> Vec<String> {
    let bag: HashMap<String, u32> = bag(text);
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
