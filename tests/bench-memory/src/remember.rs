//! What a new passage costs until it is found, and what its share of a flush is; the embedding left out.

use cairn::bench::{
    clock::Stretch,
    figure::{Figure, Target},
};
use cairn_store_layout::learned::Learned;

use crate::{
    broken::{During as _, Result},
    engine::{self, HITS, Prepared},
    exact,
    invent::Inventor,
    speed::Sized,
};

const PART: &str = "remember";
/// Runs that each leave some passages, each asked about at once.
const RUNS: usize = 40;
const PASSAGES_A_RUN: usize = 10;

/// Measures in a store of some size, and leaves it larger.
pub(crate) fn measure(sized: &mut Sized, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    let size = sized.size;
    say(&format!("  {} new passages", RUNS * PASSAGES_A_RUN));
    // later than all others, as new passages are
    let inventor = Inventor::default();
    let new: Vec<_> = (size..size + RUNS * PASSAGES_A_RUN).map(|n| inventor.passage(n, size)).collect();
    let texts: Vec<&str> = new.iter().map(|passage| passage.text.as_str()).collect();
    let vectors = exact::embed(&texts)?;
    let known: Vec<_> = sized.passages.iter().chain(&new).cloned().collect();
    let all: Vec<_> = sized.vectors.iter().chain(&vectors).cloned().collect();
    let prepared = std::sync::Arc::new(Prepared::new(&known, &all));
    let memory = engine::open_with(&sized.stage.root, &sized.stage.machine, prepared)?;
    for text in &texts[..5] {
        engine::ask(&memory, text, HITS)?;
    }
    let asked = |n: usize| texts[n * PASSAGES_A_RUN + n % PASSAGES_A_RUN];
    let begun = Stretch::begin();
    for n in 0..RUNS {
        engine::ask(&memory, asked(n), HITS)?;
    }
    let plain = begun.cost().cpu;
    let (mut cpu, mut found) = (0.0, 0);
    for (n, passages) in new.chunks(PASSAGES_A_RUN).enumerate() {
        sized.stage.record(passages)?;
        let learned: Vec<Learned> = passages.iter().cloned().map(Learned::Passage).collect();
        let begun = Stretch::begin();
        memory.learn(&learned);
        let hits = engine::ask(&memory, asked(n), HITS)?;
        cpu += begun.cost().cpu;
        found += usize::from(hits.first() == Some(&passages[n % PASSAGES_A_RUN].id));
    }
    let each = |cpu: f64| cpu / new.len() as f64 * 1e3;
    let begun = Stretch::begin();
    memory.flush().during("flush the memory")?;
    let flush = begun.cost().cpu;
    let name = |what: &str| format!("{size} passages: {what}");
    let first = Figure::new(PART, name("new ones asked about at once that come first"), found as f64, "of 40");
    let cost = Figure::new(PART, name("CPU a new passage, until it is found"), each((cpu - plain).max(0.0)), "ms");
    Ok(vec![
        first.aim(Target::AtLeast(RUNS as f64)),
        cost.aim(Target::AtMost(1.0)),
        Figure::new(PART, name("CPU a new passage, its share of a flush"), each(flush), "ms"),
    ])
}
