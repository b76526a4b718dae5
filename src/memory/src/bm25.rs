//! How well a text answers words: BM25 with k1 = 1.2 and b = 0.75.
//!
//! The statistics are sums over passages, so those of two parts of the corpus add up to those of
//! the whole, and a passage scores the same whichever part holds it.

use std::collections::{BTreeMap, HashMap};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What BM25 needs to know of a set of passages.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct WordCounts {
    /// How many passages.
    pub(crate) passages: u64,
    /// How many words they have together.
    pub(crate) words: u64,
    /// In how many of them each stem occurs.
    pub(crate) with: BTreeMap<String, u32>,
}

impl WordCounts {
    /// Adds one passage, given its stems with their counts, and returns its length in words.
    pub(crate) fn add(&mut self, bag: &HashMap<String, u32>) -> u32 {
        let length = bag.values().sum();
        self.passages += 1;
        self.words += u64::from(length);
        for stem in bag.keys() {
            match self.with.get_mut(stem) {
                Some(n) => *n += 1,
                None => {
                    self.with.insert(stem.clone(), 1);
                }
            }
        }
        length
    }
}

/// Counts the stems of a text.
pub(crate) fn bag(text: &str) -> HashMap<String, u32> {
    let mut bag = HashMap::new();
    for stem in crate::words::stems(text) {
        *bag.entry(stem).or_insert(0) += 1;
    }
    bag
}

/// The scorer of one question over the whole corpus.
#[derive(Debug)]
pub(crate) struct Bm25 {
    /// The question's stems, each once, with their weights, in the question's order.
    pub(crate) terms: Vec<(String, f64)>,
    mean_length: f64,
}

impl Bm25 {
    /// Prepares the scorer for `stems` from the statistics of all parts.
    pub(crate) fn new(stems: &[String], parts: &[&WordCounts]) -> Self {
        let passages = parts.iter().map(|p| p.passages).sum::<u64>() as f64;
        let words = parts.iter().map(|p| p.words).sum::<u64>() as f64;
        let mut terms: Vec<(String, f64)> = Vec::new();
        for stem in stems {
            if terms.iter().all(|(seen, _)| seen != stem) {
                let with = parts.iter().map(|p| p.with.get(stem).copied().unwrap_or(0)).map(f64::from).sum::<f64>();
                terms.push((stem.clone(), (1.0 + (passages - with + 0.5) / (with + 0.5)).ln()));
            }
        }
        Self { terms, mean_length: if passages > 0.0 { (words / passages).max(1.0) } else { 1.0 } }
    }

    /// Scores a passage of `length` words, given how often each term occurs in it; 0 when none does.
    pub(crate) fn score(&self, length: u32, count: impl Fn(usize, &str) -> u32) -> f64 {
        let norm = K1 * (1.0 - B + B * f64::from(length) / self.mean_length);
        let term = |(i, (stem, weight)): (usize, &(String, f64))| {
            let n = f64::from(count(i, stem));
            if n > 0.0 { weight * n * (K1 + 1.0) / (n + norm) } else { 0.0 }
        };
        self.terms.iter().enumerate().map(term).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(corpus: &[&str], question: &str) -> Vec<f64> {
        let mut counts = WordCounts::default();
        let bags: Vec<_> = corpus.iter().map(|t| bag(t)).collect();
        let lengths: Vec<u32> = bags.iter().map(|b| counts.add(b)).collect();
        let bm25 = Bm25::new(&crate::words::stems(question), &[&counts]);
        let one = |(b, n): (&HashMap<String, u32>, &u32)| bm25.score(*n, |_, stem| b.get(stem).copied().unwrap_or(0));
        bags.iter().zip(&lengths).map(one).collect()
    }

    #[test]
    fn the_formula_by_hand() {
        // idf("b") = ln(1 + (2 - 1 + .5)/(1 + .5)) = ln 2; length 3, mean 2.5: norm = 1.2(.25 + .75·1.2) = 1.38
        let got = scores(&["alpha beta beta", "alpha gamma"], "beta");
        assert!((got[0] - 2f64.ln() * 2.0 * 2.2 / (2.0 + 1.38)).abs() < 1e-12);
        assert_eq!(got[1], 0.0);
    }

    #[test]
    fn rare_words_and_short_texts_weigh_more() {
        let got = scores(
            &["invoice dispute", "invoice invoice paper", "invoice and many other words here"],
            "invoice dispute",
        );
        assert!(got[0] > got[1] && got[1] > got[2] && got[2] > 0.0, "{got:?}");
    }

    #[test]
    fn a_word_asked_twice_counts_once() {
        assert_eq!(scores(&["late fee", "x"], "late late"), scores(&["late fee", "x"], "late"));
    }
}
