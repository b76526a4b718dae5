//! How well, how fast and at what cost memory recalls, beside SQLite and a plain scan.
//!
//! All contestants get the same passages, the same questions and the same vectors in one run, because on a
//! shared machine only ratios of one run mean something. What is timed runs in a process of its own
//! (`child`), so that nothing that another one left in memory helps or hinders it.
//!
//! What it refuses: it asserts no time (that is for a person who reads the table), changes no store but its own
//! throw-away ones, and knows of memory only what every caller knows.

pub mod corpus;
pub mod invent;

pub mod broken;
pub mod engine;
pub mod exact;
pub mod sqlite;
pub mod stage;

pub mod child;

mod growth;
mod quality;
mod rebuild;
mod remember;
mod speed;

pub mod plan;
