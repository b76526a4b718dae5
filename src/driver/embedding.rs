//! Vectors that have to be asked for, beside the loop and only while nothing else is under way.
//!
//! The loop never waits for an embedder: a thread does a small part at a time and wakes the loop when
//! it is done. It is not waited for at a stop either; what it had paid for is in the cache by then, or
//! is asked for again. A kernel whose turns are turned by hand (a simulator) has no such thread.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, TryRecvError},
    },
    time::Duration,
};

use cairn_memory::{Budget, Progress};

use super::{Driver, wake::Wake};

/// What one thread does before the loop looks again.
const PART: Budget = Budget { batch: 64, time: Duration::from_secs(2) };
/// How soon it is looked again whether there is something to do.
const REST: Duration = Duration::from_secs(10);
/// How soon an embedder that failed is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// The work under way.
#[derive(Default)]
pub(super) struct Embedding {
    under_way: Option<Receiver<Progress>>,
    /// Not before this, by the clock's `up`.
    due: Duration,
    /// What the log was told last, so that it is told once.
    trouble: Option<String>,
}

impl Driver {
    /// Takes note of a part that is done, and begins the next if the kernel is idle.
    pub(super) fn embed_beside(&mut self) {
        let up = self.clock.up();
        if let Some(done) = &self.embedding.under_way {
            let progress = match done.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(progress) => progress,
                Err(TryRecvError::Disconnected) => {
                    Progress::Failed("the thread that asks for vectors ended".to_owned())
                }
            };
            self.embedding.under_way = None;
            let pause = match &progress {
                Progress::More | Progress::Changed => Duration::ZERO,
                Progress::Rested => REST,
                Progress::Failed(_) => RETRY,
            };
            self.embedding.due = up + pause;
            let trouble = if let Progress::Failed(why) = progress { Some(why) } else { None };
            if let Some(why) = trouble.as_ref().filter(|_| trouble != self.embedding.trouble) {
                tracing::warn!(why, "no vectors are made; recall goes on with those there are, and by words");
            }
            self.embedding.trouble = trouble;
        }
        let idle = self.vectors && !self.stopping && self.dispatcher.in_flight() == 0;
        if !idle || up < self.embedding.due || !self.memory.may_have_work() {
            return;
        }
        let Some(tell) = self.beside.teller() else { return };
        let (bring, done) = mpsc::channel();
        let memory = Arc::clone(&self.memory);
        let work = move || {
            let progress = memory.work(PART).unwrap_or_else(|error| Progress::Failed(error.to_string()));
            // a loop that has ended needs neither
            let _ = bring.send(progress);
            let _ = tell.send(Wake::Committed);
        };
        match std::thread::Builder::new().name("embed".to_owned()).spawn(work) {
            Ok(_) => self.embedding.under_way = Some(done),
            Err(error) => {
                tracing::warn!(%error, "no thread to ask for vectors");
                self.embedding.due = up + RETRY;
            }
        }
    }
}
