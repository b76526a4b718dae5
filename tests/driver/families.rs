//! Runs that start runs: from start to end, over kills, cancels and mistakes.

use cairn::driver::{StopFlag, Until};
use cairn_store_layout::{
    RunId,
    command::Verb,
    view::{RunStatus, RunView},
};
use serde_json::json;

use crate::support::Bench;

const PARENT: &str =
    "output = \"{{ steps.sub.output.said }}\"\n[[step]]\nid = \"sub\"\nworkflow = \"child\"\nwith = { n = 4 }\n";
const ASKS: &str = "output = { said = \"{{ steps.ask.output.ok }} {{ input.n }}\" }\n[[input]]\nname = \"n\"\ntype = \"number\"\n\
                    [[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

fn child(bench: &Bench, parent: &RunId, step: &str) -> RunView {
    let view = bench.view(parent);
    let slot = &view.step(&step.parse().expect("an id")).expect("a step").slots[0];
    bench.view(slot.child().expect("a child"))
}

fn with_child(parent: &str, child: &str) -> Bench {
    let bench = Bench::with(parent);
    bench.write("workflows/child/workflow.toml", child);
    bench
}

#[test]
fn a_child_runs_with_what_its_parent_is_pinned_to_and_its_end_is_the_outcome() {
    let bench = with_child(PARENT, ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = child(&bench, &run, "sub");
    let parent = view.parent.clone().expect("a parent");
    assert_eq!((&parent.run, parent.step.as_str(), parent.attempt, parent.depth), (&run, "sub", 1, 1));
    assert_eq!((view.status(), view.input.clone(), view.by.as_str()), (RunStatus::Waiting, json!({"n": 4}), "test"));
    // an edit of the child reaches only families that start later
    bench.write("workflows/child/workflow.toml", &ASKS.replace("{{ input.n }}", "five"));
    bench.answer(&bench.open_of(&view.run), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.view(&run).output, Some(json!("yes 4")));
    assert_eq!(
        bench.kinds(&run),
        ["run.started", "attempt.started", "attempt.succeeded", "run.succeeded"],
        "{}",
        bench.log()
    );
    let log = bench.git(&["log", "--format=%s"]);
    assert!(log.contains("w: succeeded") && log.contains("child: succeeded"), "{log}");
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_child_that_is_under_way_at_a_kill_is_found_and_not_started_twice() {
    let steps = "[[input]]\nname = \"n\"\ntype = \"number\"\n[[step]]\nid = \"a\"\nrun = [\"sleep\", \"2\"]\neffect = \"read\"\n";
    let bench = with_child(&PARENT.replace("output = \"{{ steps.sub.output.said }}\"\n", ""), steps);
    let run = bench.start("w", json!({}));
    bench.killed_once(&run, "attempt.started");
    bench.killed_once(&run, "run.succeeded");
    assert_eq!(bench.kinds(&run), ["run.started", "attempt.started", "attempt.succeeded", "run.succeeded"]);
    let view = child(&bench, &run, "sub");
    assert_eq!(view.status(), RunStatus::Succeeded);
    bench.serve();
    let count = |name: &str| bench.git(&["log", "--format=%(trailers:key=Run,valueonly)"]).matches(name).count();
    assert!(count(view.run.as_str()) >= 1 && count(run.as_str()) >= 1);
    let day = bench.path(&cairn_store_layout::paths::run(&run));
    let histories = std::fs::read_dir(day.parent().unwrap()).unwrap().count();
    assert_eq!(histories, 2, "one parent, one child");
}

#[test]
fn the_end_of_a_child_that_the_parent_never_heard_of_is_told_at_the_next_start() {
    let bench = with_child(PARENT, ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = child(&bench, &run, "sub");
    bench.answer(&bench.open_of(&view.run), json!({"ok": "yes"}));
    bench.serve();
    // as if the machine had died before the parent's line: its history stops at the intent
    let path = bench.path(&cairn_store_layout::paths::run(&run));
    let text = std::fs::read_to_string(&path).unwrap();
    let short: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, short).unwrap();
    bench.git(&["commit", "-qam", "as it was"]);
    std::fs::remove_dir_all(bench.path(".cairn/journal")).unwrap();
    bench.serve();
    assert_eq!(bench.view(&run).output, Some(json!("yes 4")), "{:?}", bench.kinds(&run));
    assert_eq!(bench.kinds(&view.run).iter().filter(|k| *k == "run.succeeded").count(), 1);
}

#[test]
fn canceling_a_parent_cancels_its_children_and_theirs() {
    let bench = with_child(
        PARENT,
        "[[input]]\nname = \"n\"\ntype = \"number\"\n[[step]]\nid = \"deeper\"\nworkflow = \"leaf\"\n",
    );
    bench.write(
        "workflows/leaf/workflow.toml",
        &ASKS.replace("{{ input.n }}", "").replace("[[input]]\nname = \"n\"\ntype = \"number\"\n", ""),
    );
    let run = bench.start("w", json!({}));
    bench.serve();
    let middle = child(&bench, &run, "sub");
    let leaf = child(&bench, &middle.run, "deeper");
    assert_eq!(leaf.parent.as_ref().map(|p| p.depth), Some(2));
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    bench.serve();
    for of in [&run, &middle.run, &leaf.run] {
        assert_eq!(bench.status(of), RunStatus::Canceled, "{of}");
    }
    assert!(bench.open(&leaf.run).is_empty());
}

/// A child that writes a file, can take that back, and then asks.
const BOOKS: &str = "[[input]]\nname = \"n\"\ntype = \"number\"\n\
    [[step]]\nid = \"book\"\ncall = \"file.write\"\nwith = { path = \"{{ run.id }}\", text = \"booked\" }\n\
    undo = { call = \"file.write\", with = { path = \"child\", text = \"{{ output.path }} taken back\" } }\n\
    [[step]]\nid = \"ask\"\nneeds = [\"book\"]\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";
const BOTH: &str = "[[step]]\nid = \"first\"\ncall = \"file.write\"\nwith = { path = \"a\", text = \"x\" }\n\
    undo = { call = \"file.write\", with = { path = \"parent\", text = \"taken back\" } }\n\
    [[step]]\nid = \"sub\"\nneeds = [\"first\"]\nworkflow = \"child\"\nwith = { n = 4 }\n";

#[test]
fn a_family_takes_back_what_it_did_the_child_before_its_parent() {
    let bench = with_child(BOTH, BOOKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = child(&bench, &run, "sub");
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: true });
    bench.serve();
    assert_eq!((bench.status(&run), bench.status(&view.run)), (RunStatus::Canceled, RunStatus::Canceled));
    assert!(bench.path("files/parent").exists() && bench.path("files/child").exists(), "{:?}", bench.kinds(&run));
    let ended = bench.view(&view.run).ended.expect("it ended");
    let undone = bench.view(&run).steps[0].slots[0].undo.clone().expect("taken back");
    assert!(undone.at >= ended, "the child first");
    assert_eq!(bench.verified(), [""; 0]);
    assert_eq!(bench.kinds(&run).iter().filter(|kind| *kind == "run.stopping").count(), 1);
}

#[test]
fn a_second_cancel_of_a_family_ends_all_of_it_at_once() {
    // the last step of the child asks a person, and its parent waits for that
    let bench = with_child(
        &BOTH.replace("[\"first\"]\nwork", "[\"first\"]\ntimeout = \"1h\"\nwork"),
        &format!("{ASKS}[[finally]]\nid = \"last\"\nask = \"All clear?\"\nform = [{{ name = \"ok\" }}]\n"),
    );
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = child(&bench, &run, "sub");
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: true });
    bench.serve();
    assert_eq!((bench.view(&run).end, bench.status(&view.run)), (None, RunStatus::Waiting));
    assert!(!bench.path("files/parent").exists(), "it waits for its child");
    // also after a restart, and without cutting the child's end short
    bench.serve();
    assert_eq!(bench.open(&view.run).len(), 1, "{:?}", bench.kinds(&view.run));
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    bench.serve();
    assert_eq!((bench.status(&run), bench.status(&view.run)), (RunStatus::Canceled, RunStatus::Canceled));
    assert!(!bench.path("files/parent").exists());
    assert_eq!(bench.verified(), [""; 0]);
}

