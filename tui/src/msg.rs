//! What can happen to the interface, and what it may ask for. Nothing else crosses its border.

use cairn_store_layout::{
    Digest, GateId, RunId, StepId,
    view::{RunView, Snapshot},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::Key;

/// A moment of a clock that never goes back, in milliseconds. Only differences mean something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`; 0 when that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One line of a run's history, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Its number in the history.
    pub n: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The step it is about.
    pub step: Option<StepId>,
    /// The iteration it is about.
    pub iteration: Option<String>,
    /// The kind, as written.
    pub kind: String,
    /// What happened, in a sentence.
    pub text: String,
}

/// Everything shown of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetail {
    /// The run.
    pub view: RunView,
    /// Its history.
    pub events: Vec<EventLine>,
    /// Set when the history could be read only in part: what is missing, and up to where it is shown.
    pub trouble: Option<String>,
}

/// What came back from the editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The request whose text was edited.
    pub gate: GateId,
    /// The digest of what was edited.
    pub digest: Digest,
    /// The text, or why there is none.
    pub text: Result<String, String>,
    /// Set when the editor began with an unfinished draft instead of the text that was handed over.
    pub resumed: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Msg {
    /// Keys that arrived together, and when. More than one at a time means a paste or a stalled line.
    Keys(Vec<Key>, Millis),
    /// Text pasted by the terminal, marked as such.
    Paste(String),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// A new snapshot of the store.
    Views(Box<Snapshot>),
    /// A run that was opened, or news of it.
    Detail(Box<RunDetail>),
    /// The views can not be refreshed; the last ones stay on the screen, marked.
    Stale {
        /// Since when.
        since: Timestamp,
        /// Why, and what to do.
        why: String,
    },
    /// What became of an intent.
    Outcome {
        /// The request it was about, if any.
        gate: Option<GateId>,
        /// Whether it was taken.
        ok: bool,
        /// One line for the operator.
        text: String,
    },
    /// The editor is closed.
    EditorReturned(Edited),
}

/// What is asked of the host or of the terminal.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Let the effect of this digest happen.
    Approve {
        /// The run; absent for a proposal to memory.
        run: Option<RunId>,
        /// The request.
        gate: GateId,
        /// The digest that was on the screen.
        digest: Digest,
        /// Why.
        reason: Option<String>,
    },
    /// Do not let it happen.
    Deny {
        /// The run; absent for a proposal to memory.
        run: Option<RunId>,
        /// The request.
        gate: GateId,
        /// The digest that was on the screen.
        digest: Digest,
        /// Why.
        reason: Option<String>,
    },
    /// Replace the input of the effect.
    Edit {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest of what was edited.
        digest: Digest,
        /// The input as edited.
        input: Value,
        /// Why.
        reason: Option<String>,
    },
    /// Fill the form of a request.
    Answer {
        /// The run.
        run: RunId,
        /// The request.
        gate: GateId,
        /// The digest that was on the screen.
        digest: Digest,
        /// The fields as filled: an object.
        answer: Value,
    },
    /// End a run before its time.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Send the detail of this run, and its news until [`Intent::CloseRun`].
    OpenRun(RunId),
    /// The detail of the run is no longer shown.
    CloseRun,
    /// Open the editor; the runtime does it and answers with [`Msg::EditorReturned`].
    OpenEditor {
        /// The request.
        gate: GateId,
        /// The digest of the text.
        digest: Digest,
        /// The text to edit.
        text: String,
    },
    /// The edit became a decision, or none: its draft may go. Done by the runtime.
    DropDraft {
        /// The request.
        gate: GateId,
        /// The digest of what was edited.
        digest: Digest,
    },
    /// Put the text into the clipboard. Done by the runtime.
    Copy(String),
    /// Draw everything anew. Done by the runtime.
    Repaint,
    /// Stop until the shell continues us. Done by the runtime.
    Suspend,
    /// End.
    Quit,
}
