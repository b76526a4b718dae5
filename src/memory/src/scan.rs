//! The part in memory: an exact scan of the columns, by words and by vectors.
//!
//! It serves all stores but very large ones alone and, beside an index on disk, whatever that index
//! does not hold yet. Vectors are compared by bytes first; every row that may be among the best,
//! given how far a byte may be from the number it stands for, is compared exactly.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    bm25::Statistics,
    catalogue::{Catalogue, Row},
    columns::{Question, Segment},
    embed::Vector,
    part::{Ask, Best, Part, PartError, Proposal},
};

/// The rows of a catalogue from one on, which begins a segment.
pub(crate) struct Scan<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) from: Row,
}

impl Part for Scan<'_> {
    fn statistics(&self, stems: &[String]) -> Statistics {
        self.catalogue.statistics(self.from, stems)
    }

    fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, PartError> {
        Ok(Proposal { text: self.by_words(ask), vector: self.by_vector(ask)? })
    }

    fn vectors(&self, rows: &[Row]) -> Result<Vec<(Row, Vector)>, PartError> {
        let mut out = Vec::new();
        for (base, segment) in self.segments() {
            let Some(vectors) = segment.vectors() else { continue };
            let within = base as usize..base as usize + segment.rows.len();
            let wanted: Vec<Row> = rows.iter().copied().filter(|row| within.contains(&(*row as usize))).collect();
            let places: Vec<u32> = wanted.iter().map(|row| row - base).collect();
            out.extend(wanted.into_iter().zip(vectors.exact(&places)?));
        }
        Ok(out)
    }
}

impl Scan<'_> {
    fn segments(&self) -> impl Iterator<Item = (Row, &Segment)> {
        self.catalogue.segments().filter(|(base, segment)| *base >= self.from && segment.rows.len() > 0)
    }

    fn by_words(&self, ask: &Ask<'_>) -> Vec<(Row, f64)> {
        let mut best = Best::new(ask);
        let mut scores: Vec<f64> = Vec::new();
        for (base, segment) in self.segments() {
            scores.clear();
            scores.resize(segment.rows.len(), 0.0);
            let mut met: Vec<u32> = Vec::new();
            for (i, stem) in ask.bm25.stems.iter().enumerate() {
                let (rows, counts) = segment.postings().of(stem);
                for (row, count) in rows.iter().zip(counts) {
                    let score = &mut scores[*row as usize];
                    if *score == 0.0 {
                        met.push(*row);
                    }
                    *score += ask.bm25.part(i, segment.rows.length(*row as usize), *count);
                }
            }
            for row in met {
                let score = scores[row as usize];
                if score > 0.0 && best.may_hold(score) && ask.filter.admits(base + row) {
                    best.push(base + row, score);
                }
            }
        }
        best.finish()
    }

    fn by_vector(&self, ask: &Ask<'_>) -> Result<Vec<(Row, f32)>, PartError> {
        let Some(vector) = ask.vector else { return Ok(Vec::new()) };
        let question = Question::new(vector);
        let mut floors = Floors::new(ask);
        // Rows that may be among the best: their segment, their number in it, and the most they can score.
        let mut hopeful: Vec<(usize, u32, f32)> = Vec::new();
        let segments: Vec<(Row, &Segment)> = self.segments().collect();
        let mut near: Vec<f32> = Vec::new();
        for (n, (base, segment)) in segments.iter().enumerate() {
            let Some(vectors) = segment.vectors() else { continue };
            near.clear();
            near.resize(vectors.len(), 0.0);
            vectors.estimate(&question, &mut near);
            for (i, near) in (0u32..).zip(&near) {
                let bound = vectors.bound(i as usize, &question);
                if near + bound >= floors.least && ask.filter.admits(base + i) {
                    floors.push(near - bound);
                    hopeful.push((n, i, near + bound));
                }
            }
        }
        hopeful.retain(|(_, _, most)| *most >= floors.least);
        let mut best = Best::new(ask);
        for of_one in hopeful.chunk_by(|a, b| a.0 == b.0) {
            let (base, segment) = segments[of_one[0].0];
            let vectors = segment.vectors().expect("rows were found by them");
            let rows: Vec<u32> = of_one.iter().map(|(_, i, _)| *i).collect();
            for (row, exact) in rows.iter().zip(vectors.exact(&rows)?) {
                let cosine = vector.cosine(&exact);
                if cosine > ask.floor {
                    best.push(base + row, cosine);
                }
            }
        }
        Ok(best.finish())
    }
}

/// The lower bounds of the best rows met so far: what scores less than the least can not be among them.
struct Floors {
    depth: usize,
    least: f32,
    bounds: BinaryHeap<Reverse<Ordered>>,
}

impl Floors {
    fn new(ask: &Ask<'_>) -> Self {
        Self { depth: ask.depth, least: ask.floor, bounds: BinaryHeap::new() }
    }

