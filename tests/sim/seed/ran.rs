//! What one seed did, in numbers and step by step.

use std::{collections::BTreeMap, fmt};

/// What one seed did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(crate) events: u64,
    pub(crate) commits: u64,
    pub(crate) attempts: u64,
    pub(crate) runs: u64,
    pub(crate) crashes: u64,
    pub(crate) power_cuts: u64,
    pub(crate) faults: u64,
    /// Events by their kinds.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Step by step.
    pub(crate) trace: String,
}

impl Ran {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.commits += other.commits;
        self.attempts += other.attempts;
        self.runs += other.runs;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.faults += other.faults;
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, commits, attempts, runs, crashes, power_cuts, faults, .. } = self;
        write!(
            f,
            "{runs} runs, {events} events, {attempts} attempts, {commits} commits; \
             {crashes} crashes, {power_cuts} power cuts, {faults} stops by a refusing disk"
        )
    }
}

/// A promise that was broken, and what led to it.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) why: String,
    pub(crate) trace: String,
}
