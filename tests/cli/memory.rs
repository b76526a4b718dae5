//! Memory as a person meets it: what would leave, what deserves a look, and how often something was used.

use serde_json::json;

use crate::lab::Lab;

/// A store in which three passages are known and a workflow was given one of them.
fn lab() -> Lab {
    let lab = Lab::empty();
    let steps =
        "[[step]]\nid = \"ask\"\ncall = \"memory.context\"\nwith = { entity = \"client/a\", needs = [\"terms\"] }\n";
    lab.write("workflows/w/workflow.toml", steps);
    for text in ["Terms: 45 days", "They like green paper", "They moved to Malmö in spring"] {
        assert_eq!(lab.cairn(&["mem", "add", text, "--entity", "client/a"]).code, 0);
    }
    let started = lab.cairn(&["run", "start", "w", "--wait"]);
    assert_eq!(started.code, 0, "{}", started.err);
    lab
}

#[test]
fn a_dry_run_shows_what_would_leave_and_tidying_does_it() {
    let lab = lab();
    let refused = lab.cairn(&["mem", "tidy", "--dry-run"]);
    assert!(refused.code != 0 && refused.err.contains("[[forget]]"), "{}", refused.err);
    lab.write("policies/memory.toml", "[[forget]]\nname = \"few\"\nkind = \"note\"\nkeep = 1\n");
    let plan = lab.cairn(&["mem", "tidy", "--dry-run", "--json"]).json();
    let would: Vec<&str> =
        plan["forget"].as_array().expect("a list").iter().filter_map(|l| l["text"].as_str()).collect();
    // the used one stays, although it is the oldest
    assert_eq!(would, ["They like green paper", "They moved to Malmö in spring"]);
    let shown = lab.cairn(&["mem", "tidy", "--dry-run"]).out;
    assert!(
        shown.contains("few") && shown.contains("green paper") && shown.contains("3 of its kind, 1 are kept"),
        "{shown}"
    );
    assert_eq!(lab.cairn(&["mem", "tidy"]).code, 0);
    assert_eq!(lab.cairn(&["run", "start", "w", "--wait"]).code, 0);
    assert_eq!(lab.log().matches("passage.forgotten").count(), 2);
    let after = lab.cairn(&["mem", "tidy", "--dry-run"]).out;
    assert!(after.contains("nothing would leave"), "{after}");
    assert_eq!(lab.cairn(&["verify"]).code, 0);
}

#[test]
fn show_says_how_often_a_passage_was_used() {
    let lab = lab();
    let known = lab.cairn(&["mem", "search", "terms", "--json"]).json();
    let id = known["items"][0]["id"].as_str().expect("a passage").to_owned();
    let shown = lab.cairn(&["mem", "show", &id]).out;
    assert!(shown.contains("used      1 time, last "), "{shown}");
    assert_eq!(lab.cairn(&["mem", "show", &id, "--json"]).json()["uses"]["count"], 1);
}

#[test]
fn the_audit_tells_what_deserves_a_look_and_fails_only_when_asked_to() {
    let lab = lab();
    let quiet = lab.cairn(&["mem", "audit", "--json"]).json();
    assert_eq!((&quiet["ok"], &quiet["findings"]), (&json!(true), &json!([])));
    let head = "+++\norigin = { person = \"Astrid\", day = 2026-11-20 }\n";
    lab.write("knowledge/rules/lost.md", &format!("{head}applies = {{ workflow = \"chase\" }}\n+++\nx\n"));
    lab.write("knowledge/rules/broken.md", &format!("{head}aplies = 1\n+++\nx\n"));
    let told = lab.cairn(&["mem", "audit"]);
    assert_eq!(told.code, 0, "{}", told.err);
    for words in [
        "unreadable: 1",
        "knowledge/rules/broken.md:3:1: unknown key `aplies`",
        "next: did you mean `applies`?",
        "dangling: 1",
        "rules/lost applies to workflow `chase`, and there is none",
        "rules/lost was never given to a step",
    ] {
        assert!(told.out.contains(words), "{words} is not in:\n{}", told.out);
    }
    assert_eq!(lab.cairn(&["mem", "audit", "--strict"]).code, 1);
    // where other definitions are checked, too
    let checked = lab.cairn(&["workflow", "check"]);
    assert!(checked.code == 1 && checked.out.contains("unknown key `aplies`"), "{}", checked.out);
}
