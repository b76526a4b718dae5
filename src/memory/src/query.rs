//! What is asked of memory and what it answers: plain values, nothing of any library.

use std::collections::BTreeMap;

use cairn_store_layout::passage::Passage;
use jiff::{SignedDuration, Timestamp};

/// The most hits one question may ask for.
pub const LIMIT_MAX: usize = 100;

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is looked for, in any words. Without a word in it nothing is found.
    pub text: String,
    /// Only passages about exactly one of these, such as `client/brandt-gmbh`. Empty: about anything.
    pub entities: Vec<String>,
    /// Only passages of one of these kinds. Empty: of any.
    pub kinds: Vec<String>,
    /// Only passages that carry all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only passages recorded at this time or later.
    pub since: Option<Timestamp>,
    /// Only passages recorded before this time.
    pub until: Option<Timestamp>,
    /// Only passages that will still hold so long after the moment asked for, as far as is known.
    pub min_validity: Option<SignedDuration>,
    /// Answers with what was known and held at a moment: what was recorded later does not exist yet,
    /// supersedes nothing and forgets nothing. Absent: everything known, as it holds now.
    pub as_of: Option<Past>,
    /// How much hits are to differ from each other, 0 to 1: at 0 the best ones are returned; at more,
    /// each next one is chosen for its rank and for being unlike those before it (maximal marginal
    /// relevance). 0 by default, because a question for one fact wants the fact, however often it was
    /// said; prompts that want an overview ask for 0.3.
    pub diversity: f32,
    /// How many hits at most, 1 to [`LIMIT_MAX`]; out of bounds is taken to the nearer bound.
    pub limit: usize,
}

/// A moment of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// What was recorded up to a time, by the clocks of the machines that recorded it.
    Time(Timestamp),
    /// What a commit held. Passage files only grow, so a commit held a beginning of each.
    Files {
        /// When the commit was made: what must hold, holds at this time.
        at: Timestamp,
        /// The length in bytes of each passage file in it, by its path in the store; others were not there.
        files: BTreeMap<String, u64>,
    },
}

impl Query {
    /// Asks for the five best passages of all kinds, about anything, as of now.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            entities: Vec::new(),
            kinds: Vec::new(),
            labels: BTreeMap::new(),
            since: None,
            until: None,
            min_validity: None,
            as_of: None,
            diversity: 0.0,
            limit: 5,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// Best first: by score, then the later recorded, then by id. With [`Query::diversity`], in the
    /// order in which they were chosen.
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
