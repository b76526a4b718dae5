//! Remember, recall, get, list: the promises that hold in every build.

use cairn_memory::{EmbedError, Embedder, LocalEmbedder, Memory, Past, Query, Settings};
use cairn_store_layout::{MachineId, passage::Passage, paths};
use proptest::prelude::*;

use crate::support::{Store, corpus, day, ids, note};

#[test]
fn an_empty_store_answers_with_nothing_and_stays_empty() {
    let store = Store::new();
    let memory = store.memory();
    assert_eq!(ids(&memory, &Query::new("late payment")), [""; 0]);
    assert_eq!(memory.get("x").unwrap(), None);
    assert!(memory.flush().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(store.dir.path()).unwrap().count(), 0, "asking writes nothing");
}

#[test]
fn a_hit_says_why() {
    let store = Store::new();
    store.record(&[note("a", "Brandt pays late, but in full."), note("b", "The late train to Graz.")]);
    let recalled = store.memory().recall(&Query::new("Is a late payment usual? Who pays late?")).unwrap();
    assert_eq!(recalled.known, 2);
    assert_eq!(recalled.words_only, None);
    let why: Vec<_> = recalled.hits.iter().map(|hit| (hit.passage.id.as_str(), hit.why.words())).collect();
    assert_eq!(why[0], ("a", "words \"late\", \"pays\" (rank 1); similar text (rank 1)".to_owned()));
    assert_eq!(why[1].0, "b");
    assert!(why[1].1.starts_with("words \"late\" (rank 2)"), "{why:?}");
    assert!((recalled.hits[0].score - 2.0 / 61.0).abs() < 1e-12);
}

#[test]
fn what_is_remembered_is_found_before_its_line_is_written_and_once_after() {
    let store = Store::new();
    let (cold, warm) = (note("a", "cold remembered apples"), note("b", "warm remembered apples"));
    let memory = store.memory();
    memory.remember(&[cold.clone(), cold.clone()]);
    assert_eq!(ids(&memory, &Query::new("apples")), ["a"]);
    memory.remember(std::slice::from_ref(&warm));
    assert_eq!(ids(&memory, &Query::new("apples")), ["a", "b"]);
    store.record(&[cold, warm]);
    assert_eq!(ids(&memory, &Query::new("apples")), ["a", "b"]);
    assert_eq!(memory.stats().unwrap().passages, 2);
}

#[test]
fn equals_are_ordered_by_time_and_then_by_id() {
    let store = Store::new();
    let at = |id: &str, d| Passage { recorded_at: day(d), ..note(id, "the same words") };
    store.record(&[at("c", 1), at("b", 2), at("a", 1)]);
    assert_eq!(ids(&store.memory(), &Query::new("same words")), ["b", "a", "c"]);
}

#[test]
fn time_decides_what_holds() {
    let store = Store::new();
    let on = |d, p: Passage| Passage { recorded_at: day(d), ..p };
    store.record(&[
        on(1, note("old", "price 10 EUR")),
        on(5, Passage { supersedes: vec!["old".into()], ..note("new", "price 12 EUR") }),
        on(2, Passage { valid_from: Some(day(3)), valid_to: Some(day(9)), ..note("sale", "price 8 EUR") }),
        on(
            6,
            Passage {
                valid_from: Some("2999-01-01T00:00:00Z".parse().unwrap()),
                supersedes: vec!["new".into()],
                ..note("future", "price 99 EUR")
            },
        ),
    ]);
    let memory = store.memory();
    let check = |as_of: Option<jiff::Timestamp>, expected: &[&str]| {
        let mut found = ids(&memory, &Query { as_of: as_of.map(Past::Time), ..Query::new("price EUR") });
        found.sort();
        assert_eq!(found, expected, "as of {as_of:?}");
    };
    check(None, &["new"]);
    check(Some(day(1)), &["old"]);
    check(Some(day(3)), &["old", "sale"]);
    check(Some(day(5)), &["new", "sale"]);
    check(Some(day(9)), &["new"]);
    assert_eq!(memory.get("old").unwrap().unwrap().text, "price 10 EUR");
    let listed: Vec<_> = memory.list(None, 9).unwrap().into_iter().map(|p| p.id).collect();
    assert_eq!(listed, ["new"]);
}

#[test]
fn filters_are_exact() {
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory();
    let query =
        Query { entities: vec!["client/papyra-books".into()], limit: 50, ..Query::new("invoice mail paper cover") };
    let hits = memory.recall(&query).unwrap().hits;
    assert!(!hits.is_empty() && hits.iter().all(|h| h.passage.entity.as_ref() == query.entities.first()));
    let kind = Query { kinds: vec!["call".into()], limit: 50, ..Query::new("asked for the new") };
    let hits = memory.recall(&kind).unwrap().hits;
    assert!(!hits.is_empty() && hits.iter().all(|h| h.passage.kind == "call"));
    let listed = memory.list(Some("client/umbra-theatre"), 3).unwrap();
    assert_eq!(listed.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["n55", "n54", "n53"]);
}

