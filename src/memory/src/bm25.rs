//! How well a text answers words: BM25 with k1 = 1.2 and b = 0.75.
//!
//! The statistics are sums over passages, so those of two parts of the corpus add up to those of
//! the whole, and a passage scores the same whichever part holds it.

use std::collections::{BTreeMap, HashMap};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What is known of the words of a set of passages.
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
    pub(crate) fn add(&mut self, bag: &HashMap<String, u16>) -> u32 {
        let length = length(bag);
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

    /// Takes out a passage that was added.
    pub(crate) fn remove(&mut self, bag: &HashMap<String, u16>) {
        self.passages -= 1;
        self.words -= u64::from(length(bag));
        for stem in bag.keys() {
            if let Some(n) = self.with.get_mut(stem) {
                *n -= 1;
                if *n == 0 {
                    self.with.remove(stem);
                }
            }
        }
    }

    /// What of it matters to a question.
    pub(crate) fn of(&self, stems: &[String]) -> Statistics {
        let with = stems.iter().map(|stem| u64::from(self.with.get(stem).copied().unwrap_or(0)));
        Statistics { passages: self.passages, words: self.words, with: with.collect() }
    }
}

/// What BM25 needs to know of a set of passages to answer a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// How many passages.
    pub(crate) passages: u64,
    /// How many words they have together.
    pub(crate) words: u64,
    /// In how many of them each of the question's stems occurs.
    pub(crate) with: Vec<u64>,
}

impl Statistics {
    /// Of no passages, for a question of so many stems.
    pub(crate) fn none(stems: usize) -> Self {
        Self { passages: 0, words: 0, with: vec![0; stems] }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.passages += other.passages;
        self.words += other.words;
        self.with.iter_mut().zip(&other.with).for_each(|(n, m)| *n += m);
    }

    /// Takes out what was counted twice.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.passages -= other.passages;
        self.words -= other.words;
        self.with.iter_mut().zip(&other.with).for_each(|(n, m)| *n -= m);
    }
}

/// Counts the stems of a text. A stem that occurs more than 65,535 times occurs that often.
pub(crate) fn bag(text: &str) -> HashMap<String, u16> {
    counted(crate::words::stems(text))
}

/// Counts stems, see [`bag`].
pub(crate) fn counted(stems: Vec<String>) -> HashMap<String, u16> {
    let mut bag = HashMap::new();
    for stem in stems {
        let n: &mut u16 = bag.entry(stem).or_insert(0);
        *n = n.saturating_add(1);
    }
    bag
}

/// How many words a passage has.
pub(crate) fn length(bag: &HashMap<String, u16>) -> u32 {
    bag.values().map(|n| u32::from(*n)).sum()
}

/// The scorer of one question over the whole corpus.
#[derive(Debug)]
pub(crate) struct Bm25 {
    /// The question's stems, each once, in the question's order.
    pub(crate) stems: Vec<String>,
    /// How much each tells a passage from others: its inverse document frequency.
    pub(crate) weights: Vec<f64>,
    mean_length: f64,
}

impl Bm25 {
    /// The stems of a question, each once.
    pub(crate) fn stems<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut stems: Vec<String> = Vec::new();
        for stem in all {
            if stems.iter().all(|seen| seen != stem) {
                stems.push(stem.to_owned());
            }
        }
        stems
    }

    /// Prepares the scorer for `stems` from the statistics of all passages.
    pub(crate) fn new(stems: Vec<String>, all: &Statistics) -> Self {
        let (passages, words) = (all.passages as f64, all.words as f64);
        let weight = |with: &u64| (1.0 + (passages - *with as f64 + 0.5) / (*with as f64 + 0.5)).ln();
        let mean_length = if passages > 0.0 { (words / passages).max(1.0) } else { 1.0 };
        Self { weights: all.with.iter().map(weight).collect(), stems, mean_length }
    }

    /// What a passage of `length` words scores for holding the question's stem number `i` so often.
    /// A passage's score is the sum over the stems, added in their order.
    pub(crate) fn part(&self, i: usize, length: u32, count: u16) -> f64 {
        let n = f64::from(count);
        self.weights[i] * n * (K1 + 1.0) / (n + K1 * (1.0 - B + B * f64::from(length) / self.mean_length))
    }

    /// Scores a passage at once, by the counts of its stems; 0 when none is asked for.
    #[cfg(any(test, feature = "lance"))]
    pub(crate) fn score(&self, bag: &HashMap<String, u16>) -> f64 {
        let length = length(bag);
        let held = self.stems.iter().enumerate().filter_map(|(i, stem)| Some((i, *bag.get(stem)?)));
        held.fold(0.0, |sum, (i, count)| sum + self.part(i, length, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(corpus: &[&str], question: &str) -> Vec<f64> {
        let mut counts = WordCounts::default();
        let bags: Vec<_> = corpus.iter().map(|t| bag(t)).collect();
        bags.iter().for_each(|bag| {
            counts.add(bag);
        });
        let stems = Bm25::stems(crate::words::stems(question).iter().map(String::as_str));
        let bm25 = Bm25::new(stems.clone(), &counts.of(&stems));
        bags.iter().map(|bag| bm25.score(bag)).collect()
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
    fn what_is_taken_out_leaves_nothing_behind() {
        let (mut counts, mut one) = (WordCounts::default(), WordCounts::default());
        for counts in [&mut counts, &mut one] {
            counts.add(&bag("late fee"));
        }
        counts.add(&bag("late late payment"));
        counts.remove(&bag("late late payment"));
        assert_eq!(counts, one);
    }

    #[test]
    fn a_word_asked_twice_counts_once() {
        assert_eq!(scores(&["late fee", "x"], "late late"), scores(&["late fee", "x"], "late"));
    }
}
