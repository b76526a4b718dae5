//! Triggers from a shell: what came by git is off until it is trusted, on this machine and no other.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::lab::Lab;

const TICK: &str = "[[trigger]]\nid = \"tick\"\nevery = \"1s\"\noverlap = \"skip\"\n[[step]]\nid = \"a\"\nset = 1\n";

fn git(lab: &Lab, args: &[&str]) {
    let out = Command::new("git")
        .arg("-C")
        .arg(&lab.store)
        .args(["-c", "user.name=other", "-c", "user.email=other@x.example"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The one trigger of a list.
fn only(answer: &Value) -> &Value {
    let items = answer["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "{answer}");
    &items[0]
}

#[test]
fn a_trigger_that_came_by_git_is_off_until_it_is_trusted_here() {
    let lab = Lab::with_demo();
    assert_eq!(lab.cairn(&["trigger", "ls", "--json"]).json()["items"], json!([]));
    let file = lab.store.join("workflows/ticker/workflow.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(&file, TICK).expect("written");
    git(&lab, &["add", "-A", "workflows"]);
    git(&lab, &["commit", "-qm", "from another machine"]);

    let off = lab.cairn(&["trigger", "ls", "--json"]).json();
    let off = only(&off);
    assert_eq!((&off["on"], &off["next"]), (&json!(false), &json!(null)));
    for (args, said) in [
        (&["trigger", "ls"][..], "cairn workflow trust ticker"),
        (&["workflow", "ls"], "OFF"),
        (&["workflow", "show", "ticker"], "every 1s"),
        (&["status"], "cairn workflow trust ticker"),
        (&["inbox", "ls"], "cairn workflow trust ticker"),
        (&["doctor"], "does not trust them: ticker"),
    ] {
        let answer = lab.cairn(args);
        assert!(format!("{}{}", answer.out, answer.err).contains(said), "{args:?}: {}{}", answer.out, answer.err);
    }
    let unknown = lab.cairn(&["workflow", "trust", "tickr"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("did you mean ticker?"), "{}", unknown.err);

    let trusted = lab.cairn(&["workflow", "trust", "ticker"]);
    assert_eq!(trusted.code, 0, "{}", trusted.err);
    let on = lab.cairn(&["trigger", "ls", "--json"]).json();
    assert_eq!(only(&on)["on"], json!(true));
    assert!(only(&on)["next"].is_string(), "{on}");

    assert_eq!(lab.cairn(&["kernel", "start"]).code, 0);
    let begun = Instant::now();
    let ran = loop {
        let list = lab.cairn(&["trigger", "ls", "--json"]).json();
        if only(&list)["last"]["status"] == "succeeded" {
            break list;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no run: {list}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(lab.cairn(&["workflow", "untrust", "ticker"]).code, 0);
    assert_eq!(lab.cairn(&["kernel", "stop"]).code, 0);
    let shown = lab.cairn(&["run", "show", only(&ran)["last"]["run"].as_str().expect("a run")]);
    assert!(shown.out.contains("trigger tick") || shown.out.contains("every"), "{}", shown.out);

    let fired = lab.cairn(&["trigger", "fire", "ticker", "tick", "--wait", "--json"]);
    assert_eq!(fired.code, 0, "by hand it needs no trust: {}", fired.err);
    assert_eq!(fired.json()["status"], "succeeded");
    let wrong = lab.cairn(&["trigger", "fire", "ticker", "tock", "--wait"]);
    assert_eq!(wrong.code, 5, "{}", wrong.err);
    assert!(wrong.err.contains("it has: tick"), "{}", wrong.err);
    assert_eq!(lab.cairn(&["verify"]).code, 0);
}

#[test]
fn a_clone_fires_nothing() {
    let lab = Lab::with_demo();
    let file = lab.store.join("workflows/ticker/workflow.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(&file, TICK).expect("written");
    // taken up by a kernel of this machine: the operator's own edit
    assert_eq!(lab.cairn(&["run", "start", "ticker", "--wait"]).code, 0);
    assert_eq!(only(&lab.cairn(&["trigger", "ls", "--json"]).json())["on"], json!(true));
    let clone = lab.store.with_file_name("clone");
    git(&lab, &["clone", "-q", ".", clone.to_str().expect("a path")]);
    let clone = clone.to_str().expect("a path");
    assert_eq!(lab.program(&["-C", clone, "run", "start", "ticker", "--wait"]).code, 0);
    assert_eq!(only(&lab.program(&["-C", clone, "trigger", "ls", "--json"]).json())["on"], json!(false));
}

#[test]
fn a_trigger_that_can_not_be_is_told_with_its_place() {
    let lab = Lab::with_demo();
    let file = lab.store.join("workflows/ticker/workflow.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    for (trigger, said) in [
        ("cron = \"0 8 * *\"", "is no cron text"),
        ("every = \"1h\"\ntimezone = \"Europe/Berln\"", "did you mean `Europe/Berlin`?"),
        ("run_finished = \"invoice-chas\"", "did you mean `invoice-chase`?"),
    ] {
        std::fs::write(&file, format!("[[trigger]]\n{trigger}\n[[step]]\nid = \"a\"\nset = 1\n")).expect("written");
        let checked = lab.cairn(&["workflow", "check", "ticker"]);
        assert_eq!(checked.code, 1, "{trigger}");
        assert!(checked.out.contains(said) && checked.out.contains("workflow.toml:1:"), "{}", checked.out);
    }
}
