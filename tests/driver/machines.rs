//! One kernel a store, one writer a file: locks and copies.

use cairn::store::{Store, identity, lock::KernelLock};
use cairn_store_layout::{
    command::{NewPassage, Verb},
    paths,
    view::RunStatus,
};
use serde_json::json;

use crate::support::Bench;

const ASKS: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

#[test]
fn a_second_kernel_is_refused_also_by_another_name_of_the_store() {
    let bench = Bench::with(ASKS);
    let _held = KernelLock::take(bench.root()).expect("the lock");
    let alias = bench.root().with_file_name("alias");
    std::os::unix::fs::symlink(bench.root(), &alias).expect("a link");
    for root in [bench.root(), alias.as_path()] {
        let error = KernelLock::take(root).expect_err("it is held");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }
}

#[test]
fn a_copied_store_is_another_machine_and_leaves_the_runs_and_the_log_of_the_first_alone() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.start("none", json!({}));
    bench.submit(Verb::MemoryAdd(NewPassage {
        text: "Brandt pays late.".to_owned(),
        kind: "note".to_owned(),
        ..NewPassage::default()
    }));
    bench.serve();
    let copied = copy_of(&bench);
    assert_ne!(copied.machine, bench.machine);
    let before = std::fs::read(copied.path(&paths::run(&run))).expect("a history");
    let log_before = bench.log();
    copied.start("none", json!({}));
    let own = copied.start("w", json!({}));
    copied.submit(Verb::RunCancel { run: run.clone(), reason: None, undo: false });
    copied.serve();
    assert_eq!(copied.status(&own), RunStatus::Waiting);
    assert_eq!(std::fs::read(copied.path(&paths::run(&run))).expect("a history"), before, "not ours");
    let theirs = copied.path(&paths::log(&bench.machine, jiff::Timestamp::now()));
    assert_eq!(std::fs::read_to_string(theirs).expect("their log"), log_before, "one writer a file");
    assert!(copied.log().contains("\"code\":\"not_here\""), "{}", copied.log());
    assert_eq!(copied.log().lines().next().map(|l| l.starts_with("{\"n\":0,")), Some(true));
    assert_eq!(copied.git(&["status", "--porcelain"]), "", "its card is committed too");
    let passages = copied.git(&["ls-files", "memory/passages"]);
    assert_eq!(passages.lines().count(), 1, "{passages}");
}

/// The copy was made while the first kernel was between its journal and its commit.
#[test]
fn what_only_the_journal_of_a_copy_knows_belongs_to_the_first_machine() {
    let bench = Bench::with(ASKS);
    bench.serve();
    let base = bench.git(&["rev-parse", "HEAD"]);
    let run = bench.start("w", json!({}));
    bench.start("none", json!({}));
    bench.submit(Verb::MemoryAdd(NewPassage {
        text: "Brandt pays late.".to_owned(),
        kind: "note".to_owned(),
        ..NewPassage::default()
    }));
    bench.serve();
    let copied = copy_of(&bench);
    copied.git(&["reset", "-q", base.trim()]);
    copied.start("none", json!({}));
    copied.serve();
    let tracked = copied.git(&["ls-files"]);
    for foreign in [run.as_str(), &format!("log/{}", bench.machine), "memory/passages"] {
        assert!(!tracked.contains(foreign), "{foreign} was committed by another machine\n{tracked}");
    }
    assert!(copied.log().starts_with("{\"n\":0,"));
}

/// The store of `bench`, copied whole to another place.
fn copy_of(bench: &Bench) -> Bench {
    let copy = bench.root().with_file_name("copy");
    let copied = std::process::Command::new("cp").arg("-a").arg(bench.root()).arg(&copy).status().expect("cp runs");
    assert!(copied.success());
    let store = Store::open(&copy).expect("a store");
    let machine = identity::ensure(&store).expect("an identity");
    Bench::at(store, machine)
}
