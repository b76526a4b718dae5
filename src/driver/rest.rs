//! Runs at rest become commits: one commit a run, all of a turn in one pack.

use std::{collections::BTreeMap, sync::Arc};

use cairn_store_layout::{RunId, learned::Learned, money::Usd, paths, view::RunItem};

use super::{
    Driver, DriverError, REST,
    beside::Rested,
    learn::MemoryFiles,
    live::{Since, told},
};
use crate::store::{
    fsutil,
    git::{Change, ChangeKind, ChangedPath, CommitHash, CommitPlan, Content, Repo},
};

/// The most commits of one group: what they hold is in memory meanwhile, and the loop waits while they are planned.
const GROUP_MAX: usize = 256;

/// Which runs are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that are over or wait for a person or a distant time.
    AtRest,
    /// All that have something to commit: a clean stop.
    All,
}

impl Driver {
    /// Commits what came to rest, and what the machine itself did.
    pub(super) fn commit_runs(&mut self, which: Which) -> Result<(), DriverError> {
        while self.commit_some(which)? {}
        Ok(())
    }

    /// Commits the oldest of them; `true` when there are more to be committed at once.
    fn commit_some(&mut self, which: Which) -> Result<bool, DriverError> {
        self.take_commits(which == Which::All)?;
        if which == Which::AtRest && self.beside.must_wait(self.clock.up()) {
            // whether they are at rest is found out when there is something to be done about it
            self.resting = self.runs.any_ahead() || self.log.is_ahead();
            return Ok(false);
        }
        let horizon = self.clock.now() + REST;
        let mut rested = self.runs.ahead();
        rested.retain(|run| which == Which::All || self.rests(run, horizon));
        // what waits the longest goes first, and lets go of the journal
        rested.sort_by_key(|run| self.runs.get(run).and_then(|live| live.entry));
        let more = rested.len() > GROUP_MAX;
        rested.truncate(GROUP_MAX);
        self.resting = more;
        if rested.is_empty() && !self.log.is_ahead() {
            if which == Which::AtRest && self.beside.is_open() && !self.stale_index.is_empty() {
                self.commit_beside(Vec::new(), Rested::default(), more)?;
            }
            return Ok(false);
        }
        let log = self.log.is_ahead().then(|| std::mem::take(&mut self.log.since));
        let mut files = MemoryFiles::default();
        let mut plans = Vec::new();
        let (mut consumed, mut runs) = (Vec::new(), Vec::new());
        if let Some(since) = log {
            let subject = log_subject(&since);
            consumed.extend(since.consumed.iter().cloned());
            let trailers = self.machine_trailers();
            let plan = self.plan(subject, trailers, since, None, &mut files)?;
            plans.push(plan);
        }
        for run in &rested {
            let Some(live) = self.runs.get_mut(run) else { continue };
            let (since, item) = (std::mem::take(&mut live.since), live.view.item(None));
            let history = (live.path.clone(), live.bytes);
            let definition = live.view.definition.clone();
            runs.push((run.clone(), live.next));
            consumed.extend(since.consumed.iter().cloned());
            let trailers = trailers(&item, &definition, self.machine.as_str());
            plans.push(self.plan(subject(&item), trailers, since, Some(history), &mut files)?);
        }
        files.write(self)?;
        let touched: Vec<String> = plans.iter().flat_map(|p| &p.changes).map(|c| c.path().to_owned()).collect();
        let rested = Rested { runs, consumed, touched, durable: self.journal.last() };
        if which == Which::AtRest && self.beside.is_open() {
            // as they are now: a run may go on while its rest is being committed. Histories only grow, and how
            // far they have come is known
            self.repo.read_in(&mut plans)?;
            self.commit_beside(plans, rested, more)?;
            return Ok(false);
        }
        self.commit_group(&plans)?;
        self.stale_index.extend(rested.touched.iter().cloned());
        self.note_rested(&rested)?;
        if !more {
            self.refresh_index()?;
        }
        Ok(more)
    }

