//! Histories read together with what they followed: the results a rerun takes over, the state a run
//! was left in, and the proof that this build would decide the same.
//!
//! Needs no kernel and asks nothing of the world. Definitions come from git, by the pins that the
//! history names; whoever calls says how they are loaded, so that a kernel can share what it has.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_kernel::{Collector, Plan, Replayed, State};
use cairn_store_layout::{
    RunId,
    event::{Body, Event, Origin, RunMigrated, RunStarted},
    paths,
    record::Record,
};

use super::{
    definitions::{self, PinError, Pinned, Pins},
    fsutil,
    git::{GitError, Repo},
    reader::history::{self, Unreadable},
};

/// Loads what pins name.
pub type LoadPins<'a> = dyn FnMut(&str, &Pins) -> Result<Arc<Pinned>, PinError> + 'a;

/// Loads definitions from git and keeps them, for whoever is no kernel.
pub struct Loader {
    root: PathBuf,
    repo: Repo,
    loaded: BTreeMap<Pins, Arc<Pinned>>,
}

impl Loader {
    /// Opens the repository of the store at `root`.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(root: &Path) -> Result<Self, GitError> {
        Ok(Self { root: root.to_owned(), repo: Repo::open(root)?, loaded: BTreeMap::new() })
    }

    /// The repository.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// What pins name.
    ///
    /// # Errors
    /// When git can not give it, or it can not be followed.
    pub fn load(&mut self, workflow: &str, pins: &Pins) -> Result<Arc<Pinned>, PinError> {
        if let Some(pinned) = self.loaded.get(pins) {
            return Ok(pinned.clone());
        }
        let pinned = Arc::new(definitions::load(&self.repo, workflow, pins)?);
        self.loaded.insert(pins.clone(), pinned.clone());
        Ok(pinned)
    }

    /// What a history follows at its end.
    ///
    /// # Errors
    /// When it is no history, or its definition can not be loaded.
    pub fn load_last(&mut self, events: &[Event]) -> Result<Arc<Pinned>, PastError> {
        let (workflow, pins) = (start_of(events)?.workflow.clone(), pins_now(events)?);
        Ok(self.load(&workflow, &pins)?)
    }

    /// A workflow as it lies in the work tree, edits that are in no commit included.
    ///
    /// # Errors
    /// When it can not be followed as it stands.
    pub fn work_tree(&self, workflow: &str) -> Result<Plan, PinError> {
        definitions::plan_of_work_tree(&self.root, &self.repo, workflow)
    }
}

/// The answer of [`recheck`].
pub type Recheck = Replayed;

/// Lets this build decide again everything that is recorded of `run`, and compares the bytes; `None` when nothing
/// is recorded.
///
/// # Errors
/// When the history, its definitions or its origin can not be read.
pub fn recheck(root: &Path, run: &RunId, loader: &mut Loader) -> Result<Option<Recheck>, PastError> {
    let text = fsutil::read(&root.join(paths::run(run))).map_err(Unreadable::from)?.unwrap_or_default();
    let Some(events) = events(root, run)? else { return Ok(None) };
    for (n, (event, line)) in events.iter().zip(text.split(|b| *b == b'\n')).enumerate() {
        let record = Record { n: n as u64, event: event.clone() };
        if record.encode().is_ok_and(|(written, _)| written.trim_end().as_bytes() != line) {
            return Err(PastError::Bytes(n));
        }
    }
    replay(root, &events, false, &mut |workflow, pins| loader.load(workflow, pins)).map(Some)
}

/// Why the past of a run can not be read.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// Its definition can not be loaded.
    #[error("its definition can not be loaded: {0}")]
    Pin(#[from] PinError),
    /// A history can not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The run whose results it takes over is not in this store.
    #[error("the history of run {0}, whose results it takes over, is not there")]
    NoOrigin(RunId),
    /// A line has other bytes than this build would write for what it says.
    #[error("record {0} is not written as this build writes it")]
    Bytes(usize),
    /// The records do not begin with a start.
    #[error("it does not begin with run.started")]
    NoStart,
}

/// A history that was read to its end.
pub struct Past {
    /// Its first event.
    pub start: RunStarted,
    /// What it is pinned to now.
    pub pinned: Arc<Pinned>,
    /// Where it stands.
    pub state: State,
    /// What it gave.
    pub collected: Collector,
}

/// The pins of a run's first event.
#[must_use]
pub fn pins_of(start: &RunStarted) -> Pins {
    Pins { definition: start.definition.clone(), files: start.pins.clone() }
}

/// The pins that a run moved to.
#[must_use]
pub fn pins_after(moved: &RunMigrated) -> Pins {
    Pins { definition: moved.definition.clone(), files: moved.pins.clone() }
}

/// The pins that a history follows at its end.
///
/// # Errors
/// When it is no history.
pub fn pins_now(events: &[Event]) -> Result<Pins, PastError> {
    let moved = events.iter().rev().find_map(|event| match &event.body {
        Body::RunMigrated(moved) => Some(pins_after(moved)),
        _ => None,
    });
    Ok(match moved {
        Some(pins) => pins,
        None => pins_of(start_of(events)?),
    })
}

