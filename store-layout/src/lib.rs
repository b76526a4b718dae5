//! The on-disk contract of a Cairn store, as types.
//!
//! `LAYOUT.md` beside this crate is the normative text; this crate is that text in Rust: names of
//! files, the shape of every line, the definitions people edit and the views folded from histories.
//! It opens no file, reads no clock and draws no random number, so that the kernel, the interface
//! and the tests can share it without sharing any effect.

pub mod canonical;
pub mod catalog;
pub mod command;
pub mod definition;
pub mod entity;
pub mod episode;
pub mod event;
pub mod ids;
pub mod journal;
pub mod learned;
pub mod money;
pub mod passage;
pub mod paths;
pub mod payload;
pub mod proposal;
pub mod record;
pub mod store;
pub mod text;
pub mod time;
pub mod usage;
pub mod view;

pub use entity::EntityId;
pub use ids::{CommandId, Digest, GateId, IdError, MachineId, RunId, StepId, StoreId};
