//! The world of a test: one folder, a clock, chance, a disk that is recorded and may fail, and an
//! outside that keeps its own ledger of what reached it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cairn::{
    driver::{Clock, Dispatcher, Report, World},
    store::{
        definitions::Pinned,
        disk::{Observer, Op, Verdict},
        journal::JournalOptions,
    },
};
use cairn_kernel::Perform;
use cairn_store_layout::{CommandId, Digest, RunId, StepId, payload::EffectClass};
use jiff::{SignedDuration, Timestamp};

use crate::shared::{change::Change, image::Image, random::Random};

/// Small, so that journals rotate within a workload.
pub(crate) const SEGMENT_BYTES: usize = 4 << 10;

/// What must survive, and since which change.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    /// The number of changes that had been made.
    pub(crate) at: usize,
    pub(crate) what: Promised,
}

#[derive(Debug, Clone)]
pub(crate) enum Promised {
    /// A command was put into the inbox.
    Asked { id: CommandId, passage: Option<String> },
    /// An effect has left.
    Sent(Sent),
}

/// An effect as the outside saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) run: RunId,
    pub(crate) step: StepId,
    pub(crate) key: Digest,
    pub(crate) content: Digest,
    pub(crate) class: EffectClass,
}

/// How calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The first call that fails, counted from 0.
    pub(crate) call: u64,
    pub(crate) errno: i32,
    /// Of a write, so many bytes are taken first.
    pub(crate) short: bool,
    /// Every call from then on fails, not this one alone.
    pub(crate) for_good: bool,
}

pub(crate) struct Lab {
    _dir: Option<tempfile::TempDir>,
    root: PathBuf,
    now: Cell<Timestamp>,
    chance: RefCell<Random>,
    pub(crate) changes: RefCell<Vec<Change>>,
    pub(crate) promises: RefCell<Vec<Promise>>,
    pub(crate) asked: RefCell<VecDeque<Perform>>,
    fault: Cell<Option<Fault>>,
    /// Calls to the disk so far.
    calls: Cell<u64>,
    /// The test itself looks: nothing is recorded and nothing fails.
    quiet: Cell<bool>,
}

impl Lab {
    /// A world in an empty folder of its own.
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("cairn-disk-").tempdir_in(place).expect("a folder");
        let root = dir.path().canonicalize().expect("a folder");
        let lab = Self::at(root, "2026-11-22T08:00:00Z".parse().expect("a moment"), seed);
        Rc::new(Self { _dir: Some(dir), ..lab })
    }

    /// Another life in the same folder, from this moment on.
    pub(crate) fn later(&self, seed: u64) -> Rc<Self> {
        Rc::new(Self::at(self.root.clone(), self.now.get(), seed))
    }

    fn at(root: PathBuf, now: Timestamp, seed: u64) -> Self {
        Self {
            _dir: None,
            root,
            now: Cell::new(now),
            chance: RefCell::new(Random::new(seed)),
            changes: RefCell::default(),
            promises: RefCell::default(),
            asked: RefCell::default(),
            fault: Cell::new(None),
            calls: Cell::new(0),
            quiet: Cell::new(false),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.now.set(now);
    }

    pub(crate) fn lay_out(&self, image: &Image) {
        image.lay_out(&self.root, Some(SystemTime::UNIX_EPOCH)).expect("an image is laid out");
    }

    pub(crate) fn promise(&self, what: Promised) {
        let at = self.changes.borrow().len();
        self.promises.borrow_mut().push(Promise { at, what });
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        let all = self.promises.borrow();
        all.iter().filter_map(|p| if let Promised::Sent(sent) = &p.what { Some(sent.clone()) } else { None }).collect()
    }

    /// Lets a call of this world fail, or none any more.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.fault.set(fault);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Lets the test look without being part of the world.
    pub(crate) fn quietly<T>(&self, look: impl FnOnce() -> T) -> T {
        let before = self.quiet.replace(true);
        let seen = look();
        self.quiet.set(before);
        seen
    }

    pub(crate) fn world(self: &Rc<Self>) -> World {
        let hands = Hands { lab: self.clone(), under_way: Vec::new() };
        World {
            home: self.home(),
            clock: Box::new(Ticks(self.clone())),
            dispatcher: Box::new(|_, _| Ok(Box::new(hands) as Box<dyn Dispatcher>)),
            journal: JournalOptions { segment_bytes: SEGMENT_BYTES },
            settled: Duration::ZERO,
            vectors: false,
        }
    }
}

impl Observer for Lab {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if self.quiet.get() {
            return Verdict::Go;
        }
        let call = self.calls.replace(self.calls.get() + 1);
        match self.fault.get() {
            Some(fault) if call == fault.call && fault.short => match op {
                Op::Write { bytes, .. } if bytes.len() > 1 => Verdict::Short(bytes.len() / 2),
                _ => Verdict::Go,
            },
            // a disk that took half of a write refuses the rest of it
            Some(fault) if call == fault.call || (call == fault.call + 1 && fault.short) => Verdict::Fail(fault.errno),
            Some(fault) if call > fault.call && fault.for_good => Verdict::Fail(fault.errno),
            _ => Verdict::Go,
        }
    }

    fn after(&self, op: &Op<'_>, result: Result<(), &io::Error>) {
        if !self.quiet.get() && result.is_ok() {
            self.changes.borrow_mut().extend(Change::of(op, &self.root));
        }
    }

    fn pause(&self, duration: Duration) {
        let passed = SignedDuration::try_from(duration).expect("a short pause");
        self.now.set(self.now.get() + passed);
    }

    fn random(&self) -> Option<u128> {
        Some(self.chance.borrow_mut().wide())
    }
}

struct Ticks(Rc<Lab>);

impl Clock for Ticks {
    fn now(&mut self) -> Timestamp {
        self.0.now.set(self.0.now.get() + SignedDuration::from_micros(1));
        self.0.now.get()
    }

    fn after(&mut self, recorded: Timestamp) {
        self.0.now.set(recorded.max(self.0.now.get()));
    }

    fn up(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now.get().as_microsecond()).expect("after 1970"))
    }
}

type Place = (RunId, StepId, Option<String>);

/// Lets effects out; the test decides when the answers come.
struct Hands {
    lab: Rc<Lab>,
    under_way: Vec<(Place, u32)>,
}

impl Dispatcher for Hands {
    fn start(&mut self, perform: Perform, _pinned: &Arc<Pinned>) {
        self.lab.promise(Promised::Sent(Sent {
            run: perform.run.clone(),
            step: perform.step.clone(),
            key: perform.key.clone(),
            content: perform.effect.digest(),
            class: perform.effect.class,
        }));
        let place = (perform.run.clone(), perform.step.clone(), perform.iteration.clone());
        self.under_way.push((place, perform.attempt));
        self.lab.asked.borrow_mut().push_back(perform);
    }

    fn abort(&mut self, run: &RunId) {
        self.under_way.retain(|((of, _, _), _)| of != run);
        self.lab.asked.borrow_mut().retain(|perform| perform.run != *run);
    }

    fn reported(&mut self, report: &Report) {
        let place = (report.run.clone(), report.step.clone(), report.iteration.clone());
        self.under_way.retain(|(of, attempt)| *of != place || *attempt != report.attempt);
    }

    fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    fn shut_down(&mut self) {}
}
