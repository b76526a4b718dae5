//! Entities and episodes from the command line: what is set is seen, told from whom, merged and taken apart.

use serde_json::{Value, json};

use crate::lab::Lab;

#[test]
fn an_entity_is_set_shown_blamed_merged_and_split() {
    let lab = Lab::with_demo();
    let empty = lab.cairn(&["entity", "ls"]);
    assert!(empty.out.contains("no entities") && empty.err.contains("cairn entity set client/"), "{}", empty.err);
    let refused = lab.cairn(&["entity", "set", "client/Brandt", "name=x"]);
    assert!(refused.code == 2 && refused.err.contains("the name is a letter or digit"), "{}", refused.err);

    assert_eq!(lab.cairn(&["kernel", "start"]).code, 0);
    let set = lab.cairn(&[
        "entity",
        "set",
        "client/brandt",
        "name=Brandt GmbH",
        "email=ap@brandt.example",
        "payment_terms_days=14",
        "-m",
        "first contact",
    ]);
    assert!(set.code == 0 && set.out.contains("applied"), "{}{}", set.out, set.err);
    // the demo says what a client is
    let bad = lab.cairn(&["entity", "set", "client/brandt", "payment_terms_days=soon", "--json"]);
    let error: Value = serde_json::from_str(&bad.err).expect("JSON");
    assert_eq!((bad.code, &error["error"]["code"]), (5, &json!("schema")), "{}", bad.err);
    assert!(bad.err.contains("/payment_terms_days") && bad.err.contains("knowledge/kinds/client.json"), "{}", bad.err);
    let stale = lab.cairn(&["entity", "set", "client/brandt", "status=active", "--expect", "7", "--json"]);
    let error: Value = serde_json::from_str(&stale.err).expect("JSON");
    assert_eq!((stale.code, &error["error"]["code"]), (4, &json!("version_conflict")), "{}", stale.err);

    let shown = lab.cairn(&["entity", "show", "brandt", "--json"]).json();
    assert_eq!((&shown["id"], &shown["version"]), (&json!("client/brandt"), &json!(1)));
    assert_eq!(shown["values"]["payment_terms_days"], json!(14));
    let blame = lab.cairn(&["entity", "blame", "client/brandt", "name", "--json"]).json();
    assert_eq!(blame["items"][0]["origin"], json!({"person": "jo"}));
    assert_eq!(blame["items"][0]["reason"], json!("first contact"));

    assert_eq!(lab.cairn(&["entity", "set", "client/bm", "email=AP@Brandt.example", "--add", "aliases=BM"]).code, 0);
    let who = lab.cairn(&["entity", "resolve", "email=ap+x@brandt.example", "--json"]).json();
    assert_eq!(who["items"].as_array().map(Vec::len), Some(2), "{who}");
    let merged = lab.cairn(&["entity", "merge", "client/bm", "client/brandt"]);
    assert_eq!(merged.code, 0, "{}", merged.err);
    let shown = lab.cairn(&["entity", "show", "client/bm", "--json"]).json();
    assert_eq!((&shown["id"], &shown["merged"]), (&json!("client/brandt"), &json!(["client/bm"])));
    let again = lab.cairn(&["entity", "merge", "client/bm", "client/brandt"]);
    assert!(again.code == 5 && again.err.contains("one entity already"), "{}", again.err);

    let call = ["episode", "add", "Asked for more time", "--kind", "call", "--entity", "client/bm"];
    assert_eq!(lab.cairn(&call).code, 0);
    let lines = lab.cairn(&["episode", "ls", "--entity", "client/brandt", "--json"]).json();
    let kinds: Vec<&str> =
        lines["items"].as_array().expect("a list").iter().filter_map(|l| l["kind"].as_str()).collect();
    assert_eq!(kinds, ["change", "change", "change", "call"], "{lines}");
    let text = lab.cairn(&["entity", "show", "client/brandt"]);
    assert!(text.out.contains("also      client/bm") && text.out.contains("Asked for more time"), "{}", text.out);

    assert_eq!(lab.cairn(&["entity", "split", "client/bm", "-m", "two firms"]).code, 0);
    let history = lab.cairn(&["entity", "history", "client/bm"]);
    assert!(
        history.out.contains("merged into client/brandt") && history.out.contains("(two firms)"),
        "{}",
        history.out
    );
    let apart = lab.cairn(&["entity", "ls", "client", "--json"]).json();
    assert_eq!(apart["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(lab.cairn(&["kernel", "stop"]).code, 0);
    assert_eq!(lab.cairn(&["verify"]).code, 0);

    // as of the commit before the first change there was nobody
    let log = std::process::Command::new("git").arg("-C").arg(&lab.store).args(["log", "--format=%H"]).output();
    let log = String::from_utf8(log.expect("git runs").stdout).expect("text");
    let first = log.lines().last().expect("a commit");
    assert_eq!(lab.cairn(&["entity", "show", "client/brandt", "--as-of", first]).code, 3);
    let last = log.lines().next().expect("a commit");
    let then = lab.cairn(&["entity", "show", "client/brandt", "--as-of", &last[..10], "--json"]).json();
    assert_eq!(then["values"]["name"], json!("Brandt GmbH"));
}

#[test]
fn without_a_kernel_a_change_is_saved_and_applies_with_the_next_one() {
    let lab = Lab::empty();
    let saved = lab.cairn(&["entity", "set", "client/brandt", "name=Brandt", "--json"]).json();
    assert_eq!(saved["state"], json!("saved"));
    assert_eq!(lab.cairn(&["entity", "show", "client/brandt"]).code, 3);
    let now = lab.cairn(&["entity", "set", "client/brandt", "city=Kiel", "--wait", "--json"]);
    assert_eq!((now.code, &now.json()["state"]), (0, &json!("applied")), "{}", now.err);
    let shown = lab.cairn(&["entity", "show", "client/brandt", "--json"]).json();
    assert_eq!(shown["values"], json!({"city": "Kiel", "name": "Brandt"}));
    let events = lab.cairn(&["episode", "ls"]);
    assert!(events.out.contains("nothing happened") && events.err.contains("cairn episode add"), "{}", events.err);
}
