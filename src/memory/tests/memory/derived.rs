//! Everything derived can be deleted: fifty fixed questions have the same answers, all fields, before and after.

use std::{collections::BTreeMap, fs};

use cairn_memory::{Memory, Past, Query, Recalled};
use cairn_store_layout::{
    MachineId,
    passage::{Forgotten, Passage, Source},
    paths,
};
use jiff::SignedDuration;

use crate::support::{Random, Store, corpus, day, many, questions};

/// Passages of two machines: the corpus and invented ones, some superseded, over, forgotten or said twice.
fn two_machines(invented: usize) -> (Store, BTreeMap<String, u64>) {
    let store = Store::new();
    let other = MachineId::new("m000000002").unwrap();
    let hour = |n: usize| day(2) + SignedDuration::from_mins(i64::try_from(n).unwrap());
    let said = many(invented).into_iter().enumerate().map(|(n, p)| Passage {
        recorded_at: hour(n),
        labels: n.is_multiple_of(5).then(|| ("team".to_owned(), format!("t{}", n % 3))).into_iter().collect(),
        valid_to: (n % 11 == 0).then(|| hour(n) + SignedDuration::from_hours(5)),
        supersedes: if n % 13 == 12 { vec![format!("p{:06}", n - 7)] } else { Vec::new() },
        ..p
    });
    let said: Vec<Passage> = corpus().into_iter().chain(said).collect();
    let (ours, theirs) = said.split_at(said.len() / 2);
    store.record(ours);
    store.record_by(&other, theirs);
    let files = [&store.machine, &other].map(|machine| paths::memory(paths::PASSAGES, machine, day(2)));
    let committed = files.map(|path| (path.clone(), fs::metadata(store.path(&path)).unwrap().len()));
    store.record_by(&other, &ours[5..15]);
    for passage in ours[20..25].iter().chain(&theirs[3..6]) {
        let forgotten = Forgotten {
            forgets: passage.id.clone(),
            at: day(20),
            source: Source::Person { person: "ada".to_owned() },
            reason: "out of date".to_owned(),
            policy: None,
        };
        store.append(&files_of(&store), &(serde_json::to_string(&forgotten).unwrap() + "\n"));
    }
    (store, committed.into_iter().collect())
}

fn files_of(store: &Store) -> String {
    paths::memory(paths::PASSAGES, &store.machine, day(20))
}

/// Fifty questions, half plain, half with filters, some of the past.
fn fifty(committed: &BTreeMap<String, u64>) -> Vec<Query> {
    let mut random = Random(4);
    let mut out: Vec<Query> = questions().into_iter().map(|(_, _, text)| Query::new(text)).collect();
    while out.len() < 50 {
        let n = out.len();
        let client = |k: usize| format!("client/c{}", (n + k) % 40);
        let as_of = match n % 4 {
            1 => Some(Past::Time(day(2) + SignedDuration::from_hours(3))),
            2 => Some(Past::Files { at: day(9), files: committed.clone() }),
            _ => None,
        };
        out.push(Query {
            entities: if n.is_multiple_of(3) { (0..9).map(client).collect() } else { Vec::new() },
            labels: n.is_multiple_of(5).then(|| ("team".to_owned(), format!("t{}", n % 3))).into_iter().collect(),
            since: n.is_multiple_of(7).then(|| day(2)),
            diversity: if n.is_multiple_of(6) { 0.4 } else { 0.0 },
            limit: 1 + n % 20,
            as_of,
            ..Query::new(random.text(12))
        });
    }
    out
}

fn answers(memory: &Memory, queries: &[Query]) -> Vec<Recalled> {
    queries.iter().map(|query| memory.recall(query).unwrap()).collect()
}

fn check(store: &Store, committed: &BTreeMap<String, u64>, open: impl Fn() -> Memory) {
    let queries = fifty(committed);
    let memory = open();
    let before = answers(&memory, &queries);
    assert!(before.iter().filter(|answer| !answer.hits.is_empty()).count() > 40, "questions that ask for something");
    memory.flush().unwrap();
    assert_eq!(answers(&memory, &queries), before, "flushed");
    assert_eq!(answers(&open(), &queries), before, "in a fresh process");
    for derived in [".cairn/index", "memory/vectors", ".cairn/views"] {
        let _ = fs::remove_dir_all(store.path(derived));
    }
    assert_eq!(answers(&open(), &queries), before, "in a fresh process that has nothing derived");
    assert_eq!(answers(&memory, &queries), before, "in one that lost it while it ran");
    memory.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(answers(&memory, &queries), before, "rebuilt");
}

#[test]
fn fifty_questions_have_the_same_answers_without_anything_derived() {
    // Enough for columns to be written.
    let (store, committed) = two_machines(1_100);
    check(&store, &committed, || store.memory());
    assert!(store.path(".cairn/index/columns/kept.json").exists());
}

#[cfg(feature = "lance")]
#[test]
fn fifty_questions_have_the_same_answers_through_an_index_on_disk() {
    let (store, committed) = two_machines(300);
    let expected = answers(&store.memory(), &fifty(&committed));
    assert_eq!(answers(&store.memory_scanning(10), &fifty(&committed)), expected, "as by the scan");
    check(&store, &committed, || store.memory_scanning(10));
}
