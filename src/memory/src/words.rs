//! Text as words: the one rule by which passages and questions are split, shared by the full text
//! ranking, the local embedder and the explanation of a hit.
//!
//! Unicode words, lower case, English stems (Snowball). No stop list: common words weigh little by
//! themselves (their inverse document frequency) and dropping them measured worse on paraphrases,
//! as did leaving words unstemmed.
//! Words with a letter are split at dots and underscores, so that `ap@brandt.example` is found by
//! `brandt`; numbers such as `1,250.00` stay whole.

use std::cell::RefCell;
use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Names this rule. Whatever was derived under another name is rebuilt.
pub(crate) const RULE: &str = "unicode-english/1";

/// How many stems a thread remembers before it starts again: a few MiB at the most.
const STEMS_MAX: usize = 20_000;
/// A word of more bytes than this is not a word (a hash, a data URL); its head stands for it.
const WORD_BYTES_MAX: usize = 64;

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As written, in lower case.
    pub(crate) surface: String,
    /// What it is compared by.
    pub(crate) stem: String,
}

/// Returns the words of `text` in order.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    for piece in text.unicode_words() {
        let lower = piece.to_lowercase().replace('\u{2019}', "'");
        if lower.chars().any(char::is_alphabetic) {
            for part in lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|p| !p.is_empty()) {
                out.push(word(part));
            }
        } else {
            out.push(word(&lower));
        }
    }
    out
}

/// Returns the stems of `text` in order: what is counted and indexed.
pub(crate) fn stems(text: &str) -> Vec<String> {
    words(text).into_iter().map(|w| w.stem).collect()
}

fn word(part: &str) -> Word {
    let end = (0..=WORD_BYTES_MAX.min(part.len())).rev().find(|&i| part.is_char_boundary(i)).unwrap_or(0);
    let surface = part[..end].to_owned();
    Word { stem: stem(&surface), surface }
}

/// Stemming costs more than everything else done to a word, and words repeat: each thread keeps
/// the stems it has seen.
fn stem(word: &str) -> String {
    thread_local! {
        static SEEN: RefCell<(Stemmer, HashMap<String, String>)> =
            RefCell::new((Stemmer::create(Algorithm::English), HashMap::new()));
    }
    SEEN.with_borrow_mut(|(stemmer, seen)| {
        if let Some(stem) = seen.get(word) {
            return stem.clone();
        }
        let stem = stemmer.stem(word).into_owned();
        if seen.len() >= STEMS_MAX {
            seen.clear();
        }
        seen.insert(word.to_owned(), stem.clone());
        stem
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_as_people_search_it() {
        let check = |text: &str, expected: &[&str]| assert_eq!(stems(text), expected, "{text}");
        check("Payments were LATE; paying late.", &["payment", "were", "late", "pay", "late"]);
        check("ap@brandt.example owes 1,250.00 EUR", &["ap", "brandt", "exampl", "owe", "1,250.00", "eur"]);
        check("INV-2043 read_ledger", &["inv", "2043", "read", "ledger"]);
        check("Müller’s café", &["müller", "café"]);
        check("\u{0}\t—…", &[]);
    }

    #[test]
    fn a_word_without_end_is_cut_at_a_character() {
        let long = "é".repeat(1000);
        assert_eq!(words(&long)[0].surface, "é".repeat(32));
    }
}
