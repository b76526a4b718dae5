//! The runs that a kernel follows, found by id, by the time they wait for, and by being in no commit yet.
//!
//! Every turn asks what is due, and thousands of runs may wait for a day that is far: whoever changes a
//! run leaves its id here, and only changed runs are looked at again.

use std::{
    cell::{Ref, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, btree_map},
};

use cairn_store_layout::{RunId, learned::Learned};
use jiff::Timestamp;

use super::live::Live;

/// The runs, in order of their ids.
#[derive(Default)]
pub(super) struct Runs {
    all: BTreeMap<RunId, Live>,
    index: RefCell<Index>,
}

/// What is known of the runs since each was last looked at.
#[derive(Default)]
struct Index {
    /// Those that may have changed since.
    changed: Vec<RunId>,
    /// When time alone changes something, soonest first.
    due: BTreeSet<(Timestamp, RunId)>,
    due_of: HashMap<RunId, Timestamp>,
    /// Those with records that are in no commit.
    ahead: BTreeSet<RunId>,
    /// Those that are over, and all of them in commits.
    done: BTreeSet<RunId>,
}

impl Index {
    fn look_again(&mut self, all: &BTreeMap<RunId, Live>) {
        for run in std::mem::take(&mut self.changed) {
            let live = all.get(&run);
            let due = live.and_then(|live| live.state.next_deadline());
            if due != self.due_of.get(&run).copied() {
                if let Some(old) = self.due_of.remove(&run) {
                    self.due.remove(&(old, run.clone()));
                }
                if let Some(due) = due {
                    self.due.insert((due, run.clone()));
                    self.due_of.insert(run.clone(), due);
                }
            }
            if live.is_some_and(Live::is_ahead) {
                self.ahead.insert(run.clone());
            } else {
                self.ahead.remove(&run);
            }
            if live.is_some_and(|live| live.state.end().is_some() && !live.is_ahead()) {
                self.done.insert(run);
            } else {
                self.done.remove(&run);
            }
        }
    }
}

impl Runs {
    fn index(&self) -> Ref<'_, Index> {
        let mut index = self.index.borrow_mut();
        if !index.changed.is_empty() {
            index.look_again(&self.all);
        }
        drop(index);
        self.index.borrow()
    }

    pub(super) fn get(&self, run: &RunId) -> Option<&Live> {
        self.all.get(run)
    }

    /// A run to be changed.
    pub(super) fn get_mut(&mut self, run: &RunId) -> Option<&mut Live> {
        let live = self.all.get_mut(run)?;
        self.index.get_mut().changed.push(run.clone());
        Some(live)
    }

    pub(super) fn contains_key(&self, run: &RunId) -> bool {
        self.all.contains_key(run)
    }

    pub(super) fn insert(&mut self, run: RunId, live: Live) {
        self.index.get_mut().changed.push(run.clone());
        self.all.insert(run, live);
    }

    pub(super) fn remove(&mut self, run: &RunId) -> Option<Live> {
        self.index.get_mut().changed.push(run.clone());
        self.all.remove(run)
    }

    /// Lets go of those with which there is no more to do: they are over, and all of them is in commits.
    pub(super) fn let_go(&mut self) {
        drop(self.index());
        for run in std::mem::take(&mut self.index.get_mut().done) {
            self.all.remove(&run);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> btree_map::Iter<'_, RunId, Live> {
        self.all.iter()
    }

    pub(super) fn keys(&self) -> btree_map::Keys<'_, RunId, Live> {
        self.all.keys()
    }

    /// The runs whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> Vec<RunId> {
        let index = self.index();
        let mut due: Vec<RunId> =
            index.due.iter().take_while(|(at, _)| *at <= now).map(|(_, run)| run.clone()).collect();
        // by id and not by time: the same order whatever was missed
        due.sort_unstable();
        due
    }

    /// When the first of them is due.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.index().due.first().map(|(at, _)| *at)
    }

    /// Those with records that are in no commit.
    pub(super) fn ahead(&self) -> Vec<RunId> {
        self.index().ahead.iter().cloned().collect()
    }

    /// What they learned that stands in no file yet.
    pub(super) fn all_learned(&self) -> impl Iterator<Item = &Learned> {
        self.ahead().into_iter().filter_map(|run| self.get(&run)).flat_map(|live| &live.since.learned)
    }

    /// Tells whether there are any of them.
    pub(super) fn any_ahead(&self) -> bool {
        !self.index().ahead.is_empty()
    }
}