#[test]
fn a_child_that_takes_too_long_is_canceled_and_the_next_attempt_has_its_own() {
    let steps = PARENT.replace(
        "workflow = \"child\"",
        "workflow = \"child\"\ntimeout = \"300ms\"\nretry = { attempts = 2, first = \"1ms\" }",
    );
    let bench = with_child(&steps, ASKS);
    let run = bench.start("w", json!({}));
    bench.try_serve(Until::AtRest(run.clone()), &StopFlag::new()).expect("served");
    let begun = std::time::Instant::now();
    while bench.status(&run) != RunStatus::Failed {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", bench.kinds(&run));
        std::thread::sleep(std::time::Duration::from_millis(100));
        bench.serve();
    }
    let view = bench.view(&run);
    let children: Vec<RunId> = view.steps[0].slots[0].attempts.iter().filter_map(|a| a.child.clone()).collect();
    assert_eq!(children.len(), 2, "{:?}", bench.kinds(&run));
    assert_ne!(children[0], children[1]);
    for child in &children {
        assert_eq!(bench.status(child), RunStatus::Canceled, "{child}");
    }
    assert!(view.message.is_some_and(|why| why.contains("not over within 300ms")));
}

#[test]
fn a_run_that_is_canceled_as_it_begins_starts_no_child() {
    let bench = with_child(PARENT, ASKS);
    let run = bench.start("w", json!({}));
    // both are taken in one turn
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Canceled);
    let hour = bench.path(&cairn_store_layout::paths::run(&run));
    let histories = std::fs::read_dir(hour.parent().expect("a folder")).expect("a folder").count();
    assert_eq!(histories, 1, "{}", bench.log());
}

