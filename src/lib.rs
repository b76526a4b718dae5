//! Cairn: a workflow operating system for one operator.
//!
//! `store` keeps truth on disk, `cli` lets a person and a script use it. The pure kernel, the
//! memory, the interface and the on-disk contract are crates of their own.

pub mod store;
