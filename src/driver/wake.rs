//! The closed list of things that wake the loop.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver, Sender},
};

use cairn_kernel::Outcome;
use cairn_store_layout::{RunId, StepId, payload::Purpose};

/// Why the loop wakes.
#[derive(Debug, Clone)]
pub enum Wake {
    /// An attempt came back.
    Report(Box<Report>),
    /// Something changed in the inbox.
    Inbox,
    /// Something changed among the definitions.
    Definitions,
    /// Something changed among the files that triggers look for.
    Files,
    /// A deadline has come, or nobody woke us for a while.
    Time,
    /// Commits that were being made beside the loop are made.
    Committed,
    /// Somebody asks us to stop.
    Stop,
}

/// How an attempt came back.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Which of its iterations, if it has any.
    pub iteration: Option<String>,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// What it was for.
    pub purpose: Purpose,
    /// How it ended.
    pub outcome: Outcome,
}

/// The sending side, for performers, watchers and signal handlers.
#[derive(Debug, Clone)]
pub(super) struct Wakes(Sender<Wake>);

impl Wakes {
    pub(super) fn channel() -> (Self, Receiver<Wake>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// The same as a plain channel.
    pub(super) fn sender(&self) -> Sender<Wake> {
        self.0.clone()
    }

    /// Wakes the loop; a loop that has ended needs no waking.
    pub(super) fn send(&self, wake: Wake) {
        let _ = self.0.send(wake);
    }
}

/// Asks a kernel to stop cleanly, from any thread.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    requested: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Sender<Wake>>>>,
}

impl StopFlag {
    /// A flag that nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a clean stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(sender) = waker.as_ref() {
            let _ = sender.send(Wake::Stop);
        }
    }

    /// Tells whether a stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    pub(super) fn connect(&self, wakes: &Wakes) {
        *self.waker.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(wakes.0.clone());
    }
}
