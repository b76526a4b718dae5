//! What several test binaries share: a seeded source of numbers, and a disk that remembers what a
//! power cut would leave of it. Included by path: a binary uses the part it needs.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod change;
pub(crate) mod image;
pub(crate) mod platter;
pub(crate) mod random;
