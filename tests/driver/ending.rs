//! Failures that a person decides, effects that are taken back, and what follows in the end.

use cairn_store_layout::{
    command::Verb,
    view::{ItemKind, RunStatus, UndoState},
};
use serde_json::json;

use crate::support::Bench;

const MISSING: &str = "[[step]]\nid = \"read\"\ncall = \"file.read\"\nwith = { path = \"later.txt\" }\non_hard = \"ask\"\n[[step]]\nid = \"copy\"\nneeds = [\"read\"]\ncall = \"file.write\"\nwith = { path = \"copy.txt\", text = \"{{ steps.read.output.text }}\" }\n";

const TAKEN_BACK: &str = r#"
on_failure = "undo"
[[step]]
id = "one"
call = "file.write"
with = { path = "one.txt", text = "one" }
undo = { call = "file.write", with = { path = "one.txt", text = "{{ output.path }} is back" } }
[[step]]
id = "two"
needs = ["one"]
call = "file.write"
with = { path = "two.txt", text = "two" }
undo = { run = ["sleep", "SECONDS"] }
[[step]]
id = "check"
needs = ["two"]
call = "file.read"
with = { path = "no.txt" }
on_business = "fail"
[[finally]]
id = "log"
call = "file.write"
with = { path = "log.txt", text = "{{ run.status }} {{ steps.one.status }} {{ steps.check.output is none }}" }
"#;

fn text(bench: &Bench, path: &str) -> String {
    std::fs::read_to_string(bench.path(&format!("files/{path}"))).unwrap_or_default()
}

fn verified(bench: &Bench) {
    let report = cairn::store::verify::verify(&bench.store);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_person_decides_what_a_failure_means() {
    let bench = Bench::with(MISSING);
    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
    let item = bench.open_of(&run);
    assert_eq!(item.kind, ItemKind::Decide);
    assert!(item.summary.starts_with("file.read failed: "), "{}", item.summary);
    // the file is there now
    bench.write("files/later.txt", "here");
    bench.answer(&item, json!({"decision": "retry"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert_eq!((text(&bench, "copy.txt").as_str(), bench.open(&run).len()), ("here", 0));

    let run = {
        std::fs::remove_file(bench.path("files/later.txt")).expect("removed");
        let run = bench.start("w", json!({}));
        bench.serve();
        bench.answer(&bench.open_of(&run), json!({"decision": "output", "output": {"text": "by hand"}}));
        bench.serve();
        run
    };
    assert_eq!((bench.status(&run), text(&bench, "copy.txt").as_str()), (RunStatus::Succeeded, "by hand"));
    verified(&bench);
}

#[test]
fn a_failed_run_takes_back_what_it_did_and_says_so() {
    let bench = Bench::with(&TAKEN_BACK.replace(
        "run = [\"sleep\", \"SECONDS\"]",
        "call = \"file.write\", with = { path = \"two.txt\", text = \"back\" }",
    ));
    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Failed);
    assert_eq!(
        [text(&bench, "one.txt"), text(&bench, "two.txt"), text(&bench, "log.txt")],
        ["one.txt is back", "back", "failed done True"]
    );
    let view = bench.view(&run);
    assert!(view.message.as_deref().is_some_and(|m| m.contains("2 of 2 undone")), "{:?}", view.message);
    assert!(
        view.steps.iter().flat_map(|s| &s.slots).filter_map(|s| s.undo.as_ref()).all(|u| u.state == UndoState::Undone)
    );
    assert_eq!(bench.git(&["status", "--porcelain"]), "", "what was taken back is in the run's commit");
    assert_eq!(bench.git(&["show", "HEAD:files/one.txt"]), "one.txt is back");
    verified(&bench);
}

#[test]
fn what_was_being_taken_back_at_a_kill_is_a_question_and_then_goes_on() {
    let bench = Bench::with(&TAKEN_BACK.replace("SECONDS", "60"));
    let run = bench.start("w", json!({}));
    bench.killed_once(&run, "undo.started");
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
    let item = bench.open_of(&run);
    assert_eq!(item.kind, ItemKind::Settle);
    assert!(item.summary.starts_with("Was it taken back?"), "{}", item.summary);
    assert_eq!(text(&bench, "one.txt"), "one", "what was done before it waits for its turn");
    bench.answer(&item, json!({"outcome": "done"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Failed);
    assert_eq!(text(&bench, "one.txt"), "one.txt is back");
    assert_eq!(bench.kinds(&run).iter().filter(|k| *k == "undo.started").count(), 2, "each once");
    assert!(bench.open(&run).is_empty());
    verified(&bench);
}

#[test]
fn a_cancel_can_take_back_what_a_run_did() {
    let steps = "[[step]]\nid = \"one\"\ncall = \"file.write\"\nwith = { path = \"one.txt\", text = \"one\" }\nundo = { call = \"file.write\", with = { path = \"one.txt\", text = \"back\" } }\n[[step]]\nid = \"ask\"\nneeds = [\"one\"]\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";
    let bench = Bench::with(steps);
    let run = bench.start("w", json!({}));
    bench.serve();
    bench.submit(Verb::RunCancel { run: run.clone(), reason: Some("wrong client".to_owned()), undo: true });
    bench.serve();
    assert_eq!((bench.status(&run), text(&bench, "one.txt").as_str()), (RunStatus::Canceled, "back"));
    assert!(bench.open(&run).is_empty(), "the question is withdrawn");
    assert_eq!(bench.view(&run).message.as_deref(), Some("canceled by test: wrong client; 1 of 1 undone"));
    verified(&bench);
}

#[test]
fn a_deadline_passes_while_nobody_is_there() {
    let bench =
        Bench::with("deadline = \"1s\"\n[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n");
    let run = bench.start("w", json!({}));
    bench.serve();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    bench.serve();
    assert_eq!(bench.view(&run).message.as_deref(), Some("deadline of 1s passed"));
    assert!(bench.open(&run).is_empty());
    verified(&bench);
}
