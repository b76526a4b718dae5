//! `classify` agents: count the words and phrases that speak for each class.
//!
//! Text and phrases are taken apart into lower-case words. A phrase matches where its words follow one
//! another; its last word may end in `*` and then matches any ending (`dispute*`). Each place a phrase
//! matches adds as many points as the phrase has words, because a longer phrase says more. The class
//! with most points wins; between equals the one with more different phrases; if they are equal there
//! too, or nothing matched, the answer is the class `otherwise`. The same text always gives the same answer.

use std::cmp::Reverse;

use cairn_store_layout::definition::Classify;
use serde_json::{Value, json};

/// The class, the points of every class, and the phrases that spoke for the class.
pub(super) fn choose(classify: &Classify, text: &str) -> Value {
    let spoken = words(text);
    let mut scores = serde_json::Map::new();
    let mut ranked = Vec::new();
    for (class, phrases) in &classify.classes {
        let mut points = 0;
        let mut matched = Vec::new();
        for phrase in phrases {
            let count = occurrences(&spoken, phrase);
            if count > 0 {
                points += count * words(phrase).len();
                matched.push(phrase.as_str());
            }
        }
        scores.insert(class.clone(), json!(points));
        ranked.push((points, matched, class));
    }
    ranked.sort_by_key(|(points, matched, _)| Reverse((*points, matched.len())));
    let winner = match ranked.as_slice() {
        [first, second, ..] if (first.0, first.1.len()) == (second.0, second.1.len()) => None,
        [first, ..] if first.0 > 0 => Some(first),
        _ => None,
    };
    match winner {
        Some((_, matched, class)) => json!({ "class": class, "scores": scores, "matched": matched }),
        None => json!({ "class": classify.otherwise, "scores": scores, "matched": [] }),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

fn occurrences(spoken: &[String], phrase: &str) -> usize {
    let wanted = words(phrase);
    let open = phrase.trim_end().ends_with('*');
    let Some((last, head)) = wanted.split_last() else { return 0 };
    spoken
        .windows(wanted.len())
        .filter(|window| {
            let (end, start) = window.split_last().expect("a window has as many words as the phrase, at least one");
            start == head && (end == last || (open && end.starts_with(last.as_str())))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Classify {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Classify {
            classes: [
                ("dispute".to_owned(), list(&["dispute*", "wrong amount", "not correct"])),
                ("paid".to_owned(), list(&["paid", "bank transfer"])),
            ]
            .into(),
            otherwise: "other".to_owned(),
        }
    }

    #[track_caller]
    fn check(text: &str, class: &str, matched: &[&str]) {
        let got = choose(&classes(), text);
        assert_eq!((got["class"].as_str(), &got["matched"]), (Some(class), &json!(matched)), "{got}");
    }

    #[test]
    fn words_and_phrases_decide() {
        check("We DISPUTED this; the wrong amount!", "dispute", &["dispute*", "wrong amount"]);
        check("Paid by bank\ntransfer yesterday", "paid", &["paid", "bank transfer"]);
        check("unpaid", "other", &[]);
        check("", "other", &[]);
    }

    #[test]
    fn a_longer_phrase_outweighs_a_word_and_a_tie_decides_nothing() {
        check("you say paid, but it is not correct", "dispute", &["not correct"]);
        check("paid, disputed", "other", &[]);
        assert_eq!(choose(&classes(), "paid, paid, disputed")["scores"], json!({"dispute": 1, "paid": 2}));
    }
}
