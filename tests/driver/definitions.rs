//! Edits: adopted when they can be used, left alone while they can not, never reaching a run that began.

use std::path::Path;

use cairn_store_layout::view::RunStatus;
use serde_json::json;

use crate::support::Bench;

const ASKS: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n[[step]]\nid = \"a\"\nneeds = [\"ask\"]\nset = \"first\"\n";

fn value(n: u32) -> String {
    format!("output = \"{{{{ steps.a.output }}}}\"\n[[step]]\nid = \"a\"\nset = {n}\n")
}

#[test]
fn an_edit_is_used_by_the_next_run_and_a_broken_one_leaves_the_last_good_one_in_use() {
    let bench = Bench::with(&value(1));
    let first = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.view(&first).output, Some(json!(1)));

    bench.write("workflows/w/workflow.toml", &value(2));
    let second = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.view(&second).output, Some(json!(2)));
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    assert!(bench.git(&["log", "--format=%s"]).contains("workflows: edit w\n"));

    bench.write("workflows/w/workflow.toml", &value(3).replace("set", "sett"));
    let third = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.view(&third).output, Some(json!(2)), "the last good one");
    assert_eq!(bench.git(&["status", "--porcelain"]), " M workflows/w/workflow.toml\n", "it waits to be mended");
}

#[test]
fn a_run_that_waits_keeps_its_definition_over_edits_and_restarts() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
    bench.write("workflows/w/workflow.toml", &ASKS.replace("first", "second"));
    bench.serve();
    std::fs::remove_dir_all(bench.path("workflows/w")).expect("removed");
    bench.serve();
    bench.answer(&bench.open(&run)[0], json!({"ok": "yes"}));
    bench.serve();
    let view = bench.view(&run);
    assert_eq!(view.status(), RunStatus::Succeeded, "{:?}", view.message);
    assert_eq!(view.step(&"a".parse().expect("a step")).expect("there").slots[0].output, Some(json!("first")));
}

/// An editor writes a file in parts, keeps backups and puts links where it likes; none of that stops the kernel.
#[test]
fn what_an_editor_leaves_behind_does_not_stop_the_kernel() {
    let bench = Bench::with(&value(1));
    std::os::unix::fs::symlink(Path::new("/nowhere/at/all"), bench.path("workflows/w/.#workflow.toml"))
        .expect("a link");
    std::os::unix::fs::symlink(Path::new("/etc/hostname"), bench.path("workflows/w/link.md")).expect("a link");
    bench.write("workflows/w/workflow.toml~", "half");
    bench.write("workflows/w/4913", "");
    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
}

#[test]
fn a_definition_that_is_being_saved_is_waited_for() {
    let bench = Bench::with(&value(1));
    bench.serve();
    let whole = format!("{}[[step]]\nid = \"b\"\nset = 2\n", value(2));
    // the first part of the file could be used as it is
    bench.write("workflows/w/workflow.toml", &value(2));
    let run = bench.start("w", json!({}));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(120));
            bench.write("workflows/w/workflow.toml", &whole);
        });
        bench.serve();
    });
    assert_eq!(bench.view(&run).steps.len(), 2);
}
