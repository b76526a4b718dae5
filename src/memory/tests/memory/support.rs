//! A store in a temporary folder, and passages for it.

use std::{fs, io::Write as _, path::PathBuf};

use cairn_memory::{Memory, Query};
use cairn_store_layout::{
    MachineId,
    passage::{Passage, Source},
    paths,
};
use jiff::Timestamp;

pub(crate) struct Store {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) machine: MachineId,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), machine: MachineId::new("m000000001").unwrap() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::open(self.dir.path(), &self.machine).unwrap()
    }

    /// A memory that scans at most `scan_max` passages.
    #[cfg(feature = "lance")]
    pub(crate) fn memory_scanning(&self, scan_max: usize) -> Memory {
        let embedder = std::sync::Arc::new(cairn_memory::LocalEmbedder);
        let settings = cairn_memory::Settings { scan_max, ..Default::default() };
        Memory::open_with(self.dir.path(), &self.machine, embedder, settings).unwrap()
    }

    /// Appends the lines of passages, as the driver does.
    pub(crate) fn record(&self, passages: &[Passage]) {
        self.record_by(&self.machine, passages);
    }

    pub(crate) fn record_by(&self, machine: &MachineId, passages: &[Passage]) {
        for passage in passages {
            let line = serde_json::to_string(passage).unwrap() + "\n";
            self.append(&paths::memory(paths::PASSAGES, machine, passage.recorded_at), &line);
        }
    }

    pub(crate) fn append(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

/// A moment of November 2026.
pub(crate) fn day(day: i8) -> Timestamp {
    format!("2026-11-{day:02}T08:00:00Z").parse().unwrap()
}

/// A note recorded on the first of November.
pub(crate) fn note(id: &str, text: &str) -> Passage {
    Passage {
        id: id.to_owned(),
        recorded_at: day(1),
        text: text.to_owned(),
        kind: "note".to_owned(),
        entity: None,
        labels: Default::default(),
        source: Source::Person { person: "ada".to_owned() },
        valid_from: None,
        valid_to: None,
        supersedes: Vec::new(),
    }
}

/// The ids that memory returns, best first.
pub(crate) fn ids(memory: &Memory, query: &Query) -> Vec<String> {
    memory.recall(query).unwrap().hits.into_iter().map(|hit| hit.passage.id).collect()
}

/// The notes of the corpus, recorded one a minute.
pub(crate) fn corpus() -> Vec<Passage> {
    let minute = |n: usize| day(1) + jiff::SignedDuration::from_mins(i64::try_from(n).unwrap());
    let line = |(n, line): (usize, &str)| {
        let [id, entity, kind, text] = line.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
        Passage { recorded_at: minute(n), entity: Some(entity.to_owned()), kind: kind.to_owned(), ..note(id, text) }
    };
    include_str!("../corpus/notes.tsv").lines().enumerate().map(line).collect()
}

/// The questions of the corpus: kind, the note that answers it, the question.
pub(crate) fn questions() -> Vec<(&'static str, &'static str, &'static str)> {
    let line = |line: &'static str| {
        let [kind, id, text] = line.split('\t').collect::<Vec<_>>().try_into().expect("three columns");
        (kind, id, text)
    };
    include_str!("../corpus/questions.tsv").lines().map(line).collect()
}

/// Questions of every shape, plain and filtered: what two ways of recall must answer alike.
#[cfg(feature = "lance")]
pub(crate) fn queries() -> Vec<Query> {
    let mut out: Vec<Query> = questions().into_iter().map(|(_, _, text)| Query::new(text)).collect();
    let filtered = |text: &str, entity: Option<&str>, kind: Option<&str>, limit| Query {
        entities: entity.map(str::to_owned).into_iter().collect(),
        kinds: kind.map(str::to_owned).into_iter().collect(),
        limit,
        ..Query::new(text)
    };
    out.extend([
        filtered("invoice", Some("client/brandt-gmbh"), None, 3),
        filtered("what do they owe", Some("client/northwind-bikes"), Some("note"), 5),
        filtered("contract terms", None, Some("fact"), 10),
        filtered("the", None, None, 100),
        filtered("invoce dsicount", None, None, 5),
        filtered("nobody's client", Some("client/o'hara"), None, 5),
        Query {
            as_of: Some(cairn_memory::Past::Time(day(1) + jiff::SignedDuration::from_mins(20))),
            ..Query::new("invoice payment")
        },
        Query::new("zzyzx qwertzuiop"),
    ]);
    out
}

/// `n` notes of words as they occur in texts (few common ones, many rare), the same at every call.
pub(crate) fn many(n: usize) -> Vec<Passage> {
    let mut random = Random(7);
    let entity = |n: usize| Some(format!("client/c{}", n % 40));
    (0..n).map(|i| Passage { entity: entity(i), ..note(&format!("p{i:06}"), &random.text(30)) }).collect()
}

/// Splitmix64: random enough to make texts, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    /// One to `max` words.
    pub(crate) fn text(&mut self, max: usize) -> String {
        let syllables = ["ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu"];
        let words = 1 + self.below(max);
        let word = |random: &mut Self| {
            // A product of two draws favours small numbers: words near 0 are common.
            let mut number = random.below(60) * random.below(60);
            let mut word = String::new();
            for _ in 0..4 {
                word.push_str(syllables[number % 15]);
                number /= 15;
            }
            word
        };
        (0..words).map(|_| word(self)).collect::<Vec<_>>().join(" ")
    }
}
