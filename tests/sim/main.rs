//! The simulator: real kernels, real stores and real git in one thread, on disks, clocks and a world
//! that a seed makes up; every promise is checked after every event.
//!
//! `CAIRN_SIM_SEEDS` says how many seeds (200 unless said), `CAIRN_SIM_SEED` the first of them.
//! A seed that breaks a promise prints the command that runs it alone.

mod bugs;
mod family;
mod hands;
mod lab;
mod machine;
mod model;
mod operator;
mod promises;
mod seed;
#[path = "../shared/mod.rs"]
mod shared;
mod shares;
mod sights;
mod signals;
mod sink;
mod slot;
mod time;
mod undoing;
mod whatif;
mod wording;
mod workload;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use machine::Template;
use seed::{Broken, Ran, Wrong};

/// Tests that share the seeds among them, so that several cores have work.
const PARTS: u64 = 8;

/// Stores to begin with, in memory where there is a file system for that; gone when dropped.
struct Stores {
    folder: PathBuf,
    templates: Vec<Template>,
}

impl Stores {
    fn make() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        // tests may be threads of one process
        static MADE: AtomicU32 = AtomicU32::new(0);
        let folder = base.join(format!("cairn-sim-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        let templates = (0..4).map(|m| Template::make(folder.join(format!("m{m}")))).collect();
        Self { folder, templates }
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        // what a broken promise left is worth a look
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// What to say of a seed that broke a promise.
fn tell(seed: u64, broken: &Broken, folder: &std::path::Path) -> String {
    format!(
        "seed {seed}: {}\n\n{}\nthe store lies in {}\nreplay: CAIRN_SIM_SEED={seed} cargo nextest run -p cairn --no-default-features --test sim replay",
        broken.why,
        broken.trace,
        folder.display(),
    )
}

/// Every so many-th seed, from `part` on.
fn seeds(part: u64) {
    let stores = Stores::make();
    let (first, count) = (setting("CAIRN_SIM_SEED").unwrap_or(0), setting("CAIRN_SIM_SEEDS").unwrap_or(200));
    let mut all = Ran::default();
    let mut seen = 0;
    for seed in (first..first + count).filter(|seed| seed % PARTS == part) {
        match seed::run(seed, &stores.templates, Wrong::default()) {
            Ok(ran) => all.add(&ran),
            Err(broken) => panic!("{}", tell(seed, &broken, &stores.folder)),
        }
        seen += 1;
    }
    println!("{seen} seeds: {all}\nevents by kind: {:?}", all.kinds);
}

macro_rules! parts {
    ($($name:ident = $part:literal),* $(,)?) => { $(
        #[test]
        fn $name() {
            seeds($part);
        }
    )* };
}

parts! {
    seeds_of_part_0 = 0, seeds_of_part_1 = 1, seeds_of_part_2 = 2, seeds_of_part_3 = 3,
    seeds_of_part_4 = 4, seeds_of_part_5 = 5, seeds_of_part_6 = 6, seeds_of_part_7 = 7,
}

/// Seeds that once found a fault in the product, or in the checks: they stay.
const REMEMBERED: &[u64] =
    &[27, 47, 116, 324, 360, 397, 622, 727, 824, 1243, 1307, 1560, 1727, 2728, 3721, 4152, 5081, 5250, 5683, 8388];

#[test]
fn seeds_that_found_something_stay_silent() {
    let stores = Stores::make();
    for seed in REMEMBERED {
        if let Err(broken) = seed::run(*seed, &stores.templates, Wrong::default()) {
            panic!("{}", tell(*seed, &broken, &stores.folder));
        }
    }
}

/// One seed, told step by step: `CAIRN_SIM_SEED`. It does the same twice.
#[test]
fn replay() {
    let stores = Stores::make();
    let seed = setting("CAIRN_SIM_SEED").unwrap_or(7);
    let run = || match seed::run(seed, &stores.templates, Wrong::default()) {
        Ok(ran) => ran,
        Err(broken) => panic!("{}", tell(seed, &broken, &stores.folder)),
    };
    let (once, again) = (run(), run());
    println!("seed {seed}: {once}\n{}", once.trace);
    assert_eq!(once.trace, again.trace, "a seed does the same twice");
    assert_eq!(once.to_string(), again.to_string());
}
