//! `git status` after our commits.

use super::{Store, bytes, plan, who};
use crate::store::git::{Change, GitError};

fn is_clean(store: &Store) {
    store.git_says(&["status", "--porcelain", "-uall"], "");
    store.git_says(&["diff", "--cached", "--name-only"], "");
    if let Some(tree) = store.git(&["rev-parse", "HEAD^{tree}"]) {
        // Reads the index's own table of folder ids, so it is wrong if the table is.
        store.git_says(&["write-tree"], tree.trim());
    }
}

#[test]
fn status_is_clean_after_every_kind_of_change() {
    let store = Store::new();
    store.commit(&[("runs/2026/11/22/a.jsonl", "1\n"), ("store.toml", "x"), ("inbox/m/1.json", "{}")]);
    store.repo.refresh_index([]).unwrap();
    is_clean(&store);
    for n in 0..4 {
        let path = format!("runs/2026/11/2{n}/b.jsonl");
        store.commit(&[(&path, "1\n"), ("store.toml", &format!("x{n}"))]);
        store.repo.refresh_index([path.as_str(), "store.toml"]).unwrap();
        is_clean(&store);
    }
    std::fs::remove_file(store.root().join("inbox/m/1.json")).unwrap();
    store.plan(&plan(vec![Change::Remove { path: "inbox/m/1.json".to_owned() }]));
    store.repo.refresh_index(["inbox/m/1.json"]).unwrap();
    is_clean(&store);
    store.git_says(&["ls-files", "inbox"], "");
    // A file that becomes a folder.
    std::fs::remove_file(store.root().join("store.toml")).unwrap();
    store.put("store.toml/x", "y");
    store.plan(&plan(vec![Change::Remove { path: "store.toml".to_owned() }, super::from_work_tree("store.toml/x")]));
    store.repo.refresh_index(["store.toml", "store.toml/x"]).unwrap();
    is_clean(&store);
}

#[test]
fn what_the_operator_staged_stays_staged() {
    let store = Store::new();
    store.commit(&[("a", "1"), ("d/b", "1")]);
    store.repo.refresh_index([]).unwrap();
    store.put("d/staged", "new");
    if store.git(&["add", "d/staged"]).is_none() {
        return;
    }
    store.git(&["write-tree"]); // makes git fill in the table of folder ids, staged file included
    store.commit(&[("d/b", "2")]);
    store.repo.refresh_index(["d/b"]).unwrap();
    store.git_says(&["status", "--porcelain"], "A  d/staged");
    store.git(&["commit", "-qm", "by hand"]);
    store.git_says(&["ls-tree", "-r", "--name-only", "HEAD"], "a\nd/b\nd/staged");
    store.git_says(&["show", "HEAD:d/b"], "2");
    store.commit(&[("a", "2")]);
    store.repo.refresh_index(["a"]).unwrap();
    is_clean(&store);
}

#[test]
fn a_kernel_that_died_before_the_refresh_is_caught_up_with() {
    let store = Store::new();
    store.commit(&[("a", "1"), ("d/b", "1"), ("gone", "1")]);
    store.repo.catch_up_index(10).unwrap();
    is_clean(&store);
    store.commit(&[("d/b", "2"), ("d/c", "1")]);
    std::fs::remove_file(store.root().join("gone")).unwrap();
    store.plan(&plan(vec![Change::Remove { path: "gone".to_owned() }]));
    store.repo.catch_up_index(2).unwrap();
    if let Some(status) = store.git(&["status", "--porcelain"]) {
        assert_ne!(status, "", "the commit lies beyond the bound");
    }
    store.repo.catch_up_index(3).unwrap();
    is_clean(&store);
    store.put("staged", "x");
    if store.git(&["add", "staged"]).is_none() {
        return;
    }
    store.git(&["write-tree"]);
    store.repo.catch_up_index(10).unwrap();
    store.git_says(&["status", "--porcelain"], "A  staged");
}

