//! Reading a store beside a running kernel: lists, single runs, and the snapshot of the interface.
//!
//! Takes no lock and changes nothing but derived files under `.cairn/views/`, which may be deleted
//! at any time. A history that can not be read is told, never skipped in silence, and never keeps
//! the others from being shown.

mod commits;
mod days;
pub mod history;
mod resolve;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap};

use cairn_memory::Proposals;

use cairn_store_layout::{
    MachineId, RunId,
    definition::Problem,
    paths,
    view::{Health, InboxItem, MemoryUse, RunItem, RunView, Snapshot, TriggerItem},
};
use jiff::Timestamp;

pub use self::{
    history::{History, Unreadable},
    resolve::Unresolved,
};
use super::{
    Store,
    error::{Result, StoreError},
    identity, inbox, lock,
};

/// Decided requests that a snapshot holds beside the open ones.
const DECIDED_SHOWN: usize = 50;
/// Runs that a snapshot holds.
const RUNS_SHOWN: usize = 500;

/// Reads one store, and remembers what it read.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    days: BTreeMap<String, days::Day>,
    commits: commits::Commits,
    unreadable: Vec<String>,
    proposals: Proposals,
}

/// What the caller of [`Reader::snapshot`] knows and histories do not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// Definitions that can not be used as they stand.
    pub problems: Vec<Problem>,
    /// Names of the workflows.
    pub workflows: Vec<String>,
    /// What starts runs by itself.
    pub triggers: Vec<TriggerItem>,
}

impl Reader {
    /// A reader of `store` that has read nothing yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            days: BTreeMap::new(),
            commits: commits::Commits::default(),
            unreadable: Vec::new(),
            proposals: Proposals::default(),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes in what changed since the last call. Cost: one `stat` a run, one fold a changed run.
    ///
    /// # Errors
    /// When folders can not be listed or the repository can not be read.
    pub fn refresh(&mut self) -> Result<()> {
        let root = self.store.root().to_owned();
        let mut unreadable = Vec::new();
        let mut days = BTreeMap::new();
        for folder in days::all(&root)? {
            let mut day = self.days.remove(&folder).unwrap_or_else(|| days::Day::load(&root, &folder));
            day.update(&root, &folder, &mut unreadable)?;
            days.insert(folder, day);
        }
        self.days = days;
        self.unreadable = unreadable.iter().map(ToString::to_string).collect();
        self.look_at_proposals();
        self.commits.update(&root)
    }

    /// What keeps proposals from being read keeps nothing else from being shown.
    fn look_at_proposals(&mut self) {
        if let Err(error) = self.proposals.look(self.store.root()) {
            self.unreadable.push(error.to_string());
        }
    }

    /// Like [`Reader::refresh`], but of the newest days only, so many that they hold `runs` runs: what a
    /// glance needs, at a cost that does not grow with the store. Lists leave out the rest then, and commits.
    ///
    /// # Errors
    /// When folders can not be listed.
    pub fn refresh_recent(&mut self, runs: usize) -> Result<()> {
        let root = self.store.root().to_owned();
        let (mut unreadable, mut seen) = (Vec::new(), 0);
        self.days.clear();
        for folder in days::all(&root)? {
            let mut day = days::Day::load(&root, &folder);
            day.update(&root, &folder, &mut unreadable)?;
            seen += day.entries.len();
            self.days.insert(folder, day);
            if seen >= runs {
                break;
            }
        }
        self.unreadable = unreadable.iter().map(ToString::to_string).collect();
        self.look_at_proposals();
        Ok(())
    }

