//! A contestant in a process of its own: it opens what is on disk, answers, and says how long each answer took.

use std::{path::PathBuf, process::Command, time::Instant};

use cairn_store_layout::MachineId;
use serde::{Deserialize, Serialize};

use crate::{
    broken::{Broken, During as _, Result},
    engine::{self, HITS},
    exact::{self, Flat},
    invent::Inventor,
    sqlite,
};

/// Questions between the first and those that count: what is read once has been read then.
const WARMING: usize = 20;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Cairn's memory: words and vectors, the question's embedding included.
    Cairn,
    /// Cairn's memory without an embedder.
    CairnWords,
    /// Every vector compared in memory.
    Exact,
    /// Words in SQLite.
    Fts5,
    /// Vectors in SQLite.
    SqliteVec,
}

impl Contestant {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Cairn, Self::CairnWords, Self::Exact, Self::SqliteVec, Self::Fts5];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cairn => "Cairn",
            Self::CairnWords => "Cairn, words only",
            Self::Exact => "plain scan, f32 in memory",
            Self::Fts5 => "SQLite FTS5",
            Self::SqliteVec => "sqlite-vec",
        }
    }
}

/// What a contestant is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Who answers.
    pub contestant: Contestant,
    /// The store.
    pub store: PathBuf,
    /// The machine that owns it.
    pub machine: String,
    /// The folder with the tables of the peers ([`files`]).
    pub peers: PathBuf,
    /// How many passages there are.
    pub size: usize,
    /// How many answers count.
    pub questions: usize,
}

/// How long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// From opening to the first answer, in milliseconds.
    pub first_ms: f64,
    /// Each answer that counts, in milliseconds.
    pub each_ms: Vec<f64>,
    /// Memory of the process at the end, in MiB.
    pub resident_mib: f64,
    /// How many hits there were in all: a contestant that finds nothing is quick.
    pub hits: usize,
}

/// The files of the peers within their folder.
pub mod files {
    /// Vectors, one after the other.
    pub const VECTORS: &str = "vectors.f32";
    /// The FTS5 table.
    pub const FTS5: &str = "words.db";
    /// The sqlite-vec table.
    pub const SQLITE_VEC: &str = "vectors.db";
}

impl Errand {
    /// Sends a child to do it.
    ///
    /// # Errors
    /// When it can not be started or breaks off.
    pub fn send(&self) -> Result<Answered> {
        let program = std::env::current_exe().during("find our own program")?;
        let errand = serde_json::to_string(self).during("write an errand")?;
        let done = Command::new(program).arg("--errand").arg(errand).output().during("start a process")?;
        if !done.status.success() {
            let told = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return Err(Broken::new(format!("measure {} in a process", self.contestant.name()), told));
        }
        serde_json::from_slice(&done.stdout).during("read what a process measured")
    }

    /// Does it, in this process.
    ///
    /// # Errors
    /// When a contestant refuses.
    pub fn carry_out(&self) -> Result<Answered> {
        let questions = Inventor::default().questions(1 + WARMING + self.questions, self.size);
        match self.contestant {
            Contestant::Cairn => {
                let machine = MachineId::new(&*self.machine).during("read an errand")?;
                let begun = Instant::now();
                let memory = engine::open(&self.store, &machine)?;
                time(begun, &questions, |text| Ok(engine::ask(&memory, text, HITS)?.len()))
            }
            Contestant::CairnWords => {
                let machine = MachineId::new(&*self.machine).during("read an errand")?;
                let begun = Instant::now();
                let absent = std::sync::Arc::<engine::Absent>::default();
                let memory = engine::open_with(&self.store, &machine, absent)?;
                time(begun, &questions, |text| Ok(engine::ask(&memory, text, HITS)?.len()))
            }
            Contestant::Exact => {
                let vectors = embedded(&questions)?;
                let begun = Instant::now();
                let flat = Flat::read(&self.peers.join(files::VECTORS), vectors[0].len())?;
                time(begun, &vectors, |vector| Ok(flat.nearest(vector, HITS).len()))
            }
            Contestant::Fts5 => {
                let begun = Instant::now();
                let table = sqlite::Words::open(&self.peers.join(files::FTS5))?;
                let mut question = table.question()?;
                time(begun, &questions, |text| Ok(question.by_words(text, HITS)?.len()))
            }
            Contestant::SqliteVec => {
                let vectors = embedded(&questions)?;
                let begun = Instant::now();
                let table = sqlite::Vectors::open(&self.peers.join(files::SQLITE_VEC))?;
                let mut question = table.question()?;
                time(begun, &vectors, |vector| Ok(question.by_vector(vector, HITS)?.len()))
            }
        }
    }
}

/// Peers are given the vectors of the questions; only Cairn makes them while it is timed.
fn embedded(questions: &[String]) -> Result<Vec<Vec<f32>>> {
    exact::embed(&questions.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Asks them all; `begun` is when the contestant began to open.
fn time<Q>(begun: Instant, questions: &[Q], mut ask: impl FnMut(&Q) -> Result<usize>) -> Result<Answered> {
    let mut hits = 0;
    let mut each_ms = Vec::with_capacity(questions.len());
    let mut first_ms = 0.0;
    for (n, question) in questions.iter().enumerate() {
        let since = if n == 0 { begun } else { Instant::now() };
        let found = ask(question)?;
        let took = since.elapsed().as_secs_f64() * 1e3;
        match n {
            0 => first_ms = took,
            n if n <= WARMING => {}
            _ => {
                each_ms.push(took);
                hits += found;
            }
        }
    }
    Ok(Answered { first_ms, each_ms, resident_mib: resident_mib(), hits })
}

/// Memory of this process; 0 where the system does not tell.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
