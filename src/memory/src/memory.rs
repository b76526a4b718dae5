//! The handle: opened for nothing, filled at first use, kept in step with the files.

use std::{
    cmp::Reverse,
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cairn_store_layout::{
    MachineId,
    passage::{Forgotten, Passage},
    paths,
};
use jiff::Timestamp;

use crate::{
    ContextPack, EmbedError, Embedder, Explained, LocalEmbedder, MemoryError, Query, Recalled,
    catalogue::{Catalogue, Moment, Refreshed, Row, Standing},
    columns::Doubt,
    embed::Serving,
    entities::Entities,
    error::Result,
    explain, files,
    filter::Filter,
    pack,
    part::{Index, Part, PartError},
    proposals, recall,
    scan::Scan,
    shelf::Shelf,
};

#[cfg(feature = "lance")]
use crate::tables::Tables;

/// Bounds an operator may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Up to so many passages recall is exact and touches no table: 200,000 by default. See decision
    /// record 0008 for what was measured.
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
        Self { scan_max: 200_000, flush_passages: 256, flush_age: Duration::from_secs(600), retire_age: RETIRE_AGE }
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
    /// Learned before the first question: reading the files for it can wait.
    early: Vec<Early>,
    /// Passages among these that were not forgotten after.
    early_ids: HashSet<String>,
    /// Passages remembered since the last flush, and since when the first of them waits.
    waiting: usize,
    waiting_since: Option<Instant>,
    state: Option<State>,
    #[cfg(feature = "lance")]
    tables: Option<Tables>,
}

impl Inner {
    /// Forgets what was read and computed; what was learned and not met in a file is kept.
    fn drop_state(&mut self) {
        if let Some(state) = self.state.take() {
            let (passages, forgotten) = state.catalogue.into_waiting();
            self.early.extend(passages.into_iter().map(Early::Passage));
            self.early.extend(forgotten.into_iter().map(Early::Forgotten));
        }
    }

    /// So many passages can be written into the table that could not before.
    fn expect_flush(&mut self, passages: usize) {
        self.waiting += passages;
        self.waiting_since.get_or_insert_with(Instant::now);
    }
}

/// What was learned before the files were read.
enum Early {
    Passage(Passage),
    Forgotten(Forgotten),
}

/// Everything that was read or computed.
struct State {
    catalogue: Catalogue,
    /// The part on disk, in a store large enough for one: it answers for the first rows.
    index: Option<Box<dyn Index>>,
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
        let Inner { early, early_ids, waiting, waiting_since, state, .. } = &mut *self.lock();
        for passage in passages {
            let new = match state {
                Some(state) => state.catalogue.remember(passage),
                None if early_ids.contains(&passage.id) => false,
                None => {
                    early.push(Early::Passage(passage.clone()));
                    early_ids.insert(passage.id.clone());
                    true
                }
            };
            if new {
                *waiting += 1;
                waiting_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Makes it known at once that a passage is forgotten. Recording that durably is the caller's part.
    pub fn forget(&self, forgotten: &Forgotten) {
        let Inner { early, early_ids, state, .. } = &mut *self.lock();
        match state {
            Some(state) => state.catalogue.forget(forgotten),
            None => {
                early_ids.remove(&forgotten.forgets);
                early.push(Early::Forgotten(forgotten.clone()));
            }
        }
    }

    /// Returns the passages that answer `query` best, each with the reason.
    ///
    /// # Errors
    /// When the passage files can not be read. Damaged indices and failing embedders only make the
    /// answer slower or [`Recalled::words_only`].
    pub fn recall(&self, query: &Query) -> Result<Recalled> {
        self.answering(query, |state, parts, filter, lacking| {
            let embedder = self.embedder.as_ref();
            let mut recalled = recall::recall(&state.catalogue, parts, embedder, query, filter)?;
            recalled.words_only = recalled.words_only.or(lacking.map(|e| e.0));
            Ok(recalled)
        })
    }

    /// Returns what answers `query` as text for a prompt, of at most `budget` tokens as [`crate::tokens`]
    /// estimates them. [`crate::strip_recalled`] takes it out of a text again.
    ///
    /// # Errors
    /// As [`Memory::recall`].
    pub fn pack(&self, query: &Query, budget: usize) -> Result<ContextPack> {
        Ok(pack::pack(self.recall(query)?, budget))
    }

    /// Says why a passage is in the answer to `query`, or why not; `None` for an unknown passage.
    ///
    /// # Errors
    /// As [`Memory::recall`].
    pub fn explain(&self, query: &Query, id: &str) -> Result<Option<Explained>> {
        self.answering(query, |state, parts, filter, _| {
            let catalogue = &state.catalogue;
            let speaks = |row: &Row| {
                !matches!(catalogue.standing(*row, &filter.moment), Standing::SpokenFor | Standing::Unknown)
            };
            let Some(row) = catalogue.rows_of(id).find(speaks).or_else(|| catalogue.row(id)) else { return Ok(None) };
            explain::explain(catalogue, parts, self.embedder.as_ref(), query, filter, row).map(Some)
        })
    }

    /// Returns a passage by its id, whether or not it still holds.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn get(&self, id: &str) -> Result<Option<Passage>> {
        self.read(|catalogue| catalogue.row(id).map(|row| catalogue.passage(row)).transpose())
    }

    /// Returns the ids of passages that begin so, whether or not they still hold, sorted.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn ids(&self, beginning: &str) -> Result<Vec<String>> {
        self.read(|catalogue| Ok(catalogue.ids_with_prefix(beginning)))
    }