    /// All runs, newest first, as of the last [`Reader::refresh`].
    pub fn runs(&self) -> impl Iterator<Item = RunItem> + '_ {
        let entries = self.days.values().rev().flat_map(|day| day.entries.values().rev());
        entries.map(|e| RunItem { commit: self.commits.of(&e.item.run), ..e.item.clone() })
    }

    /// Open requests and the latest decided ones of every run, and all proposals to memory, as of the last
    /// [`Reader::refresh`].
    pub fn requests(&self) -> impl Iterator<Item = Cow<'_, InboxItem>> {
        let of_runs = self.days.values().flat_map(|day| day.entries.values()).flat_map(|e| &e.requests);
        let proposed = self.proposals.list(true);
        let of_memory = proposed.into_iter().map(|p| InboxItem::of_proposal(&p.proposal, p.decided.as_ref()));
        of_runs.map(Cow::Borrowed).chain(of_memory.map(Cow::Owned))
    }

    /// Requests as the Inbox lists them: open ones by age, then at most `decided` decided ones, the
    /// latest first.
    #[must_use]
    pub fn inbox(&self, decided: usize) -> Vec<InboxItem> {
        let (mut open, mut over): (Vec<_>, Vec<_>) = self.requests().map(Cow::into_owned).partition(InboxItem::is_open);
        // stable: those that opened together stay in the order of their history
        open.sort_by_key(|item| item.opened);
        over.sort_by(|a, b| (decided_at(b), &b.id).cmp(&(decided_at(a), &a.id)));
        over.truncate(decided);
        open.extend(over);
        open
    }

    /// Histories that could not be read at the last [`Reader::refresh`], and why.
    #[must_use]
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The history of `run`; `None` when there is none.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn history(&self, run: &RunId) -> Result<Option<History>, Unreadable> {
        history::read(self.store.root(), run)
    }

    /// The records of `run` before the first one that can not be read; `None` when there are none.
    #[must_use]
    pub fn history_prefix(&self, run: &RunId) -> Option<History> {
        history::read_prefix(self.store.root(), run)
    }

    /// Everything that is shown of `run`; `None` while it has no whole record.
    ///
    /// # Errors
    /// When its history can not be read.
    pub fn view(&self, run: &RunId) -> Result<Option<RunView>, Unreadable> {
        match self.history(run)? {
            Some(history) if !history.records.is_empty() => history.fold(&paths::run(run)).map(Some),
            _ => Ok(None),
        }
    }

    /// The commit that holds the latest rest of `run`, as of now.
    ///
    /// # Errors
    /// When the repository can not be read.
    pub fn commit(&mut self, run: &RunId) -> Result<Option<String>> {
        let root = self.store.root();
        if let Some(commit) = commits::newest(root, run)? {
            return Ok(Some(commit));
        }
        self.commits.update(root)?;
        Ok(self.commits.of(run))
    }

    /// How the store is.
    ///
    /// # Errors
    /// When the lock file or the inbox can not be read.
    pub fn health(&self) -> Result<Health> {
        let commands = inbox::pending(&self.store)?.len();
        Ok(Health {
            kernel: lock::probe(self.store.root())?,
            paused: lock::paused(self.store.root()),
            commands_waiting: u32::try_from(commands).unwrap_or(u32::MAX),
            unreadable: self.unreadable.clone(),
        })
    }

    /// Everything the interface shows, as of `now`.
    ///
    /// # Errors
    /// When the store can not be read at all; single unreadable histories are part of the answer.
    pub fn snapshot(&mut self, now: Timestamp, around: Surroundings) -> Result<Snapshot> {
        self.refresh()?;
        Ok(Snapshot {
            store: self.store.name(),
            machine: self.machine(),
            as_of: now,
            health: self.health()?,
            inbox: self.inbox(DECIDED_SHOWN),
            runs: self.runs().take(RUNS_SHOWN).collect(),
            problems: around.problems,
            workflows: around.workflows,
            triggers: around.triggers,
        })
    }

    /// This machine, if it has joined the store.
    #[must_use]
    pub fn machine(&self) -> Option<MachineId> {
        identity::known(&self.store).ok().flatten()
    }

    /// How much is remembered: lines of passages, of all machines.
    ///
    /// # Errors
    /// When they can not be read.
    pub fn memory_use(&self) -> Result<MemoryUse> {
        let mut passages = 0;
        for machine in super::fsutil::list(&self.store.path("memory/passages"))? {
            for month in super::fsutil::list(&machine.path())? {
                let bytes = super::fsutil::read(&month.path())?.unwrap_or_default();
                passages += bytes.iter().filter(|b| **b == b'\n').count() as u64;
            }
        }
        Ok(MemoryUse { passages })
    }
}

impl From<Unreadable> for StoreError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Fs(e) => Self::Fs(e),
            other => Self::BadHistory { why: other.to_string() },
        }
    }
}

fn decided_at(item: &InboxItem) -> Timestamp {
    use cairn_store_layout::view::ItemState as S;
    match &item.state {
        S::Waiting => item.opened,
        S::Approved { at, .. }
        | S::Denied { at, .. }
        | S::Answered { at, .. }
        | S::Expired { at }
        | S::Withdrawn { at } => *at,
    }
}
