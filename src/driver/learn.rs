//! What was learned: checked before it becomes a fact, and written as lines beside the histories at rest.
//!
//! A change of an entity is decided here, in the loop, because only here nothing else can come between looking
//! at the entity and recording the change.

use std::collections::BTreeMap;

use cairn_kernel::Outcome;
use cairn_memory::Refused;
use cairn_store_layout::{event::FailureClass, learned::Learned, paths};
use jiff::SignedDuration;

use super::{Driver, DriverError};
use crate::store::{
    fsutil,
    git::{Change, Content},
};

/// A month goes on in another file when one has so many bytes: every commit that adds a line writes its file anew.
const PART_BYTES_MAX: usize = 256 * 1024;

impl Driver {
    /// Gives changes of entities their place in the order of all changes; refuses those that were made of another
    /// version than the one that stands.
    pub(super) fn admit(&mut self, outcome: Outcome) -> Outcome {
        let Outcome::Succeeded { output, usage, artifacts, files, mut learned } = outcome else { return outcome };
        let mut now = self.clock.now();
        for entry in &mut learned {
            let Learned::Entity(change) = entry else { continue };
            match self.memory.admit(change, now) {
                // two changes of one attempt follow each other
                Ok(at) => now = at.checked_add(SignedDuration::from_micros(1)).unwrap_or(at),
                Err(refused) => {
                    let class = match &refused {
                        Refused::Conflict(_) => FailureClass::Business,
                        Refused::Invalid(_) => FailureClass::Hard,
                        Refused::Unreadable(_) => FailureClass::Soft,
                    };
                    return Outcome::Failed {
                        class,
                        code: refused.code().to_owned(),
                        message: format!("{refused}; nothing was changed"),
                        usage,
                        artifacts,
                        retry_after: None,
                    };
                }
            }
        }
        // the clock of this machine stays where it is: a change that another one dated into the future would take
        // it along, and every timer would fire early
        Outcome::Succeeded { output, usage, artifacts, files, learned }
    }
}

/// This machine's files of memory as they grow over the commits of one group.
#[derive(Default)]
pub(super) struct MemoryFiles {
    texts: BTreeMap<String, String>,
}

impl MemoryFiles {
    /// Appends what is not there yet; gives the changes for a commit.
    pub(super) fn add(&mut self, driver: &mut Driver, learned: &[Learned]) -> Result<Vec<Change>, DriverError> {
        let mut touched = Vec::new();
        for entry in learned {
            let path = self.open(driver, &entry.path(&driver.machine))?;
            let text = self.texts.entry(path.clone()).or_default();
            if !says(text, entry) {
                text.push_str(&entry.line());
                text.push('\n');
                touched.push(path);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let write =
            |path: String| Change::Write { content: Content::Bytes(self.texts[&path].clone().into_bytes()), path };
        Ok(touched.into_iter().map(write).collect())
    }

    /// Brings the work tree to where the last commit of the group will be.
    pub(super) fn write(&self, driver: &Driver) -> Result<(), DriverError> {
        for (path, text) in &self.texts {
            fsutil::write(&driver.store.path(path), text.as_bytes())?;
        }
        Ok(())
    }

    /// The file of a month that still has room, with its text at hand.
    fn open(&mut self, driver: &mut Driver, first: &str) -> Result<String, DriverError> {
        let mut part = driver.parts.get(first).copied().unwrap_or(0);
        loop {
            let path = paths::memory_part(first, part);
            if !self.texts.contains_key(&path) {
                // the committed bytes, not the work tree's: those may be torn
                let committed = match driver.repo.blob_of(&path, None)? {
                    Some(blob) => driver.repo.read_blob(&blob)?,
                    None => Vec::new(),
                };
                self.texts.insert(path.clone(), String::from_utf8_lossy(&committed).into_owned());
            }
            // the file of an entity is named after its machine and goes on as it is
            if self.texts[&path].len() < PART_BYTES_MAX || first.starts_with(paths::ENTITIES) {
                driver.parts.insert(first.to_owned(), part);
                return Ok(path);
            }
            part += 1;
        }
    }
}

/// Tells whether the file says so already: the same line, or the passage from another source.
fn says(text: &str, entry: &Learned) -> bool {
    match entry {
        Learned::Passage(passage) => {
            // a forgotten one that is recorded again is back
            let (known, gone) = (format!("\"id\":\"{}\"", passage.id), format!("\"forgets\":\"{}\"", passage.id));
            text.contains(&known) && text.rfind(&gone) < text.rfind(&known)
        }
        other => text.contains(&other.line()),
    }
}
