//! A damaged journal: what doctor and repair say, what a start restores, and what a person must accept.

use std::path::{Path, PathBuf};

use crate::lab::Lab;

fn segment(store: &Path) -> PathBuf {
    store.join(".cairn/journal/00000001.jsonl")
}

/// The grade and text of one check of `doctor`.
fn doctor(lab: &Lab, check: &str) -> (String, String) {
    let items = lab.cairn(&["doctor", "--json"]).json();
    let items = items["items"].as_array().expect("a list").clone();
    let found = items.into_iter().find(|i| i["check"] == check).expect("the check");
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("grade"), format!("{}; {}", text("found"), text("todo")))
}

#[test]
fn damage_that_can_be_proven_is_announced_then_restored_by_the_start() {
    let lab = Lab::with_demo();
    assert_eq!(lab.cairn(&["run", "start", "invoice-chase", "--wait"]).code, 10);
    assert_eq!(doctor(&lab, "journal"), ("ok".to_owned(), "whole; ".to_owned()));
    let good = std::fs::read(segment(&lab.store)).expect("a segment");
    let mut bad = good.clone();
    bad[300..1_800].fill(0);
    std::fs::write(segment(&lab.store), &bad).expect("written");

    let (grade, text) = doctor(&lab, "journal");
    assert!(grade == "warn" && text.contains("can be restored") && text.contains("kernel start"), "{grade}: {text}");
    let told = lab.cairn(&["kernel", "repair", "--json"]);
    assert_eq!((told.code, &told.json()["state"]), (0, &serde_json::json!("restorable")));
    assert!(std::fs::read(segment(&lab.store)).expect("a segment") == bad, "asking changes nothing");

    assert_eq!(lab.cairn(&["run", "start", "invoice-chase", "--wait"]).code, 10);
    let now = std::fs::read(segment(&lab.store)).expect("a segment");
    assert!(now[..2_000] == good[..2_000], "byte for byte");
    let kept = std::fs::read_dir(lab.store.join(".cairn/quarantine")).expect("a quarantine");
    assert!(kept.flatten().any(|e| std::fs::read(e.path()).expect("kept") == bad), "the damage is kept");
    let log = lab.log();
    assert!(log.contains("\"kind\":\"journal.repaired\"") && log.contains("\"restored\":"), "{log}");
    assert_eq!(lab.cairn(&["verify"]).code, 0);
}

#[test]
fn what_is_lost_refuses_the_start_until_somebody_accepts_it() {
    let lab = Lab::with_demo();
    lab.write(
        "workflows/slow/workflow.toml",
        "[[step]]\nid = \"a\"\nset = 1\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"sleep\", \"60\"]\n",
    );
    assert_eq!(lab.cairn(&["run", "start", "invoice-chase", "--wait"]).code, 10);
    let before = lab.machine();
    let mut kernel = lab.spawn(&["kernel", "run"]);
    let run = lab.cairn(&["run", "start", "slow", "--json"]).json()["run"].as_str().expect("an id").to_owned();
    let id = cairn_store_layout::RunId::new(run.clone()).expect("an id");
    let begun = std::time::Instant::now();
    while !lab.cairn(&["run", "history", &run]).out.contains("attempt 1") {
        assert!(begun.elapsed().as_secs() < 30);
    }
    lab.cairn(&["mem", "add", "a fact after it"]);
    while !lab.log().contains("a fact after it") {
        assert!(begun.elapsed().as_secs() < 30);
    }
    kernel.kill().expect("kill -9");
    kernel.wait().expect("gone");
    // the run is in no commit, its file is gone, and its first record in the journal is noise
    std::fs::remove_file(lab.store.join(cairn_store_layout::paths::run(&id))).expect("removed");
    let mut bytes = std::fs::read(segment(&lab.store)).expect("a segment");
    let name = format!("{run}.jsonl\",\"line\"");
    let at = bytes.windows(name.len()).position(|w| w == name.as_bytes()).expect("its first entry");
    bytes[at..at + 200].fill(b'#');
    std::fs::write(segment(&lab.store), &bytes).expect("written");

    let (grade, text) = doctor(&lab, "journal");
    assert!(grade == "fail" && text.contains("at offset") && text.contains("kernel repair"), "{grade}: {text}");
    let refused = lab.cairn(&["kernel", "run"]);
    assert_eq!(refused.code, 1);
    for said in ["[journal_damaged]", "is damaged", "at offset", "every earlier run is in the commits", "kernel repair"]
    {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    assert_eq!(lab.cairn(&["kernel", "repair"]).code, 5);
    assert!(std::fs::read(segment(&lab.store)).expect("a segment") == bytes, "nothing was changed");

    let accepted = lab.cairn(&["kernel", "repair", "--accept-loss", "--json"]);
    assert_eq!(accepted.code, 0, "{}", accepted.err);
    let lost = accepted.json()["lost"].to_string();
    assert!(lost.contains("can not be read") && lost.contains(&run) && lost.contains("quarantine"), "{lost}");
    assert_eq!(lab.cairn(&["kernel", "start"]).code, 0);
    let begun = std::time::Instant::now();
    while !lab.log().contains("machine.retired") {
        assert!(begun.elapsed().as_secs() < 30);
    }
    assert_eq!(lab.cairn(&["kernel", "stop"]).code, 0);
    assert_ne!(lab.machine(), before);
    assert!(
        lab.cairn(&["mem", "search", "a fact after it"]).out.contains("a fact after it"),
        "what was readable is kept"
    );
    assert_eq!(lab.cairn(&["verify"]).code, 0, "{}", lab.cairn(&["verify"]).out);
}
