//! What can happen to a run: one type per fact, in past tense.
//!
//! These are the live types. [`crate::record`] maps them to lines and back, so that a renamed field
//! here never changes a byte on disk unnoticed: every kind has frozen bytes in its tests. One file for
//! each family of kinds.

mod gate;
mod machine;
mod memory;
mod run;
mod step;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use gate::{
    AskAnswered, AskOpened, GateApproved, GateClass, GateDenied, GateEdited, GateExpired, GateOpened, RequestWithdrawn,
};
pub use machine::{
    BranchRestored, CommandRefused, EventReceived, JournalRepaired, MachineRetired, PassageAdded, RunFollowed,
    RunParked, TriggerFired,
};
pub use memory::{EntityChanged, EpisodeRecorded, MemoryUsed, PassageForgotten, ProposalDecided, ProposalMade};
pub use run::{
    Fired, Origin, Parent, PlannedStep, RunAdopted, RunCanceled, RunFailed, RunMigrated, RunStarted, RunStopping,
    RunSucceeded, SignalReceived, StopCause,
};
pub use step::{
    ArtifactRef, AttemptFailed, AttemptReused, AttemptStarted, AttemptSucceeded, AttemptUnknown, FailureClass,
    FailureDecided, FailureDecision, FileWritten, Item, LeaseAsked, LeaseGranted, PassageRemembered, ProbeFailed,
    ProbeStarted, RateShare, Share, SignalTaken, StepExpanded, StepFailed, StepRepeated, StepSkipped, StepSucceeded,
    Then, TimerFired, TimerSet, UndoFailed, UndoStarted, UndoSucceeded, UndoUnknown, Usage, WaitOpened,
};

use crate::{CommandId, StepId};

