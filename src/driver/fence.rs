//! What this machine knows is incomplete: noticed at the start, fenced, and left to a person.
//!
//! A store that was restored from an older state has forgotten effects that were sent. So the id under
//! which they were sent is given up, and its unfinished runs are kept, committed and shown, but nothing
//! of them is carried out until a person adopts or cancels each. Everything else goes on.

use std::{collections::BTreeSet, path::Path};

use cairn_kernel::Command as Ask;
use cairn_store_layout::{
    CommandId, MachineId, RunId,
    event::{Event, MachineRetired, RunAdopted, RunParked},
    paths,
};

use super::{Driver, DriverError, rest::Which};
use crate::store::{
    Store, fsutil,
    git::{CommitHash, GitError, Repo},
    identity::{self, Retired},
    mark::{Mark, MarkFile, Standing, judge},
};

/// Why a command about a fenced run is refused.
pub(super) const FENCED: &str = "its machine was retired because the store is behind what it was; take it over with \
    `cairn run adopt`, or end it with `cairn run cancel`";

/// Who this machine is for a store, once its past has been looked at.
pub(super) struct Standpoint {
    pub(super) machine: MachineId,
    pub(super) mark: MarkFile,
    /// Ids that it has given up, oldest first.
    pub(super) retired: Vec<Retired>,
}

/// The newest commit that this machine has made or seen, by its mark.
///
/// # Errors
/// When the mark can not be opened.
pub(super) fn marked(home: &Path, store: &Store, machine: &MachineId) -> Result<Option<CommitHash>, DriverError> {
    let (_, mark) = MarkFile::open(&identity::mark_file(home, store.id(), machine))?;
    Ok(mark.filter(|mark| mark.machine == *machine).and_then(|mark| mark.commit))
}

/// Compares the store with this machine's high-water mark, and gives up the id if it is behind.
///
/// # Errors
/// [`GitError::Rewound`] when the branch was moved back although the commits are there; when
/// identities can not be read or written.
pub(super) fn stand(
    home: &Path,
    store: &Store,
    machine: MachineId,
    repo: &Repo,
    journal: u64,
) -> Result<Standpoint, DriverError> {
    let mut machine = machine;
    let (mut mark, before) = MarkFile::open(&identity::mark_file(home, store.id(), &machine))?;
    let before = cairn_kernel::seeded!(FenceSkipped: None, else before);
    if let Some(before) = before.filter(|before| before.machine == machine)
        && let Standing::Behind { entries } = judge(&before, journal, has_commit(repo, before.commit.as_ref())?)
    {
        let why = told(&before, entries);
        tracing::warn!("{why}");
        machine = identity::retire(home, store, &why)?;
        (mark, _) = MarkFile::open(&identity::mark_file(home, store.id(), &machine))?;
    }
    Ok(Standpoint { retired: identity::retired(home, store)?, machine, mark })
}

fn has_commit(repo: &Repo, commit: Option<&CommitHash>) -> Result<bool, DriverError> {
    let Some(commit) = commit else { return Ok(true) };
    match repo.head(Some(commit)) {
        // it is there, and somebody moved the branch away from it: that is no restored backup
        Err(GitError::Rewound { .. }) if !repo.has_object(commit) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(true),
    }
}

fn told(before: &Mark, entries: u64) -> String {
    let lacks = match (entries, before.commit) {
        (0, Some(commit)) => format!("commit {} was made here and is not in the repository", commit.short()),
        (n, _) => {
            format!("{n} of {} facts that were durable here are neither in the journal nor in a commit", before.journal)
        }
    };
    format!(
        "the store is behind what it was on this machine, as after restoring a backup or a snapshot: {lacks}. \
         Effects of that time may have been sent. Unfinished runs wait until each is adopted or canceled"
    )
}

impl Driver {
    /// Commits what the retired ids left, and sets their unfinished runs aside.
    pub(super) fn fence_off(&mut self) -> Result<(), DriverError> {
        let Some(last) = self.retired.last().cloned() else { return Ok(()) };
        if fsutil::list(&self.store.path(&paths::log_dir(&self.machine)))?.is_empty() && !self.log.has_begun() {
            self.served.repaired.push(last.why.clone());
            self.log_event(MachineRetired { was: last.machine, message: last.why })?;
        }
        let ids: BTreeSet<&MachineId> = self.retired.iter().map(|r| &r.machine).collect();
        let theirs = self.runs.iter().filter(|(_, live)| ids.contains(live.state.machine()));
        let theirs: Vec<RunId> = theirs.map(|(run, _)| run.clone()).collect();
        if theirs.is_empty() {
            return Ok(());
        }
        for run in &theirs {
            if self.runs.get(run).is_some_and(|live| live.state.end().is_none()) && !self.is_told(run)? {
                self.log_event(RunParked { run: run.clone(), message: FENCED.to_owned() })?;
            }
        }
        // in commits first: the journal must not have to be kept for as long as a person takes
        self.write_turn()?;
        self.commit_runs(Which::All)?;
        for run in theirs {
            if let Some(live) = self.runs.remove(&run) {
                self.served.parked.push(format!("{run}: {FENCED}"));
                self.fenced.insert(run, live);
            }
        }
        Ok(())
    }

    /// Takes over a fenced run; `false` when it is not fenced here. `cause`: the command, if taking it over is
    /// all that it asks for.
    pub(super) fn adopt_run(&mut self, cause: Option<&CommandId>, by: &str, run: &RunId) -> Result<bool, DriverError> {
        let Some(mut live) = self.fenced.remove(run) else { return Ok(false) };
        let (machine, from) = (self.machine.clone(), live.state.machine().clone());
        let adopted = RunAdopted { machine, from, by: by.to_owned(), asks_again: true };
        let at = self.clock.now();
        let event =
            Event { at, step: None, iteration: None, attempt: None, cause: cause.cloned(), body: adopted.into() };
        cairn_kernel::evolve(&mut live.state, &event);
        live.stage(self.store.root(), event, &mut self.turn)?;
        self.runs.insert(run.clone(), live);
        Ok(true)
    }

    /// Adopts a fenced run and lets it go on from what is known of it.
    pub(super) fn resume_adopted(&mut self, id: &CommandId, by: &str, run: &RunId) -> Result<bool, DriverError> {
        let adopted = self.adopt_run(Some(id), by, run)?;
        if adopted {
            // its new owner is durable before anything is done in its name
            self.write_turn()?;
            self.resume_run(run)?;
            drop(self.ask(run, &Ask::Advance, None)?);
        }
        Ok(adopted)
    }

    /// Notes outside of the store how far it has come.
    pub(super) fn set_mark(&mut self) {
        let journal = self.journal.last();
        self.mark.set(Mark { machine: self.machine.clone(), journal, kept: self.kept, commit: self.known });
    }
}
