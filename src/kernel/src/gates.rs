//! The ids of what is asked of the operator: derived, so that every machine and every replay has the same.

use cairn_store_layout::{GateId, RunId, StepId};

/// What a request of a step is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About {
    /// Whether its `ordinal`-th effect may happen; or the answer to an `ask`.
    Effect(u32),
    /// What became of this attempt.
    Outcome(u32),
    /// What the failure of this attempt means.
    Failure(u32),
    /// What became of this attempt to take it back.
    Undo(u32),
    /// Whether its `ordinal`-th effect may happen, asked anew after the run was adopted for the n-th time.
    Again {
        /// Counted from 1.
        adopted: u32,
        /// As of the effect.
        ordinal: u32,
    },
}

impl About {
    pub(crate) fn gate(self, run: &RunId, step: &StepId, iteration: Option<&str>) -> GateId {
        // the first gate and the outcomes were numbered before there were others: those keep their numbers, and
        // no step ever makes so many attempts that they meet the next range
        let round = match self {
            Self::Effect(0) => 0,
            Self::Outcome(attempt) => attempt,
            Self::Effect(ordinal) => 1 << 28 | ordinal,
            Self::Failure(attempt) => 2 << 28 | attempt,
            Self::Undo(attempt) => 3 << 28 | attempt,
            Self::Again { adopted, ordinal } => 4 << 28 | adopted.min(255) << 20 | ordinal,
        };
        GateId::derive(run, step, iteration, round)
    }
}
