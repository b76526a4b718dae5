//! The corpus is answered in parts: passages scanned in memory, and passages indexed on disk.
//!
//! A part proposes its best passages with exact scores under the statistics of the whole corpus, so
//! that proposals merge by sorting and it makes no difference which part holds a passage.

use std::cmp::Ordering;

use cairn_store_layout::passage::Passage;

use crate::{
    bm25::{Bm25, WordCounts},
    catalogue::{Catalogue, Moment, Row},
    embed::Vector,
    query::Query,
};

/// One question, prepared once for all parts.
pub(crate) struct Ask<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) query: &'a Query,
    pub(crate) moment: Moment,
    /// Scorer by words, over the whole corpus.
    pub(crate) bm25: &'a Bm25,
    /// The question's vector; absent when the embedder gave none.
    pub(crate) vector: Option<&'a Vector>,
    /// Cosines at or below this are no hits.
    pub(crate) floor: f32,
    /// How many passages each ranking is to hold.
    pub(crate) depth: usize,
}

impl Ask<'_> {
    /// Tells whether a passage passes the filters and holds at the moment asked for.
    pub(crate) fn admits(&self, row: Row) -> bool {
        let passage: &Passage = self.catalogue.passage(row);
        self.query.entity.as_ref().is_none_or(|e| passage.entity.as_ref() == Some(e))
            && self.query.kind.as_ref().is_none_or(|k| passage.kind == *k)
            && self.query.labels.iter().all(|(k, v)| passage.labels.get(k) == Some(v))
            && self.catalogue.holds(row, self.moment)
    }

    /// Best first; equals: the later recorded, then by id.
    pub(crate) fn order<S: PartialOrd>(&self, a: &(Row, S), b: &(Row, S)) -> Ordering {
        let (p, q) = (self.catalogue.passage(a.0), self.catalogue.passage(b.0));
        b.1.partial_cmp(&a.1)
            .unwrap_or(Ordering::Equal)
            .then_with(|| q.recorded_at.cmp(&p.recorded_at))
            .then_with(|| p.id.cmp(&q.id))
    }

    /// Sorts a ranking and cuts it to the depth asked for.
    pub(crate) fn cut<S: PartialOrd>(&self, mut ranking: Vec<(Row, S)>) -> Vec<(Row, S)> {
        ranking.sort_unstable_by(|a, b| self.order(a, b));
        ranking.truncate(self.depth);
        ranking
    }
}

/// A part's best passages: two rankings, each sorted by [`Ask::order`] and at most `depth` long.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Proposal {
    /// By words, scores above 0.
    pub(crate) text: Vec<(Row, f64)>,
    /// By similarity, cosines above the floor.
    pub(crate) vector: Vec<(Row, f32)>,
}

/// Why a part could not propose: it is damaged, and can be rebuilt.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PartError(pub(crate) String);

/// Some of the passages, ready to be searched.
pub(crate) trait Part: Send {
    /// What BM25 needs to know of these passages.
    fn counts(&self) -> &WordCounts;

    /// Tells whether this part holds the passage.
    fn holds(&self, row: Row) -> bool;

    /// Returns the best admitted passages of this part.
    fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, PartError>;
}