    /// Takes note of what is in commits now.
    pub(super) fn note_rested(&mut self, rested: &Rested) -> Result<(), DriverError> {
        for (run, next) in &rested.runs {
            if let Some(live) = self.runs.get_mut(run) {
                live.committed = *next;
                live.entry = (live.next > *next).then_some(rested.durable + 1);
            }
        }
        self.log.entry = self.log.is_ahead().then_some(rested.durable + 1);
        if let Some(turned) = &mut self.turned {
            turned.committed.extend(rested.runs.iter().map(|(run, _)| run.clone()));
        }
        self.runs.let_go();
        // only now: a crash before this line finds the command again, and the fact that it was taken
        let files: Vec<_> = rested.consumed.iter().map(|path| self.store.path(path)).collect();
        fsutil::remove_all(&files)?;
        for path in &rested.consumed {
            self.taken.remove(path);
        }
        // what nobody uses any more; a run that is asked for again is compiled again
        self.pinned.retain(|_, pinned| Arc::strong_count(pinned) > 1);
        let forgot = if cairn_kernel::seeded!(JournalForgottenEarly: true, else self.all_kept()) {
            self.kept = self.journal.last();
            self.journal.forget()?
        } else {
            self.carry_parked()?;
            match self.first_needed() {
                Some(first) => self.journal.forget_before(first)?,
                None => false,
            }
        };
        if forgot {
            // the file system was synced for it
            let runs = self.runs.keys().chain(self.parked.keys()).chain(&self.elsewhere).cloned().collect();
            self.keep_unfinished(runs);
        }
        Ok(())
    }

    /// The first entry of the journal that may hold what no commit does; `None` while nobody knows.
    fn first_needed(&self) -> Option<u64> {
        let parked = self.parked.values().filter(|parked| parked.ahead).map(|parked| parked.entry);
        self.needed_by_followed().chain(parked).min().flatten()
    }

    fn needed_by_followed(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        let runs = self.runs.ahead().into_iter().filter_map(|run| Some(self.runs.get(&run)?.entry));
        runs.chain(self.log.is_ahead().then_some(self.log.entry))
    }

    /// Runs that can not be followed may stay so for months, and what only the journal has of them stays in it;
    /// the segments of that time need not.
    fn carry_parked(&mut self) -> Result<(), DriverError> {
        let ahead = self.parked.iter().filter(|(_, parked)| parked.ahead);
        let ahead: Vec<RunId> = ahead.map(|(run, _)| run.clone()).collect();
        let Some(others) = self.needed_by_followed().min().unwrap_or(Some(u64::MAX)) else { return Ok(()) };
        if ahead.is_empty() {
            return Ok(());
        }
        let mut needed = BTreeMap::new();
        for run in &ahead {
            let path = paths::run(run);
            let committed = self.committed_records(&path)?;
            needed.insert(path, committed);
        }
        if let Some(first) = self.journal.carry(&needed, others)? {
            for run in &ahead {
                self.parked.get_mut(run).into_iter().for_each(|parked| parked.entry = Some(first));
            }
        }
        Ok(())
    }

    /// Tells whether everything in the journal is in a commit too.
    pub(super) fn all_kept(&self) -> bool {
        !self.beside.is_busy()
            && !self.runs.any_ahead()
            && self.parked.values().all(|p| !p.ahead)
            && !self.log.is_ahead()
            && self.turn.lines.is_empty()
    }

    /// Makes the commits durable, after those that are under way, and remembers the newest.
    pub(super) fn commit_group(&mut self, plans: &[CommitPlan]) -> Result<(), DriverError> {
        self.take_commits(true)?;
        let made = self.repo.commit_group(&self.who, self.known.as_ref(), plans)?;
        self.note_made(made);
        Ok(())
    }

    pub(super) fn note_made(&mut self, made: Vec<Option<CommitHash>>) {
        self.served.commits += made.iter().flatten().count() as u64;
        if let Some(newest) = made.into_iter().flatten().next_back() {
            self.known = Some(newest);
            self.journal.note_commit(&newest);
        }
    }

    /// A commit of what the machine does for no run.
    pub(super) fn machine_plan(&mut self, subject: String, changes: Vec<Change>) -> CommitPlan {
        let (trailers, at) = (self.machine_trailers(), self.clock.now());
        CommitPlan { subject, body: String::new(), trailers, at, changes, allow_empty: false }
    }

    fn machine_trailers(&self) -> Vec<(String, String)> {
        vec![("Machine".to_owned(), self.machine.to_string())]
    }

    /// Brings the index to the last commit, so that `git status` is clean.
    pub(super) fn refresh_index(&mut self) -> Result<(), DriverError> {
        if self.stale_index.is_empty() {
            return Ok(());
        }
        self.take_commits(true)?;
        let paths: Vec<String> = std::mem::take(&mut self.stale_index).into_iter().collect();
        refresh(&self.repo, &paths);
        Ok(())
    }