#[test]
fn a_file_edited_after_its_commit_is_reported() {
    let store = Store::new();
    store.put("a", "disk");
    // Old enough for git to trust what the index says about it.
    let file = std::fs::File::options().write(true).open(store.root().join("a")).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    store.plan(&plan(vec![bytes("a", "head")]));
    store.repo.refresh_index(["a"]).unwrap();
    store.git_says(&["status", "--porcelain"], " M a");
    std::fs::remove_file(store.root().join(".git/index")).unwrap();
    store.repo.refresh_index([]).unwrap();
    store.git_says(&["status", "--porcelain"], " M a");
}

#[test]
fn a_missing_or_broken_index_is_made_anew() {
    let store = Store::new();
    store.commit(&[("a", "1"), ("d/b", "2"), ("d/e/c", "3")]);
    let index = store.root().join(".git/index");
    for broken in [&b""[..], b"DIRC", b"not an index at all, but longer than a checksum"] {
        std::fs::write(&index, broken).unwrap();
        store.repo.refresh_index(["a"]).unwrap();
        is_clean(&store);
    }
    std::fs::remove_file(&index).unwrap();
    store.put("d/b", "edited");
    store.repo.refresh_index(["a"]).unwrap();
    store.git_says(&["status", "--porcelain"], " M d/b");
}

/// A power cut may leave an index whose entries can be read and whose end is zeros or missing.
#[test]
fn an_index_that_was_torn_is_made_anew_at_a_start() {
    let store = Store::new();
    store.commit(&[("a", "1"), ("d/b", "2"), ("d/e/c", "3")]);
    store.repo.refresh_index([]).unwrap();
    let index = store.root().join(".git/index");
    let whole = std::fs::read(&index).unwrap();
    for keep in (0..whole.len()).step_by(8) {
        let mut torn = whole.clone();
        torn[keep..].fill(0);
        std::fs::write(&index, torn).unwrap();
        store.repo.catch_up_index(10).unwrap();
        assert_eq!(std::fs::read(&index).unwrap().len(), whole.len(), "torn at {keep}");
        if keep % 64 == 0 {
            is_clean(&store);
        }
    }
}

#[test]
fn the_lock_of_a_living_git_is_respected_and_ours_is_recognised() {
    let store = Store::new();
    store.commit(&[("a", "1")]);
    let lock = store.root().join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    let scratch = store.root().join(".git/cairn-tmp/index-dead");
    std::fs::write(&scratch, "published long ago").unwrap();
    assert_eq!(store.repo.clear_stale_locks().unwrap(), Vec::<std::path::PathBuf>::new());
    let refused = store.repo.refresh_index(["a"]);
    assert!(matches!(refused, Err(GitError::Locked { .. })), "{refused:?}");
    std::fs::remove_file(&lock).unwrap();
    // What a kernel killed between locking and renaming leaves behind.
    std::fs::write(&scratch, "half an index").unwrap();
    std::fs::hard_link(&scratch, &lock).unwrap();
    let removed = store.repo.clear_stale_locks().unwrap();
    assert_eq!(removed.len(), 1);
    assert!(removed[0].ends_with("index.lock"));
    assert!(!scratch.exists());
    store.repo.refresh_index(["a"]).unwrap();
    is_clean(&store);
}

#[test]
fn a_thousand_entries_stay_clean_over_many_groups() {
    let store = Store::new();
    let mut paths = Vec::new();
    for round in 0..5 {
        let files: Vec<_> =
            (0..200).map(|n| format!("runs/2026/{:02}/{:02}/r{round}-{n}.jsonl", n % 12, n % 28)).collect();
        files.iter().for_each(|path| store.put(path, path));
        let plans: Vec<_> =
            files.chunks(20).map(|c| plan(c.iter().map(|p| super::from_work_tree(p)).collect())).collect();
        store.repo.commit_group(&who(), None, &plans).unwrap();
        store.repo.refresh_index(files.iter().map(String::as_str)).unwrap();
        is_clean(&store);
        paths.extend(files);
    }
    if let Some(listed) = store.git(&["ls-files"]) {
        assert_eq!(listed.lines().count(), paths.len());
    }
}
