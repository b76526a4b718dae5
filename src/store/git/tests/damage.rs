//! What a crash, a full disk or a careless hand leaves behind.

use std::{fs, path::PathBuf};

use super::{Store, bytes, plan, who};
use crate::store::git::{CommitHash, GitError, Repo};

fn branch(store: &Store) -> PathBuf {
    store.root().join(".git/refs/heads/main")
}

/// Asserts that the history counts as damaged, and that nothing gets committed on top of it.
fn is_refused(store: &Store, known: Option<&CommitHash>, hint: &str) {
    let packs = store.packs();
    let refused = store.repo.commit_group(&who(), known, &[plan(vec![bytes("x", "x")])]);
    let Err(GitError::Damaged { advice, .. }) = &refused else { panic!("{refused:?}") };
    assert!(advice.contains(hint), "{advice}");
    assert_eq!(store.packs(), packs);
    let findings = store.repo.check(10);
    assert!(findings.iter().any(|finding| finding.contains("damaged")), "{findings:?}");
}

#[test]
fn an_emptied_short_or_dangling_ref_is_damage_with_a_way_back() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    let way_back = format!("git update-ref refs/heads/main {good}");
    let dangling = "1234567890123456789012345678901234567890\n";
    for content in ["", "\n", "1234\n", "\0\0\0\0\0\0\0\0", dangling, "ref: refs/heads/other\n"] {
        fs::write(branch(&store), content).unwrap();
        is_refused(&store, None, &way_back);
    }
    if store.git(&["update-ref", "--no-deref", "refs/heads/main", &good.to_string()]).is_none() {
        fs::write(branch(&store), format!("{good}\n")).unwrap();
    }
    assert_eq!(store.repo.head(None).unwrap().map(|h| h.commit), Some(good));
    assert_eq!(store.repo.check(10), Vec::<String>::new());
}

#[test]
fn a_lost_ref_is_never_a_fresh_repository() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    fs::remove_file(branch(&store)).unwrap();
    is_refused(&store, None, &good.to_string());
    fs::remove_dir_all(store.root().join(".git/logs")).unwrap();
    let refused = store.repo.head(Some(&good));
    assert!(matches!(refused, Err(GitError::Damaged { .. })), "{refused:?}");
}

#[test]
fn packed_refs_are_read() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    if store.git(&["pack-refs", "--all"]).is_none() {
        return;
    }
    assert!(!branch(&store).exists());
    assert_eq!(store.repo.head(Some(&good)).unwrap().map(|h| h.commit), Some(good));
    store.commit(&[("a", "2")]);
    store.git_is_content();
}

#[test]
fn a_rewound_branch_is_refused() {
    let store = Store::new();
    let first = store.commit(&[("a", "1")]);
    let second = store.commit(&[("a", "2")]);
    fs::write(branch(&store), format!("{first}\n")).unwrap();
    let refused = store.repo.commit_group(&who(), Some(&second), &[plan(vec![bytes("x", "x")])]);
    assert!(matches!(refused, Err(GitError::Rewound { known, head, .. }) if known == second && head == first));
    let unknown: CommitHash = "1234567890123456789012345678901234567890".parse().unwrap();
    assert!(matches!(store.repo.head(Some(&unknown)), Err(GitError::Rewound { .. })));
}

#[test]
fn a_detached_or_broken_head_says_what_to_do() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    let head = store.root().join(".git/HEAD");
    fs::write(&head, format!("{good}\n")).unwrap();
    assert!(matches!(store.repo.head(None), Err(GitError::Unsupported { .. })));
    for content in [&b""[..], b"ref: ", b"ref: refs/heads/../../x\n", b"ref: refs/tags/x\n", b"rubbish", b"\xff\0"] {
        fs::write(&head, content).unwrap();
        assert!(matches!(store.repo.head(None), Err(GitError::Damaged { .. })), "{content:?}");
        if let Ok(repo) = Repo::open(store.root()) {
            assert!(matches!(repo.head(None), Err(GitError::Damaged { .. })), "{content:?}");
        }
    }
}

