//! How much of the small corpus recall finds, as measured, with a floor under it.
//!
//! Measured with the local embedder: 12 of 12 questions that share words with their note, 7 of 12
//! that share none or nearly none (3 before it had a word list, 2 without stems). Its weights were
//! chosen on this corpus, so it is no measure of how it does elsewhere, only a floor.

use crate::support::{Store, corpus, ids, questions};
use cairn_memory::Query;

#[test]
fn recall_at_five_stays_above_its_floor() {
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory();
    let found = |wanted: &str| {
        let asked: Vec<_> = questions().into_iter().filter(|(kind, _, _)| *kind == wanted).collect();
        let hit = |(_, id, text): &&(&str, &str, &str)| {
            let found = ids(&memory, &Query::new(*text)).iter().any(|got| got == id);
            println!("{wanted}: {text:60} {}", if found { "found" } else { "MISSED" });
            found
        };
        (asked.iter().filter(hit).count(), asked.len())
    };
    let (word, meaning) = (found("word"), found("meaning"));
    println!("recall@5: word {word:?}, meaning {meaning:?}");
    assert!(word.0 >= 12 && word.1 == 12, "questions that share words: {word:?}");
    assert!(meaning.0 >= 7 && meaning.1 == 12, "questions that hardly share any: {meaning:?}");
}
