//! Kills while letters go to a server that loses replies.
//!
//! An operation that knows idempotency keys is repeated under its key until it answers; one that knows none
//! is never repeated by itself: its lost reply is a question, and the operator answers with what the server's
//! own ledger says. In the end every item was charged once and notified once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cairn::store::reader::Reader;
use cairn_store_layout::{
    GateId, RunId,
    command::Verb,
    event::Body,
    view::{ItemKind, RunStatus},
};
use serde_json::json;

use crate::{
    bench::{Bench, Random, committed, kills, seed},
    sink::Sink,
};

/// Kills in all.
const KILLS: usize = 100;
/// Kills of one run.
const KILLS_A_RUN: usize = 10;
/// Items of one run: each is charged and notified.
const ITEMS: usize = 8;

const WORKFLOW: &str = r#"
description = "Charges and tells every client"

[[step]]
id = "charge"
call = "bank.charge"
with = { client = "{{ item }}", amount = "120.00" }
retry = { attempts = 20, first = "20ms", max = "100ms" }
for_each = { in = "{{ range(8) | list }}", key = "c{{ item }}", max_parallel = 3 }

[[step]]
id = "notify"
needs = ["charge"]
call = "bank.notify"
with = { client = "{{ item }}", text = "you were charged" }
retry = { attempts = 20, first = "20ms", max = "100ms" }
for_each = { in = "{{ range(8) | list }}", key = "c{{ item }}", max_parallel = 3 }
"#;

fn connector(url: &str) -> String {
    format!(
        "kind = \"http\"\nbase_url = \"{url}\"\n\n[operation.charge]\nmethod = \"POST\"\npath = \"/charge\"\neffect = \"idempotent\"\n\
         idempotency_header = \"Idempotency-Key\"\n\n[operation.notify]\nmethod = \"POST\"\npath = \"/notify\"\neffect = \"once\"\n"
    )
}

/// Answers every question about a lost reply, once, with what the server did.
fn settle(bench: &Bench, run: &RunId, sink: &Sink, answered: &RefCell<BTreeSet<GateId>>) {
    for item in bench.open_items().into_iter().filter(|i| i.kind == ItemKind::Settle) {
        if !answered.borrow_mut().insert(item.id.clone()) {
            continue;
        }
        let effect = item.effect.as_ref().expect("a question about an effect");
        let client = effect.request.input().expect("an input")["client"].to_string();
        let happened = sink.at_rest(|l| l.notified.keys().any(|body| body.contains(&format!("\"client\":{client}"))));
        let answer = json!({"outcome": if happened { "done" } else { "not_done" }});
        bench.submit(Verb::AskAnswer { run: run.clone(), gate: item.id, digest: item.digest, answer });
    }
}

#[test]
fn a_hundred_kills_beside_a_server_that_loses_replies() {
    let seed = seed();
    let mut random = Random(seed);
    let (mut killed, mut under_way, mut unknown) = (0, 0, 0);
    let (mut lost, mut repeats) = (0, 0);
    while killed < kills(KILLS) {
        let sink = Sink::start(seed ^ killed as u64);
        let bench = Bench::empty();
        let write = |path: &str, text: &str| {
            let path = bench.root.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write("connectors/bank.toml", &connector(&sink.url));
        write("workflows/bill/workflow.toml", WORKFLOW);
        let answered = RefCell::default();
        let run = bench.submit(Verb::RunStart { workflow: "bill".to_owned(), input: json!({}) });
        for _ in 0..KILLS_A_RUN {
            bench.kernel_killed_after(Duration::from_millis(10 + random.below(250)));
            killed += 1;
            under_way += usize::from(bench.status(&run).is_some_and(|s| s != RunStatus::Succeeded));
            if random.below(3) == 0 {
                settle(&bench, &run, &sink, &answered);
            }
        }
        bench.kernel_until("the end", || {
            settle(&bench, &run, &sink, &answered);
            bench.status(&run) == Some(RunStatus::Succeeded) && committed(&bench, "succeeded")
        });
        unknown += check_history(&bench, &run);
        sink.at_rest(|ledger| {
            assert!(ledger.faults.is_empty(), "{:#?}", ledger.faults);
            let bodies: Vec<&String> = ledger.charges.values().collect();
            assert_eq!(bodies.len(), ITEMS, "each client was charged under one key: {bodies:#?}");
            assert_eq!(ledger.notified.len(), ITEMS, "each client was told: {:#?}", ledger.notified);
            assert!(ledger.notified.values().all(|times| *times == 1), "and once: {:#?}", ledger.notified);
            lost += ledger.replies_lost;
            repeats += ledger.repeats;
        });
        bench.check();
    }
    println!(
        "{killed} kills, {under_way} with the run under way; {lost} replies lost, {repeats} repeats under a key, {unknown} questions"
    );
    assert!(
        under_way > killed / 4,
        "too few kills hit the run while it was under way: the delays do not fit this machine"
    );
    assert!(lost > 0 && repeats > 0 && unknown > 0, "the server was too kind");
}

/// Every item succeeded once in the history; returns how many outcomes were unknown for a while.
fn check_history(bench: &Bench, run: &RunId) -> usize {
    let history = Reader::new(bench.store()).history(run).expect("readable").expect("a history");
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown = 0;
    for record in &history.records {
        let event = &record.event;
        match event.body {
            Body::AttemptSucceeded(_) => {
                *done.entry(format!("{:?} {:?}", event.step, event.iteration)).or_default() += 1;
            }
            Body::AttemptUnknown(_) => unknown += 1,
            _ => {}
        }
    }
    assert_eq!(done.len(), 2 * ITEMS, "{done:#?}");
    assert!(done.values().all(|times| *times == 1), "{done:#?}");
    unknown
}
