//! Reading trees, comparing the work tree, digests of folders.

use std::os::unix::fs::symlink;

use super::{Store, bytes, plan};
use crate::store::git::{ChangeKind, CommitHash, GitError, ReadLimits, TreeId};

fn digest(store: &Store, dir: &str) -> Option<TreeId> {
    store.repo.write_tree_id_of_dir(dir).unwrap()
}

#[test]
fn trees_and_blobs_are_found_by_path_at_any_commit() {
    let store = Store::new();
    let old = store.commit(&[("workflows/a/workflow.toml", "v1"), ("workflows/a/prompts/p.md", "hello")]);
    let new = store.commit(&[("workflows/a/workflow.toml", "v2")]);
    let (before, now) = (
        store.repo.tree_of("workflows/a", Some(&old)).unwrap().unwrap(),
        store.repo.tree_of("workflows/a", None).unwrap().unwrap(),
    );
    assert_ne!(before, now);
    assert_eq!(store.repo.tree_of("workflows/a", Some(&new)).unwrap(), Some(now));
    assert_eq!(store.repo.tree_of("workflows/b", None).unwrap(), None);
    assert_eq!(store.repo.tree_of("workflows/a/workflow.toml", None).unwrap(), None);
    store.git_says(&["rev-parse", "HEAD:workflows/a"], &now.to_string());
    let files = store.repo.read_tree_files(&before, ReadLimits::default()).unwrap();
    let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    assert_eq!(files, [("prompts/p.md", &b"hello"[..]), ("workflow.toml", b"v1")]);
    let blob = store.repo.blob_of("workflows/a/workflow.toml", None).unwrap().unwrap();
    assert_eq!(store.repo.read_blob(&blob).unwrap(), b"v2");
    assert!(store.repo.has_object(&blob));
    let absent: TreeId = "1234567890123456789012345678901234567890".parse().unwrap();
    assert!(!store.repo.has_object(&absent));
    assert!(matches!(store.repo.read_tree_files(&absent, ReadLimits::default()), Err(GitError::Damaged { .. })));
    assert!("12345".parse::<CommitHash>().is_err());
}

#[test]
fn limits_are_held() {
    let store = Store::new();
    store.commit(&[("d/a", "12345"), ("d/b", "12345")]);
    let tree = store.repo.tree_of("d", None).unwrap().unwrap();
    let read = |files_max, bytes_max| store.repo.read_tree_files(&tree, ReadLimits { files_max, bytes_max });
    assert_eq!(read(2, 10).unwrap().len(), 2);
    assert!(matches!(read(1, 10), Err(GitError::TooLarge { .. })));
    assert!(matches!(read(2, 9), Err(GitError::TooLarge { .. })));
}

#[test]
fn a_link_or_a_submodule_in_a_tree_is_refused() {
    let store = Store::new();
    store.commit(&[("w/ok", "x")]);
    store.repo.refresh_index([]).unwrap();
    symlink("/etc/passwd", store.root().join("w/link")).unwrap();
    if store.git(&["add", "w/link"]).is_none() {
        return;
    }
    store.git(&["commit", "-qm", "a link"]);
    let tree = store.repo.tree_of("w", None).unwrap().unwrap();
    let refused = store.repo.read_tree_files(&tree, ReadLimits::default());
    assert!(
        matches!(&refused, Err(GitError::NotAFile { path, what }) if path == "link" && what.contains("link")),
        "{refused:?}"
    );
    assert_eq!(store.repo.blob_of("w/link", None).unwrap(), None);
    let findings = store.repo.check(10);
    assert!(findings.len() == 1 && findings[0].contains("symbolic link"), "{findings:?}");
    let head = store.git(&["rev-parse", "HEAD"]).unwrap();
    store.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},w/module", head.trim())]);
    store.git(&["commit", "-qm", "a submodule"]);
    let tree = store.repo.tree_of("w", None).unwrap().unwrap();
    assert!(matches!(store.repo.read_tree_files(&tree, ReadLimits::default()), Err(GitError::NotAFile { .. })));
}

