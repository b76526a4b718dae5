//! Runs for the driver, so many at a time, and what is seen of them.

use std::{
    cell::Cell,
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use cairn_store_layout::{RunId, paths};

use super::{Error, scratch};
use crate::{
    driver::{
        self, ServeOptions, StopFlag, Until,
        load::{Load, Pace, Spent, Turned},
    },
    store::{
        Store,
        disk::{self, Observer, Op, Verdict},
        lock::KernelLock,
    },
};

/// Commits the definitions that lie in the work tree.
pub(super) fn adopt(store: &Store) -> Result<(), Error> {
    let lock = KernelLock::take(store.root())?;
    let options = ServeOptions { until: Until::Idle };
    driver::serve(store, lock, &options, &StopFlag::new())?;
    Ok(())
}

/// Carries out one run and answers which.
pub(super) fn one(store: &Store) -> Result<RunId, Error> {
    let run = scratch::spread(0);
    let mut load = Steady::new(1, Amount::Runs(1));
    load.begin = Box::new({
        let run = run.clone();
        move || run.clone()
    });
    serve(store, Pace::Cascade, &mut load)?;
    Ok(run)
}

/// Is the kernel for a load.
pub(super) fn serve(store: &Store, pace: Pace, load: &mut dyn Load) -> Result<(), Error> {
    let lock = KernelLock::take(store.root())?;
    driver::load::serve_load(store.clone(), lock, pace, load, &StopFlag::new())?;
    Ok(())
}

/// Is the kernel for a load, and counts the syncs of the journal: as the system was asked for them, not as
/// the driver believes.
pub(super) fn serve_counting(store: &Store, pace: Pace, load: &mut dyn Load) -> Result<u64, Error> {
    let syncs = Rc::new(Syncs { of: store.path(paths::JOURNAL), count: Cell::new(0) });
    let observing = disk::observe(syncs.clone());
    serve(store, pace, load)?;
    drop(observing);
    Ok(syncs.count.get())
}

/// Counts syncs of the files in a folder that are asked for by this thread.
struct Syncs {
    of: PathBuf,
    count: Cell<u64>,
}

impl Observer for Syncs {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if let Op::SyncData { path } | Op::SyncAll { path } = op
            && path.starts_with(&self.of)
        {
            self.count.set(self.count.get() + 1);
        }
        Verdict::Go
    }
}

/// How long a load goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Amount {
    /// So many runs in all.
    Runs(usize),
    /// New runs for so long; those that have begun are finished.
    Time(Duration),
}

/// So many runs at a time: when one ends, the next begins.
pub(super) struct Steady {
    at_once: usize,
    amount: Amount,
    begin: Box<dyn FnMut() -> RunId>,
    begun: usize,
    /// Runs under way, each with the moment its last record was durable, or it was asked for.
    under_way: BTreeMap<RunId, Instant>,
    /// Runs that are over and in no commit yet.
    ended: BTreeMap<RunId, Instant>,
    parts: bool,
    seen: Seen,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// When the first run was asked for.
    pub(super) first: Option<Instant>,
    /// When the last record of a run was durable.
    pub(super) last: Option<Instant>,
    /// When the last run was in a commit.
    pub(super) kept: Option<Instant>,
    /// Records that became durable.
    pub(super) records: u64,
    /// Runs that ended.
    pub(super) runs: u64,
    /// From one durable record of a run to its next, in ms.
    pub(super) step_ms: Vec<f64>,
    /// From a run's end to its commit, in ms.
    pub(super) commit_ms: Vec<f64>,
    /// Processor time by parts, if it was asked for.
    pub(super) spent: [Duration; Spent::ALL.len()],
}

impl Steady {
    pub(super) fn new(at_once: usize, amount: Amount) -> Self {
        Self::older_than(0, at_once, amount)
    }

    /// The same with runs in the folders of days before `age` runs ago.
    pub(super) fn older_than(age: usize, at_once: usize, amount: Amount) -> Self {
        let mut age = age;
        let begin = Box::new(move || {
            age += 1;
            scratch::spread(age)
        });
        let (under_way, ended) = (BTreeMap::new(), BTreeMap::new());
        Self { at_once, amount, begin, begun: 0, under_way, ended, parts: false, seen: Seen::default() }
    }

    /// The same with processor time counted by parts.
    pub(super) fn by_parts(self) -> Self {
        Self { parts: true, ..self }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    fn wants_more(&self) -> bool {
        match self.amount {
            Amount::Runs(runs) => self.begun < runs,
            Amount::Time(time) => self.seen.first.is_none_or(|first| first.elapsed() < time),
        }
    }
}

impl Load for Steady {
    fn is_ready(&mut self, _unfinished: usize) {}

    fn next(&mut self) -> Option<(RunId, String)> {
        if self.under_way.len() >= self.at_once || !self.wants_more() {
            return None;
        }
        let now = Instant::now();
        self.seen.first.get_or_insert(now);
        let run = (self.begin)();
        self.begun += 1;
        self.under_way.insert(run.clone(), now);
        Some((run, scratch::WORKFLOW.to_owned()))
    }

    fn wants_parts(&self) -> bool {
        self.parts
    }

    fn turned(&mut self, turned: &Turned) {
        self.seen.spent = turned.spent;
        if let Some(durable) = turned.durable {
            self.seen.last = Some(durable);
            // a step's end and what begins with it are one record or several, but one wait
            let mut waited: BTreeMap<&RunId, bool> = BTreeMap::new();
            for (run, over) in &turned.records {
                self.seen.records += 1;
                *waited.entry(run).or_default() |= *over;
            }
            for (run, over) in waited {
                if let Some(before) = self.under_way.insert(run.clone(), durable) {
                    self.seen.step_ms.push((durable - before).as_secs_f64() * 1e3);
                }
                if over {
                    self.under_way.remove(run);
                    self.ended.insert(run.clone(), durable);
                    self.seen.runs += 1;
                }
            }
        }
        let now = Instant::now();
        for run in &turned.committed {
            if let Some(ended) = self.ended.remove(run) {
                self.seen.commit_ms.push((now - ended).as_secs_f64() * 1e3);
                self.seen.kept = Some(now);
            }
        }
    }

    fn is_done(&self) -> bool {
        !self.wants_more() && self.under_way.is_empty()
    }
}
