//! One way in: whatever an event adds to memory is taken in here, by its kind.

use std::sync::PoisonError;

use cairn_store_layout::learned::Learned;

use crate::Memory;

impl Memory {
    /// Takes in what was recorded: it is found, folded and counted from here on. Recording it durably is the
    /// caller's part. What is known already changes nothing.
    pub fn learn(&self, learned: &[Learned]) {
        for learned in learned {
            match learned {
                Learned::Passage(passage) => self.remember(std::slice::from_ref(passage)),
                Learned::Entity(change) => self.entities.learn(change),
                Learned::Episode(_) => self.episodes.learn(learned.line()),
                Learned::Proposal(_) | Learned::Decided(_) => {
                    self.proposals.lock().unwrap_or_else(PoisonError::into_inner).learn(learned);
                }
                Learned::Forgotten(forgotten) => self.forget(forgotten),
                Learned::Used(_) => {}
            }
        }
    }
}
