//! Vector tables and the index: derived, so deleting or damaging them changes no answer.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_memory::{EmbedError, Embedder, LocalEmbedder, Memory, Query, Recalled, Settings};
use cairn_store_layout::{MachineId, passage::Passage, paths};

use crate::support::{Random, Store, corpus, many, note, queries};

/// Below the size of the corpus, so that recall goes through the index.
const SMALL: usize = 10;

fn answers(memory: &Memory) -> Vec<Recalled> {
    answers_to(&queries(), memory)
}

fn answers_to(queries: &[Query], memory: &Memory) -> Vec<Recalled> {
    queries.iter().map(|query| memory.recall(query).unwrap()).collect()
}

fn files(dir: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for item in fs::read_dir(dir).into_iter().flatten().flatten() {
        if item.path().is_dir() {
            out.extend(files(&item.path()));
        } else {
            out.insert(item.path().to_str().unwrap().to_owned());
        }
    }
    out
}

#[test]
fn the_index_answers_as_the_scan_does() {
    let store = Store::new();
    store.record(&corpus());
    let (scanned, indexed) = (store.memory(), store.memory_scanning(SMALL));
    assert_eq!(answers(&scanned), answers(&indexed));
    assert_eq!((scanned.stats().unwrap().indexed, indexed.stats().unwrap().indexed), (0, 60));
    assert!(!store.path("memory/vectors").exists(), "asking writes no tracked file");
    // Half in the index, half in memory: which side a passage is on does not matter.
    let store = Store::new();
    store.record(&corpus()[..30]);
    let both = store.memory_scanning(SMALL);
    both.recall(&Query::new("build it")).unwrap();
    store.record(&corpus()[30..50]);
    both.remember(&corpus()[50..]);
    assert_eq!(answers(&scanned), answers(&both));
    assert_eq!(both.stats().unwrap().indexed, 30);
    both.flush().unwrap();
    assert_eq!(both.stats().unwrap().indexed, 50, "a flush renews an index that lags too far behind, from lines");
    assert_eq!(answers(&scanned), answers(&both));
}

#[test]
fn the_index_answers_as_the_scan_does_among_thousands() {
    let store = Store::new();
    store.record(&many(2_500));
    store.record(&[note("silent", "… — !"), note("long", &"baba fofo ".repeat(1_600)), note("han", "付款 逾期 müßig")]);
    let (scanned, indexed) = (store.memory(), store.memory_scanning(2_000));
    let mut random = Random(99);
    for n in 0..40 {
        let entities = (n % 4 == 0).then(|| format!("client/c{n}")).into_iter().collect();
        let text = match n {
            1 => "逾期 müssig müßig's".to_owned(),
            2 => random.text(2_000),
            _ => random.text(6),
        };
        let query = Query { entities, limit: 10, ..Query::new(text) };
        assert_eq!(scanned.recall(&query).unwrap(), indexed.recall(&query).unwrap(), "{query:?}");
    }
    assert_eq!((scanned.stats().unwrap().indexed, indexed.stats().unwrap().indexed), (0, 2_503));
}

#[test]
fn everything_derived_can_be_deleted_or_rebuilt() {
    let store = Store::new();
    store.record(&corpus());
    let before = answers(&store.memory());
    let memory = store.memory_scanning(SMALL);
    let changes = memory.flush().unwrap();
    assert_eq!(changes.added, memory.vector_files().unwrap());
    assert!(changes.removed.is_empty());
    assert!(changes.added.iter().all(|p| p.starts_with(&paths::vectors(&store.machine)) && store.path(p).is_file()));
    assert!(!changes.added.iter().any(|p| p.contains("_transactions") || p.contains("hint")), "{changes:?}");
    assert_eq!(answers(&memory), before);

    fs::remove_dir_all(store.path("memory/vectors")).unwrap();
    fs::remove_dir_all(store.path(".cairn")).unwrap();
    assert_eq!(answers(&memory), before, "under a running process");
    assert_eq!(memory.flush().unwrap().added.len(), 2, "a table that went missing is written anew");
    fs::remove_dir_all(store.path("memory/vectors")).unwrap();
    assert_eq!(answers(&store.memory_scanning(SMALL)), before, "in a new process");

    let mut seen = Vec::new();
    memory.rebuild(&mut |done, total| seen.push((done, total))).unwrap();
    assert_eq!((seen.first(), seen.last()), (Some(&(0, 120)), Some(&(120, 120))));
    assert_eq!(answers(&memory), before);
    assert_eq!(answers(&store.memory_scanning(SMALL)), before);
    let stats = memory.stats().unwrap();
    assert_eq!((stats.passages, stats.flushed, stats.tail, stats.indexed), (60, 60, 0, 60));
}

