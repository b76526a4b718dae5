//! The verbs that run a workflow again, as a script meets them.

use serde_json::{Value, json};

use crate::lab::Lab;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn a_run_is_replayed_compared_moved_and_done_again() {
    let lab = Lab::with_demo();
    let started = lab.cairn(&["run", "start", "invoice-chase", "--wait", "--json"]).json();
    let run = text(&started, "run");

    let replayed = lab.cairn(&["run", "replay", run, "--json"]);
    assert_eq!(replayed.code, 0, "{}", replayed.err);
    let replayed = replayed.json();
    assert_eq!((&replayed["ok"], &replayed["difference"]), (&json!(true), &json!(null)));
    assert!(replayed["same"].as_u64().expect("a number") > 40, "{replayed}");
    let all = lab.cairn(&["run", "replay", "--all"]);
    assert_eq!((all.code, all.out.as_str()), (0, "1 run: this build decides as is recorded\n"));

    let same = lab.cairn(&["run", "replay", run, "--on", "latest", "--json"]).json();
    assert_eq!(same["schema"], "cairn.comparison/1");
    assert_eq!((&same["counts"]["redone"], &same["counts"]["gone"]), (&json!(0), &json!(0)), "{same}");

    // an edited template is an edited question
    let template = lab.store.join("workflows/invoice-chase/templates/reminder.txt");
    let before = std::fs::read_to_string(&template).expect("a template");
    std::fs::write(&template, format!("{before}\nP.S. We are closed in January.\n")).expect("written");
    let edited = lab.cairn(&["run", "replay", run, "--on", "workflows/invoice-chase", "--json"]).json();
    let redone = edited["counts"]["redone"].as_u64().expect("a number");
    assert!(redone > 0 && edited["counts"]["same"].as_u64().expect("a number") > 10, "{}", edited["counts"]);

    let asked = lab.cairn(&["run", "migrate", run]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    let dry = lab.cairn(&["run", "migrate", run, "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.err);
    let moved = lab.cairn(&["run", "migrate", run, "--yes", "--wait", "--json"]);
    assert_eq!(moved.code, 10, "{}", moved.err);
    assert!(moved.json()["did"].to_string().contains("moved by jo to definition"), "{}", moved.out);
    let item = lab.cairn(&["inbox", "ls", "--json"]).json();
    let letter = lab.cairn(&["inbox", "show", text(&item["items"][0], "id")]);
    assert!(letter.out.contains("closed in January"), "{}", letter.out);

    let resumed = lab.cairn(&["run", "resume", run, "--wait"]);
    assert_eq!(resumed.code, 5, "{}", resumed.err);
    assert!(resumed.err.contains("no attempt waits for its time") && resumed.err.contains("[nothing_to_do]"));
    assert_eq!(lab.cairn(&["run", "cancel", run, "--wait"]).code, 0);
    let late = lab.cairn(&["run", "retry", run]);
    assert_eq!(late.code, 4, "{}", late.err);
    assert!(late.err.contains("cairn run rerun"), "{}", late.err);

    let again = lab.cairn(&["run", "rerun", run, "--wait", "--json"]);
    assert_eq!(again.code, 10, "{}", again.err);
    let again = again.json();
    assert!(again["reused"].as_u64().expect("a number") > 10, "{again}");
    assert_eq!(again["origin"]["run"], run);
    let missing = lab.cairn(&["run", "fork", run, "--from", "nothing"]);
    assert_eq!(missing.code, 3, "{}", missing.err);
    let fork = lab.cairn(&["run", "fork", run, "--from", "letter", "-i", "as_of=soon"]);
    assert_eq!(fork.code, 2, "{}", fork.err);

    let verified = lab.cairn(&["verify", "--replay", "--json"]);
    assert_eq!((verified.code, &verified.json()["findings"]), (0, &json!([])), "{}", verified.out);
    assert_eq!(verified.json()["checked"]["replayed"], 1);
}

#[test]
fn a_history_that_says_something_else_is_shown_with_both_lines() {
    let lab = Lab::with_demo();
    let started = lab.cairn(&["run", "start", "invoice-chase", "--wait", "--json"]).json();
    let run = text(&started, "run");
    let shown = lab.cairn(&["run", "history", run]);
    let file = std::path::PathBuf::from(shown.err.trim().trim_start_matches("the file: "));
    let history = std::fs::read_to_string(&file).expect("a history");
    std::fs::write(&file, history.replacen("Reminder 3", "Reminder 4", 1)).expect("written");
    let replayed = lab.cairn(&["run", "replay", run]);
    assert_eq!(replayed.code, 1);
    assert!(replayed.out.contains("recorded:") && replayed.out.contains("this build:"), "{}", replayed.out);
    assert!(replayed.out.contains("Reminder 4") && replayed.out.contains("Reminder 3"), "{}", replayed.out);
}
