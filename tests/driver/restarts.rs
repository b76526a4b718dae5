//! Restarts: after a kill, after damage, after a stop in the middle.

use std::time::{Duration, Instant};

use cairn::driver::{StopFlag, Until};
use cairn_store_layout::{
    command::Verb,
    paths,
    view::{ItemKind, RunStatus},
};
use serde_json::json;

use crate::support::Bench;

const ASKS: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

#[test]
fn an_effect_in_flight_at_a_kill_is_unknown_until_a_person_says_what_happened() {
    let bench = Bench::with(
        "[[step]]\nid = \"a\"\nrun = [\"sleep\", \"60\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = 1\n",
    );
    let run = bench.start("w", json!({}));
    bench.killed_once(&run, "attempt.started");
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
    let open = bench.open(&run);
    assert_eq!((open.len(), open[0].kind), (1, ItemKind::Settle));
    bench.answer(&open[0], json!({"outcome": "done"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert!(bench.open(&run).is_empty(), "a settled question is no longer asked");
    assert_eq!(bench.kinds(&run).iter().filter(|k| *k == "attempt.started").count(), 1, "it was not repeated");
}

#[test]
fn an_effect_that_may_be_repeated_is_repeated_under_its_number() {
    let bench = Bench::with("[[step]]\nid = \"a\"\nrun = [\"sleep\", \"1\"]\neffect = \"read\"\n");
    let run = bench.start("w", json!({}));
    bench.killed_once(&run, "attempt.started");
    bench.killed_once(&run, "run.succeeded");
    assert_eq!(bench.kinds(&run), ["run.started", "attempt.started", "attempt.succeeded", "run.succeeded"]);
}

#[test]
fn a_retry_comes_when_it_is_due_also_over_a_restart() {
    let bench = Bench::with(
        "[[step]]\nid = \"a\"\ncall = \"shaky.get\"\nretry = { attempts = 2, first = \"1ms\", max = \"1ms\" }\n",
    );
    // nobody listens there: refused at once, which is soft
    bench.write("connectors/shaky.toml", "kind = \"http\"\nbase_url = \"http://127.0.0.1:9\"\n[operation.get]\nmethod = \"GET\"\npath = \"/\"\neffect = \"read\"\n");
    let run = bench.start("w", json!({}));
    bench.serve();
    // the pause may or may not have passed when the first kernel found nothing under way
    bench.try_serve(Until::AtRest(run.clone()), &StopFlag::new()).expect("served");
    let kinds = bench.kinds(&run);
    assert_eq!(kinds.iter().filter(|k| *k == "attempt.started").count(), 2, "{kinds:?} {}", bench.log());
    assert_eq!(bench.status(&run), RunStatus::Failed);
}

#[test]
fn runs_that_come_to_rest_together_are_a_commit_each() {
    let bench = Bench::with(ASKS);
    bench.serve();
    let before = bench.git(&["rev-list", "--count", "HEAD"]).trim().parse::<u32>().expect("a number");
    let runs = [bench.start("w", json!({})), bench.start("w", json!({}))];
    bench.serve();
    let after = bench.git(&["rev-list", "--count", "HEAD"]).trim().parse::<u32>().expect("a number");
    assert_eq!(after - before, 2);
    let trailers = bench.git(&["log", "-2", "--format=%(trailers:key=Run,valueonly)"]);
    assert!(runs.iter().all(|run| trailers.contains(run.as_str())), "{trailers}");
}

#[test]
fn a_history_that_ends_with_a_value_that_looks_like_an_end_goes_on() {
    let bench = Bench::with(
        "[[step]]\nid = \"a\"\ncall = \"memory.remember\"\nwith = { kind = \"run.failed\", text = \"y\" }\napprove = \"always\"\n",
    );
    let run = bench.start("w", json!({}));
    bench.serve();
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    bench.deny(&bench.open(&run)[0]);
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded, "{}", bench.log());
}

#[test]
fn a_history_that_was_damaged_in_the_work_tree_is_mended_from_its_commit() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    let path = bench.path(&paths::run(&run));
    let good = std::fs::read(&path).expect("a history");
    std::fs::write(&path, &good[..good.len() - 40]).expect("written");
    bench.serve();
    assert_eq!(std::fs::read(&path).expect("a history"), good);
    bench.answer(&bench.open(&run)[0], json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
}

#[test]
fn a_run_that_can_not_be_read_is_parked_and_the_others_go_on() {
    let bench = Bench::with(ASKS);
    let (bad, good) = (bench.start("w", json!({})), bench.start("w", json!({})));
    bench.serve();
    // as a build with a mistake could have written it
    let path = bench.path(&paths::run(&bad));
    let text = std::fs::read_to_string(&path)
        .expect("a history")
        .replace("\"kind\":\"ask.opened\",\"v\":1", "\"kind\":\"ask.opened\",\"v\":\"one\"");
    std::fs::write(&path, text).expect("written");
    bench.git(&["commit", "-qam", "damage"]);
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    bench.answer(&bench.open_of(&good), json!({"ok": "yes"}));
    bench.submit(Verb::RunCancel { run: bad.clone(), reason: None, undo: false });
    let served = bench.serve();
    assert_eq!(bench.status(&good), RunStatus::Succeeded);
    assert_eq!(served.parked.len(), 1, "{served:?}");
    assert!(served.parked[0].contains(bad.as_str()) && served.parked[0].contains("line 2"), "{served:?}");
    assert!(bench.log().contains("\"code\":\"run_parked\""), "{}", bench.log());
    bench.serve();
    assert_eq!(bench.log().matches("\"kind\":\"run.parked\"").count(), 1, "told once, not at every start");
}

#[test]
fn a_payload_that_is_missing_comes_back_from_its_commit() {
    let bench =
        Bench::with("[[input]]\nname = \"t\"\n[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n");
    let run = bench.start("w", json!({"t": "x".repeat(5_000)}));
    bench.serve();
    let item = bench.open_of(&run);
    std::fs::remove_dir_all(bench.path("artifacts")).expect("removed");
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    bench.answer(&item, json!({"ok": "yes"}));
    let served = bench.serve();
    assert_eq!(served.parked, [""; 0]);
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_kernel_that_is_asked_to_stop_waits_for_what_is_under_way_and_begins_nothing() {
    let bench = Bench::with(
        "[[step]]\nid = \"a\"\nrun = [\"sleep\", \"1\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"sleep\", \"20\"]\n",
    );
    let run = bench.start("w", json!({}));
    let begun = Instant::now();
    bench.stopped_once(&run, "attempt.started");
    assert_eq!(bench.kinds(&run), ["run.started", "attempt.started", "attempt.succeeded"]);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_history_that_was_removed_under_a_kernel_is_not_begun_in_the_middle() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    let mut kernel = bench.program_until(&run, "ask.opened");
    std::fs::remove_file(bench.path(&paths::run(&run))).expect("removed");
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    assert!(!kernel.wait().expect("gone").success(), "wrong is worse than down");
    assert!(!bench.path(&paths::run(&run)).exists());
    bench.serve();
    assert_eq!(bench.kinds(&run), ["run.started", "ask.opened", "request.withdrawn", "run.canceled"]);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}
