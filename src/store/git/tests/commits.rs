//! Making repositories and commits.

use std::os::unix::fs::PermissionsExt as _;

use super::{Store, bytes, from_work_tree, plan, who};
use crate::store::git::{Change, CommitHash, Content, GitError, Identity, InitOptions, Repo};

#[test]
fn a_new_repository_is_empty_and_ready_for_people() {
    let store = Store::new();
    assert_eq!(store.repo.head(None).unwrap(), None);
    store.git_says(&["symbolic-ref", "HEAD"], "refs/heads/main");
    store.git_says(&["config", "gc.auto"], "0");
    store.put(".cairn/journal/1.jsonl", "local");
    store.put("workflows/a.txt", "x\r\n");
    store.git_says(&["status", "--porcelain", "-uall"], "?? workflows/a.txt");
    store.git_says(&["check-attr", "text", "filter", "--", "a.txt"], "a.txt: text: unset\na.txt: filter: unset");
    let again = Repo::init(store.root(), &InitOptions::default());
    assert!(matches!(again, Err(GitError::AlreadyARepository { .. })));
    assert!(Repo::open(store.root()).is_ok(), "a refused init must leave the repository alone");
}

#[test]
fn only_the_top_of_a_plain_repository_opens() {
    let store = Store::new();
    store.put("sub/file", "x");
    let sub = Repo::open(&store.root().join("sub"));
    assert!(matches!(&sub, Err(GitError::NotARepository { root }) if root.ends_with("sub")), "{sub:?}");
    let outside = tempfile::tempdir().unwrap();
    assert!(matches!(Repo::open(outside.path()), Err(GitError::NotARepository { .. })));
    std::fs::write(outside.path().join(".git"), format!("gitdir: {}\n", store.root().join(".git").display())).unwrap();
    assert!(matches!(Repo::open(outside.path()), Err(GitError::Unsupported { .. })));
    let config = store.root().join(".git/config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[core]\n\tworktree = {}\n", outside.path().display())).unwrap();
    let elsewhere = Repo::open(store.root());
    assert!(matches!(elsewhere, Err(GitError::Unsupported { .. })), "{elsewhere:?}");
}

#[test]
fn the_operators_identity_comes_from_the_repository_first() {
    let store = Store::new();
    store.put(
        ".git/config",
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n[user]\n\tname = Grace\n\temail = g@example.org\n",
    );
    let reopened = Repo::open(store.root()).unwrap();
    let expected = Identity { name: "Grace".to_owned(), email: "g@example.org".to_owned() };
    assert_eq!(reopened.operator(), Some(expected));
}

#[test]
fn a_message_reads_back_with_subject_body_and_trailers() {
    let store = Store::new();
    let mut p = plan(vec![bytes("a.txt", "one\n")]);
    p.subject = "invoice-chase: succeeded (6 steps, $0.031)\nRun: forged".to_owned();
    p.body = "Owner: not a trailer\n\nTwo letters\u{7} were sent.\nSecond line.\n".to_owned();
    p.trailers = vec![
        ("Run".to_owned(), "01kabc".to_owned()),
        ("Cost-USD".to_owned(), "0.031".to_owned()),
        ("Note".to_owned(), "with: colon\nRun: forged".to_owned()),
    ];
    let commit = store.plan(&p);
    store.git_is_content();
    store.git_says(&["log", "--format=%s"], "invoice-chase: succeeded (6 steps, $0.031) Run: forged");
    store.git_says(&["log", "--format=%(trailers)"], "Run: 01kabc\nCost-USD: 0.031\nNote: with: colon Run: forged");
    store.git_says(&["log", "--format=%an <%ae> %ct"], "Ada Lovelace <ada@example.org> 1795341600");
    let log = store.repo.log(None, 10).unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].commit, commit);
    assert_eq!(log[0].at, p.at);
    assert_eq!(log[0].subject, "invoice-chase: succeeded (6 steps, $0.031) Run: forged");
    assert_eq!(log[0].trailer("cost-usd"), Some("0.031"));
    assert_eq!(log[0].trailer("run"), Some("01kabc"));
    assert_eq!(log[0].trailers.len(), 3);
}

#[test]
fn bad_messages_and_paths_are_refused_before_anything_is_written() {
    let store = Store::new();
    for path in ["", "/etc/passwd", "a/../b", "a//b", ".git/config", "a/.GIT/x", "a\\b", "a\nb", "git~1/x", "."] {
        let refused = store.repo.commit_group(&who(), None, &[plan(vec![bytes(path, "x")])]);
        assert!(matches!(refused, Err(GitError::BadPath { .. })), "{path:?}: {refused:?}");
    }
    let mut empty = plan(vec![bytes("a", "x")]);
    empty.subject = " \n".to_owned();
    assert!(matches!(store.repo.commit_group(&who(), None, &[empty]), Err(GitError::BadMessage { .. })));
    let mut key = plan(vec![bytes("a", "x")]);
    key.trailers = vec![("Not a key".to_owned(), "v".to_owned())];
    assert!(matches!(store.repo.commit_group(&who(), None, &[key]), Err(GitError::BadMessage { .. })));
    assert_eq!(store.packs(), 0);
    assert_eq!(store.repo.head(None).unwrap(), None);
}