/// One fact about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it was recorded, by the machine's clock that never goes back.
    pub at: Timestamp,
    /// The step it is about, if any.
    pub step: Option<StepId>,
    /// The key of the `for_each` iteration it is about, if any.
    pub iteration: Option<String>,
    /// The attempt it is about, counted from 1.
    pub attempt: Option<u32>,
    /// The command that caused it, if one did.
    pub cause: Option<CommandId>,
    /// What happened.
    pub body: Body,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $variant:ident($ty:ident) = $kind:literal / $v:literal;)*) => {
        /// What happened. See each type for the states it leaves and reaches.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body {
            $($(#[$doc])* $variant($ty),)*
            /// A kind or version this build does not know: carried byte for byte, shown, never dropped.
            Unknown {
                /// The kind as written.
                kind: String,
                /// Its version as written.
                v: u32,
                /// All its fields.
                fields: Map<String, Value>,
            },
        }

        impl Body {
            /// Every kind this build writes, with its version.
            pub const KINDS: &'static [(&'static str, u32)] = &[$(($kind, $v)),*];

            /// The kind and version as written.
            #[must_use]
            pub fn kind(&self) -> (&str, u32) {
                match self {
                    $(Self::$variant(_) => ($kind, $v),)*
                    Self::Unknown { kind, v, .. } => (kind, *v),
                }
            }

            /// The fields of its own, as a JSON object.
            ///
            /// # Errors
            /// Never for the types of this module; the error is serde's.
            pub fn to_fields(&self) -> Result<Map<String, Value>, serde_json::Error> {
                let value = match self {
                    $(Self::$variant(body) => serde_json::to_value(body)?,)*
                    Self::Unknown { fields, .. } => return Ok(fields.clone()),
                };
                match value {
                    Value::Object(map) => Ok(map),
                    _ => Ok(Map::new()),
                }
            }

            /// Reads the body of a line.
            ///
            /// # Errors
            /// When a known kind lacks a field or has one of another type.
            pub fn from_fields(kind: &str, v: u32, fields: Map<String, Value>) -> Result<Self, serde_json::Error> {
                match (kind, v) {
                    $(($kind, $v) => serde_json::from_value(Value::Object(fields)).map(Self::$variant),)*
                    _ => Ok(Self::Unknown { kind: kind.to_owned(), v, fields }),
                }
            }
        }

        $(impl From<$ty> for Body {
            fn from(body: $ty) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

bodies! {
    /// The first event of every history.
    RunStarted(RunStarted) = "run.started"/1;
    /// The run ended well. Last but for nothing.
    RunSucceeded(RunSucceeded) = "run.succeeded"/1;
    /// The run ended with a step that failed.
    RunFailed(RunFailed) = "run.failed"/1;
    /// The run was ended by a person.
    RunCanceled(RunCanceled) = "run.canceled"/1;
    /// The run belongs to another machine from here on.
    RunAdopted(RunAdopted) = "run.adopted"/1;
    /// A `for_each` list was taken.
    StepExpanded(StepExpanded) = "step.expanded"/1;
    /// A step that needs no attempt (`set`, `wait`, a whole `for_each`) has its output.
    StepSucceeded(StepSucceeded) = "step.succeeded"/1;
    /// A step could not be prepared: an expression failed.
    StepFailed(StepFailed) = "step.failed"/1;
    /// A step or iteration will not be done.
    StepSkipped(StepSkipped) = "step.skipped"/1;
    /// The intent: durable before the effect leaves.
    AttemptStarted(AttemptStarted) = "attempt.started"/1;
    /// The receipt of an effect that was done.
    AttemptSucceeded(AttemptSucceeded) = "attempt.succeeded"/1;
    /// The effect was not done, or its result is not usable.
    AttemptFailed(AttemptFailed) = "attempt.failed"/1;
    /// Nobody knows whether the effect was done; a person decides.
    AttemptUnknown(AttemptUnknown) = "attempt.unknown"/1;
    /// An effect waits for approval.
    GateOpened(GateOpened) = "gate.opened"/1;
    /// The effect under the gate was replaced by an edited one; still waiting.
    GateEdited(GateEdited) = "gate.edited"/1;
    /// The effect of exactly this digest may be done, once.
    GateApproved(GateApproved) = "gate.approved"/1;
    /// The effect will not be done. Not a failure.
    GateDenied(GateDenied) = "gate.denied"/1;
    /// The gate's time ran out: the effect will not be done.
    GateExpired(GateExpired) = "gate.expired"/1;
    /// The run ended before a decision.
    RequestWithdrawn(RequestWithdrawn) = "request.withdrawn"/1;
    /// A form waits for the operator.
    AskOpened(AskOpened) = "ask.opened"/1;
    /// The operator filled the form.
    AskAnswered(AskAnswered) = "ask.answered"/1;
    /// A timer runs.
    TimerSet(TimerSet) = "timer.set"/1;
    /// The timer fired, once.
    TimerFired(TimerFired) = "timer.fired"/1;
    /// A step remembered a passage.
    PassageRemembered(PassageRemembered) = "passage.remembered"/1;
    /// A passage is not recalled any more.
    PassageForgotten(PassageForgotten) = "passage.forgotten"/1;
    /// An entity was changed, merged or split.
    EntityChanged(EntityChanged) = "entity.changed"/1;
    /// Something happened with somebody.
    EpisodeRecorded(EpisodeRecorded) = "episode.recorded"/1;
    /// Something is proposed to be learned.
    ProposalMade(ProposalMade) = "proposal.made"/1;
    /// A rule or a person decided about a proposal.
    ProposalDecided(ProposalDecided) = "proposal.decided"/1;
    /// A step was given memories.
    MemoryUsed(MemoryUsed) = "memory.used"/1;
    /// Nothing new begins any more; what was done may be taken back.
    RunStopping(RunStopping) = "run.stopping"/1;
    /// The run follows another version of its definition from here on.
    RunMigrated(RunMigrated) = "run.migrated"/1;
    /// An event reached the run; kept until a `wait` takes it.
    SignalReceived(SignalReceived) = "signal.received"/1;
    /// A `wait` took a signal.
    SignalTaken(SignalTaken) = "signal.taken"/1;
    /// A `wait` for an event begins.
    WaitOpened(WaitOpened) = "wait.opened"/1;
    /// A `repeat` step goes into its next round.
    StepRepeated(StepRepeated) = "step.repeated"/1;
    /// The result of an earlier run was taken over.
    AttemptReused(AttemptReused) = "attempt.reused"/1;
    /// The operator decided what a failure means.
    FailureDecided(FailureDecided) = "failure.decided"/1;
    /// A share of a concurrency key or a rate was asked for.
    LeaseAsked(LeaseAsked) = "lease.asked"/1;
    /// The share is held.
    LeaseGranted(LeaseGranted) = "lease.granted"/1;
    /// The other side is asked whether a lost effect happened.
    ProbeStarted(ProbeStarted) = "probe.started"/1;
    /// The probe did not find out.
    ProbeFailed(ProbeFailed) = "probe.failed"/1;
    /// The intent to take an effect back: durable before it leaves.
    UndoStarted(UndoStarted) = "undo.started"/1;
    /// The effect was taken back.
    UndoSucceeded(UndoSucceeded) = "undo.succeeded"/1;
    /// The effect was not taken back.
    UndoFailed(UndoFailed) = "undo.failed"/1;
    /// Nobody knows whether it was taken back; a person decides.
    UndoUnknown(UndoUnknown) = "undo.unknown"/1;
    /// In a machine's log: an event was emitted.
    EventReceived(EventReceived) = "event.received"/1;
    /// In a machine's log: a trigger was due.
    TriggerFired(TriggerFired) = "trigger.fired"/1;
    /// In a machine's log: a command was refused; nothing changed.
    CommandRefused(CommandRefused) = "command.refused"/1;
    /// In a machine's log: a person's passage was remembered.
    PassageAdded(PassageAdded) = "passage.added"/1;
    /// In a machine's log: bytes that were never acknowledged were set aside.
    JournalRepaired(JournalRepaired) = "journal.repaired"/1;
    /// In a machine's log: a run can not be followed and is left alone until somebody has looked at it.
    RunParked(RunParked) = "run.parked"/1;
    /// In a machine's log: the id it had before is given up, because what it knew is incomplete.
    MachineRetired(MachineRetired) = "machine.retired"/1;
    /// In a machine's log: a damaged branch names a commit again.
    BranchRestored(BranchRestored) = "branch.restored"/1;
    /// In a machine's log: a parked run is followed again.
    RunFollowed(RunFollowed) = "run.followed"/1;
}
