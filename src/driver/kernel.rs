//! The kernel of a store as something that is turned: nothing in here waits or starts a thread.
//!
//! [`super::serve`] turns it in the real world. A simulator turns it in its own, one wake after the
//! other, in one thread.

use std::{path::PathBuf, sync::mpsc::Sender, time::Duration};

use cairn_store_layout::{MachineId, paths};
use jiff::Timestamp;

use super::{Dispatcher, Driver, DriverError, Served, Until, Wake, World, adopt::Patience, beside::Beside};
use crate::store::{Store, git::Repo, lock::KernelLock};

/// The kernel of a store, between two turns. Dropping it is what a kill would do.
pub struct Kernel {
    pub(super) driver: Driver,
}

impl Kernel {
    /// Takes up what is durable: repairs what was torn, and starts attempts again that may be repeated.
    /// Call [`Kernel::look`] next.
    ///
    /// # Errors
    /// When the store can not be read or written, or something that was acknowledged is damaged.
    pub fn start(store: Store, lock: KernelLock, world: World) -> Result<Self, DriverError> {
        Ok(Self { driver: Driver::start(store, lock, world, false)? })
    }

    /// Takes up what is durable and begins nothing, not even what was under way: see [`Kernel::go_on`].
    ///
    /// # Errors
    /// As [`Kernel::start`].
    pub fn start_paused(store: Store, lock: KernelLock, world: World) -> Result<Self, DriverError> {
        Ok(Self { driver: Driver::start(store, lock, world, true)? })
    }

    /// From now on a turn records how attempts ended and begins nothing new; `why` is shown to whoever asks.
    ///
    /// # Errors
    /// When the lock file can not be written.
    pub fn pause(&mut self, why: &str) -> Result<(), DriverError> {
        self.driver.stopping = true;
        Ok(self.driver.lock.note(Some(why))?)
    }

    /// Tells whether it records and begins nothing.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.driver.stopping
    }

    /// Ends a pause: what waited is begun. A kernel that began paused starts attempts again that may be repeated,
    /// so the attempts of an earlier kernel must be back by then.
    ///
    /// # Errors
    /// As [`Kernel::turn`].
    pub fn go_on(&mut self) -> Result<(), DriverError> {
        self.driver.stopping = false;
        self.driver.lock.note(None)?;
        self.driver.go_on()?;
        self.look()
    }

    /// Ends as a kill would, and gives back what goes on without it: attempts under way, and the lock.
    pub(super) fn take_apart(self) -> (Box<dyn Dispatcher>, KernelLock) {
        let Driver { beside, dispatcher, lock, .. } = self.driver;
        // what is being committed ends while we own the store
        drop(beside);
        (dispatcher, lock)
    }

    /// From now on commits are made on a thread of their own, and `tell` is woken when they are. Without
    /// this they are made within the turn, in the same thread.
    pub fn commit_beside(&mut self, tell: Sender<Wake>) {
        self.driver.beside = Beside::new(tell);
    }

    /// Looks at all that has gathered while no kernel ran: edits, commands, timers.
    ///
    /// # Errors
    /// As [`Kernel::turn`].
    pub fn look(&mut self) -> Result<(), DriverError> {
        self.driver.adopt_definitions(Patience::Wait)?;
        self.driver.take_inbox()?;
        self.driver.advance_all()?;
        self.driver.finish_turn()
    }

    /// One turn: what the wakes bring is decided, made durable, carried out, and committed where it
    /// came to rest.
    ///
    /// # Errors
    /// When the store can not be read or written. Nothing may be acknowledged any more by this kernel
    /// then: drop it and start another, which goes on from what is durable.
    pub fn turn(&mut self, wakes: Vec<Wake>) -> Result<(), DriverError> {
        self.driver.handle_wakes(wakes)?;
        self.driver.finish_turn()
    }

    /// The repository that it commits to.
    pub(super) fn repo(&self) -> &Repo {
        &self.driver.repo
    }

    /// How long nothing needs doing unless somebody wakes us: until the next timer or look at files.
    pub fn patience(&mut self) -> Duration {
        self.driver.patience()
    }

    /// The earliest moment that a run or a trigger waits for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.driver.next_deadline().into_iter().chain(self.driver.triggers.next()).min()
    }

    /// Leaves times and files that triggers look for to a kernel that stays.
    pub(super) fn leave_times(&mut self) {
        self.driver.triggers.leave_times();
    }

    /// Tells whether somebody wakes us whenever files change, so that looking at them now and then may wait longer.
    pub(super) fn rely_on_watch(&mut self, whole: bool) {
        self.driver.backstop = if whole { super::BACKSTOP_WATCHED } else { super::BACKSTOP };
    }

    /// The folders to be watched beside the inbox and the definitions.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let files = self.driver.triggers.look_for_files().then(|| self.driver.store.path(paths::FILES));
        let desk = self.driver.triggers.desk().dir().to_owned();
        files.into_iter().chain([desk]).collect()
    }

    /// How many attempts are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.driver.dispatcher.in_flight()
    }

    /// Tells whether `until` has come; looks at the inbox for it.
    ///
    /// # Errors
    /// As [`Kernel::turn`].
    pub fn is_done(&mut self, until: &Until) -> Result<bool, DriverError> {
        self.driver.is_done(until)
    }

    /// From now on a turn takes reports and begins nothing new.
    pub fn begin_stop(&mut self) {
        self.driver.stopping = true;
    }

    /// Commits everything, leaves the index fresh and tells what was done. Attempts that are still
    /// under way are left.
    ///
    /// # Errors
    /// As [`Kernel::turn`].
    pub fn stop(mut self, until: &Until) -> Result<Served, DriverError> {
        self.driver.stopping = true;
        let served = self.driver.settle_down(until);
        self.driver.dispatcher.shut_down();
        if served.is_ok() {
            // without it the next start syncs once more than it must, and that is all
            drop(self.driver.lock.note_stopped());
        }
        served
    }

    /// Ends without committing, as after an error: what is durable is taken up by the next start.
    pub fn give_up(mut self) {
        self.driver.dispatcher.shut_down();
    }

    /// The machine it runs as.
    #[must_use]
    pub fn machine(&self) -> &MachineId {
        &self.driver.machine
    }

    /// What it did so far.
    #[must_use]
    pub fn served(&self) -> &Served {
        &self.driver.served
    }
}
