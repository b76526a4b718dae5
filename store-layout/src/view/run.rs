//! What is shown of a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::UndoView;
use crate::{
    GateId, RunId, StepId,
    event::{ArtifactRef, FailureClass, FileWritten, Usage},
    money::Usd,
    payload::EffectContent,
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// The kernel has something to do for it.
    Running,
    /// It waits for a person or a time.
    Waiting,
    /// It ended well.
    Succeeded,
    /// It ended with a failed step.
    Failed,
    /// A person ended it.
    Canceled,
}

impl RunStatus {
    /// The word, as in lists and trailers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Tells whether nothing more can happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// One line of the list of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunItem {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// The run whose step started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// Where it stands.
    pub status: RunStatus,
    /// When it started.
    #[serde(with = "crate::time::at")]
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Steps that are over.
    pub steps_done: u32,
    /// Steps in all.
    pub steps: u32,
    /// Requests that wait for a person.
    pub requests: u32,
    /// What it cost, in US dollars, as decimal text.
    pub cost_usd: String,
    /// The commit that holds its latest rest, once there is one.
    pub commit: Option<String>,
    /// What it is doing, waiting for or failed with, in a few words.
    pub note: String,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// The step.
    pub id: StepId,
    /// The key that says what it does.
    pub does: String,
    /// What it asks for: the agent, the operation or the program.
    pub what: Option<String>,
    /// The steps it needs.
    pub needs: Vec<StepId>,
    /// It follows when all that are not of `finally` are over.
    #[serde(default)]
    pub finally: bool,
    /// Tells whether it has a `for_each` list (known once the list was taken).
    pub expanded: bool,
    /// One entry for a plain step, one for each element of a `for_each` list, in order.
    pub slots: Vec<SlotView>,
    /// Set once the whole step is over, or could not begin.
    pub end: Option<SlotState>,
    /// Why it was skipped or failed, if it was.
    pub note: Option<String>,
}

/// Where a step or one iteration of it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// Not reached.
    Todo,
    /// An attempt is in flight.
    Running,
    /// A soft failure; the next attempt has its time.
    Retrying,
    /// It waits until others of its key leave room.
    Queued,
    /// A person is asked.
    Waiting,
    /// A time is awaited.
    Timer,
    /// Over, well.
    Done,
    /// Over, badly.
    Failed,
    /// Not done: its condition was false, or a step it needs was not done.
    Skipped,
    /// Not done: a person said no, or nobody said yes in time.
    Denied,
}

impl SlotState {
    /// The word for lists, at most seven characters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Running => "running",
            Self::Retrying => "RETRY",
            Self::Queued => "queued",
            Self::Waiting => "WAIT",
            Self::Timer => "timer",
            Self::Done => "done",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
            Self::Denied => "denied",
        }
    }

    /// Tells whether nothing more happens here.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped | Self::Denied)
    }
}

/// A plain step, or one iteration of a `for_each` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotView {
    /// The iteration's key.
    pub iteration: Option<String>,
    /// The element of the list.
    pub item: Option<Value>,
    /// Where it stands.
    pub state: SlotState,
    /// When it was first reached.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// What was or will be done.
    pub effect: Option<EffectContent>,
    /// The open or last request to a person.
    pub gate: Option<GateId>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Which round of a repeating step it is in, from 1; 0 while it has not repeated.
    #[serde(default)]
    pub round: u32,
    /// How taking it back stands, once that has begun.
    #[serde(default)]
    pub undo: Option<UndoView>,
    /// Why it was skipped, denied, failed or waits.
    pub note: Option<String>,
    /// The run whose result was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<RunId>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Counted from 1.
    pub number: u32,
    /// When its intent was recorded.
    #[serde(with = "crate::time::at")]
    pub started: Timestamp,
    /// The run that it started, for a `workflow` step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
    /// When its outcome was recorded.
    pub ended: Option<Timestamp>,
    /// How it failed, if it did.
    pub failure: Option<(FailureClass, String)>,
    /// When the next attempt is due.
    pub retry_at: Option<Timestamp>,
    /// What it used up.
    pub usage: Usage,
    /// Payloads kept beside the history.
    pub artifacts: Vec<ArtifactRef>,
    /// Files it wrote.
    pub files: Vec<FileWritten>,
}

impl AttemptView {
    /// What it cost.
    #[must_use]
    pub fn cost(&self) -> Usd {
        self.usage.cost_usd.as_deref().and_then(Usd::parse).unwrap_or_default()
    }
}

impl SlotView {
    /// The run that its latest attempt started.
    #[must_use]
    pub fn child(&self) -> Option<&RunId> {
        self.attempts.last().and_then(|attempt| attempt.child.as_ref())
    }

    /// What all its attempts cost.
    #[must_use]
    pub fn cost(&self) -> Usd {
        let undo = self.undo.as_ref().and_then(|undo| undo.cost_usd.as_deref()).and_then(Usd::parse);
        self.attempts.iter().map(AttemptView::cost).chain(undo).sum()
    }
}

impl StepView {
    /// Where the step as a whole stands: the state that most wants attention.
    #[must_use]
    pub fn state(&self) -> SlotState {
        if let Some(end) = self.end {
            return end;
        }
        use SlotState as S;
        let order = [S::Waiting, S::Running, S::Retrying, S::Queued, S::Timer, S::Failed];
        for state in order {
            if self.slots.iter().any(|s| s.state == state) {
                return state;
            }
        }
        match self.slots.as_slice() {
            [] => SlotState::Todo,
            slots if slots.iter().all(|s| s.state.is_over()) && !self.expanded => slots[0].state,
            slots if slots.iter().all(|s| s.state == SlotState::Todo) => SlotState::Todo,
            _ => SlotState::Running,
        }
    }

    /// When it was first reached.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.slots.iter().filter_map(|s| s.started).min()
    }

    /// When its last slot was over; absent while one is not.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        if !self.state().is_over() {
            return None;
        }
        self.slots.iter().filter_map(|s| s.ended).max()
    }

    /// What it cost.
    #[must_use]
    pub fn cost(&self) -> Usd {
        self.slots.iter().map(SlotView::cost).sum()
    }
}
