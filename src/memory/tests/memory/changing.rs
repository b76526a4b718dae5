//! Embedders that cost: their answers are kept, and a change of embedder never silences memory.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cairn_memory::{
    Budget, CachedEmbedder, Change, EmbedError, Embedder, LocalEmbedder, Memory, Progress, Query, Recalled,
    ServingRecord, Settings,
};

use crate::support::{Store, corpus, note, questions};

/// The local embedder with some numbers turned round, so that it ranks differently; counts what it is asked.
#[derive(Default)]
struct Paid {
    name: String,
    asked: AtomicUsize,
    down: AtomicBool,
}

impl Paid {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Embedder for Paid {
    fn id(&self) -> &str {
        &self.name
    }
    fn dims(&self) -> usize {
        if self.asked() > 0 { LocalEmbedder.dims() / 2 } else { 0 }
    }
    fn floor(&self) -> f32 {
        0.05
    }
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(EmbedError("nobody is there".to_owned()));
        }
        self.asked.fetch_add(texts.len(), Ordering::SeqCst);
        let half = |v: Vec<f32>| v.chunks(2).map(|two| two[0] - two[1]).collect();
        Ok(LocalEmbedder.embed(texts)?.into_iter().map(half).collect())
    }
    fn costs(&self) -> bool {
        true
    }
    fn at_hand(&self, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        Ok(vec![None; texts.len()])
    }
}

fn cached(store: &Store, inner: &Arc<Paid>) -> Arc<dyn Embedder> {
    Arc::new(CachedEmbedder::new(store.dir.path(), inner.clone()))
}

fn changing(store: &Store, to: &Arc<Paid>) -> Memory {
    let record = ServingRecord { id: to.name.clone(), settings: serde_json::json!({ "kind": "paid" }) };
    store.memory().changing(Change { to: cached(store, to), record })
}

fn served_by(store: &Store, embedder: Arc<dyn Embedder>) -> Memory {
    Memory::open_with(store.dir.path(), &store.machine, embedder, Settings::default()).unwrap()
}

fn answers(memory: &Memory) -> Vec<Recalled> {
    questions().iter().map(|(_, _, text)| memory.recall(&Query::new(*text)).unwrap()).collect()
}

const PART: Budget = Budget { batch: 7, time: Duration::ZERO };

#[test]
fn the_old_embedder_answers_until_the_new_one_has_every_vector_and_restarts_lose_nothing() {
    let store = Store::new();
    store.record(&corpus());
    let (old, paid) = (answers(&store.memory()), Paid::new("paid"));
    let new = answers(&served_by(&store, paid.clone()));
    assert_ne!(old, new, "they can be told apart");
    paid.asked.store(0, Ordering::SeqCst);

    let memory = changing(&store, &paid);
    for _ in 0..4 {
        assert_eq!(memory.work(PART).unwrap(), Progress::More);
        assert_eq!(answers(&memory), old);
    }
    let told = memory.embedding().unwrap();
    assert_eq!((told.serving.as_str(), told.next.as_deref()), (LocalEmbedder.id(), Some("paid")));
    assert_eq!((told.ready, told.of), (28, 60));
    drop(memory);

    let memory = changing(&store, &paid);
    assert_eq!(memory.embedding().unwrap().ready, 28, "a restart goes on where it was");
    let parts = std::iter::repeat_with(|| memory.work(PART).unwrap()).take_while(|p| *p == Progress::More).count();
    assert_eq!(parts, 4, "32 of 7, the last of which is followed by the change");
    assert_eq!(paid.asked(), 60, "no passage was paid for twice");
    assert_eq!(answers(&memory), new);
    assert!(!memory.may_have_work() || memory.work(PART).unwrap() == Progress::Rested);
    assert_eq!(ServingRecord::read(store.dir.path()).unwrap().id, "paid");
    assert_eq!(memory.embedding().unwrap().next, None);
    // And after a restart, when it is the one that serves.
    let asked = paid.asked();
    assert_eq!(answers(&served_by(&store, cached(&store, &paid))), new);
    assert_eq!(paid.asked(), asked, "passages and questions are answered from the cache");
}

#[test]
fn an_embedder_that_can_not_be_reached_changes_nothing_and_is_said() {
    let store = Store::new();
    store.record(&corpus());
    let (old, paid) = (answers(&store.memory()), Paid::new("paid"));
    paid.down.store(true, Ordering::SeqCst);
    let memory = changing(&store, &paid);
    assert_eq!(memory.work(PART).unwrap(), Progress::Failed("nobody is there".to_owned()));
    assert_eq!(answers(&memory), old);
    // Another process tells it too.
    let told = changing(&store, &paid).embedding().unwrap();
    assert_eq!((told.trouble.as_deref(), told.ready, told.of), (Some("nobody is there"), 0, 60));
    assert_eq!(ServingRecord::read(store.dir.path()), None);
    paid.down.store(false, Ordering::SeqCst);
    assert_eq!(memory.work(Budget { batch: 100, time: Duration::from_secs(60) }).unwrap(), Progress::Changed);
    assert_eq!(memory.embedding().unwrap().trouble, None);
}

