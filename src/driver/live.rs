//! A run the kernel holds: its state, its view, and what it has changed since its last commit.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use cairn_kernel::State;
use cairn_store_layout::{
    event::{Body, Event},
    learned::Learned,
    paths,
    record::Record,
    text::brief,
    view::{RunView, describe},
};

use super::{DriverError, turn::Turn};
use crate::store::{
    artifacts::{self, Keep},
    definitions::Pinned,
};

/// The most lines a commit message tells of one run.
const TOLD_MAX: usize = 40;
/// The most characters of such a line: a log shows it without wrapping twice, the history has the rest.
const TOLD_CHARS_MAX: usize = 160;

/// One run.
pub(super) struct Live {
    pub(super) state: State,
    pub(super) pinned: Arc<Pinned>,
    pub(super) view: RunView,
    /// Its history, from the store's root.
    pub(super) path: String,
    /// How long its history is, in bytes, with what is staged.
    pub(super) bytes: u64,
    /// The number of the next record.
    pub(super) next: u64,
    /// Records below this number are in a commit.
    pub(super) committed: u64,
    /// No entry of the journal before this one holds a record that is in no commit; absent while nobody knows.
    pub(super) entry: Option<u64>,
    pub(super) since: Since,
}

/// What a run changed since its last commit.
#[derive(Default)]
pub(super) struct Since {
    /// Files to commit beside the history.
    pub(super) paths: BTreeSet<String>,
    /// What was learned, to be appended to this machine's files of memory.
    pub(super) learned: Vec<Learned>,
    /// Inbox files that were taken.
    pub(super) consumed: BTreeSet<String>,
    /// What happened, in words.
    pub(super) told: Vec<String>,
    /// What the commit is called, when its events do not say it well.
    pub(super) subject: Option<String>,
}

impl Live {
    /// A run at its first record, which the caller has staged or found.
    pub(super) fn new(state: State, pinned: Arc<Pinned>, view: RunView) -> Self {
        let path = paths::run(&view.run);
        Self { state, pinned, view, path, bytes: 0, next: 1, committed: 0, entry: None, since: Since::default() }
    }

    /// Tells whether something is not in a commit yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.next > self.committed
    }

    /// Stages an event that the state has already taken in.
    pub(super) fn stage(&mut self, root: &Path, event: Event, turn: &mut Turn) -> Result<(), DriverError> {
        let record = Record { n: self.next, event };
        let line = encode(root, &self.path, &record, &mut self.since)?;
        self.bytes += line.len() as u64 + 1;
        turn.lines.push((self.path.clone(), line));
        self.entry.get_or_insert(turn.durable + 1);
        self.view.apply(&record);
        self.note(&record.event);
        self.next += 1;
        Ok(())
    }

    /// Takes in a record that is already on disk, after a restart.
    pub(super) fn replay(&mut self, record: &Record, spilled: Vec<String>) {
        cairn_kernel::evolve(&mut self.state, &record.event);
        self.view.apply(record);
        self.next = record.n + 1;
        if record.n >= self.committed {
            self.since.paths.extend(spilled);
            self.note(&record.event);
        }
    }

    /// Remembers what the next commit has to hold and tell because of `event`.
    pub(super) fn note(&mut self, event: &Event) {
        let since = &mut self.since;
        since.learned.extend(Learned::of(&event.body));
        let artifacts = match &event.body {
            Body::AttemptSucceeded(done) => {
                since.paths.extend(done.files.iter().map(|f| f.path.clone()));
                &done.artifacts[..]
            }
            Body::UndoSucceeded(done) => {
                since.paths.extend(done.files.iter().map(|f| f.path.clone()));
                &done.artifacts[..]
            }
            Body::AttemptFailed(failed) => &failed.artifacts[..],
            Body::UndoFailed(failed) => &failed.artifacts[..],
            _ => &[],
        };
        since.paths.extend(artifacts.iter().map(|a| paths::artifact(&a.digest)));
        if let Some(told) = tell(event) {
            since.told.push(told);
        }
    }
}

/// The line of a record, after storing the values that do not fit into it.
pub(super) fn encode(root: &Path, path: &str, record: &Record, since: &mut Since) -> Result<String, DriverError> {
    let fail = |e: &dyn std::fmt::Display| DriverError::Record { run: path.to_owned(), why: e.to_string() };
    let (mut line, spilled) = record.encode().map_err(|e| fail(&e))?;
    for value in spilled {
        let digest = artifacts::put(root, &value.bytes, Keep::Durable)?;
        cairn_kernel::seeded!(ArtifactLeftOut: false, else since.paths.insert(paths::artifact(&digest)));
    }
    line.pop();
    Ok(line)
}

/// What a commit message says of an event; most say nothing.
fn tell(event: &Event) -> Option<String> {
    let worth = match &event.body {
        Body::RunStarted(_)
        | Body::RunFailed(_)
        | Body::RunCanceled(_)
        | Body::RunStopping(_)
        | Body::StepFailed(_)
        | Body::FailureDecided(_)
        | Body::UndoSucceeded(_)
        | Body::UndoFailed(_)
        | Body::UndoUnknown(_)
        | Body::AttemptFailed(_)
        | Body::AttemptUnknown(_)
        | Body::GateOpened(_)
        | Body::GateEdited(_)
        | Body::GateApproved(_)
        | Body::GateDenied(_)
        | Body::GateExpired(_)
        | Body::AskOpened(_)
        | Body::AskAnswered(_)
        | Body::TimerSet(_) => true,
        Body::AttemptSucceeded(done) => {
            !done.files.is_empty() || done.usage.cost_usd.is_some() || done.settled_by.is_some()
        }
        _ => false,
    };
    let place = event.step.as_ref().map_or(String::new(), |step| match &event.iteration {
        Some(iteration) => format!("{step}[{iteration}] "),
        None => format!("{step} "),
    });
    worth.then(|| brief(&format!("{place}{}", describe(event)), TOLD_CHARS_MAX))
}

/// The body of a commit message: what happened since the commit before.
pub(super) fn told(lines: &[String]) -> String {
    let mut text: Vec<String> = lines.iter().take(TOLD_MAX).map(|l| format!("- {}", l.replace('\n', " "))).collect();
    if lines.len() > TOLD_MAX {
        text.push(format!("- and {} more, see the history", lines.len() - TOLD_MAX));
    }
    text.join("\n")
}
