//! How often memories were given to steps, and when last: what makes them worth keeping.
//!
//! Counted from the lines of `memory/usage/`, each once, however often it is met.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::{passage::Source, paths, usage::Used};
use jiff::Timestamp;

use crate::{error::Result, tail::Tail};

/// How often one memory was given to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// How many times.
    pub count: u64,
    /// The last time.
    pub last: Timestamp,
}

/// The uses of all memories.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    passages: BTreeMap<String, Uses>,
    knowledge: BTreeMap<String, Uses>,
    /// What was counted: a line that stands in a file and was recorded in this process is one use.
    seen: BTreeSet<(Timestamp, String)>,
}

impl Usage {
    /// Counts a line. Returns whether it is new.
    pub fn count(&mut self, used: &Used) -> bool {
        if !self.seen.insert((used.at, place(&used.source))) {
            return false;
        }
        for (ids, counts) in [(&used.passages, &mut self.passages), (&used.knowledge, &mut self.knowledge)] {
            for id in ids {
                let uses = counts.entry(id.clone()).or_insert(Uses { count: 0, last: used.at });
                uses.count += 1;
                uses.last = uses.last.max(used.at);
            }
        }
        true
    }

    /// Counts every line below `memory/usage/` of the store at `root`. Lines that can not be read are left out.
    ///
    /// # Errors
    /// When a file can not be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut usage = Self::default();
        let count = |usage: &mut Self, _: &str, line: &[u8]| {
            usage.count(&serde_json::from_slice(line).map_err(|e| e.to_string())?);
            Ok(())
        };
        Tail::default().look(root, paths::USAGE, &mut usage, |_| {}, count)?;
        Ok(usage)
    }

    /// The uses of a passage; `None` when it was never given to a step.
    #[must_use]
    pub fn passage(&self, id: &str) -> Option<Uses> {
        self.passages.get(id).copied()
    }

    /// The uses of a file of knowledge, by its id such as `rules/late-fees`.
    #[must_use]
    pub fn knowledge(&self, id: &str) -> Option<Uses> {
        self.knowledge.get(id).copied()
    }

    /// How many steps were given memories.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.seen.len()
    }

    /// How many different passages were given to steps.
    #[must_use]
    pub fn passages(&self) -> usize {
        self.passages.len()
    }
}

impl<'a> FromIterator<&'a Used> for Usage {
    fn from_iter<I: IntoIterator<Item = &'a Used>>(lines: I) -> Self {
        let mut usage = Self::default();
        for line in lines {
            usage.count(line);
        }
        usage
    }
}

/// Names the step of a run: two of them may be given memories in the same microsecond.
fn place(source: &Source) -> String {
    match source {
        Source::Run { run, step, iteration } => format!("{run}/{step}/{}", iteration.as_deref().unwrap_or_default()),
        Source::Person { person } => person.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(second: i64, step: &str, passages: &[&str]) -> Used {
        let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let source = Source::Person { person: step.to_owned() };
        let at = Timestamp::from_second(second).unwrap();
        Used { at, source, passages: list(passages), knowledge: list(&["rules/a"]) }
    }

    #[test]
    fn a_line_counts_once_and_the_last_use_stands_in_any_order() {
        let (first, second) = (used(10, "x", &["p", "q"]), used(20, "y", &["p"]));
        for lines in [[&first, &second, &first], [&second, &first, &second]] {
            let usage: Usage = lines.into_iter().collect();
            assert_eq!(usage.passage("p"), Some(Uses { count: 2, last: second.at }));
            assert_eq!(usage.passage("q"), Some(Uses { count: 1, last: first.at }));
            assert_eq!(usage.knowledge("rules/a").map(|u| u.count), Some(2));
            assert_eq!((usage.passage("none"), usage.steps(), usage.passages()), (None, 2, 2));
        }
    }

    #[test]
    fn two_steps_of_the_same_moment_are_two() {
        let usage: Usage = [&used(10, "x", &["p"]), &used(10, "y", &["p"])].into_iter().collect();
        assert_eq!(usage.passage("p").map(|u| u.count), Some(2));
    }
}
