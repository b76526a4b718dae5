//! The kernel: what a run does next, as pure functions.
//!
//! [`decide`] says whether something may happen and which facts follow; [`evolve`] says what is true
//! once a fact is recorded; [`react`] says what the world is asked to do after a fresh fact;
//! [`outstanding`] says what was asked of it and never answered. Nothing here opens a file, reads a
//! clock, draws a random number or starts a thread: time and entropy come in as values, so that the
//! driver, replay, tests and the simulator can all run the same kernel and get the same answer.

mod act;
mod adopt;
mod advance;
mod again;
mod agenda;
mod callee;
mod cancel;
mod check;
mod command;
mod compare;
mod compile;
mod decide;
mod evolve;
pub mod expr;
mod failure;
mod functions;
mod gates;
mod lease;
mod migrate;
mod plan;
mod probe;
mod react;
mod replay;
mod reuse;
mod schedule;
mod scope;
pub mod seeded;
mod signal;
mod state;
mod tree;
mod trigger;
mod undo;
mod wind_down;

pub use advance::TOO_LATE;
pub use callee::DEPTH_MAX;
pub use command::{Command, Context, Outcome, Refusal};
pub use compare::{Comparison, StepDiff, Verdict, compare};
pub use decide::{decide, handle, settle};
pub use evolve::evolve;
pub use lease::{Holder, Lease};
pub use migrate::{Move, migrate};
pub use plan::Plan;
pub use react::{Child, Effect, Outstanding, Perform, outstanding, react};
pub use replay::{Difference, Replayed, replay};
pub use reuse::{Collector, Earlier, Results};
pub use schedule::{Handled, Look, Schedule};
pub use state::{End, State};
pub use trigger::{PlanTrigger, Saw, Wanted};

#[cfg(test)]
mod tests;
