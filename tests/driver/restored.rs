//! A store that is behind what it was: restored from a backup or a snapshot, or moved back by hand.

use std::path::{Path, PathBuf};

use cairn::{
    driver::{DriverError, StopFlag, Until},
    store::{git::GitError, identity},
};
use cairn_store_layout::{command::Verb, view::RunStatus};
use serde_json::json;

use crate::support::Bench;

const TWO: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n\
    [[step]]\nid = \"letter\"\nneeds = [\"ask\"]\ncall = \"file.write\"\nwith = { path = \"sent/{{ run.id }}\", text = \"hello\" }\n";

fn snapshot(bench: &Bench) -> PathBuf {
    let copy = bench.root().with_file_name("snapshot");
    copied(bench.root(), &copy);
    copy
}

fn restore(bench: &Bench, snapshot: &Path) {
    std::fs::remove_dir_all(bench.root()).expect("removed");
    copied(snapshot, bench.root());
}

fn copied(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}

#[test]
fn a_restored_snapshot_is_noticed_and_what_it_forgot_is_not_done_again_unasked() {
    let bench = Bench::with(TWO);
    let (run, canceled) = (bench.start("w", json!({})), bench.start("w", json!({})));
    bench.serve();
    let item = bench.open_of(&run);
    let before = snapshot(&bench);
    bench.answer(&item, json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    std::fs::rename(bench.path("files/sent"), bench.root().with_file_name("elsewhere")).expect("it has left the store");

    restore(&bench, &before);
    let served = bench.serve();
    let now = identity::ensure(&bench.store).expect("an id");
    assert_ne!(now, bench.machine, "the id is given up");
    assert!(served.repaired[0].contains("behind what it was"), "{served:?}");
    assert_eq!(served.parked.len(), 2, "{served:?}");
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    let bench = Bench::at(bench.store.clone(), now.clone()).keeping(bench);
    assert!(bench.log().contains("\"kind\":\"machine.retired\"") && bench.log().contains("\"kind\":\"run.parked\""));

    // a decision does not reach it, and a second start changes nothing
    bench.answer(&item, json!({"ok": "yes"}));
    let served = bench.serve();
    assert_eq!((served.parked.len(), served.repaired.len()), (2, 0), "{served:?}");
    assert!(bench.log().contains("\"code\":\"run_fenced\""), "{}", bench.log());
    assert_eq!(bench.log().matches("\"kind\":\"machine.retired\"").count(), 1);
    assert!(!bench.path("files/sent").exists(), "nothing is done twice unasked");

    bench.submit(Verb::RunAdopt { run: run.clone() });
    bench.submit(Verb::RunCancel { run: canceled.clone(), reason: None, undo: false });
    bench.serve();
    assert_eq!(bench.view(&run).machine, now);
    assert_eq!(bench.status(&canceled), RunStatus::Canceled);
    bench.answer(&bench.open_of(&run), json!({"ok": "yes"}));
    let served = bench.serve();
    assert_eq!(served.parked, [""; 0]);
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert_eq!(bench.kinds(&run).iter().filter(|k| *k == "run.adopted").count(), 1);
    assert_eq!(bench.verified(), [""; 0]);
}

/// An approval that lies in the inbox of the backup is of a time that nobody knows any more: the letter may have
/// gone, and the operator may have decided otherwise since.
#[test]
fn what_was_waiting_for_approval_is_asked_again_when_the_run_is_adopted() {
    let bench = Bench::with(
        "[[step]]\nid = \"letter\"\ncall = \"file.write\"\nwith = { path = \"sent/x\", text = \"hello\" }\napprove = \"always\"\n",
    );
    let run = bench.start("w", json!({}));
    bench.serve();
    let before = bench.open_of(&run);
    let copy = snapshot(&bench);
    bench.approve(&before);
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    restore(&bench, &copy);
    bench.serve();
    let now = identity::ensure(&bench.store).expect("an id");
    let bench = Bench::at(bench.store.clone(), now).keeping(bench);
    bench.submit(Verb::RunAdopt { run: run.clone() });
    bench.approve(&before);
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting, "{:?}", bench.kinds(&run));
    assert!(bench.log().contains("\"code\":\"already_decided\""), "{}", bench.log());
    let again = bench.open_of(&run);
    assert_eq!(again.digest, before.digest);
    assert!(again.why.as_deref().is_some_and(|why| why.contains("adopted")), "{again:?}");
    bench.approve(&again);
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert_eq!(bench.verified(), [""; 0]);
}

#[test]
fn a_store_that_only_lost_a_journal_with_nothing_in_it_is_the_same_store() {
    let bench = Bench::with(TWO);
    let run = bench.start("w", json!({}));
    bench.serve();
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    let served = bench.serve();
    assert_eq!(identity::ensure(&bench.store).expect("an id"), bench.machine);
    assert_eq!(served.parked, [""; 0]);
    bench.answer(&bench.open_of(&run), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
}

#[test]
fn a_journal_that_is_gone_with_facts_in_it_fences_the_machine() {
    let bench = Bench::with("[[step]]\nid = \"a\"\nrun = [\"sleep\", \"60\"]\n");
    let run = bench.start("w", json!({}));
    bench.killed_once(&run, "attempt.started");
    std::fs::remove_dir_all(bench.path(".cairn/journal")).expect("removed");
    std::fs::remove_file(bench.path(&cairn_store_layout::paths::run(&run))).expect("removed");
    bench.serve();
    assert_ne!(identity::ensure(&bench.store).expect("an id"), bench.machine);
}

#[test]
fn a_branch_that_was_moved_back_is_refused_with_the_way_forward() {
    let bench = Bench::with(TWO);
    bench.serve();
    let run = bench.start("w", json!({}));
    bench.serve();
    let known = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
    bench.git(&["reset", "-q", "--soft", "HEAD~1"]);
    let refused = bench.try_serve(Until::Idle, &StopFlag::new()).expect_err("refused");
    let DriverError::Git(GitError::Rewound { .. }) = &refused else { panic!("{refused}") };
    assert!(refused.to_string().contains(&known), "{refused}");
    assert_eq!(identity::ensure(&bench.store).expect("an id"), bench.machine, "nothing was changed");
    bench.git(&["reset", "-q", "--soft", &known]);
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
}