    /// Writes what is remembered into the vector table and commits it, with whatever a kernel that was killed had
    /// written and not committed.
    pub(super) fn flush_memory(&mut self) -> Result<(), DriverError> {
        if !self.vectors {
            return Ok(());
        }
        // looked for once a kernel, because it reads the whole table
        let first = !self.vectors_compared && self.repo.head(None)?.is_some();
        let left_over = first && !self.vectors_ahead()?.is_empty();
        self.vectors_compared |= first;
        if self.memory.waiting() == 0 && !left_over {
            return Ok(());
        }
        // memory is rebuilt from passages at any time: its troubles never stop the kernel
        let changes = match self.memory.flush() {
            Ok(changes) => changes,
            Err(error) => {
                tracing::warn!(%error, "vectors were not written; recall goes on from the passages");
                // what it came to write is committed by the next one
                self.vectors_compared = false;
                return Ok(());
            }
        };
        let written = changes.added.into_iter().map(|path| Change::Write { path, content: Content::WorkTree });
        let removed = changes.removed.into_iter().map(|path| Change::Remove { path });
        let mut changes: Vec<Change> = written.chain(removed).collect();
        if left_over {
            changes = self.vectors_ahead()?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        let touched: Vec<String> = changes.iter().map(|c| c.path().to_owned()).collect();
        let plan = self.machine_plan("memory: vectors of new passages".to_owned(), changes);
        self.commit_group(&[plan])?;
        self.stale_index.extend(touched);
        Ok(())
    }

    /// How this machine's vector table differs from the last commit.
    fn vectors_ahead(&self) -> Result<Vec<Change>, DriverError> {
        let dir = paths::vectors(&self.machine);
        let found = self.repo.changed_under(&[dir.as_str()])?;
        let change = |changed: ChangedPath| match changed.kind {
            ChangeKind::Removed => Change::Remove { path: changed.path },
            ChangeKind::Added | ChangeKind::Modified => {
                Change::Write { path: changed.path, content: Content::WorkTree }
            }
        };
        Ok(found.paths.into_iter().filter(|changed| cairn_memory::is_tracked(&changed.path)).map(change).collect())
    }

    fn plan(
        &mut self,
        subject: String,
        trailers: Vec<(String, String)>,
        since: Since,
        history: Option<(String, u64)>,
        files: &mut MemoryFiles,
    ) -> Result<CommitPlan, DriverError> {
        let history = history.map(|(path, bytes)| Change::Write { path, content: Content::Grown(bytes) });
        let mut changes = Vec::from_iter(history);
        for path in since.paths {
            // a file that somebody removed since is gone from the commit too, not an error
            if self.store.path(&path).is_file() {
                changes.push(Change::Write { path, content: Content::WorkTree });
            }
        }
        changes.extend(files.add(self, &since.learned)?);
        for path in since.consumed {
            // commands that came by git are in the tree; those written here never were
            if self.repo.blob_of(&path, None)?.is_some() {
                changes.push(Change::Remove { path });
            }
        }
        Ok(CommitPlan { subject, body: told(&since.told), trailers, at: self.clock.now(), changes, allow_empty: false })
    }
}

pub(super) fn refresh(repo: &Repo, paths: &[String]) {
    // a locked or broken index belongs to the operator's git; ours is right again at the next commit
    if let Err(error) = repo.refresh_index(paths.iter().map(String::as_str)) {
        tracing::warn!(%error, "the git index could not be refreshed; `git status` may show too much");
    }
}

/// `invoice-chase: waiting (5 of 9 steps, 12 requests, $0.031)`.
fn subject(item: &RunItem) -> String {
    let mut parts = Vec::new();
    if item.status.is_final() {
        parts.push(plural(item.steps, "step"));
    } else {
        parts.push(format!("{} of {}", item.steps_done, plural(item.steps, "step")));
    }
    if item.requests > 0 {
        parts.push(plural(item.requests, "request"));
    }
    if Usd::parse(&item.cost_usd).is_some_and(|usd| usd > Usd::default()) {
        parts.push(format!("${}", item.cost_usd));
    }
    format!("{}: {} ({})", item.workflow, item.status.word(), parts.join(", "))
}

fn plural(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn trailers(item: &RunItem, definition: &str, machine: &str) -> Vec<(String, String)> {
    let pairs = [
        ("Run", item.run.as_str()),
        ("Workflow", &item.workflow),
        ("Definition", definition),
        ("Status", item.status.word()),
        ("Cost-USD", &item.cost_usd),
        ("Machine", machine),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn log_subject(since: &Since) -> String {
    if let Some(subject) = &since.subject {
        return subject.clone();
    }
    let passages = since.learned.iter().filter(|learned| matches!(learned, Learned::Passage(_))).count();
    match (passages, since.told.as_slice()) {
        (1, [_]) => "memory: 1 passage added".to_owned(),
        (n, told) if n > 0 && n == told.len() => format!("memory: {n} passages added"),
        (_, [one]) if since.learned.len() == 1 => format!("memory: {one}"),
        (_, told) if since.learned.len() == told.len() => format!("memory: {} changes", told.len()),
        (_, [one]) => format!("log: {one}"),
        (_, told) => format!("log: {} entries", told.len()),
    }
}