/// The first event of a history.
///
/// # Errors
/// When it is not one.
pub fn start_of(events: &[Event]) -> Result<&RunStarted, PastError> {
    match events.first().map(|event| &event.body) {
        Some(Body::RunStarted(start)) => Ok(start),
        _ => Err(PastError::NoStart),
    }
}

/// Reads what `events`, a history from its start, gave.
///
/// # Errors
/// When a definition it followed can not be loaded.
pub fn collect(events: &[Event], load: &mut LoadPins<'_>) -> Result<Collector, PastError> {
    let start = start_of(events)?;
    let pinned = load(&start.workflow, &pins_of(start))?;
    let mut collector = Collector::new(start.run.clone(), pinned.plan.clone());
    for event in &events[1..] {
        match &event.body {
            Body::RunMigrated(moved) => {
                collector.follow(load(&start.workflow, &pins_after(moved))?.plan.clone());
            }
            _ => collector.take(event),
        }
    }
    Ok(collector)
}

/// Gives the results of the earlier run to the state of one that has just begun, if it takes any over.
///
/// # Errors
/// When the earlier history is not there or can not be read.
pub fn offer(root: &Path, state: State, origin: Option<&Origin>, load: &mut LoadPins<'_>) -> Result<State, PastError> {
    let Some(origin) = origin.filter(|origin| origin.records > 0) else { return Ok(state) };
    let earlier = history::read(root, &origin.run)?.ok_or_else(|| PastError::NoOrigin(origin.run.clone()))?;
    let count = usize::try_from(origin.records).unwrap_or(usize::MAX);
    if earlier.records.len() < count {
        return Err(PastError::NoOrigin(origin.run.clone()));
    }
    let events: Vec<Event> = earlier.records.into_iter().take(count).map(|record| record.event).collect();
    let results = collect(&events, load)?.results();
    Ok(state.with_results(Arc::new(results), origin))
}

/// The state at the first of `events`.
///
/// # Errors
/// When the definition or the earlier history can not be read.
pub fn begin(root: &Path, events: &[Event], load: &mut LoadPins<'_>) -> Result<(State, Arc<Pinned>), PastError> {
    let start = start_of(events)?;
    let pinned = load(&start.workflow, &pins_of(start))?;
    let state = State::begin(pinned.plan.clone(), start, events[0].at);
    Ok((offer(root, state, start.origin.as_ref(), load)?, pinned))
}

/// Folds a history from its start.
///
/// # Errors
/// When the definition or the earlier history can not be read.
pub fn fold(root: &Path, events: &[Event], load: &mut LoadPins<'_>) -> Result<Past, PastError> {
    let start = start_of(events)?.clone();
    let (mut state, mut pinned) = begin(root, events, load)?;
    let mut collected = Collector::new(start.run.clone(), pinned.plan.clone());
    for event in &events[1..] {
        if let Body::RunMigrated(moved) = &event.body {
            pinned = load(&start.workflow, &pins_after(moved))?;
            state = state.moved(&start, moved, pinned.plan.clone(), &mut collected);
            cairn_kernel::evolve(&mut state, event);
            continue;
        }
        cairn_kernel::evolve(&mut state, event);
        collected.take(event);
    }
    Ok(Past { start, pinned, state, collected })
}

/// Lets this build decide again what a history recorded, from its start or, with `since_move`, from its
/// last `run.migrated` on: what a person moved on purpose is not held against the run.
///
/// # Errors
/// When the definition or the earlier history can not be read.
pub fn replay(root: &Path, events: &[Event], since_move: bool, load: &mut LoadPins<'_>) -> Result<Replayed, PastError> {
    let moved_at = events.iter().rposition(|event| matches!(event.body, Body::RunMigrated(_)));
    if let Some(at) = moved_at.filter(|_| since_move) {
        let past = fold(root, &events[..=at], load)?;
        return Ok(cairn_kernel::replay(past.state, at + 1, &events[at + 1..], &mut |_, _, _| None));
    }
    let start = start_of(events)?.clone();
    let (state, pinned) = begin(root, events, load)?;
    let mut collected = Collector::new(start.run.clone(), pinned.plan.clone());
    let mut taken = 1;
    let mut failure = None;
    let mut moved = |state: State, moved: &RunMigrated, at: usize| {
        events[taken..at].iter().for_each(|event| collected.take(event));
        taken = at + 1;
        match load(&start.workflow, &pins_after(moved)) {
            Ok(pinned) => {
                let mut state = state.moved(&start, moved, pinned.plan.clone(), &mut collected);
                cairn_kernel::evolve(&mut state, &events[at]);
                Some(state)
            }
            Err(error) => {
                failure = Some(error);
                None
            }
        }
    };
    let replayed = cairn_kernel::replay(state, 1, &events[1..], &mut moved);
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(replayed),
    }
}

/// The events of the history of `run`; `None` when there is none.
///
/// # Errors
/// When it can not be read.
pub fn events(root: &Path, run: &RunId) -> Result<Option<Vec<Event>>, Unreadable> {
    let Some(history) = history::read(root, run)? else { return Ok(None) };
    if history.records.is_empty() {
        return Err(Unreadable::Empty { path: paths::run(run).into() });
    }
    Ok(Some(history.records.into_iter().map(|record| record.event).collect()))
}
