//! The store on disk: files, locks, identity, inbox, git; reading, checking and making one.
//!
//! What is written here is written durably and names its path in every error. Who may write what:
//! the kernel alone writes histories, the journal and commits, and holds [`lock::KernelLock`] for
//! it; everybody else writes commands through [`inbox`] and otherwise only reads.

pub mod artifacts;
pub mod definitions;
pub mod disk;
pub mod error;
pub mod fsutil;
pub mod git;
pub mod identity;
pub mod inbox;
pub mod init;
pub mod journal;
pub mod knowledge;
pub mod lock;
pub mod mark;
pub mod open;
pub mod past;
pub mod reader;
pub mod room;
pub mod shape;
pub mod triggers;
pub mod unfinished;
pub mod verify;

#[cfg(test)]
pub(crate) mod testing;

pub use error::{Result, StoreError};
pub use open::Store;

/// 128 random bits, for ids, jitter and names of unfinished files. Whoever observes this thread may give its own.
///
/// # Panics
/// When the system has no randomness, which no kernel we run on reports after boot.
#[must_use]
pub fn random() -> u128 {
    if let Some(given) = disk::observed_random() {
        return given;
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness after boot");
    u128::from_le_bytes(bytes)
}
