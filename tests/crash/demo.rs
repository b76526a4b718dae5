//! Kills on the way of the demo from the ledger to ten approved letters.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cairn::store::reader::Reader;
use cairn_store_layout::{RunId, command::Verb, event::Body, view::RunStatus};

use crate::bench::{Bench, Random, committed, kills, seed};

/// Kills in all, spread over the whole life of a run and biased to the moments after a start.
const KILLS: usize = 50;
/// Every completed attempt once, every letter once, every approval used once.
fn nothing_twice(bench: &Bench, run: &RunId) -> usize {
    let history = Reader::new(bench.store()).history(run).expect("readable").expect("a history");
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for record in &history.records {
        let event = &record.event;
        if matches!(event.body, Body::AttemptSucceeded(_) | Body::GateApproved(_) | Body::RunSucceeded(_)) {
            let place = format!("{:?} {:?} {}", event.step, event.iteration, event.body.kind().0);
            *done.entry(place).or_default() += 1;
        }
    }
    for (place, times) in &done {
        assert_eq!(*times, 1, "{place} happened {times} times");
    }
    done.keys().filter(|k| k.contains("send") && k.contains("attempt.succeeded")).count()
}

/// The longest a kernel may live before it is killed, in milliseconds: a third of what it takes undisturbed to the first
/// gates, so that kills fall on starts and on the run alike, on a fast machine and on a busy one.
fn pace() -> u64 {
    let bench = Bench::with_demo();
    let run = bench.submit(Verb::RunStart { workflow: "invoice-chase".to_owned(), input: serde_json::json!({}) });
    let begun = Instant::now();
    bench.kernel_until("the first gates", || bench.status(&run) == Some(RunStatus::Waiting));
    u64::try_from(begun.elapsed().as_millis() / 3).unwrap_or(u64::MAX).max(60)
}

#[test]
fn fifty_kills_and_the_run_still_ends_as_if_there_had_been_none() {
    let mut random = Random(seed());
    let pace = pace();
    let (mut killed, mut under_way) = (0, 0);
    while killed < kills(KILLS) {
        let bench = Bench::with_demo();
        let run = bench.submit(Verb::RunStart { workflow: "invoice-chase".to_owned(), input: serde_json::json!({}) });
        // on the way to the gates
        for _ in 0..5 {
            bench.kernel_killed_after(Duration::from_millis(5 + random.below(pace)));
            killed += 1;
            under_way += u32::from(bench.status(&run) == Some(RunStatus::Running));
        }
        bench.kernel_until("the first gates", || {
            bench.status(&run) == Some(RunStatus::Waiting) && committed(&bench, "waiting")
        });
        let items = bench.open_items();
        assert_eq!(items.len(), 10, "letters to approve");
        for item in &items {
            let (gate, digest) = (item.id.clone(), item.digest.clone());
            bench.submit(Verb::GateApprove { run: run.clone(), gate, digest, reason: None });
        }
        // between the approvals and the end
        for _ in 0..5 {
            bench.kernel_killed_after(Duration::from_millis(5 + random.below(pace)));
            killed += 1;
            under_way += u32::from(bench.open_items().len() < 10 && bench.status(&run) != Some(RunStatus::Succeeded));
        }
        bench.kernel_until("the end", || {
            bench.status(&run) == Some(RunStatus::Succeeded) && committed(&bench, "succeeded")
        });
        assert_eq!(nothing_twice(&bench, &run), 10, "letters sent");
        let outbox = std::fs::read_dir(bench.root.join("files/outbox")).expect("an outbox");
        assert_eq!(outbox.count(), 10, "one file a letter");
        bench.check();
    }
    println!("{killed} kills, {under_way} of them with the run under way");
    assert!(under_way > 0, "no kill hit the run while it was under way: the delays do not fit this machine");
}
