//! Concurrency and rates over runs, and over restarts.

use cairn::driver::{StopFlag, Until};
use cairn_store_layout::view::{RunStatus, SlotState};
use serde_json::json;

use crate::support::Bench;

const ONE: &str = "concurrency = { key = \"{{ input.client }}\", max = 1 }\n[[input]]\nname = \"client\"\n\
                   [[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

#[test]
fn runs_with_one_key_take_their_turns_also_over_a_restart() {
    let bench = Bench::with(ONE);
    let client = |name: &str| json!({ "client": name });
    let first = bench.start("w", client("brandt"));
    bench.serve();
    let (second, other) = (bench.start("w", client("brandt")), bench.start("w", client("weiss")));
    bench.serve();
    assert_eq!(bench.kinds(&second), ["run.started", "lease.asked"]);
    assert_eq!(bench.kinds(&other), ["run.started", "lease.asked", "lease.granted", "ask.opened"]);
    // a new kernel knows who holds and who waits
    let third = bench.start("w", client("brandt"));
    bench.serve();
    assert_eq!(bench.kinds(&third), ["run.started", "lease.asked"]);
    bench.answer(&bench.open_of(&first), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.kinds(&second).last().map(String::as_str), Some("ask.opened"));
    assert_eq!(bench.kinds(&third).len(), 2, "still behind the second");
    bench.submit(cairn_store_layout::command::Verb::RunCancel { run: second, reason: None, undo: false });
    bench.serve();
    assert_eq!(bench.kinds(&third).last().map(String::as_str), Some("ask.opened"));
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_rate_counts_over_runs_and_over_restarts_with_and_without_its_file() {
    let bench = Bench::with("[[step]]\nid = \"a\"\ncall = \"file.list\"\nrate = { max = 2, per = \"1h\" }\n");
    let runs: Vec<_> = (0..3).map(|_| bench.start("w", json!({}))).collect();
    bench.serve();
    assert_eq!(bench.status(&runs[1]), RunStatus::Succeeded);
    let slot = || bench.view(&runs[2]).steps[0].slots[0].clone();
    assert_eq!(slot().state, SlotState::Queued);
    bench.serve();
    assert_eq!(slot().state, SlotState::Queued);
    std::fs::remove_dir_all(bench.path(".cairn/journal")).unwrap();
    std::fs::remove_file(bench.path(".cairn/rates.jsonl")).expect("what was given out is noted");
    bench.serve();
    assert_eq!(slot().state, SlotState::Queued, "known again from the histories");
    assert!(bench.path(".cairn/rates.jsonl").exists());
}

#[test]
fn what_a_rate_gave_out_is_known_although_a_crash_took_the_end_of_its_file() {
    // the ask keeps the run, and so the journal, from being done with
    let steps = "[[step]]\nid = \"a\"\ncall = \"file.list\"\nrate = { max = 1, per = \"1h\" }\n\
                 [[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"sleep\", \"3\"]\neffect = \"read\"\n";
    let bench = Bench::with(steps);
    let first = bench.start("w", json!({}));
    bench.killed_once(&first, "attempt.succeeded");
    let file = bench.path(".cairn/rates.jsonl");
    for left in ["", "{\"key\":\"w/a\",\"at\":\"20"] {
        std::fs::write(&file, left).unwrap();
        let second = bench.start("w", json!({}));
        bench.killed_once(&second, "lease.asked");
        bench.serve();
        assert_eq!(bench.view(&second).steps[0].slots[0].state, SlotState::Queued, "{left}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1, "and the file is whole again");
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_run_that_stops_before_its_turn_does_what_finally_says() {
    let steps = "deadline = \"1s\"\nconcurrency = { max = 1 }\n[[step]]\nid = \"a\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n\
                 [[finally]]\nid = \"f\"\ncall = \"file.list\"\n";
    let bench = Bench::with(steps);
    let runs = [bench.start("w", json!({})), bench.start("w", json!({}))];
    bench.serve();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    bench.serve();
    for run in &runs {
        assert_eq!(bench.status(run), RunStatus::Failed);
        assert_eq!(bench.view(run).steps[1].slots[0].state, SlotState::Done);
    }
    assert_eq!(bench.verified(), Vec::<String>::new());
}

#[test]
fn a_turn_that_comes_with_time_is_waited_for() {
    let bench = Bench::with(
        "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(3) }}\" }\ncall = \"file.list\"\nrate = { max = 1, per = \"300ms\" }\n",
    );
    let run = bench.start("w", json!({}));
    let begun = std::time::Instant::now();
    bench.try_serve(Until::AtRest(run.clone()), &StopFlag::new()).expect("served");
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[test]
fn an_answer_is_asked_for_once_while_it_is_fresh() {
    let bench = Bench::with("[[step]]\nid = \"a\"\ncall = \"file.list\"\ncache = \"1h\"\n");
    let first = bench.start("w", json!({}));
    bench.serve();
    bench.write("files/new.txt", "x");
    let second = bench.start("w", json!({}));
    bench.serve();
    let output = |run| bench.view(run).steps[0].slots[0].output.clone();
    assert_eq!(output(&second), output(&first), "as it was");
    let history = std::fs::read_to_string(bench.path(&cairn_store_layout::paths::run(&second))).unwrap();
    assert!(history.contains(&format!("\"cached_from\":\"{first}\"")), "{history}");
    std::fs::remove_dir_all(bench.path(".cairn/cache")).expect("a cache");
    let third = bench.start("w", json!({}));
    bench.serve();
    assert_ne!(output(&third), output(&first), "it may be deleted at any time");
}
