//! Lists, damage and names, on histories made by hand.

use cairn_store_layout::{
    event::{AskOpened, Body, Event, PlannedStep, RunStarted},
    record::Record,
    view::RunStatus,
};
use serde_json::json;

use super::*;
use crate::store::testing::bare_store;

fn record(n: u64, step: Option<&str>, body: impl Into<Body>) -> String {
    let step = step.map(|s| cairn_store_layout::StepId::new(s).unwrap());
    let at = format!("2026-11-22T10:00:{n:02}Z").parse().unwrap();
    let event = Event { at, step, iteration: None, attempt: None, cause: None, body: body.into() };
    Record { n, event }.encode().unwrap().0
}

/// Writes the history of a run that asks one question.
fn write(store: &Store, run: &str) -> RunId {
    let run = RunId::new(run).unwrap();
    let start = RunStarted {
        run: run.clone(),
        workflow: "ask".to_owned(),
        definition: "d".repeat(40),
        pins: BTreeMap::new(),
        input: json!({}),
        trigger: "manual".to_owned(),
        by: "jo".to_owned(),
        machine: MachineId::new("m000000000").unwrap(),
        steps: vec![PlannedStep {
            id: cairn_store_layout::StepId::new("q").unwrap(),
            does: "ask".to_owned(),
            what: None,
            needs: Vec::new(),
            finally: false,
        }],
        parent: None,
        origin: None,
        fired: None,
    };
    let gate = cairn_store_layout::GateId::derive(&run, &cairn_store_layout::StepId::new("q").unwrap(), None, 0);
    let ask = AskOpened {
        gate,
        digest: cairn_store_layout::Digest::of(b"q"),
        prompt: "Which tone?".to_owned(),
        form: Vec::new(),
    };
    let path = store.path(&paths::run(&run));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, record(0, None, start) + &record(1, Some("q"), ask)).unwrap();
    run
}

/// Lists only: there is no repository behind the test's store.
fn refreshed(store: &Store) -> Reader {
    let mut reader = Reader::new(store.clone());
    assert!(reader.refresh().is_err(), "the lists are read before the repository is missed");
    reader
}

const A: &str = "01m81grmvf6mn3fy8enhtr5hc7";
const B: &str = "01m81gsm9g33x3w8c752befnge";

#[test]
fn lists_are_folded_kept_and_folded_anew_when_a_history_grows() {
    let (_dir, store) = bare_store();
    let run = write(&store, A);
    let reader = refreshed(&store);
    let items: Vec<RunItem> = reader.runs().collect();
    assert_eq!((items.len(), items[0].status, items[0].requests), (1, RunStatus::Waiting, 1));
    assert_eq!(reader.inbox(0)[0].summary, "Which tone?");

    // what was kept is read back, and is the same
    assert_eq!(refreshed(&store).runs().collect::<Vec<_>>(), items);
    assert_eq!(refreshed(&store).inbox(0), reader.inbox(0));

    // a torn last line is no trouble; the whole ones are shown
    let path = store.path(&paths::run(&run));
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(&record(2, None, cairn_store_layout::event::RunCanceled { by: "jo".to_owned(), reason: None }));
    std::fs::write(&path, &text[..text.len() - 9]).unwrap();
    assert_eq!(refreshed(&store).runs().next().map(|i| i.status), Some(RunStatus::Waiting));
    std::fs::write(&path, &text).unwrap();
    assert_eq!(refreshed(&store).runs().next().map(|i| i.status), Some(RunStatus::Canceled));

    // views may be deleted or be nonsense
    for entry in std::fs::read_dir(store.path(paths::VIEWS)).unwrap() {
        std::fs::write(entry.unwrap().path(), "{").unwrap();
    }
    assert_eq!(refreshed(&store).runs().next().map(|i| i.status), Some(RunStatus::Canceled));
}

#[test]
fn a_damaged_history_is_told_and_hides_no_other() {
    let (_dir, store) = bare_store();
    let run = write(&store, A);
    write(&store, B);
    let path = store.path(&paths::run(&run));
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"n\":1", "\"n\":7", 1);
    std::fs::write(&path, text).unwrap();
    let reader = refreshed(&store);
    assert_eq!(reader.runs().count(), 1);
    assert!(
        reader.unreadable()[0].contains("line 2: the record has number 7; 1 was expected"),
        "{:?}",
        reader.unreadable()
    );
    assert!(reader.view(&run).is_err());
    assert_eq!(reader.history_prefix(&run).map(|h| h.records.len()), Some(1), "the part before the damage is kept");
}

#[test]
fn ids_are_found_by_a_unique_end() {
    let (_dir, store) = bare_store();
    let a = write(&store, A);
    let reader = refreshed(&store);
    assert_eq!(reader.resolve_run("tr5hc7").unwrap(), a);
    assert_eq!(reader.resolve_run(&A.to_ascii_uppercase()).unwrap(), a);
    assert!(matches!(reader.resolve_run("hc7"), Err(Unresolved::TooShort { .. })));
    assert!(matches!(reader.resolve_run("zzzz"), Err(Unresolved::NotFound { .. })));

    write(&store, "01m81gsm9g33x3w8c752be5hc7");
    match refreshed(&store).resolve_run("5hc7") {
        Err(Unresolved::Ambiguous { candidates, .. }) => assert_eq!(candidates.len(), 2),
        other => panic!("{other:?}"),
    }
}
