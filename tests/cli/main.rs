//! The command line as scripts and people meet it: the real program, in a home of its own.

mod again;
mod bad_input;
mod damage;
mod entities;
mod lab;
mod memory;
mod reference;
mod transcript;
mod triggers;

use lab::Lab;
use serde_json::json;

#[test]
fn the_demo_runs_to_a_letter_is_approved_by_digest_and_ends_in_a_commit() {
    let lab = Lab::with_demo();
    let started = lab.cairn(&["run", "start", "invoice-chase", "--wait", "--json"]);
    assert_eq!(started.code, 10, "{}", started.err);
    let started = started.json();
    assert_eq!((&started["schema"], &started["status"]), (&json!("cairn.run/1"), &json!("waiting")));
    assert_eq!(started["commit"].as_str().map(str::len), Some(40));

    let inbox = lab.cairn(&["inbox", "ls", "--json"]).json();
    assert_eq!((&inbox["schema"], &inbox["next"]), (&json!("cairn.inbox/1"), &json!(null)));
    let items = inbox["items"].as_array().expect("a list");
    for field in ["id", "run", "step", "class", "digest", "summary", "expires"] {
        assert!(!items[0][field].is_null(), "{field}");
    }
    let (id, digest) = (items[0]["id"].as_str().expect("an id"), items[0]["digest"].as_str().expect("a digest"));

    let stale = lab.cairn(&["inbox", "approve", id, "--digest", "beefbeef", "--json"]);
    assert_eq!((stale.code, stale.out.as_str()), (4, ""));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stale.err).expect("JSON")["error"]["code"], "stale_digest");

    let outbox = lab.store.join("files/outbox");
    assert!(!outbox.exists(), "nothing leaves before its approval");
    let approved = lab.cairn(&["inbox", "approve", &id[..4], "--digest", &digest[..12], "--wait"]);
    assert_eq!(approved.code, if items.len() > 1 { 10 } else { 0 }, "{}", approved.err);
    assert_eq!(std::fs::read_dir(&outbox).expect("the outbox").count(), 1);
    let again = lab.cairn(&["inbox", "approve", id, "--digest", digest]);
    assert_eq!(again.code, 4, "an approval works once");

    let runs = lab.cairn(&["run", "ls", "--json"]).json();
    for field in ["run", "workflow", "status", "started", "steps", "cost_usd", "commit"] {
        assert!(!runs["items"][0][field].is_null(), "{field}");
    }
    let verified = lab.cairn(&["verify", "--json"]);
    assert_eq!((verified.code, &verified.json()["findings"]), (0, &json!([])));
}

#[test]
fn a_kernel_in_the_background_takes_what_is_asked_and_stops_cleanly() {
    let lab = Lab::with_demo();
    assert_eq!(lab.cairn(&["kernel", "status"]).code, 6);
    assert_eq!(lab.cairn(&["kernel", "start"]).code, 0);
    let second = lab.cairn(&["kernel", "run"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another kernel runs") && second.err.contains("[kernel_runs]"), "{}", second.err);
    let started = lab.cairn(&["run", "start", "invoice-chase", "--wait=60s", "--json"]);
    assert_eq!(started.code, 10, "{}", started.err);
    assert_eq!(lab.cairn(&["kernel", "stop"]).code, 0);
    assert_eq!(lab.cairn(&["kernel", "status"]).code, 6);
    assert_eq!(lab.cairn(&["verify"]).code, 0);
}

#[test]
fn bad_input_is_answered_with_what_to_do() {
    let lab = Lab::with_demo();
    for (args, code, said) in [
        (&["run", "start", "invoice-chas"][..], 3, "did you mean invoice-chase?"),
        (&["run", "start", "invoice-chase", "-i", "as_of=soon"], 2, "`as_of` must be a day like 2026-11-22"),
        (&["run", "show", "zzzz"], 3, "there is no run `zzzz`"),
        (&["inbox", "approve", "ab"], 2, "too short"),
        (&["frob"], 2, "frob"),
        (&["tui"], 2, "needs a terminal"),
        (&["init", "."], 1, "is a Cairn store already"),
    ] {
        let answer = lab.cairn(args);
        assert_eq!(answer.code, code, "{args:?}: {}", answer.err);
        assert!(answer.err.contains(said), "{args:?}: {}", answer.err);
        assert_eq!(answer.out, "", "{args:?} has no result");
    }
    let outside = lab.program(&["-C", "/", "status"]);
    assert_eq!(outside.code, 3);
    assert!(outside.err.contains("is not a Cairn store") && outside.err.contains("cairn init"), "{}", outside.err);
}

#[test]
fn verify_sees_a_changed_history_and_changes_nothing() {
    let lab = Lab::with_demo();
    let run = lab.cairn(&["run", "start", "invoice-chase", "--wait", "--json"]).json();
    let shown = lab.cairn(&["run", "history", run["run"].as_str().expect("an id")]);
    let file = std::path::PathBuf::from(shown.err.trim().trim_start_matches("the file: "));
    let text = std::fs::read_to_string(&file).expect("the history");
    let forged = text.replacen("ap@brandt.example", "ap@brandt.exampel", 1);
    assert_ne!(forged, text);
    std::fs::write(&file, &forged).expect("written");
    let verified = lab.cairn(&["verify", "--json"]);
    assert_eq!(verified.code, 1);
    let codes: Vec<String> = verified.json()["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|f| f["code"].as_str().map(str::to_owned))
        .collect();
    assert!(codes.contains(&"rewritten".to_owned()), "{codes:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("the history"), forged);
}
