//! What is asked of memory and what it answers: plain values, nothing of any library.

use std::collections::BTreeMap;

use cairn_store_layout::passage::Passage;
use jiff::Timestamp;

/// The most hits one question may ask for.
pub const LIMIT_MAX: usize = 100;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What is looked for, in any words. Without a word in it nothing is found.
    pub text: String,
    /// Only passages about exactly this, such as `client/brandt-gmbh`.
    pub entity: Option<String>,
    /// Only passages of this kind.
    pub kind: Option<String>,
    /// Only passages that carry all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Answers with what was known and held at that moment: later passages do not exist yet, and
    /// supersede nothing. Absent: everything known, as it holds now.
    pub as_of: Option<Timestamp>,
    /// How many hits at most, 1 to [`LIMIT_MAX`]; out of bounds is taken to the nearer bound.
    pub limit: usize,
}

impl Query {
    /// Asks for the five best passages of all kinds, about anything, as of now.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), entity: None, kind: None, labels: BTreeMap::new(), as_of: None, limit: 5 }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// Best first: by score, then the later recorded, then by id.
    pub hits: Vec<Hit>,
    /// How many passages memory knew when it answered, whether or not they matched.
    pub known: usize,
    /// Set when similarity could not be used and only words were, with the reason.
    pub words_only: Option<String>,
}

/// One passage that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The passage.
    pub passage: Passage,
    /// Sum of `1 / (60 + rank)` over the two rankings: meaningful only within one answer.
    pub score: f64,
    /// Why it matched.
    pub why: Why,
}

/// Why a passage matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why {
    /// Its place by words, from 1, among the passages that passed the filters.
    pub text_rank: Option<u32>,
    /// Its place by similarity of the whole text, from 1.
    pub vector_rank: Option<u32>,
    /// The question's words that it holds in some form, as asked, in order.
    pub matched_words: Vec<String>,
}

impl Why {
    /// The reason for a person, such as `words "late", "payment" (rank 1); similar text (rank 3)`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if let Some(rank) = self.text_rank {
            let quoted: Vec<String> = self.matched_words.iter().map(|w| format!("\"{w}\"")).collect();
            parts.push(format!("words {} (rank {rank})", quoted.join(", ")));
        }
        if let Some(rank) = self.vector_rank {
            parts.push(format!("similar text (rank {rank})"));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_reads_as_a_sentence() {
        let mut why =
            Why { text_rank: Some(1), vector_rank: Some(3), matched_words: vec!["late".into(), "payment".into()] };
        assert_eq!(why.words(), "words \"late\", \"payment\" (rank 1); similar text (rank 3)");
        why.text_rank = None;
        assert_eq!(why.words(), "similar text (rank 3)");
    }
}
