//! Maintenance of the repository while the kernel goes on: a thread that starts `git`, never more than one.
//!
//! Nobody waits for it but a stop, which ends it first. What goes wrong is told and tried again later;
//! it never stops the kernel.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use cairn_store_layout::paths;

use crate::store::git::{Chores, Repo, Result, Upkept};

/// How often the repository is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long a failure is left alone.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// The background work of one kernel.
pub(super) struct Upkeep {
    repo: Repo,
    lock: PathBuf,
    /// When to look next; `None` once it is known that this machine can not do it.
    next: Option<Instant>,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<Result<Upkept>>>,
}

impl Upkeep {
    pub(super) fn new(repo: &Repo) -> Self {
        let lock = repo.root().join(paths::UPKEEP_LOCK);
        Self { repo: repo.clone(), lock, next: Some(Instant::now()), stop: Arc::default(), work: None }
    }

    /// Begins what is due, if nothing is under way; takes note of what ended.
    pub(super) fn tick(&mut self) {
        if self.work.as_ref().is_some_and(JoinHandle::is_finished) {
            self.settle();
        }
        if self.work.is_some() || self.next.is_none_or(|next| next > Instant::now()) {
            return;
        }
        self.next = Some(Instant::now() + LOOK);
        match self.repo.shape().map(|shape| shape.due()) {
            Ok(chores) if chores != Chores::default() => self.begin(chores),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the repository could not be looked at for maintenance"),
        }
    }

    fn begin(&mut self, chores: Chores) {
        let (repo, lock, stop) = (self.repo.clone(), self.lock.clone(), self.stop.clone());
        let work = std::thread::Builder::new().name("upkeep".to_owned());
        match work.spawn(move || repo.keep_up(chores, &lock, &stop)) {
            Ok(work) => self.work = Some(work),
            Err(error) => self.failed(&error),
        }
    }

    fn settle(&mut self) {
        match self.work.take().map(JoinHandle::join) {
            Some(Ok(Ok(Upkept::NoProgram))) => {
                tracing::info!(
                    "there is no git program, so packs are not put together; the history gets slower to read"
                );
                self.next = None;
            }
            Some(Ok(Ok(_))) | None => {}
            Some(Ok(Err(error))) => self.failed(&error),
            Some(Err(_)) => self.failed(&"it broke off"),
        }
    }

    fn failed(&mut self, why: &dyn std::fmt::Display) {
        tracing::warn!(%why, "maintenance of the repository failed; nothing is lost, it is tried again later");
        self.next = Some(Instant::now() + PAUSE);
    }

    /// Ends what is under way.
    pub(super) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.settle();
    }
}
