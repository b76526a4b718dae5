//! Random histories of two machines: what is recalled, now and as of any moment, is what a plain
//! model of the rules says.

use std::collections::BTreeMap;

use cairn_memory::{Past, Query};
use cairn_store_layout::{
    MachineId,
    passage::{Forgotten, Passage, Source},
    paths,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::support::{Store, day, note};

/// One line of a passage file.
#[derive(Debug, Clone)]
enum Line {
    Says { id: usize, supersedes: Vec<usize>, from: Option<i64>, to: Option<i64> },
    Forgets { id: usize },
}

/// Lines with the machine that writes them and the hours that have passed since the line before.
fn histories() -> impl Strategy<Value = Vec<(bool, i64, Line)>> {
    let id = 0usize..6;
    let says =
        (id.clone(), prop::collection::vec(id.clone(), 0..2), prop::option::of(-5i64..20), prop::option::of(0i64..30))
            .prop_map(|(id, supersedes, from, to)| Line::Says { id, supersedes, from, to });
    let forgets = id.prop_map(|id| Line::Forgets { id });
    prop::collection::vec((any::<bool>(), 0i64..3, prop_oneof![3 => says, 1 => forgets]), 1..16)
}

/// A line as it was written, with all that the rules look at.
struct Written {
    path: String,
    end: u64,
    at: Timestamp,
    line: Line,
}

fn hours(n: i64) -> Timestamp {
    day(1) + SignedDuration::from_hours(n)
}

fn name(id: usize) -> String {
    format!("p{id}")
}

/// Which passages hold, of the lines that are known at a moment.
fn model(lines: &[&Written], at: Timestamp) -> Vec<String> {
    let begun = |from: &Option<i64>| from.is_none_or(|from| hours(from) <= at);
    let holds = |id: usize| {
        let forgotten =
            lines.iter().filter(|l| matches!(l.line, Line::Forgets { id: f } if f == id)).map(|l| l.at).max();
        let mut said: Vec<&&Written> = lines
            .iter()
            .filter(|l| matches!(l.line, Line::Says { id: s, .. } if s == id) && forgotten.is_none_or(|f| l.at > f))
            .collect();
        said.sort_by_key(|l| (l.at, l.path.clone(), l.end));
        let Some(Line::Says { from, to, .. }) = said.first().map(|l| &l.line) else { return false };
        let superseded = lines.iter().any(|l| match &l.line {
            Line::Says { id: by, supersedes, from, .. } => *by != id && supersedes.contains(&id) && begun(from),
            Line::Forgets { .. } => false,
        });
        begun(from) && to.is_none_or(|to| at < hours(to)) && !superseded
    };
    (0..6).filter(|id| holds(*id)).map(name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn what_is_recalled_is_what_holds(history in histories(), moment in 0i64..40, upto in 0usize..16) {
        let store = Store::new();
        let (ours, theirs) = (store.machine.clone(), MachineId::new("m000000000").unwrap());
        // This one looks after every line, so that it meets them one by one; the others see the end.
        let follower = store.memory();
        let all = |as_of| Query { as_of, limit: 100, ..Query::new("price") };
        let source = Source::Person { person: "ada".to_owned() };
        let (mut written, mut now) = (Vec::<Written>::new(), 0);
        for (own, later, line) in &history {
            now += later;
            let machine = if *own { &ours } else { &theirs };
            let at = hours(now);
            let text = match line {
                Line::Says { id, supersedes, from, to } => serde_json::to_string(&Passage {
                    recorded_at: at,
                    supersedes: supersedes.iter().map(|id| name(*id)).collect(),
                    valid_from: from.map(hours),
                    valid_to: to.map(hours),
                    ..note(&name(*id), &format!("the price of {id}"))
                }).unwrap(),
                Line::Forgets { id } => serde_json::to_string(&Forgotten {
                    forgets: name(*id), at, source: source.clone(), reason: "old".to_owned(), policy: None,
                }).unwrap(),
            };
            let path = paths::memory(paths::PASSAGES, machine, at);
            store.append(&path, &(text + "\n"));
            let end = std::fs::metadata(store.path(&path)).unwrap().len();
            written.push(Written { path, end, at, line: line.clone() });
            follower.recall(&all(None)).unwrap();
        }
        let fresh = store.memory();
        let mut files: BTreeMap<String, u64> = BTreeMap::new();
        for line in written.iter().take(upto) {
            files.insert(line.path.clone(), line.end);
        }
        let at = hours(moment);
        let known_then: Vec<&Written> = written.iter().filter(|l| l.at <= at).collect();
        let committed: Vec<&Written> = written.iter().take(upto).collect();
        let cases = [
            (None, model(&written.iter().collect::<Vec<_>>(), Timestamp::now())),
            (Some(Past::Time(at)), model(&known_then, at)),
            (Some(Past::Files { at, files }), model(&committed, at)),
        ];
        for (as_of, expected) in cases {
            let query = all(as_of);
            let answer = fresh.recall(&query).unwrap();
            let mut found: Vec<String> = answer.hits.iter().map(|hit| hit.passage.id.clone()).collect();
            found.sort();
            prop_assert_eq!(&found, &expected, "{:?}", query.as_of);
            prop_assert_eq!(&follower.recall(&query).unwrap(), &answer, "by one that followed: {:?}", query.as_of);
            for id in (0..6).map(name) {
                if let Some(explained) = fresh.explain(&query, &id).unwrap() {
                    prop_assert_eq!(explained.place.is_some(), found.contains(&id));
                    prop_assert_eq!(explained.excluded.is_empty(), found.contains(&id), "{}", explained.verdict);
                }
            }
        }
        let listed = fresh.list(None, 100).unwrap();
        prop_assert_eq!(listed.len(), fresh.recall(&all(None)).unwrap().hits.len());
    }
}

#[test]
fn forgetting_works_before_its_line_is_met_and_recording_again_brings_back() {
    let store = Store::new();
    let memory = store.memory();
    let at = |id: &str, d| Passage { recorded_at: day(d), ..note(id, "red apples") };
    let forgotten = |d| Forgotten {
        forgets: "a".to_owned(),
        at: day(d),
        source: Source::Person { person: "ada".to_owned() },
        reason: "it was wrong".to_owned(),
        policy: None,
    };
    let found = || memory.recall(&Query::new("apples")).unwrap().hits.len();
    memory.remember(&[at("a", 1)]);
    memory.forget(&forgotten(2));
    assert_eq!((found(), memory.knows("a").unwrap()), (0, false));
    assert_eq!(memory.get("a").unwrap().unwrap().recorded_at, day(1), "it can still be looked at");
    let explained = memory.explain(&Query::new("apples"), "a").unwrap().unwrap();
    assert_eq!(explained.verdict, "it is left out: it was forgotten 2026-11-02T08:00:00.000000Z: it was wrong");
    memory.remember(&[at("a", 3)]);
    assert_eq!((found(), memory.knows("a").unwrap()), (1, true));
    let lines = [at("a", 1), at("a", 3)];
    store.record(&lines[..1]);
    store.append(
        &paths::memory(paths::PASSAGES, &store.machine, day(2)),
        &(serde_json::to_string(&forgotten(2)).unwrap() + "\n"),
    );
    assert_eq!(found(), 1);
    store.record(&lines[1..]);
    let hit = |memory: &cairn_memory::Memory| memory.recall(&Query::new("apples")).unwrap().hits[0].passage.recorded_at;
    assert_eq!((hit(&memory), hit(&store.memory())), (day(3), day(3)));
    assert_eq!(memory.stats().unwrap().passages, 1, "one passage, however often it was recorded");
}
