//! Runs that come from this very process, and a look at every turn: what a benchmark needs.
//!
//! The driver is the real one: journal, histories, commits. Only the asking is spared, because a
//! file in the inbox costs four syncs and would be all that is measured.

use std::time::{Duration, Instant};

use cairn_store_layout::RunId;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{
    Driver, DriverError, Kernel, Served, StopFlag, Until, World,
    begin::{Begin, Refused},
    rest::Which,
    wake::Wakes,
};
use crate::store::{Store, journal::GROUP_MAX, lock::KernelLock};

/// What may follow what has just become durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// Everything that needs no answer from the world: steps that only compute follow each other in one write.
    #[default]
    Cascade,
    /// One layer of steps: what a layer brought about is durable before the next begins.
    Layer,
}

/// Where runs come from, and who watches them.
pub trait Load {
    /// The driver has taken up what the store held: `unfinished` runs go on.
    fn is_ready(&mut self, unfinished: usize);

    /// A run to be started in the coming turn, asked for until there is none.
    fn next(&mut self) -> Option<(RunId, String)>;

    /// What a turn brought: how many records became durable, in which runs, and which of them are over.
    fn turned(&mut self, turned: &Turned);

    /// Tells whether nothing more is wanted.
    fn is_done(&self) -> bool;

    /// Tells whether processor time is to be counted by parts, which itself costs some.
    fn wants_parts(&self) -> bool {
        false
    }
}

/// A part of the driver's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// Deciding what follows.
    Kernel,
    /// Making lines of records, and keeping the view of the run.
    Encode,
    /// Making the lines durable.
    Journal,
    /// Appending them to the histories.
    History,
    /// Making commits, on the thread beside.
    Commit,
}

impl Spent {
    /// All parts with what they are called.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Kernel, "kernel"),
        (Self::Encode, "encode"),
        (Self::Journal, "journal"),
        (Self::History, "history"),
        (Self::Commit, "commit"),
    ];
}

/// Counts processor time by parts, if it is switched on.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    on: bool,
    spent: [Duration; Spent::ALL.len()],
}

impl Meter {
    /// The beginning of a part's work.
    pub(super) fn begin(&self) -> Option<Duration> {
        self.on.then(thread_cpu)
    }

    /// Its end, which is the beginning of the next.
    pub(super) fn end(&mut self, part: Spent, begun: Option<Duration>) -> Option<Duration> {
        let begun = begun?;
        let now = thread_cpu();
        self.add(part, now.saturating_sub(begun));
        Some(now)
    }

    pub(super) fn add(&mut self, part: Spent, cost: Duration) {
        self.spent[part as usize] += cost;
    }
}

/// Processor time of this thread so far.
pub(super) fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What one turn brought.
#[derive(Debug, Clone, Default)]
pub struct Turned {
    /// The runs that have new records, one entry a record, and whether that record is the end.
    pub records: Vec<(RunId, bool)>,
    /// When they were durable.
    pub durable: Option<Instant>,
    /// Runs whose end came into a commit in this turn.
    pub committed: Vec<RunId>,
    /// Processor time of all turns so far, in the order of [`Spent::ALL`], if the load wants it.
    pub spent: [Duration; Spent::ALL.len()],
}

impl Turned {
    /// Takes note of lines that have just become durable, each with its file.
    pub(super) fn note(&mut self, lines: &[(String, String)]) {
        self.durable = Some(Instant::now());
        for (path, line) in lines {
            let name = path.strip_prefix("runs/").and_then(|p| p.rsplit('/').next()?.strip_suffix(".jsonl"));
            if let Some(run) = name.and_then(|name| RunId::new(name).ok()) {
                self.records.push((run, super::recover::ends(line.as_bytes())));
            }
        }
    }
}

/// Is the kernel of `store` for as long as `load` has work for it, and stops cleanly.
///
/// # Errors
/// As [`super::serve`], and when a run of the load is refused.
pub fn serve_load(
    store: Store,
    lock: KernelLock,
    pace: Pace,
    load: &mut dyn Load,
    stop: &StopFlag,
) -> Result<Served, DriverError> {
    let (sender, wakes) = Wakes::channel();
    stop.connect(&sender);
    let mut kernel = Kernel::start(store, lock, World::real(sender.clone())?)?;
    kernel.commit_beside(sender.sender());
    kernel.driver.pace = pace;
    kernel.driver.turned = Some(Turned::default());
    kernel.driver.meter.on = load.wants_parts();
    kernel.look()?;
    load.is_ready(kernel.driver.runs.len());
    while !load.is_done() && !stop.is_requested() {
        while let Some((run, workflow)) = load.next() {
            kernel.driver.begin(&run, &workflow)?;
        }
        kernel.turn(wakes.try_iter().take(GROUP_MAX).collect())?;
        load.turned(&kernel.driver.seen());
    }
    kernel.driver.commit_runs(Which::All)?;
    load.turned(&kernel.driver.seen());
    kernel.stop(&Until::Stopped)
}

impl Driver {
    fn seen(&mut self) -> Turned {
        let seen = self.turned.replace(Turned::default()).unwrap_or_default();
        Turned { spent: self.meter.spent, ..seen }
    }

    fn begin(&mut self, run: &RunId, workflow: &str) -> Result<(), DriverError> {
        let refused =
            |(_, why): Refused| DriverError::System { what: "start a run", source: std::io::Error::other(why) };
        let follows = self.follow(workflow)?.map_err(refused)?;
        let begin = Begin {
            run: run.clone(),
            follows,
            input: json!({}),
            trigger: "manual".to_owned(),
            by: "bench".to_owned(),
            cause: None,
            parent: None,
            origin: None,
            fired: None,
        };
        self.begin_run(begin)?.map_err(refused)
    }
}