#[test]
fn sixty_four_commits_are_one_pack_that_git_accepts() {
    let store = Store::new();
    store.commit(&[("store.toml", "format = 1\n")]);
    let mut log = String::new();
    let plans: Vec<_> = (0..64)
        .map(|n| {
            log.push_str(&format!("{{\"n\":{n},\"kind\":\"command-taken\",\"at\":\"2026-11-22T10:00:{n:02}Z\"}}\n"));
            let mut p = plan(vec![
                bytes(&format!("runs/2026/11/22/run{n:02}.jsonl"), format!("{{\"n\":0,\"run\":{n}}}\n")),
                bytes("log/m123456789/2026-11.jsonl", log.clone()),
            ]);
            p.subject = format!("run {n}");
            p
        })
        .collect();
    let made = store.repo.commit_group(&who(), None, &plans).unwrap();
    assert_eq!(made.iter().flatten().count(), 64);
    assert_eq!(store.packs(), 2, "one for the first commit, one for the group");
    assert_eq!(store.repo.head(made[63].as_ref()).unwrap().map(|h| h.commit), made[63]);
    assert_eq!(store.repo.head(made[0].as_ref()).unwrap().map(|h| h.commit), made[63]);
    store.git_is_content();
    store.git_says(&["rev-list", "--count", "HEAD"], "65");
    store.git_says(&["log", "--format=%s", "-1", "HEAD~31"], "run 32");
    store.git_says(&["show", "HEAD~63:log/m123456789/2026-11.jsonl"], log.lines().next().unwrap());
    let subjects: Vec<_> = store.repo.log(made[59].as_ref(), 100).unwrap().into_iter().map(|e| e.subject).collect();
    assert_eq!(subjects, ["run 63", "run 62", "run 61", "run 60"]);
    assert_eq!(store.repo.check(100), Vec::<String>::new());
    // The growing file is written once and then as deltas: with 64 copies it is twice as much.
    let size: u64 = std::fs::read_dir(store.root().join(".git/objects/pack"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size < 64 * 1500, "{size} bytes for 64 commits");
}

#[test]
fn removing_files_removes_empty_folders() {
    let store = Store::new();
    store.commit(&[("inbox/m1/a.json", "{}"), ("inbox/m1/b.json", "{}"), ("keep", "k")]);
    store.plan(&plan(vec![
        Change::Remove { path: "inbox/m1/a.json".to_owned() },
        Change::Remove { path: "inbox/m1/b.json".to_owned() },
        Change::Remove { path: "never/was".to_owned() },
    ]));
    store.git_is_content();
    store.git_says(&["ls-tree", "-r", "-t", "--name-only", "HEAD"], "keep");
}

#[test]
fn a_plan_that_changes_nothing_is_skipped_unless_asked_for() {
    let store = Store::new();
    let first = store.commit(&[("a", "1")]);
    let mut marked = plan(vec![bytes("a", "1")]);
    marked.allow_empty = true;
    let plans = [plan(vec![bytes("a", "1")]), marked, plan(vec![bytes("a", "2")])];
    let made = store.repo.commit_group(&who(), Some(&first), &plans).unwrap();
    assert_eq!(made.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    let nothing = store.repo.commit_group(&who(), Some(&first), &plans[..1]);
    assert_ne!(nothing.unwrap(), [None], "HEAD holds 2 now, so writing 1 is a change");
    store.git_is_content();
    store.git_says(&["rev-list", "--count", "HEAD"], "4");
}

#[test]
fn files_are_read_from_the_work_tree_with_their_executable_bit_and_never_through_links() {
    let store = Store::new();
    store.put("workflows/a/run.sh", "#!/bin/sh\n");
    let script = store.root().join("workflows/a/run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    store.plan(&plan(vec![from_work_tree("workflows/a/run.sh")]));
    store.git_says(&["ls-tree", "-r", "--format=%(objectmode)", "HEAD"], "100755");
    std::os::unix::fs::symlink("/etc/hostname", store.root().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", store.root().join("etc")).unwrap();
    for path in ["link", "etc/hostname", "absent", "workflows"] {
        let refused = store.repo.commit_group(&who(), None, &[plan(vec![from_work_tree(path)])]);
        assert!(matches!(refused, Err(GitError::NotAFile { .. })), "{path}: {refused:?}");
    }
}

#[test]
fn an_operators_commit_in_between_is_built_upon() {
    let store = Store::new();
    let first = store.commit(&[("a", "1")]);
    store.repo.refresh_index(["a"]).unwrap();
    store.put("by-hand", "x");
    if store.git(&["add", "by-hand"]).is_none() {
        return;
    }
    store.git(&["commit", "-qm", "by hand"]);
    let made = store.repo.commit_group(&who(), Some(&first), &[plan(vec![bytes("b", "2")])]).unwrap();
    assert!(made[0].is_some());
    store.git_says(&["ls-tree", "-r", "--name-only", "HEAD"], "a\nb\nby-hand");
    store.git_says(&["rev-list", "--count", "HEAD"], "3");
    store.git_says(&["reflog", "-1", "--format=%gs"], "commit: test: a commit");
}

#[test]
fn a_growing_file_is_committed_as_long_as_it_was_when_that_was_asked_for() {
    let store = Store::new();
    store.put("runs/r.jsonl", "one\ntwo\nthree\n");
    let grown = |bytes: u64| Change::Write { path: "runs/r.jsonl".to_owned(), content: Content::Grown(bytes) };
    let shown = |commit: CommitHash| store.git(&["show", &format!("{commit}:runs/r.jsonl")]);
    let first = store.plan(&plan(vec![grown(4)]));
    assert!(shown(first).is_none_or(|text| text == "one\n"));
    // one that is shorter than it was is committed as it is: `verify` tells, the kernel goes on
    let second = store.plan(&plan(vec![grown(1_000)]));
    assert!(shown(second).is_none_or(|text| text == "one\ntwo\nthree\n"));
    // and one that is gone stays what it was
    std::fs::remove_file(store.root().join("runs/r.jsonl")).unwrap();
    let made = store.repo.commit_group(&who(), None, &[plan(vec![grown(20)])]).unwrap();
    assert_eq!(made, [None]);
}