#[test]
fn a_damaged_line_hides_nothing_and_a_torn_one_waits() {
    let store = Store::new();
    store.record(&[note("a", "apples are red")]);
    let file = paths::memory(paths::PASSAGES, &store.machine, day(1));
    store.append(&file, "{\"id\":\"half\n\u{0}\n");
    store.record(&[note("b", "apples are green")]);
    let whole = serde_json::to_string(&note("c", "apples are yellow")).unwrap();
    store.append(&file, &whole[..30]);
    let memory = store.memory();
    assert_eq!(ids(&memory, &Query::new("apples")).len(), 2);
    assert_eq!(memory.stats().unwrap().unreadable, 2);
    store.append(&file, &format!("{}\n", &whole[30..]));
    assert_eq!(ids(&memory, &Query::new("apples")).len(), 3);
    assert_eq!(memory.stats().unwrap().unreadable, 2);
}

#[test]
fn files_that_come_and_go_are_followed() {
    let store = Store::new();
    let memory = store.memory();
    memory.remember(&[note("mine", "my own apples")]);
    let other = MachineId::new("m000000002").unwrap();
    store.record_by(&other, &[note("theirs", "apples of another machine")]);
    assert_eq!(ids(&memory, &Query::new("apples")).len(), 2);
    std::fs::remove_dir_all(store.path(&format!("memory/passages/{other}"))).unwrap();
    assert_eq!(ids(&memory, &Query::new("apples")), ["mine"], "what is only remembered stays");
}

#[test]
fn a_flush_is_due_by_number() {
    let store = Store::new();
    let memory = store.memory();
    let many: Vec<_> = (0..256).map(|n| note(&format!("p{n}"), "text")).collect();
    memory.remember(&many[..255]);
    memory.remember(&many[..255]);
    assert!(!memory.flush_due());
    memory.remember(&many);
    assert_eq!(memory.waiting(), 256);
    assert!(memory.flush_due());
    memory.flush().unwrap();
    assert!(!memory.flush_due());
}

/// Gives vectors only while it is told to, and one too few when it is not.
#[derive(Default)]
struct Moody(std::sync::atomic::AtomicBool);

impl Embedder for Moody {
    fn id(&self) -> &str {
        LocalEmbedder.id()
    }
    fn dims(&self) -> usize {
        LocalEmbedder.dims()
    }
    fn floor(&self) -> f32 {
        LocalEmbedder.floor()
    }
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let well = self.0.load(std::sync::atomic::Ordering::Relaxed);
        LocalEmbedder.embed(if well { texts } else { &texts[1..] })
    }
}

#[test]
fn without_vectors_words_still_answer_and_vectors_come_back() {
    let store = Store::new();
    store.record(&corpus());
    let embedder = std::sync::Arc::new(Moody::default());
    let memory = Memory::open_with(store.dir.path(), &store.machine, embedder.clone(), Settings::default()).unwrap();
    let query = Query::new("loyalty discount");
    let poor = memory.recall(&query).unwrap();
    assert_eq!(poor.words_only.as_deref(), Some("0 vectors for 1 texts"));
    assert_eq!((poor.hits[0].passage.id.as_str(), poor.hits[0].why.vector_rank), ("n08", None));
    embedder.0.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(memory.recall(&query).unwrap(), store.memory().recall(&query).unwrap());
}

/// Texts of few words, so that they meet often.
fn texts() -> impl Strategy<Value = Vec<(String, Vec<usize>)>> {
    let text =
        prop::collection::vec(prop::sample::select(vec!["late", "pays", "Brandt", "invoice", "é", "3.50"]), 1..6);
    prop::collection::vec((text.prop_map(|w| w.join(" ")), prop::collection::vec(0usize..20, 0..2)), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn remembering_again_changes_nothing_and_the_superseded_are_never_returned(texts in texts(), word in "late|pays invoice|3.50") {
        let passages: Vec<Passage> = texts.iter().enumerate().map(|(n, (text, olds))| {
            // Only what was recorded before can be superseded.
            let supersedes: Vec<String> = olds.iter().filter(|old| **old < n).map(|old| format!("p{old}")).collect();
            Passage { supersedes, ..note(&format!("p{n}"), text) }
        }).collect();
        let (once, twice) = (Store::new(), Store::new());
        let (a, b) = (once.memory(), twice.memory());
        a.remember(&passages);
        b.remember(&passages);
        twice.record(&passages);
        let query = Query { limit: 100, ..Query::new(word) };
        b.recall(&query).unwrap();
        b.remember(&passages);
        let (a, b) = (a.recall(&query).unwrap(), b.recall(&query).unwrap());
        prop_assert_eq!(&a, &b);
        for hit in &a.hits {
            prop_assert!(passages.iter().all(|p| !p.supersedes.contains(&hit.passage.id)));
        }
        let scores: Vec<f64> = a.hits.iter().map(|h| h.score).collect();
        prop_assert!(scores.is_sorted_by(|x, y| x >= y));
    }
}
