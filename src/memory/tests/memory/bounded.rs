//! The tracked table over a thousand runs, under kills, and when passages stop to hold.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cairn_memory::{LocalEmbedder, Memory, Query, Settings};
use cairn_store_layout::{MachineId, passage::Passage, paths};

use crate::support::{Random, Store, corpus, day, ids, many, note};

fn git(root: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    let git = git.current_dir(root).args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"]);
    let done = git.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn bytes_below(dir: &Path) -> u64 {
    let items = fs::read_dir(dir).unwrap().map(|item| item.unwrap());
    let size = |item: fs::DirEntry| {
        let meta = item.metadata().unwrap();
        if meta.is_dir() { bytes_below(&item.path()) } else { meta.len() }
    };
    items.map(size).sum()
}

#[test]
fn a_thousand_runs_of_ten_passages_leave_few_files_and_little_in_git() {
    let store = Store::new();
    let root = store.dir.path();
    store.append(".gitignore", &(cairn_memory::GITIGNORE.join("\n") + "\n.cairn/\n"));
    store.append(".gitattributes", &(cairn_memory::GITATTRIBUTES.join("\n") + "\n"));
    git(root, &["init", "--quiet"]);
    let memory = store.memory_scanning(1_000_000);
    let passages = many(10_000);
    let (mut flushes, mut slowest, mut spent) = (0, Duration::ZERO, Duration::ZERO);
    for run in passages.chunks(10) {
        store.record(run);
        memory.remember(run);
        if memory.flush_due() {
            let begun = Instant::now();
            let changes = memory.flush().unwrap();
            (flushes, spent, slowest) = (flushes + 1, spent + begun.elapsed(), slowest.max(begun.elapsed()));
            assert!(!changes.added.is_empty());
            git(root, &["add", "--all"]);
            git(root, &["commit", "--quiet", "-m", "memory: vectors"]);
        }
    }
    memory.flush().unwrap();
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "-m", "memory: vectors"]);
    assert_eq!(git(root, &["status", "--porcelain"]), "");
    git(root, &["repack", "-a", "-d", "--quiet"]);
    git(root, &["prune-packed", "--quiet"]);
    let (files, kept) = (memory.vector_files().unwrap().len(), bytes_below(&root.join(".git")));
    println!(
        "{flushes} flushes, mean {:?}, slowest {slowest:?}; {files} files, table {} kB, .git {} kB",
        spent / flushes,
        bytes_below(&root.join(paths::vectors(&store.machine))) / 1000,
        kept / 1000
    );
    assert!(files <= 60, "{files} files");
    assert!(kept <= 20_000_000, "{kept} bytes in .git");
    assert_eq!(store.memory().stats().unwrap().flushed, 10_000);
    assert!(store.memory().flush().unwrap().is_empty());
}

#[test]
fn small_flushes_are_merged_without_losing_or_doubling_a_row() {
    let store = Store::new();
    let memory = store.memory();
    let passages = many(210);
    let mut most = 0;
    for few in passages.chunks(3) {
        store.record(few);
        memory.flush().unwrap();
        most = most.max(memory.vector_files().unwrap().len());
    }
    assert!(most <= 32 + 1 + 2, "{most} files at the most");
    assert!(memory.vector_files().unwrap().len() <= 10, "two merges of 32: {:?}", memory.vector_files());
    assert_eq!(store.memory().stats().unwrap().flushed, 210);
}

#[test]
fn passages_that_have_not_held_for_long_leave_the_table_and_are_still_found_in_the_past() {
    let store = Store::new();
    let settings = Settings { retire_age: Duration::from_secs(3600), ..Settings::default() };
    let open = || Memory::open_with(store.dir.path(), &store.machine, Arc::new(LocalEmbedder), settings).unwrap();
    let old: Vec<Passage> = (0..40).map(|n| note(&format!("old{n:02}"), &format!("price list number {n}"))).collect();
    store.record(&old);
    let memory = open();
    memory.flush().unwrap();
    assert_eq!(memory.stats().unwrap().flushed, 40);
    let successor = |(n, p): (usize, &Passage)| Passage {
        recorded_at: day(3),
        supersedes: vec![p.id.clone()],
        ..note(&format!("new{n:02}"), &format!("price list, edition {n}"))
    };
    store.record(&old.iter().enumerate().map(successor).take(30).collect::<Vec<_>>());
    memory.flush().unwrap();
    let stats = open().stats().unwrap();
    assert_eq!((stats.passages, stats.flushed), (70, 40), "30 left, 30 came");
    assert!(open().flush().unwrap().is_empty(), "those that left are not written again");
    let then = Query { as_of: Some(cairn_memory::Past::Time(day(2))), ..Query::new("price list number 7") };
    assert_eq!(ids(&open(), &then)[0], "old07");
}

