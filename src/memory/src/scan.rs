//! The part in memory: an exact scan, with every word and every vector at hand.
//!
//! It serves small stores alone and, beside an index on disk, whatever that index does not hold yet.

use std::collections::HashMap;

use crate::{
    EmbedError,
    bm25::{WordCounts, bag},
    catalogue::{Catalogue, Row},
    embed::{self, Embedder, Vector},
    part::{Ask, Part, PartError, Proposal},
};

/// How many texts go to the embedder at once.
const BATCH: usize = 64;

/// Passages in memory, in the order of the catalogue.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    counts: WordCounts,
    /// For each stem, the slots of the passages that hold it and how often they do.
    postings: HashMap<String, Vec<(u32, u32)>>,
    /// The catalogue row and the length in words of each slot.
    slots: Vec<(Row, u32)>,
    /// Vectors of the first slots. Shorter than `slots` while the embedder fails.
    vectors: Vec<Vector>,
    /// Rows below this have been looked at.
    seen: Row,
}

impl Scan {
    /// Takes in the passages that came into the catalogue since the last call and that `other` does
    /// not hold. Returns why vectors are missing, if the embedder failed; words are complete anyway.
    pub(crate) fn catch_up(
        &mut self,
        catalogue: &Catalogue,
        other: Option<&dyn Part>,
        embedder: &dyn Embedder,
    ) -> Option<EmbedError> {
        for row in self.seen..catalogue.len() {
            if !other.is_some_and(|part| part.holds(row)) {
                let bag = bag(&catalogue.passage(row).text);
                let length = self.counts.add(&bag);
                let slot = u32::try_from(self.slots.len()).expect("rows are counted in u32");
                for (stem, n) in bag {
                    self.postings.entry(stem).or_default().push((slot, n));
                }
                self.slots.push((row, length));
            }
        }
        self.seen = catalogue.len();
        while self.vectors.len() < self.slots.len() {
            let end = self.slots.len().min(self.vectors.len() + BATCH);
            let rows = &self.slots[self.vectors.len()..end];
            let texts: Vec<&str> = rows.iter().map(|(row, _)| catalogue.passage(*row).text.as_str()).collect();
            match embed::checked(embedder, &texts) {
                Ok(vectors) => self.vectors.extend(vectors.iter().map(|v| Vector::stored(v))),
                Err(error) => return Some(error),
            }
        }
        None
    }
}

impl Part for Scan {
    fn counts(&self) -> &WordCounts {
        &self.counts
    }

    fn holds(&self, row: Row) -> bool {
        self.slots.binary_search_by_key(&row, |(row, _)| *row).is_ok()
    }

    fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, PartError> {
        let mut counts: HashMap<u32, Vec<u32>> = HashMap::new();
        for (i, (stem, _)) in ask.bm25.terms.iter().enumerate() {
            for (slot, n) in self.postings.get(stem).into_iter().flatten() {
                counts.entry(*slot).or_insert_with(|| vec![0; ask.bm25.terms.len()])[i] = *n;
            }
        }
        let mut text = Vec::new();
        for (slot, counts) in counts {
            let (row, length) = self.slots[slot as usize];
            if ask.admits(row) {
                text.push((row, ask.bm25.score(length, |i, _| counts[i])));
            }
        }
        let mut vector = Vec::new();
        if let Some(question) = ask.vector {
            for ((row, _), stored) in self.slots.iter().zip(&self.vectors) {
                let near = question.cosine(stored);
                if near > ask.floor && ask.admits(*row) {
                    vector.push((*row, near));
                }
            }
        }
        Ok(Proposal { text: ask.cut(text), vector: ask.cut(vector) })
    }
}
