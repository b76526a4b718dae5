//! A branch that is damaged or lost is put back; history gets no second root, whatever is left to go by.

use cairn::driver::{DriverError, StopFlag, Until};
use cairn_store_layout::view::RunStatus;
use serde_json::json;

use crate::support::Bench;

const ASKS: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

/// A store with commits, its journal at work, and a run that waits.
fn bench() -> Bench {
    let bench = Bench::with(ASKS);
    bench.serve();
    bench.start("w", json!({}));
    bench.serve();
    // its first lines carry the note of the commit before
    bench.start("w", json!({}));
    bench.serve();
    bench
}

/// After the damage: one kernel repairs and tells it, and the history is one line with nothing missing.
fn is_put_back(bench: &Bench, head: &str, what: &str) {
    let served = bench.serve();
    assert!(served.repaired.iter().any(|told| told.contains(head)), "{what}: {served:?}");
    assert!(bench.log().contains("\"kind\":\"branch.restored\""), "{what}");
    bench.git(&["merge-base", "--is-ancestor", head, "HEAD"]);
    assert_eq!(bench.git(&["rev-list", "--max-parents=0", "HEAD"]).lines().count(), 1, "{what}: one root");
    bench.git(&["fsck", "--full", "--strict"]);
    assert_eq!(bench.verified(), [""; 0], "{what}");
    let again = bench.serve();
    assert_eq!(again.repaired, [""; 0], "{what}: told once");
}

#[test]
fn an_emptied_short_malformed_dangling_or_lost_ref_is_put_back_on_the_newest_commit() {
    for (what, content) in [
        ("empty", Some("")),
        ("short", Some("0123456789abcdef\n")),
        ("zeros", Some("\0\0\0\0\0\0\0\0")),
        ("words", Some("ref: refs/heads/elsewhere\n")),
        ("dangling", Some("1234567890123456789012345678901234567890\n")),
        ("lost", None),
    ] {
        let bench = bench();
        let head = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
        let file = bench.path(".git/refs/heads/main");
        match content {
            Some(content) => std::fs::write(file, content).expect("written"),
            None => std::fs::remove_file(file).expect("removed"),
        }
        is_put_back(&bench, &head, what);
    }
}

#[test]
fn each_record_alone_is_enough_to_know_that_there_were_commits() {
    // the reflog, the checkpoints, the journal, the mark: all but one of them are gone
    for kept in 0..4 {
        let bench = bench();
        let head = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
        let repo = cairn::store::git::Repo::open(bench.root()).expect("a repository");
        repo.checkpoint(&head.parse().expect("a hash")).expect("written");
        std::fs::remove_file(bench.path(".git/refs/heads/main")).expect("removed");
        let home = cairn::store::identity::state_home().expect("a home");
        let mark = cairn::store::identity::mark_file(&home, bench.store.id(), &bench.machine);
        let records =
            [bench.path(".git/logs"), bench.path(".git/refs/cairn"), bench.path(".cairn/journal"), mark.clone()];
        for (n, record) in records.iter().enumerate().filter(|(n, _)| *n != kept) {
            let gone = if n == 3 { std::fs::remove_file(record) } else { std::fs::remove_dir_all(record) };
            gone.expect("removed");
        }
        let served = bench.try_serve(Until::Idle, &StopFlag::new()).expect("served");
        assert!(served.repaired.iter().any(|told| told.contains("names")), "{kept}: {served:?}");
        assert_eq!(bench.git(&["rev-list", "--max-parents=0", "HEAD"]).lines().count(), 1, "{kept}");
        // the journal's note is of the commit before its last entries, the others are of the last
        let oldest = if kept == 2 { format!("{head}~1") } else { head };
        bench.git(&["merge-base", "--is-ancestor", &oldest, "HEAD"]);
    }
}

#[test]
fn a_lost_ref_does_not_fall_back_to_an_older_copy_of_it() {
    let bench = bench();
    bench.git(&["pack-refs", "--all"]);
    bench.start("w", json!({}));
    bench.serve();
    let head = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
    std::fs::remove_file(bench.path(".git/refs/heads/main")).expect("removed");
    assert_ne!(bench.git(&["rev-parse", "HEAD"]).trim(), head, "git takes the packed copy");
    is_put_back(&bench, &head, "packed");
}

#[test]
fn an_emptied_head_names_its_branch_again() {
    let bench = bench();
    for content in ["", "ref: ", "\0\0\0\0"] {
        std::fs::write(bench.path(".git/HEAD"), content).expect("written");
        bench.serve();
        assert_eq!(bench.git(&["symbolic-ref", "HEAD"]).trim(), "refs/heads/main");
    }
    assert_eq!(bench.git(&["rev-list", "--max-parents=0", "HEAD"]).lines().count(), 1);
}

#[test]
fn what_lost_commits_held_is_committed_again_from_the_work_tree() {
    let bench = bench();
    let newest = |dir: &std::path::Path| {
        let packs = std::fs::read_dir(dir).expect("packs").flatten().map(|e| e.path());
        packs.max_by_key(|p| (p.metadata().expect("a file").modified().expect("a time"), p.clone())).expect("one")
    };
    let before = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let run = bench.start("w", json!({}));
    bench.serve();
    bench.answer(&bench.open_of(&run), json!({"ok": "yes"}));
    bench.serve();
    let lost = bench.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let dir = bench.path(".git/objects/pack");
    while bench.has_commit(&lost) {
        std::fs::remove_file(newest(&dir)).expect("removed");
    }
    assert!(bench.has_commit(&before), "only the newest is lost");
    let served = bench.serve();
    assert!(served.repaired.iter().any(|told| told.contains("names")), "{served:?}");
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    let path = cairn_store_layout::paths::run(&run);
    assert!(bench.git(&["show", &format!("HEAD:{path}")]).contains("run.succeeded"));
    assert_eq!(bench.git(&["rev-list", "--max-parents=0", "HEAD"]).lines().count(), 1);
    assert!(bench.any_log().contains(&format!("\"lost\":\"{lost}\"")));
}

#[test]
fn with_no_readable_commit_left_the_start_is_refused() {
    let bench = bench();
    for entry in std::fs::read_dir(bench.path(".git/objects/pack")).expect("packs").flatten() {
        std::fs::remove_file(entry.path()).expect("removed");
    }
    let before = std::fs::read(bench.path(".git/refs/heads/main")).expect("a ref");
    let refused = bench.try_serve(Until::Idle, &StopFlag::new()).expect_err("refused");
    assert!(matches!(refused, DriverError::Git(_)), "{refused}");
    assert!(refused.to_string().contains("can be read whole"), "{refused}");
    assert_eq!(std::fs::read(bench.path(".git/refs/heads/main")).expect("a ref"), before);
}