#[test]
fn a_kill_between_pack_and_ref_leaves_the_old_history() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    // The pack is published, then the branch cannot be locked: as if killed in between.
    let lock = store.root().join(".git/refs/heads/main.lock");
    let before = fs::read(branch(&store)).unwrap();
    let other = Store::new();
    other.commit(&[("a", "1")]);
    let next = other.commit(&[("b", "2")]);
    for entry in fs::read_dir(other.root().join(".git/objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, store.root().join(".git/objects/pack").join(path.file_name().unwrap())).unwrap();
    }
    fs::write(&lock, format!("{next}\n")).unwrap();
    fs::create_dir_all(store.root().join(".git/cairn-tmp/pack-dead")).unwrap();
    fs::write(store.root().join(".git/cairn-tmp/pack-dead/x.pack"), "half").unwrap();

    let repo = Repo::open(store.root()).unwrap();
    assert_eq!(repo.head(Some(&good)).unwrap().map(|h| h.commit), Some(good));
    assert_eq!(repo.check(10), Vec::<String>::new());
    assert_eq!(fs::read(branch(&store)).unwrap(), before);
    let removed = repo.clear_stale_locks().unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert!(removed[0].ends_with("main.lock"));
    assert_eq!(fs::read_dir(store.root().join(".git/cairn-tmp")).unwrap().count(), 0);
    let made = repo.commit_group(&who(), Some(&good), &[plan(vec![bytes("b", "2")])]).unwrap();
    assert!(made[0].is_some());
    store.git_is_content();
}

#[test]
fn a_lock_that_comes_and_goes_is_waited_for() {
    let store = Store::new();
    let good = store.commit(&[("a", "1")]);
    let lock = store.root().join(".git/refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        fs::remove_file(lock).unwrap();
    });
    let made = store.repo.commit_group(&who(), Some(&good), &[plan(vec![bytes("b", "2")])]).unwrap();
    holder.join().unwrap();
    assert!(made[0].is_some());
}

#[test]
fn every_flipped_byte_of_a_pack_is_found_and_nothing_panics() {
    let store = Store::new();
    store.commit(&[("a", "some content that is long enough to be compressed, compressed, compressed")]);
    let dir = store.root().join(".git/objects/pack");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    for file in files {
        let good = fs::read(&file).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&file, &bad).unwrap();
            let findings = Repo::open(store.root()).unwrap().check(10);
            assert!(!findings.is_empty(), "byte {at} of {}", file.display());
        }
        for len in [0, 1, 11, 12, 31, 32, 40, good.len() / 2, good.len() - 1] {
            fs::write(&file, &good[..len]).unwrap();
            let findings = Repo::open(store.root()).unwrap().check(10);
            assert!(!findings.is_empty(), "cut to {len} bytes: {}", file.display());
        }
        fs::write(&file, &good).unwrap();
    }
    assert_eq!(store.repo.check(10), Vec::<String>::new());
}

#[test]
fn a_missing_object_and_a_damaged_loose_object_are_findings() {
    let store = Store::new();
    store.commit(&[("a", "1")]);
    store.repo.refresh_index([]).unwrap();
    store.put("b", "loose");
    if store.git(&["add", "b"]).is_none() {
        return;
    }
    store.git(&["commit", "-qm", "loose objects"]);
    assert_eq!(store.repo.check(10), Vec::<String>::new());
    let blob = store.repo.blob_of("b", None).unwrap().unwrap().to_string();
    let file = store.root().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    let good = fs::read(&file).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    let findings = Repo::open(store.root()).unwrap().check(10);
    assert!(findings.iter().any(|f| f.contains("loose object")), "{findings:?}");
    fs::remove_file(&file).unwrap();
    let findings = Repo::open(store.root()).unwrap().check(10);
    assert!(findings.iter().any(|f| f.contains(&blob) && f.contains("missing")), "{findings:?}");
}
