//! The kernel turned by hand, in one thread and a world of its own: no sleep, no thread, no system clock.

use std::{cell::RefCell, collections::VecDeque, path::Path, rc::Rc, sync::Arc, time::Duration};

use cairn::{
    driver::{Clock, Dispatcher, Kernel, Report, Until, Wake, World},
    store::{
        self, Store,
        definitions::Pinned,
        disk::{Observer, Op, Verdict, observe},
        inbox,
        journal::JournalOptions,
        lock::KernelLock,
        reader::Reader,
    },
};
use cairn_kernel::{Outcome, Perform};
use cairn_store_layout::{RunId, command::Verb, event::Usage, paths, view::RunStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Time and chance of a test.
pub(crate) struct Lab {
    pub(crate) now: RefCell<Timestamp>,
    chance: RefCell<u128>,
    pub(crate) asked: RefCell<VecDeque<Perform>>,
    changes: RefCell<u64>,
}

impl Lab {
    pub(crate) fn new() -> Rc<Self> {
        let now = RefCell::new("2026-11-22T08:00:00Z".parse().expect("a moment"));
        Rc::new(Self { now, chance: RefCell::new(0), asked: RefCell::default(), changes: RefCell::new(0) })
    }

    pub(crate) fn world(self: &Rc<Self>, home: &Path) -> World {
        let hands = Hands { lab: self.clone(), in_flight: 0 };
        World {
            home: home.to_owned(),
            clock: Box::new(Ticks(self.clone())),
            dispatcher: Box::new(|_, _| Ok(Box::new(hands) as Box<dyn Dispatcher>)),
            journal: JournalOptions { segment_bytes: 8 << 10 },
            settled: Duration::ZERO,
            vectors: false,
        }
    }
}

impl Observer for Lab {
    fn before(&self, op: &Op<'_>) -> Verdict {
        *self.changes.borrow_mut() += u64::from(op.is_change());
        Verdict::Go
    }

    fn pause(&self, duration: Duration) {
        let mut now = self.now.borrow_mut();
        *now += SignedDuration::try_from(duration).expect("a short pause");
    }

    fn random(&self) -> Option<u128> {
        let mut chance = self.chance.borrow_mut();
        *chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Some(*chance)
    }
}

struct Ticks(Rc<Lab>);

impl Clock for Ticks {
    fn now(&mut self) -> Timestamp {
        let mut now = self.0.now.borrow_mut();
        *now += SignedDuration::from_micros(1);
        *now
    }

    fn after(&mut self, recorded: Timestamp) {
        let mut now = self.0.now.borrow_mut();
        *now = recorded.max(*now);
    }

    fn up(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now.borrow().as_microsecond()).expect("after 1970"))
    }
}

/// Takes what is asked for and leaves the answer to the test.
struct Hands {
    lab: Rc<Lab>,
    in_flight: usize,
}

impl Dispatcher for Hands {
    fn start(&mut self, perform: Perform, _pinned: &Arc<Pinned>) {
        self.in_flight += 1;
        self.lab.asked.borrow_mut().push_back(perform);
    }

    fn abort(&mut self, _run: &RunId) {}

    fn reported(&mut self, _report: &Report) {
        self.in_flight -= 1;
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn shut_down(&mut self) {}
}

pub(crate) fn answer(perform: Perform) -> Wake {
    let outcome = Outcome::Succeeded {
        output: json!({"said": "yes"}),
        usage: Usage::default(),
        artifacts: Vec::new(),
        files: Vec::new(),
        learned: Vec::new(),
    };
    let Perform { run, step, iteration, attempt, effect, .. } = perform;
    Wake::Report(Box::new(Report { run, step, iteration, attempt, purpose: effect.purpose, outcome }))
}

/// Makes a store whose workflow asks a program and then waits for an hour, runs it, and gives back
/// the history and how often a file was changed.
fn hour(dir: &Path) -> (String, u64) {
    let lab = Lab::new();
    let _observing = observe(lab.clone());
    let home = dir.join("home");
    let made = store::init::init_at(&home, &dir.join("store"), false, *lab.now.borrow()).expect("a store");
    let steps = "[[step]]\nid = \"a\"\nrun = [\"true\"]\n\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nwait = \"1h\"\n";
    let file = made.store.path("workflows/w/workflow.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, steps).expect("a workflow");

    let begin = || {
        let store = Store::open(made.store.root()).expect("a store");
        let lock = KernelLock::take(store.root()).expect("the lock");
        let mut kernel = Kernel::start(store, lock, lab.world(&home)).expect("a kernel");
        kernel.look().expect("a look");
        kernel
    };
    let mut kernel = begin();
    let verb = Verb::RunStart { workflow: "w".to_owned(), input: json!({}) };
    let at = *lab.now.borrow();
    let run = inbox::submit_at(&made.store, &made.machine, verb, "jo", at).expect("asked").into();
    kernel.turn(vec![Wake::Inbox]).expect("a turn");
    let perform = lab.asked.borrow_mut().pop_front().expect("an attempt");
    assert_eq!(kernel.in_flight(), 1);
    kernel.turn(vec![answer(perform)]).expect("a turn");
    assert!(kernel.next_deadline().is_some(), "it waits");

    // a kill; the next one takes the timer up and an hour passes in no time
    drop(kernel);
    let mut kernel = begin();
    let due = kernel.next_deadline().expect("it still waits");
    assert!(due > *lab.now.borrow() && !kernel.is_done(&Until::Stopped).expect("a look"));
    *lab.now.borrow_mut() = due;
    kernel.turn(vec![Wake::Time]).expect("a turn");
    kernel.stop(&Until::Stopped).expect("a clean stop");

    let view = Reader::new(made.store.clone()).view(&run).expect("a history").expect("a run");
    assert_eq!(view.status(), RunStatus::Succeeded);
    let history = std::fs::read_to_string(made.store.path(&paths::run(&run))).expect("a history");
    (history, *lab.changes.borrow())
}

#[test]
fn a_world_of_ones_own_gives_the_same_history_twice() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, again) = (hour(one.path()), hour(other.path()));
    assert_eq!(first.0.lines().count(), again.0.lines().count());
    assert!(first.1 > 50, "{} changes were seen", first.1);
    assert_eq!(first.1, again.1, "the same calls to the disk");
    assert_eq!(first.0, again.0);
}

