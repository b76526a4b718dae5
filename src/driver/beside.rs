//! Commits on a thread beside the loop, so that no step waits for git's five syncs.
//!
//! One job is under way at a time; what comes to rest meanwhile gathers for the next, so commits are
//! the larger the busier the kernel is. Nothing is acknowledged by a commit: the facts are durable
//! before, in the journal. A world without a place to tell that a job is done (a simulator) has its
//! commits made within the turn, in the same thread.

use std::{
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cairn_store_layout::RunId;

use super::{
    Driver, DriverError,
    load::{Spent, thread_cpu},
    wake::Wake,
};
use crate::store::git::{CommitHash, CommitPlan, Identity, Repo, Result as GitResult};

/// Commits follow each other no faster than this, so that a busy minute makes no thousand packs.
const GATHER_MIN: Duration = Duration::from_millis(100);
/// Nor slower than this, whatever they cost: an ended run is committed within two seconds.
const GATHER_MAX: Duration = Duration::from_millis(800);
/// How much longer than a job takes is gathered for the next: a fifth of a core is git's.
const GATHER_TIMES: u32 = 4;
/// The same for the index, whose rewriting grows with the store.
const INDEX_TIMES: u32 = 10;

/// The jobs of one driver.
#[derive(Default)]
pub(super) struct Beside {
    tell: Option<Sender<Wake>>,
    under_way: Option<UnderWay>,
    /// When the next commits may be made, by the clock's `up`.
    due: Duration,
    /// When the index may be rewritten again.
    index_due: Duration,
}

struct UnderWay {
    thread: Option<JoinHandle<()>>,
    /// What it brings. Not the thread's own result: the loop is woken before the thread has quite ended.
    done: Receiver<Done>,
    rested: Rested,
    /// More has come to rest than is in it.
    more: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // whoever drops a driver may start another at once: two must not write to one repository
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What is to be noted once commits are made.
#[derive(Debug, Default)]
pub(super) struct Rested {
    /// The runs, each with the number of the first record that is not in its commit.
    pub(super) runs: Vec<(RunId, u64)>,
    /// Inbox files that were taken.
    pub(super) consumed: Vec<String>,
    /// Paths whose index entries are behind then.
    pub(super) touched: Vec<String>,
    /// The last entry of the journal when they were planned.
    pub(super) durable: u64,
}

/// What a job brought.
struct Done {
    made: GitResult<Vec<Option<CommitHash>>>,
    /// How long the commits took, and the index if it was rewritten.
    took: (Duration, Option<Duration>),
    /// What it cost the processor.
    cpu: Duration,
}

struct Job {
    repo: Repo,
    who: Identity,
    known: Option<CommitHash>,
    plans: Vec<CommitPlan>,
    /// Paths whose index entries are brought to the new commit; empty: not now.
    index: Vec<String>,
}

impl Job {
    fn carry_out(self) -> Done {
        let begin = Instant::now();
        let made = if self.plans.is_empty() {
            Ok(Vec::new())
        } else {
            self.repo.commit_group(&self.who, self.known.as_ref(), &self.plans)
        };
        let commits = begin.elapsed();
        let index = (made.is_ok() && !self.index.is_empty()).then(|| {
            super::rest::refresh(&self.repo, &self.index);
            begin.elapsed().saturating_sub(commits)
        });
        Done { made, took: (commits, index), cpu: thread_cpu() }
    }
}

impl Beside {
    pub(super) fn new(tell: Sender<Wake>) -> Self {
        Self { tell: Some(tell), ..Self::default() }
    }

    /// Tells whether commits are made beside the loop at all.
    pub(super) fn is_open(&self) -> bool {
        self.tell.is_some()
    }

    /// Wakes the loop from another thread, if there is a loop to be woken.
    pub(super) fn teller(&self) -> Option<Sender<Wake>> {
        self.tell.clone()
    }

    /// Tells whether a job is under way: what it holds is in no commit yet, as far as is known.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Tells whether commits have to wait: for those under way, or for more company.
    pub(super) fn must_wait(&self, up: Duration) -> bool {
        self.is_open() && (self.under_way.is_some() || up < self.due)
    }

    /// How long from `up` until something can be done again, if there is something to do.
    pub(super) fn patience(&self, up: Duration, ahead: bool, stale_index: bool) -> Option<Duration> {
        // a job that is under way wakes the loop when it is done
        if !self.is_open() || self.under_way.is_some() {
            return None;
        }
        let commits = ahead.then(|| self.due.saturating_sub(up));
        let index = stale_index.then(|| self.index_due.saturating_sub(up));
        commits.into_iter().chain(index).min()
    }
}

impl Driver {
    /// Hands commits to the thread beside. With no plans only the index is brought up, when it is time.
    /// `more`: there is more to commit, which goes as soon as these are made.
    pub(super) fn commit_beside(
        &mut self,
        plans: Vec<CommitPlan>,
        rested: Rested,
        more: bool,
    ) -> Result<(), DriverError> {
        let up = self.clock.up();
        let index: Vec<String> = if up < self.beside.index_due {
            Vec::new()
        } else {
            std::mem::take(&mut self.stale_index).into_iter().chain(rested.touched.iter().cloned()).collect()
        };
        let Some(tell) = self.beside.tell.clone().filter(|_| !plans.is_empty() || !index.is_empty()) else {
            return Ok(());
        };
        if index.is_empty() {
            self.stale_index.extend(rested.touched.iter().cloned());
        }
        let job = Job { repo: self.repo.clone(), who: self.who.clone(), known: self.known, plans, index };
        let (bring, done) = mpsc::channel();
        let work = move || {
            // a loop that has ended needs neither
            let _ = bring.send(job.carry_out());
            let _ = tell.send(Wake::Committed);
        };
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(work);
        let thread = thread.map_err(|source| DriverError::System { what: "start a thread for commits", source })?;
        self.beside.under_way = Some(UnderWay { thread: Some(thread), done, rested, more });
        Ok(())
    }

    /// Takes note of commits that were made beside; `wait` for them if they are still under way.
    pub(super) fn take_commits(&mut self, wait: bool) -> Result<(), DriverError> {
        let Some(job) = &mut self.beside.under_way else { return Ok(()) };
        let done = if wait { job.done.recv().map_err(|_| TryRecvError::Disconnected) } else { job.done.try_recv() };
        if matches!(done, Err(TryRecvError::Empty)) {
            return Ok(());
        }
        let Some(mut job) = self.beside.under_way.take() else { return Ok(()) };
        if let Some(Err(panic)) = job.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        let Ok(Done { made, took: (commits, index), cpu }) = done else { return Ok(()) };
        self.meter.add(Spent::Commit, cpu);
        let up = self.clock.up();
        let gather = if job.more { Duration::ZERO } else { (commits * GATHER_TIMES).clamp(GATHER_MIN, GATHER_MAX) };
        self.beside.due = up + gather;
        if let Some(index) = index {
            self.beside.index_due = up + (index * INDEX_TIMES).max(GATHER_MIN);
        }
        self.note_made(made?);
        let rested = std::mem::take(&mut job.rested);
        self.note_rested(&rested)
    }
}