    fn push(&mut self, bound: f32) {
        self.bounds.push(Reverse(Ordered(bound)));
        if self.bounds.len() > self.depth {
            self.bounds.pop();
        }
        if self.bounds.len() == self.depth
            && let Some(Reverse(Ordered(least))) = self.bounds.peek()
        {
            self.least = self.least.max(*least);
        }
    }
}

/// Single precision in its total order.
#[derive(PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EmbedError, Embedder,
        bm25::Bm25,
        catalogue::{Moment, StoredVectors},
        filter::Filter,
        query::Query,
    };
    use cairn_store_layout::{
        MachineId,
        passage::{Passage, Source},
    };
    use proptest::prelude::*;

    /// Vectors in clusters, so that many are equal or nearly so: `cluster` and `nudge` of `dims` numbers.
    struct Clusters;

    const DIMS: usize = 37;

    impl Embedder for Clusters {
        fn id(&self) -> &str {
            "clusters/1"
        }
        fn dims(&self) -> usize {
            DIMS
        }
        fn floor(&self) -> f32 {
            0.1
        }
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            let one = |text: &&str| {
                let mut parts = text.split(' ').map(|n| n.parse::<u64>().expect("two numbers"));
                let (cluster, nudge) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                let wave =
                    |seed: u64, i: usize| ((seed * 2_654_435_761 + i as u64 * 40_503) % 1009) as f32 / 504.5 - 1.0;
                let nudged = |i| wave(cluster, i) + wave(nudge, i) * nudge as f32 * 1e-4;
                (0..DIMS).map(|i| if cluster == 9 { 0.0 } else { nudged(i) }).collect()
            };
            Ok(texts.iter().map(one).collect())
        }
    }

    fn passage(n: usize, text: String, supersedes: Vec<String>) -> Passage {
        Passage {
            id: format!("p{n:03}"),
            recorded_at: jiff::Timestamp::from_second((n % 7) as i64).unwrap(),
            text,
            kind: "note".to_owned(),
            entity: n.is_multiple_of(3).then(|| "client/a".to_owned()),
            labels: Default::default(),
            source: Source::Person { person: "ada".to_owned() },
            valid_from: None,
            valid_to: None,
            supersedes,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn both_rankings_are_those_of_comparing_with_everything(
            texts in prop::collection::vec((0u64..10, 0u64..4, prop::option::of(0usize..300)), 1..300),
            asked in (0u64..9, 0u64..4),
            depth in 1usize..40,
            filtered in any::<bool>(),
            cuts in prop::collection::vec(1usize..60, 0..4),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let machine = MachineId::new("m000000001").unwrap();
            let passages: Vec<Passage> = texts.iter().enumerate().map(|(n, (cluster, nudge, old))| {
                passage(n, format!("{cluster} {nudge}"), old.iter().map(|old| format!("p{old:03}")).collect())
            }).collect();
            // Written in parts with a look at each, so that there are several segments.
            let folder = dir.path().join("memory/passages/m000000001");
            std::fs::create_dir_all(&folder).unwrap();
            let mut catalogue = Catalogue::load(dir.path(), &machine).unwrap();
            let (mut text, mut rest) = (String::new(), passages.as_slice());
            for cut in cuts.into_iter().chain([passages.len()]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                now.iter().for_each(|p| text.push_str(&(serde_json::to_string(p).unwrap() + "\n")));
                std::fs::write(folder.join("2026-11.jsonl"), &text).unwrap();
                catalogue.refresh().unwrap();
                catalogue.prepare(&Clusters, &mut StoredVectors::new, &mut |_| {}).unwrap();
            }
            let entities = if filtered { vec!["client/a".to_owned()] } else { Vec::new() };
            let question = format!("{} {}", asked.0, asked.1);
            let query = Query { entities, ..Query::new(question.clone()) };
            let filter = Filter::new(&catalogue, &query, Moment::new(None, jiff::Timestamp::now(), &catalogue));
            let vector = Vector::new(Clusters.embed(&[&question]).unwrap().remove(0));
            let scan = Scan { catalogue: &catalogue, from: 0 };
            let stems = Bm25::stems(question.split(' '));
            let bm25 = Bm25::new(stems.clone(), &scan.statistics(&stems));
            let ask = Ask { catalogue: &catalogue, filter: &filter, bm25: &bm25, vector: Some(&vector), floor: 0.1, depth };
            let found = scan.propose(&ask).unwrap();
            let admitted: Vec<Row> = (0..catalogue.len()).filter(|row| filter.admits(*row)).collect();
            let stored = |row: &Row| Vector::stored(&Clusters.embed(&[&catalogue.passage(*row).unwrap().text]).unwrap()[0]);
            let near = admitted.iter().map(|row| (*row, vector.cosine(&stored(row)))).filter(|(_, near)| *near > 0.1);
            prop_assert_eq!(found.vector, ask.cut(near.collect()));
            let score = |row: &Row| bm25.score(&crate::bm25::bag(&catalogue.passage(*row).unwrap().text));
            let text = admitted.iter().map(|row| (*row, score(row))).filter(|(_, score)| *score > 0.0);
            prop_assert_eq!(found.text, ask.cut(text.collect()));
        }
    }
}
