//! The driver: the loop that lets the pure kernel act on the world.
//!
//! One thread owns every run, the journal and git. It wakes for one of a closed list of reasons
//! ([`wake::Wake`]), asks the kernel what follows, makes the facts durable in one write, and only
//! then carries out what the facts ask for. Attempts run beside it on a small runtime and come back
//! as wakes. A run that comes to rest is committed. Whatever lies outside comes in through [`World`].
//!
//! Direction: command or report -> `decide` -> journal (durable) -> history file -> effects -> commit.

mod adopt;
mod again;
mod answers;
mod begin;
mod beside;
mod branch;
mod children;
mod clock;
mod embedding;
mod error;
mod events;
mod fence;
mod intake;
mod intake_entity;
mod intake_memory;
mod kernel;
mod learn;
mod leases;
mod live;
pub mod load;
mod log;
mod performers;
mod recall;
mod recover;
mod rest;
mod runs;
mod serve;
mod start;
mod tidy;
mod triggers;
mod turn;
mod upkeep;
mod wake;
mod watch;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cairn_kernel::{Command, Context, Effect, Outcome};
use cairn_memory::Memory;
use cairn_store_layout::{CommandId, MachineId, RunId};
use jiff::{SignedDuration, Timestamp};

pub use clock::MachineClock;
pub use error::DriverError;
pub use kernel::Kernel;
pub use serve::serve;
pub use wake::{Report, StopFlag, Wake};
pub use world::{Clock, Dispatcher, MakeDispatcher, World};

use crate::store::{
    Store,
    definitions::{Pinned, Pins},
    git::{CommitHash, Identity, Repo},
    identity,
    journal::Journal,
    lock::KernelLock,
    mark,
};
use adopt::Edits;
use answers::Answers;
use children::Families;
use leases::Leases;
use live::Live;
use load::{Pace, Spent};
use log::MachineLog;
use runs::Runs;
use triggers::Triggers;
use turn::Turn;

/// A wait that ends within this is no rest: the run is not committed for it.
const REST: SignedDuration = SignedDuration::from_secs(60);
/// Files are looked at this often even if nobody said that they changed.
const BACKSTOP: Duration = Duration::from_secs(10);
/// The same where the system tells of every change: each look wakes the watch as well, once a file.
const BACKSTOP_WATCHED: Duration = Duration::from_secs(30);
/// So many passages are written into the vector table even by a kernel of a moment.
const FLUSH_WAITING: usize = 64;
/// How often a checkpoint of the branch is moved.
const CHECKPOINT: Duration = Duration::from_secs(60 * 60);

/// When the kernel is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// When it is asked to stop.
    Stopped,
    /// When this run is over or waits, no attempt is under way and the inbox is empty.
    AtRest(RunId),
    /// When no attempt is under way and the inbox is empty.
    Idle,
}

/// How to be the kernel.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// When to stop.
    pub until: Until,
}

/// What the kernel did until it stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// Commits made.
    pub commits: u64,
    /// What was torn or damaged at the start and is whole again, each in a sentence.
    pub repaired: Vec<String>,
    /// Runs of this machine that can not be followed, and why; nothing of them was changed.
    pub parked: Vec<String>,
}