/// The answers, the table and what git would track, after a kill at any moment.
fn check_whole(store: &Store, recorded: &[Passage]) {
    let memory = store.memory();
    memory.flush().unwrap();
    let stats = memory.stats().unwrap();
    assert_eq!((stats.passages, stats.flushed, stats.tail), (recorded.len(), recorded.len(), 0));
    // What is tracked is all there is to be known: a clone needs nothing else.
    let clone = Store::new();
    for path in memory.vector_files().unwrap() {
        let to = clone.path(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(store.path(&path), to).unwrap();
    }
    clone.record(recorded);
    assert_eq!(clone.memory().stats().unwrap().flushed, recorded.len());
    assert!(clone.memory().flush().unwrap().is_empty());
    // Nothing is tracked that the table does not need.
    let manifests = memory.vector_files().unwrap().into_iter().filter(|p| p.ends_with(".manifest")).count();
    assert_eq!(manifests, 1, "{:?}", memory.vector_files());
}

const CHILD_ROOT: &str = "CAIRN_TEST_TABLE_ROOT";

/// What the killed child does: small flushes, so that fragments are merged every 32, and a rebuild now and then.
#[test]
#[ignore = "started and killed by the test below"]
fn child_that_writes_until_it_is_killed() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else { return };
    let machine = MachineId::new("m000000001").unwrap();
    let memory = Memory::open(Path::new(&root), &machine).unwrap();
    let passages = many(4_000);
    println!("ready");
    let mut rounds = 0;
    loop {
        let known = memory.stats().unwrap().passages;
        let next: String =
            passages[known..known + 2].iter().map(|p| serde_json::to_string(p).unwrap() + "\n").collect();
        let path = Path::new(&root).join(paths::memory(paths::PASSAGES, &machine, day(1)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        std::io::Write::write_all(&mut &file, next.as_bytes()).unwrap();
        memory.flush().unwrap();
        rounds += 1;
        if rounds % 11 == 0 {
            memory.rebuild(&mut |_, _| {}).unwrap();
        }
    }
}

#[test]
fn a_process_killed_in_flush_merge_or_rebuild_loses_nothing() {
    let store = Store::new();
    let mut random = Random(20_261_122);
    let all = many(4_000);
    let mut grown = 0;
    for _ in 0..10 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["bounded::child_that_writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(CHILD_ROOT, store.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut said, mut out) = (String::new(), child.stdout.take().unwrap());
        let mut byte = [0];
        while !said.contains("ready") {
            assert_eq!(out.read(&mut byte).unwrap(), 1, "the child ended: {said}");
            said.push(char::from(byte[0]));
        }
        std::thread::sleep(Duration::from_millis(100 + random.below(900) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was torn by the kill is finished by its writer; here it is cut off.
        let path = store.path(&paths::memory(paths::PASSAGES, &store.machine, day(1)));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text[..whole]).unwrap();
        let recorded = text[..whole].lines().count();
        check_whole(&store, &all[..recorded]);
        grown = recorded;
    }
    println!("{grown} passages over 10 kills");
    assert!(grown > 64, "the children came to merge: {grown}");
}

#[test]
fn the_words_of_the_corpus_are_in_no_tracked_file() {
    // A passage that is forgotten must not live on as text in a table.
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory();
    memory.flush().unwrap();
    for path in memory.vector_files().unwrap() {
        let bytes = fs::read(store.path(&path)).unwrap();
        assert!(!bytes.windows(6).any(|six| six == b"Brandt"), "{path}");
    }
}
