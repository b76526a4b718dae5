//! What the driver needs of the world, so that a test can be the world.
//!
//! Time and attempts come in through here; files, waiting and chance are the thread's
//! (`store::disk`). Nothing else that the driver does depends on where it runs: it starts no thread
//! and waits for nothing of its own accord.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cairn_kernel::Perform;
use cairn_memory::Memory;
use cairn_store_layout::RunId;
use jiff::Timestamp;

use super::{
    DriverError,
    clock::MachineClock,
    performers::Performers,
    wake::{Report, Wakes},
};
use crate::store::{Store, definitions::Pinned, identity, journal::JournalOptions};

/// Tells the time.
pub trait Clock {
    /// The moment, in whole microseconds as the store writes them; each later than the one before.
    fn now(&mut self) -> Timestamp;

    /// Goes on after a moment that was recorded, also when the wall clock is behind it now.
    fn after(&mut self, recorded: Timestamp);

    /// How long the machine has been up: what pauses are measured by, whatever the wall clock does.
    fn up(&self) -> Duration;
}

/// Carries out attempts, out of the driver's sight. Each that is started is reported once, as a
/// [`super::Wake::Report`], unless it is aborted or the process dies.
pub trait Dispatcher {
    /// Starts an attempt whose intent is durable, with what its run is pinned to.
    fn start(&mut self, perform: Perform, pinned: &Arc<Pinned>);

    /// Stops every attempt of a run; nobody waits for them any more.
    fn abort(&mut self, run: &RunId);

    /// Takes note that the driver has heard a report.
    fn reported(&mut self, report: &Report);

    /// How many attempts have not been heard of yet: a report that is on its way counts.
    fn in_flight(&self) -> usize;

    /// Ends for good, without waiting for attempts: their intents are durable.
    fn shut_down(&mut self);
}

/// Makes the dispatcher of a store, which may recall from its memory.
pub type MakeDispatcher = Box<dyn FnOnce(&Store, &Arc<Memory>) -> Result<Box<dyn Dispatcher>, DriverError>>;

/// The world around one kernel.
pub struct World {
    /// The folder of what belongs to this machine and to no store. It remembers how far the machine has come
    /// with each store, so whoever takes a store back in time and wants it unnoticed takes this back too.
    pub home: PathBuf,
    /// Tells the time.
    pub clock: Box<dyn Clock>,
    /// Makes what carries out attempts.
    pub dispatcher: MakeDispatcher,
    /// How the journal is kept.
    pub journal: JournalOptions,
    /// An edit counts as saved when its files have been left alone for so long, by the clock of the file system.
    pub settled: Duration,
    /// Whether passages are written into vector tables, for which threads are started.
    pub vectors: bool,
}

impl World {
    /// The one we live in. Attempts run on threads of their own and come back through `wakes`.
    ///
    /// # Errors
    /// When the environment names no home.
    pub(super) fn real(wakes: Wakes) -> Result<Self, DriverError> {
        let home = identity::state_home()?;
        let whose = home.clone();
        Ok(Self {
            home,
            clock: Box::new(MachineClock::system()),
            dispatcher: Box::new(move |store, memory| {
                let machine = identity::ensure_at(&whose, store)?;
                Ok(Box::new(Performers::new(store, machine, memory.clone(), wakes)?) as Box<dyn Dispatcher>)
            }),
            journal: JournalOptions::default(),
            settled: Duration::from_millis(200),
            vectors: true,
        })
    }
}