/// A run whose payload is gone can not be followed, and nothing but the journal has its history: the journal must
/// keep that, and need not keep everything that is journaled in the meantime.
#[test]
fn a_parked_run_keeps_its_own_entries_in_the_journal_and_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let lab = Lab::new();
    let _observing = observe(lab.clone());
    let home = dir.path().join("home");
    let made = store::init::init_at(&home, &dir.path().join("store"), false, *lab.now.borrow()).expect("a store");
    let steps = "[[input]]\nname = \"t\"\n[[step]]\nid = \"a\"\nrun = [\"true\"]\neffect = \"read\"\n";
    let file = made.store.path("workflows/w/workflow.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, steps).expect("a workflow");
    let begin = || {
        let store = Store::open(made.store.root()).expect("a store");
        let lock = KernelLock::take(store.root()).expect("the lock");
        let mut kernel = Kernel::start(store, lock, lab.world(&home)).expect("a kernel");
        kernel.look().expect("a look");
        kernel
    };
    let ask = |text: &str| -> RunId {
        let verb = Verb::RunStart { workflow: "w".to_owned(), input: json!({ "t": text }) };
        let at = *lab.now.borrow();
        inbox::submit_at(&made.store, &made.machine, verb, "jo", at).expect("asked").into()
    };
    let segments = || std::fs::read_dir(made.store.path(paths::JOURNAL)).expect("a journal").count();

    let mut kernel = begin();
    let run = ask(&"x".repeat(5_000));
    kernel.turn(vec![Wake::Inbox]).expect("a turn");
    drop(kernel);
    lab.asked.borrow_mut().clear();
    let (payloads, aside) = (made.store.path("artifacts"), dir.path().join("aside"));
    std::fs::rename(&payloads, &aside).expect("the payload is gone");

    let mut kernel = begin();
    assert_eq!(kernel.served().parked.len(), 1, "{:?}", kernel.served());
    for n in 0..60 {
        ask(&format!("{n} {}", "y".repeat(300)));
        kernel.turn(vec![Wake::Inbox]).expect("a turn");
        let perform = lab.asked.borrow_mut().pop_front().expect("an attempt");
        kernel.turn(vec![answer(perform)]).expect("a turn");
        assert!(segments() <= 4, "{} segments after {n} runs", segments());
    }
    drop(kernel);

    // a kill later it is still known; with its payload it goes on
    std::fs::remove_file(made.store.path(&paths::run(&run))).expect("the history in the work tree is derived");
    std::fs::create_dir_all(&payloads).expect("a folder");
    for entry in std::fs::read_dir(&aside).expect("payloads").flatten() {
        std::fs::rename(entry.path(), payloads.join(entry.file_name())).expect("it is back");
    }
    let mut kernel = begin();
    assert_eq!(kernel.served().parked, [""; 0]);
    let perform = lab.asked.borrow_mut().pop_front().expect("its attempt again");
    assert_eq!(perform.run, run);
    kernel.turn(vec![answer(perform)]).expect("a turn");
    kernel.stop(&Until::Stopped).expect("a clean stop");
    let view = Reader::new(made.store.clone()).view(&run).expect("a history").expect("a run");
    assert_eq!(view.status(), RunStatus::Succeeded);
    assert_eq!(store::verify::verify(&made.store).findings.len(), 0);
}