#[test]
fn what_is_remembered_later_is_embedded_when_there_is_time() {
    let store = Store::new();
    let paid = Paid::new("paid");
    let memory = changing(&store, &paid);
    assert_eq!(memory.work(PART).unwrap(), Progress::Changed, "an empty memory changes at once");
    store.record(&corpus()[..5]);
    memory.remember(&corpus()[5..9]);
    let before = paid.asked();
    memory.flush().unwrap();
    assert_eq!(paid.asked(), before, "a flush never waits for an embedder");
    while memory.work(PART).unwrap() == Progress::More {}
    assert_eq!(paid.asked(), before + 9);
    assert!(memory.waiting() > 0, "and a flush is worth while again");
}

#[cfg(feature = "lance")]
#[test]
fn what_one_machine_paid_for_serves_its_clone() {
    let store = Store::new();
    store.record(&corpus());
    let paid = Paid::new("paid");
    let memory = changing(&store, &paid);
    while memory.work(PART).unwrap() != Progress::Changed {}
    memory.flush().unwrap();
    assert_eq!(memory.stats().unwrap().flushed, 60);
    let new = answers(&memory);
    fs::remove_dir_all(store.path(".cairn")).unwrap();

    let clone = Paid::new("paid");
    let memory = changing(&store, &clone);
    assert_eq!(memory.work(Budget { batch: 100, time: Duration::from_secs(60) }).unwrap(), Progress::Changed);
    assert_eq!(clone.asked(), 0, "the tracked table had every vector");
    assert_eq!(answers(&memory), new);
    assert!(memory.flush().unwrap().is_empty(), "the table is the new embedder's already");
}

fn cache_file(store: &Store) -> PathBuf {
    let dir = store.path(".cairn/cache/embeddings");
    let files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|item| item.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn embed(embedder: &dyn Embedder, texts: &[&str]) -> Vec<Vec<f32>> {
    embedder.embed(texts).unwrap()
}

#[test]
fn a_cache_gives_what_was_asked_before_and_forgives_damage() {
    let store = Store::new();
    let paid = Paid::new("paid");
    let (a, b) = (cached(&store, &paid), cached(&store, &paid));
    let first = embed(&*a, &["one", "two", "one"]);
    assert_eq!(paid.asked(), 2, "the same text is asked once");
    assert_eq!(embed(&*b, &["two", "three", "one"])[0], first[1], "another process reads it");
    assert_eq!(embed(&*a, &["three", "two"])[1], first[1]);
    assert_eq!(paid.asked(), 3);

    // A writer was killed in the middle of a record.
    let file = cache_file(&store);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let c = cached(&store, &paid);
    assert_eq!(embed(&*c, &["one", "two"]), first[..2]);
    assert_eq!(paid.asked(), 3);
    embed(&*c, &["three"]);
    assert_eq!((paid.asked(), fs::read(&file).unwrap().len()), (4, whole.len()), "the torn record was written anew");

    // A bit rots in the record of "one": it counts as absent, its neighbours do not.
    let head = whole.iter().position(|b| *b == b'\n').unwrap() as u64;
    let file_handle = fs::OpenOptions::new().write(true).open(&file).unwrap();
    let record = (whole.len() as u64 - head - 1) / 3;
    for n in 0..3 {
        file_handle.write_all_at(&[0xff], head + 1 + n * record + 40).unwrap();
        let d = cached(&store, &paid);
        let known = d.at_hand(&["one", "two", "three"]).unwrap().iter().flatten().count();
        assert_eq!(known, 2 - n as usize);
    }
    assert_eq!(embed(&*cached(&store, &paid), &["one", "two"]), first[..2]);
    // The first line is noise: the cache begins anew.
    fs::write(&file, b"what is this\n").unwrap();
    assert_eq!(embed(&*cached(&store, &paid), &["one", "two"]), first[..2]);
}

#[test]
fn a_cache_has_a_bound_and_old_models_make_room() {
    let store = Store::new();
    let paid = Paid::new("paid");
    let record = (16 + 2 * LocalEmbedder.dims() / 2 + 4) as u64;
    let small = CachedEmbedder::bounded(store.dir.path(), paid.clone(), 20 * record);
    let texts: Vec<String> = (0..100).map(|n| format!("text {n}")).collect();
    for text in &texts {
        embed(&small, &[text]);
        assert!(fs::metadata(cache_file(&store)).unwrap().len() <= 22 * record);
    }
    let asked: Vec<&str> = texts.iter().map(String::as_str).collect();
    let kept = small.at_hand(&asked).unwrap();
    assert!(kept[99].is_some() && kept[95].is_some() && kept[0].is_none(), "the newer ones stay");
    for n in 0..6 {
        embed(&*cached(&store, &Paid::new(&format!("model {n}"))), &["x"]);
    }
    assert_eq!(count(&store.path(".cairn/cache/embeddings")), 4);
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_model_that_changed_its_length_is_not_mixed_in() {
    struct Long;
    impl Embedder for Long {
        fn id(&self) -> &str {
            "paid"
        }
        fn dims(&self) -> usize {
            3
        }
        fn floor(&self) -> f32 {
            0.0
        }
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(vec![vec![1.0; 3]; texts.len()])
        }
    }
    let store = Store::new();
    store.record(&[note("a", "one")]);
    embed(&*cached(&store, &Paid::new("paid")), &["one"]);
    let told =
        CachedEmbedder::new(store.dir.path(), Arc::new(Long)).keep(&[(cairn_memory::TextDigest::of("two"), &[1.0; 3])]);
    assert!(told.unwrap_err().0.contains("the model behind this name was changed"));
}
