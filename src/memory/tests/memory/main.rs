//! Memory as its callers see it: what is remembered is found, what is superseded is not, and what is
//! derived can be deleted.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

mod corpus;
mod entities;
mod support;
#[cfg(feature = "lance")]
mod tables;
mod verbs;
