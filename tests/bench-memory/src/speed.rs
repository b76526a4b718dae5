//! How long an answer takes as the store grows, warm and in a fresh process, beside the peers; and how many of the
//! true neighbours the vector half finds.

use std::{collections::BTreeSet, fs, path::Path, path::PathBuf, sync::Arc};

use cairn::bench::{
    clock::Stretch,
    figure::{Figure, Target, percentile},
};
use cairn_store_layout::passage::Passage;

use crate::{
    broken::{During as _, Result},
    child::{Answered, Contestant, Errand, files},
    engine::{self, HITS, Prepared},
    exact::{self, Flat},
    invent::Inventor,
    sqlite,
    stage::Stage,
};

const PART: &str = "speed";
/// Questions whose true neighbours are looked for.
const JUDGED: usize = 100;
/// The size at which most targets are stated.
const LARGE: usize = 100_000;
const MIDDLE: usize = 10_000;

/// A store of one size, with the peers' tables beside it.
pub(crate) struct Sized {
    /// How many passages.
    pub(crate) size: usize,
    pub(crate) stage: Stage,
    pub(crate) passages: Vec<Passage>,
    pub(crate) vectors: Vec<Vec<f32>>,
    peers: PathBuf,
}

impl Sized {
    /// Makes it below `dir`, an empty folder: passages recorded, flushed and indexed, and the same in SQLite.
    pub(crate) fn make(dir: &Path, size: usize, say: &dyn Fn(&str)) -> Result<Self> {
        say(&format!("a store of {size} passages"));
        let passages = Inventor::default().passages(size);
        let mut stage = Stage::make(dir)?;
        stage.record(&passages)?;
        let vectors = exact::embed(&passages.iter().map(|p| p.text.as_str()).collect::<Vec<_>>())?;
        let made = Self { size, stage, passages, vectors, peers: dir.join("peers") };
        let memory = engine::open_with(&made.stage.root, &made.stage.machine, made.prepared())?;
        memory.flush().during("flush the memory")?;
        // the first question makes the index, in a store large enough for one
        engine::ask(&memory, "anything", HITS)?;
        Ok(made)
    }

    /// An embedder that knows all vectors already.
    pub(crate) fn prepared(&self) -> Arc<Prepared> {
        Arc::new(Prepared::new(&self.passages, &self.vectors))
    }

    fn write_peers(&self) -> Result<()> {
        fs::create_dir(&self.peers).during("make a folder for the peers")?;
        Flat::of(&self.vectors).write(&self.peers.join(files::VECTORS))?;
        let texts = self.passages.iter().map(|p| (p.text.as_str(), p.entity.as_deref().unwrap_or_default()));
        sqlite::Words::make(&self.peers.join(files::FTS5), texts)?;
        sqlite::Vectors::make(&self.peers.join(files::SQLITE_VEC), &self.vectors)
    }

    fn send(&self, contestant: Contestant) -> Result<Answered> {
        let questions = if self.size >= LARGE { 200 } else { 400 };
        let (store, peers) = (self.stage.root.clone(), self.peers.clone());
        let machine = self.stage.machine.to_string();
        Errand { contestant, store, machine, peers, size: self.size, questions }.send()
    }
}

/// Measures all contestants over a store.
pub(crate) fn measure(sized: &Sized, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    let size = sized.size;
    let name = |what: String| format!("{size} passages: {what}");
    let mut figures = vec![near(sized, say)?];
    sized.write_peers()?;
    let mut times = Vec::new();
    for contestant in Contestant::ALL {
        say(&format!("  questions to {}", contestant.name()));
        let mut answered = sized.send(contestant)?;
        let hits = answered.hits as f64 / answered.each_ms.len().max(1) as f64;
        figures.push(Figure::new(PART, name(format!("{}, hits a question", contestant.name())), hits, "hits"));
        if contestant == Contestant::Cairn {
            let resident = Figure::new(PART, name("Cairn, memory".to_owned()), answered.resident_mib, "MiB");
            figures.push(if size == LARGE { resident.aim(Target::AtMost(180.0)) } else { resident });
        }
        let p50 = percentile(&mut answered.each_ms, 50.0);
        let p99 = percentile(&mut answered.each_ms, 99.0);
        for (what, value) in [("p50", p50), ("p99", p99), ("first", answered.first_ms)] {
            let figure = Figure::new(PART, name(format!("{}, {what}", contestant.name())), value, "ms");
            times.push(match target(what, size).filter(|_| contestant == Contestant::Cairn) {
                Some(target) => figure.aim(target),
                None => figure,
            });
        }
    }
    times.extend(ratio(&times, size));
    times.push(embedding(size)?);
    figures.extend(times);
    Ok(figures)
}

/// What Cairn's answers should take.
fn target(what: &str, size: usize) -> Option<Target> {
    let most = match (what, size) {
        ("p50", MIDDLE) => 2.0,
        ("p50", LARGE) => 8.0,
        ("p99", LARGE) => 40.0,
        ("first", LARGE) => 100.0,
        _ => return None,
    };
    Some(Target::AtMost(most))
}

/// Cairn's median beside that of sqlite-vec.
fn ratio(times: &[Figure], size: usize) -> Option<Figure> {
    let p50 = |who: Contestant| {
        let name = format!("{size} passages: {}, p50", who.name());
        times.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    };
    let ratio = p50(Contestant::Cairn)? / p50(Contestant::SqliteVec)?.max(f64::MIN_POSITIVE);
    let figure = Figure::new(PART, format!("{size} passages: Cairn, p50 beside sqlite-vec"), ratio, "x");
    Some(if size == LARGE { figure.aim(Target::AtMost(0.1)) } else { figure })
}

/// What of Cairn's time is the embedding of the question, which the peers are spared.
fn embedding(size: usize) -> Result<Figure> {
    let questions = Inventor::default().questions(JUDGED, size);
    let begun = Stretch::begin();
    for question in &questions {
        exact::embed(&[question])?;
    }
    let each = begun.cost().cpu / questions.len() as f64 * 1e3;
    Ok(Figure::new(PART, format!("{size} passages: embedding of a question, CPU"), each, "ms"))
}

/// How many of the ten nearest, found by comparing all, are among the first ten of Cairn's vector half. What lies
/// at or below the embedder's floor counts as unrelated and is no hit by design.
fn near(sized: &Sized, say: &dyn Fn(&str)) -> Result<Figure> {
    say("  the vector half beside a plain scan");
    let memory = engine::open(&sized.stage.root, &sized.stage.machine)?;
    let flat = Flat::of(&sized.vectors);
    let questions = Inventor::default().questions(JUDGED, sized.size);
    let asked = exact::embed(&questions.iter().map(String::as_str).collect::<Vec<_>>())?;
    let floor = engine::embedder().floor();
    let (mut found, mut there) = (0, 0);
    for (question, vector) in questions.iter().zip(&asked) {
        let nearest = flat.nearest(vector, HITS).into_iter().filter(|(_, cosine)| *cosine > floor);
        let truth: BTreeSet<&str> = nearest.map(|(place, _)| sized.passages[place].id.as_str()).collect();
        let answers = engine::ask_by_vector(&memory, question, HITS)?;
        there += truth.len();
        found += answers.iter().filter(|id| truth.contains(id.as_str())).count();
    }
    let share = if there == 0 { 0.0 } else { found as f64 / there as f64 };
    let name = format!("{} passages: Cairn's vector half beside a plain scan", sized.size);
    Ok(Figure::new(PART, name, share, "recall@10").aim(Target::AtLeast(0.97)))
}
