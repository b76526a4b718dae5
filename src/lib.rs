//! Cairn: a workflow operating system for one operator.
//!
//! `driver` lets the pure kernel act on the world; `effects`, `agents` and `connectors` carry out one
//! attempt at a time; `learning` says what may be learned; `store` keeps truth on disk; `cli` lets a person and a script use it all. The
//! kernel, the memory, the interface and the on-disk contract are crates of their own.

pub mod agents;
pub mod bench;
pub mod cli;
pub mod connectors;
pub mod driver;
pub mod effects;
pub mod embedders;
mod learning;
pub mod store;
