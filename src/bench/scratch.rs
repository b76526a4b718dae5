//! A throw-away store with the workflow that is measured, filled with finished runs when asked.
//!
//! Filling goes the way of every commit (`Repo::commit_group`, in groups of 256) with the bytes of a
//! run that the kernel really carried out, under other ids; only the running itself is left out,
//! which would take an hour for 100,000. Ids are spread over days as in a store that has been in use
//! for months, because a day's folder is one git tree.

use std::{path::Path, sync::atomic::AtomicBool};

use cairn_store_layout::{RunId, ids::ulid_from, paths};
use jiff::{SignedDuration, Timestamp};

use super::{Error, load};
use crate::store::{
    self, Store, fsutil,
    git::{Change, Chores, CommitHash, CommitPlan, Content, Identity, Repo},
    random,
};

/// The workflow that is measured.
pub(super) const WORKFLOW: &str = "bench-steps";
/// How many steps it has, one after the other.
pub(super) const STEPS: usize = 10;
/// Runs a day in a filled store.
pub(super) const RUNS_A_DAY: usize = 1_000;
const DAY_MILLIS: usize = 86_400_000;
/// Runs of one commit group while filling.
const GROUP: usize = 256;

/// A throw-away store.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    /// The store.
    pub store: Store,
    /// A finished run's history, to be written under other ids.
    sample: Sample,
    filled: usize,
}

#[derive(Debug, Clone)]
struct Sample {
    run: RunId,
    text: String,
    trailers: Vec<(String, String)>,
}

impl Scratch {
    /// Makes a store in `dir` with the workflow in it, and carries out one run.
    pub(super) fn make(dir: &Path) -> Result<Self, Error> {
        store::init::init(dir, false)?;
        let store = Store::open(dir)?;
        let file = store.path(&format!("{}/workflow.toml", paths::workflow_dir(WORKFLOW)));
        fsutil::write(&file, definition().as_bytes())?;
        load::adopt(&store)?;
        let run = load::one(&store)?;
        let path = paths::run(&run);
        let text = fsutil::read(&store.path(&path))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let repo = Repo::open(store.root())?;
        let newest = repo.log(None, 1)?;
        let trailers = newest.into_iter().next().map(|entry| entry.trailers).unwrap_or_default();
        Ok(Self { store, sample: Sample { run, text, trailers }, filled: 1 })
    }

    /// Adds finished runs until there are `runs`.
    pub(super) fn fill(&mut self, runs: usize, say: &dyn Fn(&str)) -> Result<(), Error> {
        if self.filled >= runs {
            return Ok(());
        }
        let repo = Repo::open(self.store.root())?;
        while self.filled < runs {
            let group = GROUP.min(runs - self.filled);
            let plans = (0..group).map(|n| self.finished(self.filled + n)).collect::<Result<Vec<_>, _>>()?;
            commit(&repo, &plans)?;
            self.filled += group;
            if self.filled % 10_240 < group {
                say(&format!("  {} of {runs} runs are in the store", self.filled));
            }
        }
        repo.refresh_index([])?;
        // what a kernel would have done by itself many times over while the store grew
        let lock = self.store.path(paths::UPKEEP_LOCK);
        repo.keep_up(Chores { packs: true, graph: true }, &lock, &AtomicBool::new(false))?;
        load::adopt(&self.store)
    }

    /// Writes the history of one more finished run; gives the plan of its commit. `age` counts runs
    /// back from now.
    pub(super) fn finished(&self, age: usize) -> Result<CommitPlan, Error> {
        let run = spread(age);
        let text = self.sample.text.replace(self.sample.run.as_str(), run.as_str());
        let path = paths::run(&run);
        let file = self.store.path(&path);
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make", &folder, e))?;
        std::fs::write(&file, text).map_err(|e| Error::io("write", &file, e))?;
        let put = |(key, value): &(String, String)| {
            let value = if key == "Run" { run.to_string() } else { value.clone() };
            (key.clone(), value)
        };
        Ok(CommitPlan {
            subject: format!("{WORKFLOW}: succeeded ({STEPS} steps)"),
            body: format!("- {WORKFLOW} started"),
            trailers: self.sample.trailers.iter().map(put).collect(),
            at: Timestamp::now(),
            changes: vec![Change::Write { path, content: Content::WorkTree }],
            allow_empty: false,
        })
    }
}

/// Commits `plans` as the kernel does: one pack, one move of the branch.
pub(super) fn commit(repo: &Repo, plans: &[CommitPlan]) -> Result<Vec<Option<CommitHash>>, Error> {
    let who = repo.operator().unwrap_or_else(|| Identity::of_machine("bench"));
    Ok(repo.commit_group(&who, None, plans)?)
}

/// The id of a run that was started `age` runs ago: so many a day, spread over its hours, and
/// today's half full.
pub(super) fn spread(age: usize) -> RunId {
    let (days, within) = ((age + RUNS_A_DAY / 2) / RUNS_A_DAY, age % RUNS_A_DAY);
    let back = SignedDuration::from_hours(24) * i32::try_from(days).unwrap_or(i32::MAX);
    let midnight = Timestamp::now().as_second() / 86_400 * 86_400;
    let at = Timestamp::from_second(midnight).unwrap_or(Timestamp::UNIX_EPOCH) - back;
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default() + (within * DAY_MILLIS / RUNS_A_DAY) as u64;
    RunId::new(ulid_from(millis, random())).expect("a ulid is a run id")
}

/// Ten steps, each computing from the one before: nothing but the kernel's own work.
fn definition() -> String {
    let mut text = String::from("description = \"Ten steps that do nothing, one after the other.\"\n");
    for n in 1..=STEPS {
        let needs = if n == 1 { String::new() } else { format!("needs = [\"s{}\"]\n", n - 1) };
        text.push_str(&format!("\n[[step]]\nid = \"s{n}\"\n{needs}set = {{ n = {n} }}\n"));
    }
    text
}
