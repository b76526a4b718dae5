//! The handle: opened for nothing, filled at first use, kept in step with the files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cairn_store_layout::{MachineId, passage::Passage, paths};
use jiff::Timestamp;

use crate::{
    Embedder, LocalEmbedder, Query, Recalled,
    catalogue::{Catalogue, Moment, Refreshed},
    embed::Serving,
    entities::Entities,
    error::Result,
    files,
    part::Part,
    proposals, recall,
    scan::Scan,
    shelf::Shelf,
};

#[cfg(feature = "lance")]
use crate::tables::Tables;

/// Bounds an operator may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Up to so many passages recall scans memory and touches no table.
    ///
    /// 2,000 by default. In a development build a scan of 2,000 takes 6 ms and a question to the
    /// index 30 ms (released: 0.1 and 10 ms), but what is scanned must be embedded once a process,
    /// which takes 0.2 ms a passage there; the index opens in 50 ms whatever its size.
    pub scan_max: usize,
    /// A flush is due when so many passages wait for it.
    pub flush_passages: usize,
    /// A flush is due when a passage has waited so long for it.
    pub flush_age: Duration,
    /// A passage that has not held for so long leaves the vector table when its part of it is
    /// rewritten. Questions about the past still find it; its vector is then made again.
    pub retire_age: Duration,
}

/// What was replaced a quarter of a year ago is asked for rarely.
const RETIRE_AGE: Duration = Duration::from_secs(90 * 24 * 3600);

impl Default for Settings {
    fn default() -> Self {
        Self { scan_max: 2_000, flush_passages: 256, flush_age: Duration::from_secs(600), retire_age: RETIRE_AGE }
    }
}

/// What memory holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Passages known, of all machines, superseded ones included.
    pub passages: usize,
    /// Passages of this machine whose vectors are in its table.
    pub flushed: usize,
    /// Passages of this machine whose vectors are not.
    pub tail: usize,
    /// Passages that recall finds through the index on disk; the others are scanned.
    pub indexed: usize,
    /// Lines of passage files that could not be read.
    pub unreadable: usize,
    /// The embedder's id.
    pub embedder: String,
    /// Passage files read.
    pub passage_files: usize,
    /// Files of this machine's vector table that belong into a commit.
    pub vector_files: usize,
}

/// The memory of one store, as one machine sees and extends it.
pub struct Memory {
    pub(crate) root: PathBuf,
    machine: MachineId,
    embedder: Serving,
    change: Option<Change>,
    settings: Settings,
    inner: Mutex<Inner>,
    pub(crate) proposals: proposals::Shared,
    pub(crate) entities: Entities,
    pub(crate) episodes: Shelf,
    working: Mutex<Working>,
}

/// What is behind the lock.
#[derive(Default)]
struct Inner {
    /// Remembered before the first question: reading the files for it can wait.
    early: Vec<Passage>,
    /// Passages remembered since the last flush, and since when the first of them waits.
    waiting: usize,
    waiting_since: Option<Instant>,
    state: Option<State>,
    #[cfg(feature = "lance")]
    tables: Option<Tables>,
}

impl Inner {
    /// So many passages can be written into the table that could not before.
    fn expect_flush(&mut self, passages: usize) {
        self.waiting += passages;
        self.waiting_since.get_or_insert_with(Instant::now);
    }
}

/// Everything that was read or computed.
struct State {
    catalogue: Catalogue,
    scan: Scan,
    /// The part on disk, in a store large enough for one.
    index: Option<Box<dyn Part>>,
    /// Whether the index was looked for. Once it could not even be rebuilt, it is left alone.
    index_tried: bool,
}

impl Memory {
    /// Names the store and the machine that owns what is remembered. Reads nothing: the files are
    /// read when they are first needed.
    ///
    /// # Errors
    /// None today; callers are ready for an embedder that must be found first.
    pub fn open(root: &Path, machine: &MachineId) -> Result<Self> {
        Self::open_with(root, machine, Arc::new(LocalEmbedder), Settings::default())
    }

    /// Like [`Memory::open`] with an embedder and bounds of the caller's choice.
    ///
    /// # Errors
    /// As [`Memory::open`].
    pub fn open_with(
        root: &Path,
        machine: &MachineId,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
    ) -> Result<Self> {
        let inner = Mutex::new(Inner::default());
        Ok(Self {
            root: root.to_owned(),
            machine: machine.clone(),
            embedder: Serving::new(embedder),
            change: None,
            settings,
            inner,
            proposals: proposals::Shared::default(),
            entities: Entities::new(root, machine),
            episodes: Shelf::new(root, paths::EPISODES),
            working: Mutex::default(),
        })
    }

    /// The same memory on its way to another embedder: [`Memory::work`] gets it there.
    #[must_use]
    pub fn changing(self, change: Change) -> Self {
        Self { change: Some(change), ..self }
    }

