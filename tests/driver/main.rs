//! The driver with the real parts on a real disk: the demo from start to letter to commit.
//!
//! Everything here goes through the library, in one process, without the command line.

mod again;
mod branch;
mod commands;
mod definitions;
mod demo;
mod editing;
mod ending;
mod entities;
mod events;
mod families;
mod lossy;
mod machines;
mod proposals;
mod remembering;
mod restarts;
mod restored;
mod support;
mod tidying;
mod triggers;
mod turned;
mod turns;