struct Driver {
    store: Store,
    /// Before the lock: what is under way in the repository ends while we own it.
    beside: beside::Beside,
    embedding: embedding::Embedding,
    /// Whether the vector table was compared with the last commit since this kernel started.
    vectors_compared: bool,
    lock: KernelLock,
    machine: MachineId,
    repo: Repo,
    who: Identity,
    /// The last commit we know of: an empty branch after it is damage.
    known: Option<CommitHash>,
    journal: Journal,
    clock: Box<dyn Clock>,
    /// When a checkpoint was last looked after.
    checkpointed: Duration,
    runs: Runs,
    /// Runs of this machine that can not be followed.
    parked: BTreeMap<RunId, Parked>,
    /// Runs that had not ended at the start and are not followed here: of other machines, parked or fenced.
    elsewhere: BTreeSet<RunId>,
    /// Runs of ids that this machine has given up; all of them are in commits.
    fenced: BTreeMap<RunId, Live>,
    retired: Vec<identity::Retired>,
    mark: mark::MarkFile,
    /// The last entry of the journal that is in a commit with everything before it.
    kept: u64,
    log: MachineLog,
    triggers: Triggers,
    memory: Arc<Memory>,
    dispatcher: Box<dyn Dispatcher>,
    turn: Turn,
    families: Families,
    leases: Leases,
    answers: Answers,
    events: events::Events,
    /// Whether attempts that an earlier kernel left under way were begun again or asked about.
    taken_up: bool,
    /// On the way to a clean stop, or paused: answers are taken, nothing new begins.
    stopping: bool,
    /// Definitions already compiled, by what pins them.
    pinned: BTreeMap<Pins, Arc<Pinned>>,
    /// What pins new runs of a workflow, as of a commit.
    pins: (Option<CommitHash>, BTreeMap<String, Pins>),
    edits: Edits,
    /// How long to sleep at the most.
    backstop: Duration,
    /// An edit counts as saved when its files have been left alone for so long.
    settled: Duration,
    /// Whether vector tables are written.
    vectors: bool,
    /// What may follow what has just become durable.
    pace: Pace,
    /// Runs in which more may be ready now that their last layer is durable; empty unless layers are written one by one.
    ready: BTreeSet<RunId>,
    /// What the turn brought, when somebody watches.
    turned: Option<load::Turned>,
    /// Where processor time goes, when somebody asks.
    meter: load::Meter,
    /// Which part of a month's file of memory is being written, by the path of the first.
    parts: BTreeMap<String, u32>,
    /// When memory is looked at for what its policies say.
    tidying: tidy::Tidying,
    /// Inbox files that were taken and go with the next commit.
    taken: BTreeSet<String>,
    /// Paths whose index entries are behind the last commit.
    stale_index: BTreeSet<String>,
    /// Something has come to rest that is in no commit yet, as of the last look.
    resting: bool,
    served: Served,
}

/// Why a run is left alone.
struct Parked {
    why: String,
    /// Part of its history is in no commit, so the journal must keep it.
    ahead: bool,
    /// No entry of the journal before this one is needed for it; absent while nobody knows.
    entry: Option<u64>,
    /// It could be read, but this build would have decided otherwise: a person may end or move it.
    read: Option<Box<Live>>,
}

impl Driver {
    fn handle_wakes(&mut self, wakes: Vec<Wake>) -> Result<(), DriverError> {
        let mut inbox = false;
        let up = self.clock.up();
        for wake in wakes {
            match wake {
                Wake::Report(report) => self.report(*report)?,
                _ if self.stopping => {}
                Wake::Inbox => inbox = true,
                // a look that is due later stays: files that change all the time are looked at now and then
                Wake::Definitions => drop(self.edits.due.get_or_insert(up)),
                Wake::Files => self.triggers.files_changed(up),
                Wake::Time => {
                    inbox = true;
                    self.edits.due.get_or_insert(up);
                    self.triggers.files_changed(up);
                }
                Wake::Stop | Wake::Committed => {}
            }
        }
        if self.stopping {
            return Ok(());
        }
        if self.edits.due.is_some_and(|due| due <= up) {
            self.edits.due = None;
            self.adopt_definitions(adopt::Patience::Later)?;
        }
        if inbox {
            self.take_inbox()?;
        }
        self.advance_all()
    }

    /// How long to sleep when nothing wakes us: until the next deadline, and never past the backstop.
    fn patience(&mut self) -> Duration {
        let (now, backstop) = (self.clock.now(), self.backstop);
        let wait =
            self.next_deadline().map_or(backstop, |at| at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs());
        let up = self.clock.up();
        let edits = self.edits.due.map_or(backstop, |due| due.saturating_sub(up));
        let commits = self.beside.patience(up, self.resting, !self.stale_index.is_empty()).unwrap_or(backstop);
        let triggers = self.triggers_rest().unwrap_or(backstop);
        wait.min(edits).min(commits).min(triggers).min(backstop)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.runs.next_deadline().into_iter().chain(self.leases.due()).min()
    }

