//! One kernel from its start to its end, and what people and the outside do to it meanwhile.

use std::{fmt, rc::Rc};

use cairn::{
    driver::{DriverError, Kernel, Report, Served, Until, Wake},
    store::{Store, StoreError, fsutil::FsError, inbox, lock::KernelLock, reader::Reader},
};
use cairn_kernel::{Outcome, Perform};
use cairn_store_layout::{
    RunId,
    command::Verb,
    event::Usage,
    learned::Learned,
    passage::{Passage, Source},
    payload::Request,
    view::{InboxItem, RunView},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::lab::{Lab, Promised};

/// A kernel that could not go on, or a person who could not ask.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DriverError> for Broken {
    fn from(error: DriverError) -> Self {
        Self(format!("kernel: {error}"))
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(format!("store: {error}"))
    }
}

impl From<FsError> for Broken {
    fn from(error: FsError) -> Self {
        Self(format!("file: {error}"))
    }
}

pub(crate) type Lived<T = ()> = Result<T, Broken>;

pub(crate) struct Life {
    pub(crate) lab: Rc<Lab>,
    store: Store,
    kernel: Kernel,
}

impl Life {
    /// Starts the kernel and lets it look. The lab must observe this thread already.
    pub(crate) fn begin(lab: &Rc<Lab>) -> Lived<Self> {
        lab.asked.borrow_mut().clear();
        let store = Store::open(&lab.store())?;
        let lock = KernelLock::take(store.root())?;
        let mut kernel = Kernel::start(store.clone(), lock, lab.world())?;
        kernel.look()?;
        Ok(Self { lab: lab.clone(), store, kernel })
    }

    /// A kill, and the next start.
    pub(crate) fn killed(self) -> Lived<Self> {
        let lab = self.lab.clone();
        drop(self);
        Self::begin(&lab)
    }

    pub(crate) fn turn(&mut self, wakes: Vec<Wake>) -> Lived {
        Ok(self.kernel.turn(wakes)?)
    }

    /// Puts a command into the inbox without waking the kernel.
    pub(crate) fn submit(&self, verb: Verb) -> Lived<RunId> {
        let passage = if let Verb::MemoryAdd(new) = &verb { Some(new.text.clone()) } else { None };
        let now = self.lab.now() + SignedDuration::from_millis(1);
        self.lab.set_now(now);
        let id = inbox::submit_at(&self.store, self.kernel.machine(), verb, "jo", now)?;
        self.lab.promise(Promised::Asked { id: id.clone(), passage });
        Ok(id.into())
    }

    pub(crate) fn ask(&mut self, verb: Verb) -> Lived<RunId> {
        let id = self.submit(verb)?;
        self.turn(vec![Wake::Inbox])?;
        Ok(id)
    }

    pub(crate) fn start(&mut self, workflow: &str, input: Value) -> Lived<RunId> {
        self.ask(Verb::RunStart { workflow: workflow.to_owned(), input })
    }

    /// Answers everything that was let out, one turn an answer, until nothing is under way.
    pub(crate) fn answer(&mut self) -> Lived {
        loop {
            let Some(perform) = self.lab.asked.borrow_mut().pop_front() else { return Ok(()) };
            self.turn(vec![answer(perform)])?;
        }
    }

    /// Answers what was let out so far in one turn.
    pub(crate) fn answer_together(&mut self) -> Lived {
        let wakes = self.lab.asked.borrow_mut().drain(..).map(answer).collect();
        self.turn(wakes)
    }

    /// Lets all timers come that are set, and answers what they let out.
    pub(crate) fn pass(&mut self) -> Lived {
        for _ in 0..8 {
            let Some(due) = self.kernel.next_deadline() else { break };
            self.lab.set_now(due.max(self.lab.now()));
            self.turn(vec![Wake::Time])?;
            self.answer()?;
        }
        Ok(())
    }

    fn view(&self, run: &RunId) -> Lived<RunView> {
        let view = self.lab.quietly(|| Reader::new(self.store.clone()).view(run));
        view.map_err(|e| Broken(e.to_string()))?
            .ok_or_else(|| Broken(format!("{run} asks for nothing: it did not start")))
    }

    /// The first open request of a run, if it has one: a kernel that failed may not have come so far.
    pub(crate) fn open(&self, run: &RunId) -> Lived<InboxItem> {
        let open = self.view(run)?.requests.into_iter().find(InboxItem::is_open);
        open.ok_or_else(|| Broken(format!("{run} asks for nothing")))
    }

    pub(crate) fn approve(&mut self, run: &RunId) -> Lived {
        let InboxItem { run, id: gate, digest, .. } = self.open(run)?;
        self.ask(Verb::GateApprove { run: run.expect("a run asks"), gate, digest, reason: None }).map(drop)
    }

    /// Writes a file of the operator's as an editor does: in place, unsynced.
    pub(crate) fn edit(&mut self, path: &str, text: &str) -> Lived {
        write(&self.store, path, text)?;
        self.turn(vec![Wake::Definitions])
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn served(&self) -> &Served {
        self.kernel.served()
    }

    pub(crate) fn stop(self) -> Lived<Served> {
        Ok(self.kernel.stop(&Until::Stopped)?)
    }
}

/// Writes a file below the store, in place.
pub(crate) fn write(store: &Store, path: &str, text: &str) -> Lived {
    let full = store.path(path);
    let error = |e| Broken(format!("{path}: {e}"));
    cairn::store::fsutil::create_dirs(full.parent().expect("a folder"))?;
    let file = cairn::store::disk::DiskFile::open(&full, true).map_err(error)?;
    file.set_len(0).map_err(error)?;
    file.write_at(text.as_bytes(), 0).map_err(error)
}

/// What the outside says: always yes, with an output too large for a line where the step is called `big`.
fn answer(perform: Perform) -> Wake {
    let Perform { run, step, iteration, attempt, effect, at, .. } = perform;
    let mut learned = Vec::new();
    if matches!(&effect.request, Request::Call { connector, .. } if connector == "memory") {
        let (kind, entity) = ("fact".to_owned(), Some("client/brandt".to_owned()));
        let text = format!("learned by {run}");
        learned.push(Learned::Passage(Passage {
            id: Passage::derive_id(&kind, entity.as_deref(), &text),
            recorded_at: at,
            text,
            kind,
            entity,
            labels: std::collections::BTreeMap::new(),
            source: Source::Run { run: run.clone(), step: step.clone(), iteration: iteration.clone() },
            valid_from: None,
            valid_to: None,
            supersedes: Vec::new(),
        }));
    }
    let output = if step.as_str() == "big" { json!({"text": "x".repeat(5_000)}) } else { json!({"ok": true}) };
    let outcome =
        Outcome::Succeeded { output, usage: Usage::default(), artifacts: Vec::new(), files: Vec::new(), learned };
    Wake::Report(Box::new(Report { run, step, iteration, attempt, purpose: effect.purpose, outcome }))
}