    /// Makes passages of this machine searchable at once. A passage already known, by its id, is
    /// left as it is. Recording them durably is the caller's part, before this call or after it.
    pub fn remember(&self, passages: &[Passage]) {
        let Inner { early, waiting, waiting_since, state, .. } = &mut *self.lock();
        for passage in passages {
            let new = match state {
                Some(state) => state.catalogue.remember(passage),
                None if early.iter().any(|p| p.id == passage.id) => false,
                None => {
                    early.push(passage.clone());
                    true
                }
            };
            if new {
                *waiting += 1;
                waiting_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Returns the passages that answer `query` best, each with the reason.
    ///
    /// # Errors
    /// When the passage files can not be read. Damaged indices and failing embedders only make the
    /// answer slower or [`Recalled::words_only`].
    pub fn recall(&self, query: &Query) -> Result<Recalled> {
        let mut inner = self.ready()?;
        // One more attempt than there are ways to lose the index: damaged, and damaged once rebuilt.
        for attempt in 0.. {
            self.find_index(&mut inner);
            let state = inner.state.as_mut().expect("made ready above");
            let lacking = state.scan.catch_up(&state.catalogue, state.index.as_deref(), self.embedder.as_ref());
            let parts: Vec<&dyn Part> =
                std::iter::once(&state.scan as &dyn Part).chain(state.index.as_deref()).collect();
            match recall::recall(&state.catalogue, &parts, self.embedder.as_ref(), query, Timestamp::now()) {
                Ok(mut recalled) => {
                    recalled.words_only = recalled.words_only.or(lacking.map(|e| e.0));
                    return Ok(recalled);
                }
                Err(why) => {
                    tracing::warn!(%why, "the index of memory is damaged; it is rebuilt from the passages");
                    state.index = None;
                    state.scan = Scan::default();
                    state.index_tried = attempt > 0;
                    if let Err(why) = files::remove_dir(&self.root.join(paths::INDEX)) {
                        tracing::warn!(%why, "the damaged index stays where it is");
                    }
                }
            }
        }
        unreachable!("without an index the scan alone answers, and it can not fail")
    }

    /// Returns a passage by its id, whether or not it still holds.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn get(&self, id: &str) -> Result<Option<Passage>> {
        let inner = self.ready()?;
        let catalogue = &inner.state.as_ref().expect("made ready above").catalogue;
        Ok(catalogue.row(id).map(|row| catalogue.passage(row).clone()))
    }

    /// Returns the passages that hold now, latest first, at most `limit`: those about `entity`, or
    /// about anything.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn list(&self, entity: Option<&str>, limit: usize) -> Result<Vec<Passage>> {
        let inner = self.ready()?;
        let catalogue = &inner.state.as_ref().expect("made ready above").catalogue;
        let now = Moment::new(None, Timestamp::now());
        let mut found: Vec<&Passage> = (0..catalogue.len())
            .filter(|row| catalogue.holds(*row, now))
            .map(|row| catalogue.passage(row))
            .filter(|p| entity.is_none() || p.entity.as_deref() == entity)
            .collect();
        found.sort_unstable_by(|a, b| b.recorded_at.cmp(&a.recorded_at).then_with(|| a.id.cmp(&b.id)));
        Ok(found.into_iter().take(limit).cloned().collect())
    }

    /// Counts. Reads the ids in this machine's vector table, so it is not for every frame.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn stats(&self) -> Result<Stats> {
        let mut inner = self.ready()?;
        self.find_index(&mut inner);
        let flushed = self.flushed(&mut inner);
        let state = inner.state.as_ref().expect("made ready above");
        let indexed = state.index.as_ref().map_or(0, |index| index.counts().passages as usize);
        Ok(Stats {
            passages: state.catalogue.len() as usize,
            flushed,
            tail: state.catalogue.own_rows().count() - flushed,
            indexed,
            unreadable: state.catalogue.unreadable() + self.unreadable_proposals()?,
            embedder: self.embedder.id().to_owned(),
            passage_files: state.catalogue.files(),
            vector_files: self.vector_files()?.len(),
        })
    }

    /// Tells whether enough waits, or has waited long enough, for a flush before the clean stop.
    #[must_use]
    pub fn flush_due(&self) -> bool {
        let inner = self.lock();
        inner.waiting >= self.settings.flush_passages
            || inner.waiting_since.is_some_and(|since| since.elapsed() >= self.settings.flush_age)
    }

    /// How many passages were remembered in this process since the last flush: whether a clean stop
    /// has anything to flush. A flush takes in what an earlier process left, too.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Lists the files of this machine's vector table that belong into a commit, so that what an
    /// interrupted process flushed and did not commit can be committed later.
    ///
    /// # Errors
    /// When the folder can not be listed.
    pub fn vector_files(&self) -> Result<Vec<String>> {
        let files = files::list(&self.root, &paths::vectors(&self.machine))?;
        Ok(files.into_keys().filter(|path| is_tracked(path)).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves at worst a half-filled cache behind: drop it.
        self.inner.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            self.inner.clear_poison();
            let mut inner = poisoned.into_inner();
            let early = inner.state.take().map_or_else(Vec::new, |s| s.catalogue.into_unseen());
            inner.early.extend(early);
            inner
        })
    }

    /// Takes the lock with the files read up to their present ends.
    fn ready(&self) -> Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        match &mut inner.state {
            Some(state) => {
                if state.catalogue.refresh()? == Refreshed::Replaced {
                    state.scan = Scan::default();
                    state.index = None;
                    state.index_tried = false;
                }
            }
            None => {
                let mut catalogue = Catalogue::load(&self.root, &self.machine)?;
                for passage in std::mem::take(&mut inner.early) {
                    catalogue.remember(&passage);
                }
                inner.state = Some(State { catalogue, scan: Scan::default(), index: None, index_tried: false });
            }
        }
        Ok(inner)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("root", &self.root).field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Tells whether a file of a vector table belongs into a commit: what [`crate::GITIGNORE`] says, as code.
#[must_use]
pub fn is_tracked(path: &str) -> bool {
    !path.contains(".lance/_transactions/") && !path.ends_with("/_versions/latest_version_hint.json")
}

#[cfg(not(feature = "lance"))]
mod without_tables;

#[cfg(feature = "lance")]
mod with_tables;

mod work;

pub use work::{Budget, Change, Embedding, Progress};

use work::Working;