    fn is_done(&mut self, until: &Until) -> Result<bool, DriverError> {
        if *until == Until::Stopped || self.dispatcher.in_flight() > 0 {
            return Ok(false);
        }
        // a command may have arrived while we worked
        self.take_inbox()?;
        self.finish_turn()?;
        if self.dispatcher.in_flight() > 0 {
            return Ok(false);
        }
        Ok(match until {
            Until::Stopped => false,
            Until::Idle => true,
            Until::AtRest(run) => {
                let horizon = self.clock.now() + REST;
                self.rests(run, horizon)
            }
        })
    }

    /// Commits everything, and leaves the index fresh.
    fn settle_down(&mut self, until: &Until) -> Result<Served, DriverError> {
        self.tell_all_quiet()?;
        self.write_turn()?;
        self.commit_runs(rest::Which::All)?;
        // a command that is the kernel for a moment would leave a fragment of a table behind each time
        if *until == Until::Stopped || self.memory.waiting() >= FLUSH_WAITING {
            self.flush_memory()?;
        }
        if *until == Until::Stopped {
            self.checkpoint();
        }
        self.set_mark();
        self.refresh_index()?;
        Ok(self.served.clone())
    }

    /// Asks the kernel of `run` and stages what follows. A refusal comes back as a value.
    fn ask(
        &mut self,
        run: &RunId,
        command: &Command,
        cause: Option<CommandId>,
    ) -> Result<Result<(), cairn_kernel::Refusal>, DriverError> {
        let mut begun = self.meter.begin();
        let now = self.clock.now();
        let Some(live) = self.runs.get_mut(run) else { return Ok(Err(cairn_kernel::Refusal::NotInFlight)) };
        let ctx = Context { now, entropy: entropy(), cause };
        let layered = self.pace == Pace::Layer;
        let decide = if self.stopping || layered { cairn_kernel::settle } else { cairn_kernel::handle };
        let mut events = match decide(&mut live.state, command, &ctx) {
            Ok(events) => events,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if layered && !self.stopping && !events.is_empty() {
            let (over, steps) = live.state.progress();
            if over < steps {
                self.turn.open.insert(run.clone());
            } else if let Ok(end) = cairn_kernel::settle(&mut live.state, &Command::Advance, &ctx) {
                // the end of a run says what its last step brought about: it is no layer of its own
                events.extend(end);
            }
        }
        for event in events {
            let effects = cairn_kernel::react(&live.state, &event);
            self.triggers.happened(run, live.state.workflow(), &event);
            begun = self.meter.end(Spent::Kernel, begun);
            live.stage(self.store.root(), event, &mut self.turn)?;
            for effect in effects {
                match effect {
                    // nothing leaves: whoever is next may be known in the same write
                    // at once: the next change of an entity is checked against this one
                    Effect::Learn(learned) => self.memory.learn(std::slice::from_ref(&learned)),
                    Effect::Acquire(holder, lease) => self.leases.ask(holder, &lease),
                    Effect::Release(holder) => self.leases.release(&holder),
                    effect => self.turn.effects.push(effect),
                }
            }
            begun = self.meter.end(Spent::Encode, begun);
        }
        let (is_over, is_child) = (live.state.end().is_some(), live.view.parent.is_some());
        if is_over {
            self.leases.release_run(run);
        }
        self.families.stir(run, is_over, is_child);
        Ok(Ok(()))
    }

    fn report(&mut self, report: wake::Report) -> Result<(), DriverError> {
        self.dispatcher.reported(&report);
        self.answer(report)
    }

    /// Takes in how an attempt came back, whoever says so.
    fn answer(&mut self, report: wake::Report) -> Result<(), DriverError> {
        let wake::Report { run, step, iteration, attempt, purpose, outcome } = report;
        let outcome = self.admit(outcome);
        let now = self.clock.now();
        self.answers.heard(&(run.clone(), step.clone(), iteration.clone(), attempt), &outcome, now);
        let command = Command::Report { step, iteration, attempt, purpose, outcome };
        if let Err(refusal) = self.ask(&run, &command, None)? {
            tracing::info!(%run, %refusal, "a late reply was left aside");
        }
        Ok(())
    }

    /// Lets every run do what is ready or due.
    fn advance_all(&mut self) -> Result<(), DriverError> {
        let now = self.clock.now();
        for run in self.runs.due(now) {
            drop(self.ask(&run, &Command::Advance, None)?);
        }
        for run in std::mem::take(&mut self.ready) {
            drop(self.ask(&run, &Command::Advance, None)?);
        }
        Ok(())
    }

    /// Makes what was decided durable, shows it, carries it out, and commits what came to rest.
    fn finish_turn(&mut self) -> Result<(), DriverError> {
        loop {
            // the end of a child and what follows from it for its parent are one write, as is a turn that is free
            loop {
                self.settle_families()?;
                let granted = self.grant_turns()?;
                if !self.fire_triggers()? && !granted {
                    break;
                }
            }
            cairn_kernel::seeded!(EffectBeforeIntent: _ = self.carry_out()?);
            self.write_turn()?;
            self.keep_seen()?;
            // before an effect leaves: a store that is restored to an earlier state must be told from this one
            self.set_mark();
            if !self.carry_out()? {
                break;
            }
        }
        self.tidy_if_due()?;
        self.write_turn()?;
        self.note_rates();
        self.answers.keep();
        self.commit_runs(rest::Which::AtRest)?;
        self.set_mark();
        if self.clock.up().saturating_sub(self.checkpointed) >= CHECKPOINT {
            self.checkpoint();
        }
        self.embed_beside();
        if self.memory.flush_due() {
            self.flush_memory()?;
        }
        Ok(())
    }

    /// Does what the facts of this turn ask for; `false` when they ask for nothing.
    fn carry_out(&mut self) -> Result<bool, DriverError> {
        let effects = std::mem::take(&mut self.turn.effects);
        let any = !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Perform(perform) => self.dispatch(perform)?,
                Effect::Child(child) => self.child(&child)?,
                Effect::Abort(run) => self.dispatcher.abort(&run),
                // taken when they were staged
                Effect::Learn(_) | Effect::Acquire(..) | Effect::Release(_) => {}
            }
        }
        Ok(any)
    }

    /// Lets an attempt begin whose intent is durable, unless it is too late for it or its answer is known.
    fn dispatch(&mut self, perform: cairn_kernel::Perform) -> Result<(), DriverError> {
        let now = self.clock.now();
        let Some(live) = self.runs.get(&perform.run) else { return Ok(()) };
        let known = if perform.until.is_some_and(|until| now >= until) {
            Some(Outcome::Unknown { message: cairn_kernel::TOO_LATE.to_owned() })
        } else {
            self.answers.look(&perform, &live.pinned.files, now)
        };
        match known {
            None => self.dispatcher.start(perform, &live.pinned),
            Some(outcome) => {
                let cairn_kernel::Perform { run, step, iteration, attempt, effect, .. } = perform;
                self.answer(wake::Report { run, step, iteration, attempt, purpose: effect.purpose, outcome })?;
            }
        }
        Ok(())
    }

    /// What a run is pinned to, loaded once for all runs with the same pins.
    fn pinned(&mut self, workflow: &str, pins: &Pins) -> Result<Arc<Pinned>, crate::store::definitions::PinError> {
        if let Some(pinned) = self.pinned.get(pins) {
            return Ok(pinned.clone());
        }
        let pinned = Arc::new(crate::store::definitions::load(&self.repo, workflow, pins)?);
        self.pinned.insert(pins.clone(), pinned.clone());
        Ok(pinned)
    }
}

fn entropy() -> u64 {
    let random = crate::store::random();
    u64::try_from(random & u128::from(u64::MAX)).unwrap_or_default()
}
