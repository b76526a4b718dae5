//! Maintenance of the repository beside a kernel that commits, interrupted at any instant.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use cairn::store::git::{Change, Chores, CommitHash, CommitPlan, Content, Identity, Repo, Upkept};

use crate::lab::Lab;

const ALL: Chores = Chores { packs: true, graph: true };

fn commit(repo: &Repo, n: usize) -> CommitHash {
    let change = |path: String, text: String| Change::Write { path, content: Content::Bytes(text.into_bytes()) };
    let plan = CommitPlan {
        subject: format!("commit {n}"),
        body: String::new(),
        trailers: vec![("Number".to_owned(), n.to_string())],
        at: jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(n as i64),
        changes: vec![
            change(format!("files/{}/{n}", n % 7), format!("text {n}\n").repeat(n % 50)),
            change("files/last".to_owned(), n.to_string()),
        ],
        allow_empty: false,
    };
    let made = repo.commit_group(&Identity::of_machine("mtest00000"), None, &[plan]).expect("committed");
    made[0].expect("something changed")
}

fn commits(repo: &Repo, numbers: Range<usize>) -> Vec<CommitHash> {
    numbers.map(|n| commit(repo, n)).collect()
}

fn keep_up(lab: &Lab, repo: &Repo) -> Upkept {
    repo.keep_up(ALL, &lab.root.join(".cairn/upkeep.lock"), &AtomicBool::new(false)).expect("kept up")
}

/// Commits for as long as `meanwhile` lasts, and looks after it whether every one of them is there.
fn nothing_is_lost(lab: &Lab, meanwhile: impl FnOnce() + Send) {
    let repo = lab.repo();
    let made: BTreeSet<CommitHash> = std::thread::scope(|scope| {
        let meanwhile = scope.spawn(meanwhile);
        let made = (0..).take_while(|_| !meanwhile.is_finished()).map(|n| commit(&repo, n)).collect();
        meanwhile.join().expect("no panic");
        made
    });
    println!("{} commits", made.len());
    let log = |repo: &Repo| repo.log(None, 10_000).expect("a log").iter().map(|e| e.commit).collect::<BTreeSet<_>>();
    assert!(made.is_subset(&log(&repo)), "as the kernel sees it");
    assert!(made.is_subset(&log(&lab.repo())), "as a fresh reader sees it");
    lab.git(&["reset", "-q", "--hard"]);
    lab.is_sound();
}

#[test]
fn packs_are_put_together_and_a_repository_that_is_open_goes_on() {
    let lab = Lab::new();
    let repo = lab.repo();
    let all = commits(&repo, 0..60);
    let before = repo.shape().expect("a shape");
    assert!(before.packs >= 60 && before.due() == ALL, "{before:?}");
    let Upkept::Done { packs } = keep_up(&lab, &repo) else { panic!("it was not done") };
    let after = repo.shape().expect("a shape");
    assert_eq!((after.packs, packs), (1, before.packs));
    assert!(after.pack_bytes < before.pack_bytes && after.due() == Chores::default(), "{after:?}");
    assert_eq!(repo.log(None, 100).expect("a log").len(), all.len() + 1);
    commit(&repo, 60);
    assert_eq!(repo.shape().expect("a shape").packs, 2);
    lab.git(&["reset", "-q", "--hard"]);
    lab.is_sound();
    // the graph answers for one file without walking all trees
    let graph = lab.git(&["commit-graph", "verify"]);
    assert!(graph.status.success(), "{}", String::from_utf8_lossy(&graph.stderr));
}

#[test]
fn a_pack_that_somebody_keeps_stays() {
    let lab = Lab::new();
    let repo = lab.repo();
    commit(&repo, 1);
    let packs = std::fs::read_dir(lab.root.join(".git/objects/pack")).expect("packs");
    let pack = packs.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "pack")).expect("a pack");
    std::fs::write(pack.with_extension("keep"), "mine").expect("written");
    commits(&repo, 2..20);
    keep_up(&lab, &repo);
    assert!(pack.exists());
    assert_eq!(repo.shape().expect("a shape").packs, 2);
}

#[test]
fn commits_go_on_beside_maintenance_and_none_is_lost() {
    let lab = Lab::new();
    nothing_is_lost(&lab, || {
        let repo = lab.repo();
        (0..30).for_each(|_| assert!(matches!(keep_up(&lab, &repo), Upkept::Done { .. })));
    });
}

#[test]
fn maintenance_that_is_killed_or_stopped_at_any_instant_loses_nothing() {
    let lab = Lab::new();
    let mut kills = 0;
    nothing_is_lost(&lab, || {
        for round in 0..40 {
            let mut child = lab.command(&["kernel", "maintain"]).spawn().expect("cairn starts");
            let delay = round * 13 % 80;
            std::thread::sleep(Duration::from_millis(delay));
            kills += u32::from(child.try_wait().expect("waited").is_none());
            child.kill().expect("kill -9");
            child.wait().expect("gone");
            // and one that is asked to end
            let stop = AtomicBool::new(false);
            let lock = lab.root.join(".cairn/upkeep.lock");
            std::thread::scope(|scope| {
                let work = scope.spawn(|| lab.repo().keep_up(ALL, &lock, &stop).expect("kept up"));
                std::thread::sleep(Duration::from_millis(delay / 2));
                stop.store(true, Ordering::Relaxed);
                work.join().expect("no panic");
            });
        }
    });
    println!("{kills} kills hit maintenance while it was under way");
    assert!(kills > 10, "{kills}");
}

#[test]
fn a_machine_without_git_says_so_and_the_store_works() {
    let lab = Lab::new();
    let repo = lab.repo();
    commits(&repo, 0..60);
    let out = lab.command(&["kernel", "maintain"]).env("PATH", "/nowhere").output().expect("cairn runs");
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("[no_git]") && said.contains("nothing was changed"), "{said}");
    let mut kernel = lab.command(&["kernel", "run"]).env("PATH", "/nowhere").spawn().expect("cairn starts");
    std::thread::sleep(Duration::from_millis(700));
    let pid = rustix::process::Pid::from_child(&kernel);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(kernel.wait().expect("gone").success());
}

#[test]
fn a_kernel_keeps_its_repository_in_few_packs_by_itself() {
    let lab = Lab::new();
    let repo = lab.repo();
    commits(&repo, 0..60);
    let mut kernel = lab.command(&["kernel", "run"]).spawn().expect("cairn starts");
    let begun = std::time::Instant::now();
    while repo.shape().expect("a shape").packs > 5 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", repo.shape());
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_child(&kernel);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(kernel.wait().expect("gone").success());
    lab.is_sound();
}

#[test]
fn a_git_that_outlives_the_kill_of_its_kernel_is_waited_for() {
    let lab = Lab::new();
    let (bin, lock) = (lab.dir.path().join("bin"), lab.root.join(".cairn/upkeep.lock"));
    std::fs::create_dir(&bin).expect("a folder");
    let begun = bin.join("begun");
    std::fs::write(bin.join("git"), format!("#!/bin/sh\ntouch {}\nsleep 3\n", begun.display())).expect("written");
    std::fs::set_permissions(bin.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let mut child = lab.command(&["kernel", "maintain"]).env("PATH", path).spawn().expect("cairn starts");
    lab.until("a git under way", || begun.exists());
    child.kill().expect("kill -9");
    child.wait().expect("gone");
    // a second one would meet its unfinished files
    let once = || lab.repo().keep_up(ALL, &lock, &AtomicBool::new(false)).expect("kept up");
    assert_eq!(once(), Upkept::Busy);
    lab.until("the end of that git", || once() != Upkept::Busy);
}