#[test]
fn flushing_twice_writes_once_and_a_later_flush_only_what_is_new() {
    let store = Store::new();
    store.record(&corpus()[..50]);
    let first = store.memory().flush().unwrap();
    assert!(store.memory().flush().unwrap().is_empty(), "also in a new process");
    store.record(&corpus()[50..]);
    let memory = store.memory();
    let second = memory.flush().unwrap();
    // One fragment and the manifest that names both; the old manifest goes.
    assert_eq!((second.added.len(), second.removed.len()), (2, 1), "{second:?}");
    assert!(first.added.contains(&second.removed[0]));
    assert!(memory.flush().unwrap().is_empty());
    assert_eq!(memory.stats().unwrap().flushed, 60);
}

#[test]
fn a_store_that_is_scanned_opens_no_table() {
    let store = Store::new();
    store.record(&corpus());
    store.memory().flush().unwrap();
    let before = answers(&store.memory());
    // Unreadable tables prove that none was opened.
    for file in files(&store.path("memory/vectors")) {
        fs::write(file, b"").unwrap();
    }
    assert_eq!(answers(&store.memory()), before);
    assert!(!store.path(".cairn").exists());
}

/// Damages every file in turn, in several ways; memory answers as before and repairs itself.
fn check_damage(dir: &str, damage: impl Fn(&Path)) {
    // Each file costs two repairs; every fourth question, filters among them, keeps that short.
    let asked: Vec<Query> = queries().into_iter().step_by(4).collect();
    let answers = |memory: &Memory| answers_to(&asked, memory);
    let store = Store::new();
    store.record(&corpus());
    let before = answers(&store.memory());
    store.memory_scanning(SMALL).flush().unwrap();
    for file in files(&store.path(dir)) {
        if !Path::new(&file).exists() {
            continue; // replaced by the repair of another file
        }
        damage(Path::new(&file));
        let memory = store.memory_scanning(SMALL);
        assert_eq!(answers(&memory), before, "after damage to {file}");
        memory.flush().unwrap_or_else(|e| panic!("after damage to {file}: {e}"));
        let stats = store.memory_scanning(SMALL).stats().unwrap();
        assert_eq!((stats.flushed, stats.indexed), (60, 60), "after damage to {file}");
        assert_eq!(answers(&store.memory_scanning(SMALL)), before, "repaired after damage to {file}");
    }
}

#[test]
fn an_empty_file_in_the_vector_table_is_repaired() {
    check_damage("memory/vectors", |file| fs::write(file, b"").unwrap());
}

#[test]
fn a_missing_file_in_the_vector_table_is_repaired() {
    check_damage("memory/vectors", |file| fs::remove_file(file).unwrap());
}

#[test]
fn a_torn_file_in_the_vector_table_is_repaired() {
    check_damage("memory/vectors", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    });
}

#[test]
fn noise_in_the_vector_table_is_repaired() {
    check_damage("memory/vectors", |file| {
        let noise: Vec<u8> = (0..fs::metadata(file).unwrap().len()).map(|n| (n * 31 % 251) as u8).collect();
        fs::write(file, noise).unwrap();
    });
}

#[test]
fn an_empty_file_in_the_index_is_repaired() {
    check_damage(".cairn/index", |file| fs::write(file, b"").unwrap());
}

#[test]
fn a_cut_file_in_the_index_is_repaired() {
    check_damage(".cairn/index", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    });
}

#[test]
fn a_table_of_another_embedder_is_written_anew() {
    struct Ones;
    impl Embedder for Ones {
        fn id(&self) -> &str {
            "ones/1"
        }
        fn dims(&self) -> usize {
            8
        }
        fn floor(&self) -> f32 {
            0.5
        }
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(texts.iter().map(|_| vec![1.0; 8]).collect())
        }
    }
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory_scanning(SMALL);
    memory.flush().unwrap();
    let before = answers(&memory);
    let settings = Settings { scan_max: SMALL, ..Default::default() };
    let other = Memory::open_with(store.dir.path(), &store.machine, Arc::new(Ones), settings).unwrap();
    let changes = other.flush().unwrap();
    assert!(!changes.removed.is_empty());
    assert_eq!(other.stats().unwrap().flushed, 60);
    assert_ne!(answers(&other), before);
    store.memory_scanning(SMALL).flush().unwrap();
    assert_eq!(answers(&store.memory_scanning(SMALL)), before);
}

