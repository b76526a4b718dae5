//! What may be asked of a run, and the answers that are no.

use cairn_store_layout::{
    CommandId, Digest, GateId, RunId, StepId,
    event::{ArtifactRef, FailureClass, FileWritten, Usage},
    learned::Learned,
    payload::Purpose,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Everything from outside that a decision may depend on.
#[derive(Debug, Clone)]
pub struct Context {
    /// The machine's clock, which never goes back.
    pub now: Timestamp,
    /// Fresh random bits, for jitter.
    pub entropy: u64,
    /// The inbox command that asks, if one does.
    pub cause: Option<CommandId>,
}

/// What is asked of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Do what is ready: next steps, due timers, lapsed gates.
    Advance,
    /// An attempt came back.
    Report {
        /// The step.
        step: StepId,
        /// The iteration of a `for_each` step.
        iteration: Option<String>,
        /// The attempt.
        attempt: u32,
        /// What it was for: attempts of each purpose are counted apart.
        purpose: Purpose,
        /// How it came back.
        outcome: Outcome,
    },
    /// The operator lets an effect happen.
    Approve {
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The operator does not let it happen.
    Deny {
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The operator changes what would happen.
    Edit {
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// The input as edited.
        input: Value,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The operator fills a form or settles an unknown outcome.
    Answer {
        /// The request.
        gate: GateId,
        /// The digest that was shown.
        digest: Digest,
        /// The fields as filled.
        answer: Value,
        /// Who.
        by: String,
    },
    /// The operator does not wait for the time of the next attempt.
    Resume,
    /// The operator wants another attempt of what failed or pauses.
    Retry {
        /// The step; absent: every one.
        step: Option<StepId>,
        /// The iteration of a `for_each` step; absent: every one.
        iteration: Option<String>,
    },
    /// Its turn has come: the share that a step, or the run as a whole, asked for is granted.
    Grant {
        /// The step and its iteration; absent: the run itself.
        step: Option<(StepId, Option<String>)>,
    },
    /// The operator ends the run.
    Cancel {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
        /// What was done is taken back first, where the definition says how.
        undo: bool,
    },
    /// An event reaches the run; kept until a `wait` takes it.
    Signal {
        /// Names this one event, so that one that comes twice counts once.
        signal: CommandId,
        /// Its name.
        name: String,
        /// What comes with it.
        data: Value,
        /// Who or what emitted it.
        by: String,
    },
}

/// How an attempt came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The effect was done.
    Succeeded {
        /// What it gave back.
        output: Value,
        /// What it used up.
        usage: Usage,
        /// Payloads kept beside the history.
        artifacts: Vec<ArtifactRef>,
        /// Files it wrote into the store.
        files: Vec<FileWritten>,
        /// What is to be remembered.
        learned: Vec<Learned>,
    },
    /// The same was asked before, and the answer is still fresh: nothing left.
    Cached {
        /// What it gave back then.
        output: Value,
        /// The run that asked.
        from: RunId,
    },
    /// The effect was not done, or its result is not usable.
    Failed {
        /// The failure's class.
        class: FailureClass,
        /// Short code.
        code: String,
        /// For a person.
        message: String,
        /// What it used up all the same.
        usage: Usage,
        /// Payloads kept beside the history.
        artifacts: Vec<ArtifactRef>,
        /// The other side asked not to be called again before this much time has passed.
        retry_after: Option<SignedDuration>,
    },
    /// Nobody knows.
    Unknown {
        /// Why not, for a person.
        message: String,
    },
}

/// An answer that is no. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has ended.
    #[error("the run has already ended ({0})")]
    RunOver(&'static str),
    /// The run has no such request.
    #[error("this run has no request {0}")]
    NoSuchRequest(GateId),
    /// Somebody was first.
    #[error("{gate} was already decided: {how}", gate = .gate.short())]
    AlreadyDecided {
        /// The request.
        gate: GateId,
        /// What was decided.
        how: String,
    },
    /// Its time ran out.
    #[error("{gate} has expired: nobody decided in time", gate = .0.short())]
    Expired(GateId),
    /// What was shown is not what waits now.
    #[error("{gate} changed since it was shown (digest {shown} -> {current})", gate = .gate.short(), shown = .shown.short(), current = .current.short())]
    StaleDigest {
        /// The request.
        gate: GateId,
        /// The digest that the decision names.
        shown: Digest,
        /// The digest that waits.
        current: Digest,
    },
    /// A gate was answered, or a form approved.
    #[error("{gate} asks for {wanted}", gate = .gate.short())]
    WrongVerb {
        /// The request.
        gate: GateId,
        /// What it asks for.
        wanted: &'static str,
    },
    /// The form is not filled as it must be.
    #[error("the answer does not fit the form: {}", .0.join("; "))]
    BadAnswer(Vec<String>),
    /// The edit changes nothing or can not be applied.
    #[error("the edit can not be used: {0}")]
    BadEdit(&'static str),
    /// The attempt is not in flight: a late or doubled reply.
    #[error("no such attempt is in flight")]
    NotInFlight,
    /// Nothing of the run waits for its turn there: a grant that came too late.
    #[error("nothing waits for its turn there")]
    NotQueued,
    /// There is nothing to resume or retry.
    #[error("{0}")]
    NothingToDo(String),
    /// The run can not move to another definition just now, or not to this one.
    #[error("the run can not move: {0}")]
    CannotMove(String),
    /// Nobody here waits for such an event.
    #[error("no step of this run's workflow waits for an event `{0}`")]
    NotListening(String),
    /// Too many events came that nobody took.
    #[error("the run keeps {max} events that no step has taken yet, and takes no more", max = crate::signal::KEPT_MAX)]
    TooManySignals,
    /// The run is at its end already.
    #[error(
        "the run is ending already: it is stopping, or only `finally` is left; a cancel without undo ends it at once"
    )]
    Ending,
    /// The command was taken before.
    #[error("this command was taken before")]
    AlreadyTaken,
}

impl Refusal {
    /// A stable code for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RunOver(_) => "run_over",
            Self::NoSuchRequest(_) => "no_such_request",
            Self::AlreadyDecided { .. } => "already_decided",
            Self::Expired(_) => "expired",
            Self::StaleDigest { .. } => "stale_digest",
            Self::WrongVerb { .. } => "wrong_verb",
            Self::BadAnswer(_) => "bad_answer",
            Self::BadEdit(_) => "bad_edit",
            Self::NotInFlight => "not_in_flight",
            Self::NotQueued => "not_queued",
            Self::NothingToDo(_) => "nothing_to_do",
            Self::CannotMove(_) => "cannot_move",
            Self::NotListening(_) => "not_listening",
            Self::TooManySignals => "too_many_signals",
            Self::Ending => "ending",
            Self::AlreadyTaken => "already_taken",
        }
    }
}
