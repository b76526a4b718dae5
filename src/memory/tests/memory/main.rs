//! Memory as its callers see it: what is remembered is found, what is superseded is not, and what is
//! derived can be deleted.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

#[cfg(feature = "lance")]
mod bounded;
mod changing;
mod columns;
mod corpus;
mod derived;
mod entities;
mod histories;
mod packs;
mod support;
#[cfg(feature = "lance")]
mod tables;
mod verbs;
