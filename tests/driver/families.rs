//! Runs that start runs: from start to end, over kills, cancels and mistakes.

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