#[test]
fn machines_read_each_other_and_write_their_own_table() {
    let store = Store::new();
    let other = MachineId::new("m000000002").unwrap();
    store.record(&corpus()[..20]);
    store.record_by(&other, &corpus()[20..]);
    Memory::open(store.dir.path(), &other).unwrap().flush().unwrap();
    let theirs = files(&store.path(&paths::vectors(&other)));
    let bytes = |files: &BTreeSet<String>| files.iter().map(|f| fs::read(f).unwrap()).collect::<Vec<_>>();
    let kept = bytes(&theirs);
    let memory = store.memory_scanning(SMALL);
    let changes = memory.flush().unwrap();
    assert!(changes.added.iter().all(|p| p.starts_with(&paths::vectors(&store.machine))));
    memory.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!((files(&store.path(&paths::vectors(&other))), bytes(&theirs)), (theirs, kept));
    assert_eq!(memory.stats().unwrap().flushed, 20);
    let whole = Store::new();
    whole.record(&corpus());
    assert_eq!(answers(&memory), answers(&whole.memory()));
}

#[test]
fn an_index_full_of_superseded_passages_still_finds_the_one_that_holds() {
    let store = Store::new();
    let version = |n: usize| Passage {
        // Each replaces the one before it.
        supersedes: n.checked_sub(1).map(|old| format!("v{old:04}")).into_iter().collect(),
        ..note(&format!("v{n:04}"), "price list of the spring")
    };
    let mut passages: Vec<Passage> = (0..900).map(version).collect();
    passages[899].text = "one more word makes the latest price list of the spring rank last".to_owned();
    store.record(&passages);
    let memory = store.memory_scanning(SMALL);
    let hits = memory.recall(&Query::new("price list of the spring")).unwrap().hits;
    assert_eq!(hits.iter().map(|h| h.passage.id.as_str()).collect::<Vec<_>>(), ["v0899"]);
    assert_eq!(memory.stats().unwrap().indexed, 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_work_inside_another_runtime() {
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory_scanning(SMALL);
    tokio::task::spawn_blocking(move || {
        memory.flush().unwrap();
        assert_eq!(memory.recall(&Query::new("loyalty discount")).unwrap().hits[0].passage.id, "n08");
    })
    .await
    .unwrap();
}

#[test]
fn git_tracks_exactly_the_files_that_are_named_for_it() {
    let store = Store::new();
    store.record(&corpus());
    let memory = store.memory();
    memory.flush().unwrap();
    store.append(".gitignore", &(cairn_memory::GITIGNORE.join("\n") + "\n"));
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        let git = git.current_dir(store.dir.path()).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null");
        String::from_utf8(git.output().unwrap().stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    let tracked: Vec<String> = git(&["ls-files", "memory/vectors"]).lines().map(str::to_owned).collect();
    assert_eq!(tracked, memory.vector_files().unwrap());
    assert_eq!(tracked.len(), 2, "one fragment and the manifest: {tracked:?}");
}

#[test]
fn a_flush_that_failed_half_way_goes_on_where_it_stopped() {
    /// Embeds one batch of a flush, then fails once.
    #[derive(Default)]
    struct Faint(AtomicUsize);
    impl Embedder for Faint {
        fn id(&self) -> &str {
            LocalEmbedder.id()
        }
        fn dims(&self) -> usize {
            LocalEmbedder.dims()
        }
        fn floor(&self) -> f32 {
            LocalEmbedder.floor()
        }
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            if self.0.fetch_add(1, Ordering::Relaxed) == 1 {
                return Err(EmbedError("rate limit".to_owned()));
            }
            LocalEmbedder.embed(texts)
        }
    }
    let store = Store::new();
    store.record(&many(4_500));
    let memory =
        Memory::open_with(store.dir.path(), &store.machine, Arc::new(Faint::default()), Settings::default()).unwrap();
    let error = memory.flush().unwrap_err().to_string();
    assert!(error.contains("the embedder `local-hash-384/2` gave no vectors: rate limit"), "{error}");
    assert_eq!(memory.stats().unwrap().flushed, 4_096);
    memory.flush().unwrap();
    let stats = store.memory().stats().unwrap();
    assert_eq!((stats.flushed, stats.tail), (4_500, 0));
    assert_eq!(memory.vector_files().unwrap().len(), 3, "two fragments and a manifest: nothing was appended twice");
}