    /// Tells whether a passage is known and not forgotten: whether recording it again would change nothing.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn knows(&self, id: &str) -> Result<bool> {
        self.read(|catalogue| Ok(catalogue.row(id).is_some() && !catalogue.is_forgotten(id)))
    }

    /// Returns the passages that hold now, latest first, at most `limit`: those about `entity`, or
    /// about anything.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn list(&self, entity: Option<&str>, limit: usize) -> Result<Vec<Passage>> {
        self.read(|catalogue| {
            let about = Query { entities: entity.map(str::to_owned).into_iter().collect(), ..Query::new("") };
            let filter = Filter::new(catalogue, &about, Moment::new(None, Timestamp::now(), catalogue));
            let mut found: Vec<Row> = (0..catalogue.len()).filter(|row| filter.admits(*row)).collect();
            let age = |row: &Row| (Reverse(catalogue.recorded(*row)), catalogue.id(*row));
            found.sort_unstable_by(|a, b| age(a).cmp(&age(b)));
            let mut reader = catalogue.reader();
            found.into_iter().take(limit).map(|row| reader.passage(row)).collect()
        })
    }

    /// Counts. Reads the ids in this machine's vector table, so it is not for every frame.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn stats(&self) -> Result<Stats> {
        let unreadable_proposals = self.unreadable_proposals()?;
        let mut inner = self.ready()?;
        self.find_index(&mut inner);
        let flushed = self.flushed(&mut inner);
        let state = inner.state.as_mut().expect("made ready above");
        // Who repeats whom is counted from texts; if one can not be read, that is told by recall.
        let _ = state.catalogue.count_repeated();
        Ok(Stats {
            passages: state.catalogue.passages(),
            flushed,
            tail: state.catalogue.own_rows().count() - flushed,
            indexed: state.index.as_ref().map_or(0, |index| index.rows() as usize),
            unreadable: state.catalogue.unreadable() + unreadable_proposals,
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
            inner.drop_state();
            inner
        })
    }

    /// Takes the lock with the files read up to their present ends.
    fn ready(&self) -> Result<MutexGuard<'_, Inner>> {
        let mut inner = self.lock();
        match &mut inner.state {
            Some(state) => {
                if state.catalogue.refresh()? == Refreshed::Replaced {
                    state.index = None;
                    state.index_tried = false;
                }
            }
            None => {
                let mut catalogue = Catalogue::load(&self.root, &self.machine)?;
                inner.early_ids.clear();
                for early in std::mem::take(&mut inner.early) {
                    match early {
                        Early::Passage(passage) => drop(catalogue.remember(&passage)),
                        Early::Forgotten(forgotten) => catalogue.forget(&forgotten),
                    }
                }
                catalogue.refresh()?;
                inner.state = Some(State { catalogue, index: None, index_tried: false });
            }
        }
        Ok(inner)
    }

    /// Answers from the catalogue; reads everything again if it does not agree with the files.
    fn read<T>(&self, answer: impl Fn(&Catalogue) -> Result<T, Doubt>) -> Result<T> {
        let mut inner = self.ready()?;
        let state = inner.state.as_mut().expect("made ready above");
        answer(&state.catalogue).or_else(|why| {
            self.doubt(state, &why.0, false)?;
            answer(&state.catalogue).map_err(|why| MemoryError::Unsteady { why: why.0 })
        })
    }

    /// Answers a question with everything at hand; repairs what is damaged on the way.
    fn answering<T>(
        &self,
        query: &Query,
        answer: impl Fn(&State, &[&dyn Part], &Filter<'_>, Option<EmbedError>) -> Result<T, PartError>,
    ) -> Result<T> {
        let mut inner = self.ready()?;
        let mut attempt = 0;
        loop {
            self.find_index(&mut inner);
            let prepared = self.prepare(&mut inner, &mut |_| {});
            let state = inner.state.as_mut().expect("made ready above");
            let answered = prepared.map_err(PartError::from).and_then(|lacking| {
                let catalogue = &state.catalogue;
                let from = state.index.as_ref().map_or(0, |index| index.rows());
                let scan = Scan { catalogue, from };
                let index = state.index.as_deref().map(|index| index as &dyn Part);
                let parts: Vec<&dyn Part> = std::iter::once(&scan as &dyn Part).chain(index).collect();
                let moment = Moment::new(query.as_of.as_ref(), Timestamp::now(), catalogue);
                answer(state, &parts, &Filter::new(catalogue, query, moment), lacking)
            });
            match answered {
                Ok(answer) => return Ok(answer),
                // One more than there are ways to lose what is derived: damaged, and damaged once rebuilt.
                Err(why) if attempt == 2 => return Err(MemoryError::Unsteady { why: why.0 }),
                Err(why) => {
                    attempt += 1;
                    self.doubt(state, &why.0, attempt == 2)?;
                }
            }
        }
    }

    fn doubt(&self, state: &mut State, why: &str, in_memory: bool) -> Result<()> {
        tracing::warn!(why, "what is derived from the passages is damaged; it is made again from them");
        self.start_again(state, in_memory)
    }

    /// Throws away what is derived and reads the passages again. With `in_memory`, nothing derived is
    /// looked for or written on disk from here on.
    fn start_again(&self, state: &mut State, in_memory: bool) -> Result<()> {
        state.index = None;
        state.index_tried = in_memory;
        for derived in ["columns", "passages"] {
            if let Err(why) = files::remove_dir(&self.root.join(paths::INDEX).join(derived)) {
                tracing::warn!(%why, "the damaged index stays where it is");
            }
        }
        state.catalogue.rebuild(in_memory)
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
