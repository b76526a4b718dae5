//! Carrying entries on: what no commit may ever hold must not keep everything around it.

use std::collections::BTreeMap;

use cairn_store_layout::paths;

use super::{Journal, JournalError, known::number, segments};

/// Bytes that an entry has beside its line, at the least.
const ENTRY_BYTES: usize = 200;

impl Journal {
    /// Makes sure that entries which stay needed do not keep segments that could go: those are written once
    /// more, at the end. `needed` names them by file, with the first record that no commit has; `others` is the
    /// first entry that is needed for anything else. Gives the first entry that is needed for them from now on, or
    /// nothing when they stay where they are, because nothing could go or it would not be worth it.
    ///
    /// A copy is an entry like any other: it is durable before the one it replaces may be forgotten.
    ///
    /// # Errors
    /// When the disk refuses, or something that was acknowledged is damaged.
    pub fn carry(&mut self, needed: &BTreeMap<String, u64>, others: u64) -> Result<Option<u64>, JournalError> {
        let over = self.closed.iter().take_while(|last| **last < others).count();
        let Some(last) = over.checked_sub(1).map(|position| self.closed[position]) else { return Ok(None) };
        if self.carried >= last {
            return Ok(None);
        }
        // looked at once for each segment that is closed
        self.carried = last;
        let entries = segments::look(&self.root, &segments::numbers(&self.root.join(paths::JOURNAL))?)?.entries;
        let mut latest = BTreeMap::new();
        for entry in entries {
            let Some((from, n)) = needed.get(&entry.to).zip(number(&entry.line)) else { continue };
            if n >= *from {
                latest.insert((entry.to.clone(), n), entry);
            }
        }
        let Some(first) = latest.values().map(|entry| entry.n).min() else { return Ok(None) };
        if first > last {
            return Ok(Some(first));
        }
        let bytes: usize = latest.values().map(|entry| entry.line.len() + entry.to.len() + ENTRY_BYTES).sum();
        if bytes * 2 > over * self.options.segment_bytes {
            return Ok(None);
        }
        let first = self.durable + 1;
        let lines: Vec<(&str, &str)> = latest.values().map(|entry| (entry.to.as_str(), entry.line.as_str())).collect();
        self.append(&lines)?;
        Ok(Some(first))
    }
}