#[test]
fn a_child_that_nobody_waits_for_does_what_finally_says_also_after_a_restart() {
    let last = "[[finally]]\nid = \"last\"\nask = \"Is all put away?\"\nform = [{ name = \"ok\" }]\n";
    let bench = with_child(PARENT, &format!("{ASKS}{last}"));
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = child(&bench, &run, "sub");
    bench.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Canceled);
    assert_eq!(bench.status(&view.run), RunStatus::Waiting);
    bench.serve();
    assert_eq!(bench.status(&view.run), RunStatus::Waiting, "nobody cancels it twice: {:?}", bench.kinds(&view.run));
    bench.answer(&bench.open_of(&view.run), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&view.run), RunStatus::Canceled);
    assert!(bench.kinds(&view.run).ends_with(&["ask.answered".to_owned(), "run.canceled".to_owned()]));
}

#[test]
fn a_child_that_fails_or_is_canceled_fails_its_step() {
    for cancel in [false, true] {
        let bench = with_child(PARENT, &ASKS.replace("{{ input.n }}", "{{ input.n + 'x' }}"));
        let run = bench.start("w", json!({}));
        bench.serve();
        let view = child(&bench, &run, "sub");
        if cancel {
            bench.submit(Verb::RunCancel { run: view.run.clone(), reason: Some("not now".to_owned()), undo: false });
        } else {
            bench.answer(&bench.open_of(&view.run), json!({"ok": "yes"}));
        }
        bench.serve();
        let message = bench.view(&run).message.expect("why");
        let want = if cancel { "canceled by test: not now" } else { "of `child`: output" };
        assert!(message.starts_with("sub: run ") && message.contains(want), "{message}");
        assert_eq!(bench.status(&run), RunStatus::Failed);
    }
}

#[test]
fn a_parent_whose_child_takes_other_input_is_told_before_it_starts() {
    let bench = with_child(&PARENT.replace("n = 4", "m = 4"), ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    assert!(!bench.path(&cairn_store_layout::paths::run(&run)).exists());
    // the broken parent was never committed, so there is none of this name
    assert!(bench.log().contains("no_such_workflow"), "{}", bench.log());
}
