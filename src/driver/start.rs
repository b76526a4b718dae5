//! The start of a kernel: what lies on disk is opened in the order in which one relies on the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Answers, Driver, DriverError, Edits, Families, Leases, MachineLog, Pace, Runs, Served, Triggers, Turn, World,
    beside, events, fence, load,
};
use crate::store::{
    Store, disk,
    fsutil::At as _,
    git::{self, CommitHash, Identity, Repo},
    identity,
    journal::{self, Journal},
    lock::KernelLock,
};

/// Past so many commits behind, the index is built anew instead of caught up.
const INDEX_COMMITS_MAX: usize = 1_000;

impl Driver {
    /// Takes up the store. `paused`: what was under way is not begun again yet.
    pub(super) fn start(store: Store, lock: KernelLock, world: World, paused: bool) -> Result<Self, DriverError> {
        if cairn_kernel::seeded!(TailNotSynced: false, else lock.is_after_kill()) {
            // it wrote what it did not come to sync; from here on all that can be read is relied upon
            disk::sync_fs(store.root()).at("sync", store.root())?;
        }
        let machine = identity::ensure_at(&world.home, &store)?;
        if git::checkpoint::mend_head(store.root())? {
            tracing::warn!("HEAD was damaged; it names the only branch again");
        }
        let repo = Repo::open(store.root())?;
        for path in repo.clear_stale_locks()? {
            tracing::warn!(path = %path.display(), "removed a lock that a stopped process left behind");
        }
        let who = repo.operator().unwrap_or_else(|| Identity::of_machine(machine.as_str()));
        let gather = |named: &BTreeSet<String>| journal::Known::gather(store.root(), Some(&repo), named);
        let (journal, recovered) = Journal::open_mending(store.root(), world.journal, gather)?;
        let marked = fence::marked(&world.home, &store, &machine)?;
        let recorded: Vec<CommitHash> = recovered.commit().into_iter().chain(marked).collect();
        let mut clock = world.clock;
        let restored = repo.restore_branch(&who, clock.now(), &recorded)?;
        let head = repo.head(None)?;
        // a kernel that was killed between its commit and the index left the index behind
        if let Err(error) = repo.catch_up_index(INDEX_COMMITS_MAX) {
            tracing::warn!(%error, "the git index could not be brought up to date; `git status` may show too much");
        }
        let fence::Standpoint { machine, mark, retired } =
            fence::stand(&world.home, &store, machine, &repo, journal.last())?;
        let memory = Arc::new(crate::embedders::open_memory(store.root(), &machine)?);
        if let Some(code) = &store.card().defaults.calling_code {
            memory.calls_from(code);
        }
        let dispatcher = (world.dispatcher)(&store, &memory)?;
        crate::store::fsutil::create_dirs(&store.path(&cairn_store_layout::paths::inbox(&machine)))?;
        let mut driver = Self {
            log: MachineLog::default(),
            beside: beside::Beside::default(),
            embedding: super::embedding::Embedding::default(),
            vectors_compared: false,
            triggers: Triggers::new(&world.home, &store, &machine),
            checkpointed: clock.up(),
            clock,
            known: head.map(|h| h.commit),
            lock,
            machine,
            repo,
            who,
            journal,
            runs: Runs::default(),
            parked: BTreeMap::new(),
            elsewhere: BTreeSet::new(),
            fenced: BTreeMap::new(),
            retired,
            mark,
            kept: 0,
            memory,
            dispatcher,
            turn: Turn::default(),
            families: Families::default(),
            leases: Leases::default(),
            answers: Answers::new(store.root()),
            events: events::Events::default(),
            stopping: paused,
            taken_up: false,
            pinned: BTreeMap::new(),
            pins: (None, BTreeMap::new()),
            edits: Edits::default(),
            backstop: super::BACKSTOP,
            settled: world.settled,
            vectors: world.vectors,
            pace: Pace::default(),
            ready: BTreeSet::new(),
            turned: None,
            meter: load::Meter::default(),
            taken: BTreeSet::new(),
            parts: BTreeMap::new(),
            tidying: Default::default(),
            stale_index: BTreeSet::new(),
            resting: false,
            served: Served::default(),
            store,
        };
        if let Some(known) = &driver.known {
            // commits made beside the loop may be known only after the last entry; this one is known now
            driver.journal.note_commit(known);
        }
        driver.introduce()?;
        driver.recover(recovered)?;
        if let Some(restored) = restored {
            driver.tell_restored(restored)?;
        }
        if driver.repo.checkpoints().is_empty() {
            driver.checkpoint();
        }
        driver.set_mark();
        Ok(driver)
    }

    /// Makes sure that the card of this machine is there and goes with the next commit.
    fn introduce(&mut self) -> Result<(), DriverError> {
        identity::write_card(&self.store, &self.machine, self.clock.now())?;
        let card = cairn_store_layout::paths::machine(&self.machine);
        if self.repo.blob_of(&card, None)?.is_none() {
            self.log.since.told.push(format!("machine {} joined", self.machine));
            self.log.since.paths.insert(card);
        }
        Ok(())
    }
}