#[test]
fn edits_are_found_by_content() {
    let store = Store::new();
    store.commit(&[("workflows/a/w.toml", "1"), ("workflows/a/p.md", "p"), ("agents/x.toml", "x"), ("other/o", "o")]);
    let find = || {
        let changes = store.repo.changed_under(&["workflows", "agents", "policies"]).unwrap();
        let paths = changes.paths.into_iter().map(|c| (c.path, c.kind)).collect::<Vec<_>>();
        (paths, changes.findings)
    };
    assert_eq!(find(), (vec![], vec![]));
    store.put("workflows/a/w.toml", "1"); // touched, not changed
    for leftover in
        ["workflows/a/w.toml~", "workflows/a/.w.toml.swp", "workflows/a/.#w.toml", "workflows/a/#w#", "workflows/4913"]
    {
        store.put(leftover, "leftover");
    }
    store.put("other/o", "changed, but not watched");
    assert_eq!(find(), (vec![], vec![]));
    store.put("workflows/a/w.toml", "2");
    store.put("policies/new.toml", "n");
    std::fs::remove_file(store.root().join("workflows/a/p.md")).unwrap();
    std::fs::remove_file(store.root().join("agents/x.toml")).unwrap();
    symlink("/etc/passwd", store.root().join("agents/x.toml")).unwrap();
    let (paths, findings) = find();
    let expected = [
        ("policies/new.toml", ChangeKind::Added),
        ("workflows/a/p.md", ChangeKind::Removed),
        ("workflows/a/w.toml", ChangeKind::Modified),
    ];
    assert_eq!(paths, expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert!(findings.len() == 1 && findings[0].contains("agents/x.toml"), "{findings:?}");
}

#[test]
fn everything_is_new_before_the_first_commit() {
    let store = Store::new();
    store.put("workflows/a", "1");
    let changes = store.repo.changed_under(&["workflows"]).unwrap();
    assert_eq!(changes.paths.len(), 1);
    assert_eq!(changes.paths[0].kind, ChangeKind::Added);
}

#[test]
fn a_folders_digest_is_known_before_its_commit() {
    let store = Store::new();
    assert_eq!(digest(&store, "w"), None);
    store.put("w/workflow.toml", "v1");
    store.put("w/prompts/a.md", "a");
    store.put("w/prompts.txt", "sorts between the folder and its content");
    store.put("w/.hidden", "no");
    let before = digest(&store, "w").unwrap();
    assert!(!store.repo.has_object(&before), "asking must not write");
    store.commit(&[
        ("w/workflow.toml", "v1"),
        ("w/prompts/a.md", "a"),
        ("w/prompts.txt", "sorts between the folder and its content"),
    ]);
    assert_eq!(store.repo.tree_of("w", None).unwrap(), Some(before));
    store.put("w/workflow.toml", "v2");
    let after = store.repo.store_dir("w").unwrap().unwrap();
    assert_eq!(digest(&store, "w"), Some(after));
    assert_eq!(store.repo.read_tree_files(&after, ReadLimits::default()).unwrap()["workflow.toml"], b"v2");
    store.git_is_content();
    symlink("/etc/passwd", store.root().join("w/link")).unwrap();
    assert!(store.repo.write_tree_id_of_dir("w").is_err());
}

#[test]
fn the_log_follows_merges_and_leaves_out_what_is_known() {
    let store = Store::new();
    let base = store.commit(&[("a", "1")]);
    store.repo.refresh_index([]).unwrap();
    if store.git(&["checkout", "-q", "-b", "other"]).is_none() {
        return;
    }
    let theirs = store.commit(&[("theirs", "1")]);
    store.repo.refresh_index(["theirs"]).unwrap();
    store.git(&["checkout", "-q", "main"]);
    let ours = store.commit(&[("ours", "1")]);
    store.repo.refresh_index(["ours"]).unwrap();
    store.git(&["merge", "-q", "--no-ff", "-m", "merged", "other"]);
    store.commit(&[("after", "1")]);
    let list = |stop: Option<&CommitHash>| {
        let mut ids: Vec<_> = store.repo.log(stop, 100).unwrap().into_iter().map(|e| e.commit).collect();
        ids.drain(..2.min(ids.len())); // the merge and what came after
        ids.sort_unstable();
        ids
    };
    let mut all = vec![base, theirs, ours];
    all.sort_unstable();
    assert_eq!(list(None), all);
    assert_eq!(list(Some(&ours)), [theirs]);
    assert_eq!(store.repo.log(None, 3).unwrap().len(), 3);
    assert_eq!(store.repo.append_only_violations(|_| true, 100), Vec::<String>::new());
}

#[test]
fn a_rewritten_append_only_file_is_caught() {
    let store = Store::new();
    let runs = |path: &str| path.starts_with("runs/");
    store.commit(&[("runs/a.jsonl", "1\n"), ("runs/b.jsonl", "1\n"), ("edited", "1")]);
    store.commit(&[("runs/a.jsonl", "1\n2\n"), ("edited", "2")]);
    assert_eq!(store.repo.append_only_violations(runs, 100), Vec::<String>::new());
    let bad = store.commit(&[("runs/a.jsonl", "1\n3\n4\n")]);
    let gone = store.plan(&plan(vec![crate::store::git::Change::Remove { path: "runs/b.jsonl".to_owned() }]));
    store.plan(&plan(vec![bytes("other", "x")]));
    let found = store.repo.append_only_violations(runs, 100);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("removes `runs/b.jsonl`") && found[0].contains(&gone.to_string()));
    assert!(found[1].contains("rewrites `runs/a.jsonl`") && found[1].contains(&bad.to_string()));
    assert_eq!(store.repo.append_only_violations(runs, 1), Vec::<String>::new(), "the bound holds");
}
