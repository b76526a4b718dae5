//! The columns on disk: a fresh process takes them up, and whatever happens to them changes no answer.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_memory::{EmbedError, Embedder, Memory, Query, Recalled, Settings};

use crate::support::{Store, many, note};

/// Cheap vectors, counted.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Embedder for Counting {
    fn id(&self) -> &str {
        "counting/1"
    }
    fn dims(&self) -> usize {
        24
    }
    fn floor(&self) -> f32 {
        0.2
    }
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.0.fetch_add(texts.len(), Ordering::Relaxed);
        let one = |text: &&str| {
            let mut vector = vec![0.01f32; 24];
            text.bytes().enumerate().for_each(|(i, b)| vector[usize::from(b) % 24] += 1.0 / (1 + i % 5) as f32);
            vector
        };
        Ok(texts.iter().map(one).collect())
    }
}

/// Passages enough for columns to be written.
const MANY: usize = 1_200;

fn store() -> Store {
    let store = Store::new();
    store.record(&many(MANY));
    store
}

fn fresh(store: &Store) -> (Memory, Arc<Counting>) {
    let embedder = Arc::new(Counting::default());
    let memory = Memory::open_with(store.dir.path(), &store.machine, embedder.clone(), Settings::default()).unwrap();
    (memory, embedder)
}

fn answers(memory: &Memory) -> Vec<Recalled> {
    let questions = ["baba cefo", "difo guha keli", "momo nupa resi tovu baba", "gugu"];
    questions.iter().map(|text| memory.recall(&Query { limit: 20, ..Query::new(*text) }).unwrap()).collect()
}

fn files(store: &Store) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> =
        fs::read_dir(store.path(".cairn/index/columns")).unwrap().map(|f| f.unwrap().path()).collect();
    out.sort();
    out
}

#[test]
fn a_fresh_process_reads_no_known_passage_again() {
    let store = store();
    let (memory, embedder) = fresh(&store);
    let before = answers(&memory);
    assert!(embedder.0.load(Ordering::Relaxed) >= MANY);
    assert_eq!(files(&store).len(), 5, "rows, words, bytes and exact vectors, and what names them");
    let (memory, embedder) = fresh(&store);
    assert_eq!(answers(&memory), before);
    assert_eq!(embedder.0.load(Ordering::Relaxed), before.len(), "only the questions were embedded");
    // What comes after is found, and does not disturb what was there.
    store.record(&[note("new", "an aardvark")]);
    let (memory, embedder) = fresh(&store);
    assert_eq!(memory.recall(&Query::new("aardvark")).unwrap().hits[0].passage.id, "new");
    assert_eq!(embedder.0.load(Ordering::Relaxed), 2);
}

#[test]
fn segments_are_added_and_merged_and_change_no_answer() {
    let grown = Store::new();
    let all = many(9 * 1_030);
    let (memory, _) = fresh(&grown);
    for part in all.chunks(1_030) {
        grown.record(part);
        memory.recall(&Query::new("baba")).unwrap();
    }
    let segments = files(&grown).len();
    memory.flush().unwrap();
    assert!(files(&grown).len() < segments, "a flush merges neighbours of one size");
    let at_once = Store::new();
    at_once.record(&all);
    let expected = answers(&fresh(&at_once).0);
    assert_eq!(answers(&memory), expected);
    let (again, embedder) = fresh(&grown);
    assert_eq!(answers(&again), expected);
    assert_eq!(embedder.0.load(Ordering::Relaxed), expected.len());
    again.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(answers(&again), expected);
}

/// Damages each file in turn: the answers stay, and the next process has whole columns again.
fn check_damage(damage: impl Fn(&Store, &PathBuf)) {
    let store = store();
    let before = answers(&fresh(&store).0);
    for n in 0..files(&store).len() {
        let file = files(&store)[n].clone();
        damage(&store, &file);
        assert_eq!(answers(&fresh(&store).0), before, "after damage to {}", file.display());
        let (memory, _) = fresh(&store);
        assert_eq!(answers(&memory), before, "after repair of {}", file.display());
    }
}

#[test]
fn an_empty_file_of_columns_changes_no_answer() {
    check_damage(|_, file| fs::write(file, b"").unwrap());
}

#[test]
fn a_cut_file_of_columns_changes_no_answer() {
    check_damage(|_, file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    });
}

#[test]
fn a_missing_file_of_columns_changes_no_answer() {
    check_damage(|_, file| fs::remove_file(file).unwrap());
}

#[test]
fn flipped_bits_in_columns_change_no_answer() {
    check_damage(|_, file| {
        let mut bytes = fs::read(file).unwrap();
        let step = (bytes.len() / 40).max(1);
        (step / 2..bytes.len()).step_by(step).for_each(|i| bytes[i] ^= 0x10);
        fs::write(file, bytes).unwrap();
    });
}

#[test]
fn columns_of_another_store_are_not_believed() {
    let (ours, theirs) = (store(), Store::new());
    let mut others = many(MANY);
    others.iter_mut().for_each(|p| p.text.push_str(" strange"));
    theirs.record(&others);
    let before = answers(&fresh(&ours).0);
    answers(&fresh(&theirs).0);
    for file in files(&theirs) {
        fs::copy(&file, ours.path(".cairn/index/columns").join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(answers(&fresh(&ours).0), before);
}

#[test]
fn a_file_of_passages_that_was_exchanged_is_read_anew() {
    let store = store();
    let (running, _) = fresh(&store);
    let before = answers(&running);
    let file = store.path("memory/passages/m000000001/2026-11.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let half = lines[600..].join("\n") + "\n";
    fs::write(&file, &half).unwrap();
    let other = answers(&fresh(&store).0);
    assert_ne!(other, before);
    assert_eq!(answers(&running), other, "also by a process that had read the other");
    fs::write(&file, &whole).unwrap();
    assert_eq!(answers(&fresh(&store).0), before);
    assert_eq!(answers(&running), before);
    // Of the same length, and begun otherwise.
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    fs::write(&file, swapped.join("\n") + "\n").unwrap();
    assert_eq!(answers(&fresh(&store).0), before, "the same passages in another order");
}

#[test]
fn a_folder_that_can_not_be_written_costs_time_only() {
    let store = store();
    let before = answers(&fresh(&store).0);
    fs::remove_dir_all(store.path(".cairn")).unwrap();
    fs::create_dir_all(store.path(".cairn/index")).unwrap();
    fs::write(store.path(".cairn/index/columns"), b"no folder").unwrap();
    assert_eq!(answers(&fresh(&store).0), before);
    assert!(store.path(".cairn/index/columns").is_file());
}
