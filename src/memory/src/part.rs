//! The corpus is answered in parts: passages scanned in memory, and passages indexed on disk.
//!
//! A part proposes its best passages with exact scores under the statistics of the whole corpus, so
//! that proposals merge by sorting and it makes no difference which part holds a passage.

use std::cmp::Ordering;

use crate::{
    bm25::{Bm25, Statistics},
    catalogue::{Catalogue, Row},
    embed::Vector,
    filter::Filter,
};

/// One question, prepared once for all parts.
pub(crate) struct Ask<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) filter: &'a Filter<'a>,
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
    /// Best first; equals: the later recorded, then by id.
    pub(crate) fn order<S: PartialOrd>(&self, a: &(Row, S), b: &(Row, S)) -> Ordering {
        let known = self.catalogue;
        b.1.partial_cmp(&a.1)
            .unwrap_or(Ordering::Equal)
            .then_with(|| known.recorded(b.0).cmp(&known.recorded(a.0)))
            .then_with(|| known.id(a.0).cmp(known.id(b.0)))
    }

    /// Sorts a ranking and cuts it to the depth asked for.
    pub(crate) fn cut<S: PartialOrd>(&self, mut ranking: Vec<(Row, S)>) -> Vec<(Row, S)> {
        ranking.sort_unstable_by(|a, b| self.order(a, b));
        ranking.truncate(self.depth);
        ranking
    }
}

/// A ranking that is cut as it grows, so that not everything that scores is sorted.
pub(crate) struct Best<'a, S> {
    ask: &'a Ask<'a>,
    found: Vec<(Row, S)>,
    /// What a row must score to be among the best still.
    least: Option<S>,
}

impl<'a, S: PartialOrd + Copy> Best<'a, S> {
    pub(crate) fn new(ask: &'a Ask<'a>) -> Self {
        Self { ask, found: Vec::new(), least: None }
    }

    /// Tells whether a row that scores so much may be among the best.
    pub(crate) fn may_hold(&self, score: S) -> bool {
        self.least.is_none_or(|least| score >= least)
    }

    pub(crate) fn push(&mut self, row: Row, score: S) {
        self.found.push((row, score));
        if self.found.len() >= self.ask.depth.saturating_mul(4).max(64) {
            self.found = self.ask.cut(std::mem::take(&mut self.found));
            self.least = self.found.last().map(|(_, score)| *score);
        }
    }

    pub(crate) fn finish(self) -> Vec<(Row, S)> {
        self.ask.cut(self.found)
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

impl From<crate::columns::Doubt> for PartError {
    fn from(doubt: crate::columns::Doubt) -> Self {
        Self(doubt.0)
    }
}

/// Some of the passages, ready to be searched.
pub(crate) trait Part {
    /// What BM25 needs to know of these passages to answer a question of these stems.
    fn statistics(&self, stems: &[String]) -> Statistics;

    /// Returns the best admitted passages of this part.
    fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, PartError>;

    /// Returns the vectors of those of `rows`, which are sorted, that this part holds with one.
    fn vectors(&self, rows: &[Row]) -> Result<Vec<(Row, Vector)>, PartError>;
}

/// A part on disk, which holds the first rows.
pub(crate) trait Index: Part + Send {
    /// How many rows it holds, from the first on.
    fn rows(&self) -> Row;
}
