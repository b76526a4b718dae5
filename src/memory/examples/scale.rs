//! What recall costs with many passages: `cargo run --release -p cairn-memory --example scale -- 100000`.
//!
//! It makes a store of as many passages as it is told in a temporary folder, then measures making the
//! columns, the first question of fresh processes, warm questions, and memory. With `--child DIR` it is such a process.

#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cairn_memory::{EmbedError, Embedder, Memory, Query, Settings};
use cairn_store_layout::{
    MachineId,
    passage::{Passage, Source},
    paths,
};
use jiff::{SignedDuration, Timestamp};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "--child") {
        return child(Path::new(&args[2]));
    }
    let passages: usize = args.get(1).map_or(10_000, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), passages);
    let memory = open(dir.path());
    let (_, built) = timed(|| memory.recall(&Query::new("first question")).unwrap());
    println!("{passages} passages; columns made in {built:.1?}, {} MiB resident after", resident());
    let mut question = Random(7);
    let mut times: Vec<Duration> =
        (0..300).map(|_| timed(|| memory.recall(&Query::new(question.text(8))).unwrap()).1).collect();
    times.sort();
    println!("warm: p50 {:.2?}, p99 {:.2?}", times[150], times[297]);
    drop(memory);
    for _ in 0..3 {
        let out = Command::new(&args[0]).arg("--child").arg(dir.path()).output().unwrap();
        print!("{}", String::from_utf8(out.stdout).unwrap());
    }
    let size: u64 = fs::read_dir(dir.path().join(".cairn/index/columns"))
        .unwrap()
        .map(|f| f.unwrap().metadata().unwrap().len())
        .sum();
    println!("columns on disk: {} MiB", size >> 20);
}

fn child(dir: &Path) {
    let memory = open(dir);
    let (_, first) = timed(|| memory.recall(&Query::new("which client pays late")).unwrap());
    println!("fresh process: first question {first:.1?}, {} MiB resident after", resident());
}

fn open(dir: &Path) -> Memory {
    Memory::open_with(dir, &machine(), std::sync::Arc::new(Spread), Settings::default()).unwrap()
}

fn machine() -> MachineId {
    MachineId::new("m000000001").unwrap()
}

/// Dense vectors as models make them, cheap to make: each word gives every number a share.
struct Spread;

impl Embedder for Spread {
    fn id(&self) -> &str {
        "spread/1"
    }
    fn dims(&self) -> usize {
        384
    }
    fn floor(&self) -> f32 {
        0.1
    }
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let one = |text: &&str| {
            let mut vector = vec![0f32; 384];
            for word in text.split_whitespace() {
                let mut random = Random(word.bytes().fold(7, |sum, b| sum * 31 + u64::from(b)));
                vector.iter_mut().for_each(|x| *x += (random.below(2001) as f32 - 1000.0) / 1000.0);
            }
            vector
        };
        Ok(texts.iter().map(one).collect())
    }
}

fn write(dir: &Path, passages: usize) {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut random = Random(1);
    let mut files: std::collections::BTreeMap<String, String> = Default::default();
    for n in 0..passages {
        let recorded_at = start + SignedDuration::from_mins(n as i64);
        let text = random.text(90);
        let entity = Some(format!("client/c{}", n % 500));
        let passage = Passage {
            id: Passage::derive_id("note", entity.as_deref(), &text),
            recorded_at,
            text,
            kind: "note".to_owned(),
            entity,
            labels: Default::default(),
            source: Source::Person { person: "ada".to_owned() },
            valid_from: None,
            valid_to: None,
            supersedes: Vec::new(),
        };
        let file = files.entry(paths::memory(paths::PASSAGES, &machine(), recorded_at)).or_default();
        writeln!(file, "{}", serde_json::to_string(&passage).unwrap()).unwrap();
    }
    for (path, text) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    /// One to `max` words of some 7,000, small numbers more often: about 300 bytes at 90.
    fn text(&mut self, max: usize) -> String {
        let syllables = ["ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu"];
        let words = 1 + self.below(max);
        let word = |random: &mut Self| {
            let mut number = random.below(84) * random.below(84);
            let mut word = String::new();
            for _ in 0..3 {
                word.push_str(syllables[number % 15]);
                number /= 15;
            }
            word
        };
        (0..words).map(|_| word(self)).collect::<Vec<_>>().join(" ")
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
