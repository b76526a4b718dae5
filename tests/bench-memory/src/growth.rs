//! What the store and its git grow to over many runs that each leave some passages.
//!
//! Committed as the kernel does it, through the same code: each run's passages in a commit of its own, the files of
//! the vector table in one more whenever a flush is due and at the end, packs put together when there are many.
//! Histories of runs are left out: `cairn bench disk` weighs those.

use std::{path::Path, sync::atomic::AtomicBool};

use cairn::{
    bench::figure::{Figure, Target},
    store::git::{Change, Chores, CommitPlan, Content, Identity, Repo},
};
use cairn_store_layout::{learned::Learned, paths};
use jiff::Timestamp;

use crate::{
    broken::{During as _, Result},
    engine,
    invent::Inventor,
    stage::{Stage, weigh},
};

const PART: &str = "growth";
const PASSAGES_A_RUN: usize = 10;
/// Passages are spread over as long a time as this many would take, so that runs of some weeks share a month.
const SPREAD: usize = 10;
/// Looks at the packs after so many runs, as the kernel does when it is idle.
const IDLE_EVERY: usize = 50;
const MIB: f64 = 1024.0 * 1024.0;

/// Measures `runs` runs below `dir`, an empty folder.
pub(crate) fn measure(dir: &Path, runs: usize, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    say(&format!("{runs} runs with {PASSAGES_A_RUN} passages each, and their commits"));
    let mut stage = Stage::make(dir)?;
    let repo = Repo::open(&stage.root).during("open the repository")?;
    let memory = engine::open(&stage.root, &stage.machine)?;
    let inventor = Inventor::default();
    let total = runs * PASSAGES_A_RUN;
    let mut flushes = 0;
    for run in 0..runs {
        let new: Vec<_> =
            (run * PASSAGES_A_RUN..(run + 1) * PASSAGES_A_RUN).map(|n| inventor.passage(n, total * SPREAD)).collect();
        let grown = stage.record(&new)?;
        memory.learn(&new.into_iter().map(Learned::Passage).collect::<Vec<_>>());
        commit(&repo, format!("bench: succeeded ({PASSAGES_A_RUN} passages)"), grown, Vec::new())?;
        if memory.flush_due() {
            flushes += flush(&repo, &memory)?;
        }
        if run % IDLE_EVERY == IDLE_EVERY - 1 {
            let chores = repo.shape().during("look at the repository")?.due();
            keep_up(&repo, &stage, chores)?;
        }
    }
    flushes += flush(&repo, &memory)?;
    let git = stage.root.join(".git");
    let (_, before) = weigh(&git)?;
    keep_up(&repo, &stage, Chores { packs: true, graph: true })?;
    let (_, after) = weigh(&git)?;
    let (_, passages) = weigh(&stage.root.join(paths::PASSAGES))?;
    let (_, vectors) = weigh(&stage.root.join(paths::VECTORS))?;
    let files = memory.vector_files().during("list the vector table")?.len();
    let stats = memory.stats().during("count")?;
    let count = |what: &str, value: usize, unit| Figure::new(PART, format!("{runs} runs: {what}"), value as f64, unit);
    let mib = |what: &str, bytes: u64| Figure::new(PART, format!("{runs} runs: {what}"), bytes as f64 / MIB, "MiB");
    Ok(vec![
        count("passages", stats.passages, "passages"),
        count("passages whose vectors are in the table", stats.flushed, "passages"),
        count("flushes that were committed", flushes, "commits"),
        count("files of the vector table", files, "files").aim(Target::AtMost(60.0)),
        mib("bytes of the passage files", passages),
        mib("bytes of the vector table", vectors),
        mib(".git before the last maintenance", before),
        // 20 MB of notes in decimal bytes
        mib(".git after it", after).aim(Target::AtMost(20e6 / MIB)),
    ])
}

/// Flushes and commits as the driver does; gives the number of commits.
fn flush(repo: &Repo, memory: &cairn_memory::Memory) -> Result<usize> {
    let changes = memory.flush().during("flush the memory")?;
    if changes.is_empty() {
        return Ok(0);
    }
    commit(repo, "memory: vectors of new passages".to_owned(), changes.added, changes.removed)?;
    Ok(1)
}

fn commit(repo: &Repo, subject: String, written: Vec<String>, removed: Vec<String>) -> Result<()> {
    let written = written.into_iter().map(|path| Change::Write { path, content: Content::WorkTree });
    let changes = written.chain(removed.into_iter().map(|path| Change::Remove { path })).collect();
    let trailers = vec![("Machine".to_owned(), "bench".to_owned())];
    let plan = CommitPlan { subject, body: String::new(), trailers, at: Timestamp::now(), changes, allow_empty: false };
    repo.commit_group(&Identity::of_machine("bench"), None, &[plan]).during("commit")?;
    Ok(())
}

fn keep_up(repo: &Repo, stage: &Stage, chores: Chores) -> Result<()> {
    if chores == Chores::default() {
        return Ok(());
    }
    let lock = stage.root.join(paths::UPKEEP_LOCK);
    repo.keep_up(chores, &lock, &AtomicBool::new(false)).during("put packs together")?;
    Ok(())
}
