//! What is proposed to be learned, and what became of it, folded from `memory/proposals/` of all machines.
//!
//! It decides nothing: a rule does before a proposal gets here, or a person in the Inbox.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cairn_store_layout::{
    GateId,
    learned::Learned,
    paths,
    proposal::{Decided, Proposal},
};
use serde::Deserialize;

use crate::{Memory, error::Result, tail::Tail};

/// A proposal and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The proposal as it was first made.
    pub proposal: Proposal,
    /// The decision; of two machines that decided, the earlier.
    pub decided: Option<Decided>,
}

/// All proposals that are known. Reads only what it has not read yet.
#[derive(Debug, Default)]
pub struct Proposals {
    tail: Tail,
    made: BTreeMap<GateId, Proposal>,
    decided: BTreeMap<GateId, Decided>,
    /// Learned in this process; the files may not say so yet.
    fresh: Vec<Line>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Line {
    Made(Box<Proposal>),
    Decided(Decided),
}

impl Proposals {
    /// Takes in a proposal or a decision before its line is met.
    pub(crate) fn learn(&mut self, learned: &Learned) {
        let line = match learned {
            Learned::Proposal(proposal) => Line::Made(Box::new(proposal.clone())),
            Learned::Decided(decided) => Line::Decided(decided.clone()),
            _ => return,
        };
        self.take(line.clone());
        self.fresh.push(line);
    }

    /// Reads what the files below `root` have gained since the last look.
    ///
    /// # Errors
    /// When they can not be read.
    pub fn look(&mut self, root: &Path) -> Result<()> {
        let mut tail = std::mem::take(&mut self.tail);
        let anew = |to: &mut Self| {
            to.made.clear();
            to.decided.clear();
            for line in to.fresh.clone() {
                to.take(line);
            }
        };
        let looked = tail.look(root, paths::PROPOSALS, self, anew, |to, _, line| {
            to.take(serde_json::from_slice(line).map_err(|e| e.to_string())?);
            Ok(())
        });
        self.tail = tail;
        looked.map(drop)
    }

    /// The earlier of two lines about one proposal counts, whichever machine's file is read first.
    fn take(&mut self, line: Line) {
        match line {
            Line::Made(proposal) => {
                let known = self.made.entry(proposal.id.clone()).or_insert_with(|| (*proposal).clone());
                if proposal.at < known.at {
                    *known = *proposal;
                }
            }
            Line::Decided(decided) => {
                let known = self.decided.entry(decided.proposal.clone()).or_insert_with(|| decided.clone());
                if decided.at < known.at {
                    *known = decided;
                }
            }
        }
    }

    /// The oldest first: those that wait, or every one.
    #[must_use]
    pub fn list(&self, decided_too: bool) -> Vec<Proposed> {
        let all = self.made.keys().filter_map(|id| self.get(id));
        let mut listed: Vec<Proposed> = all.filter(|p| decided_too || p.decided.is_none()).collect();
        listed.sort_by(|a, b| a.proposal.at.cmp(&b.proposal.at).then_with(|| a.proposal.id.cmp(&b.proposal.id)));
        listed
    }

    fn get(&self, id: &GateId) -> Option<Proposed> {
        let proposal = self.made.get(id)?.clone();
        Some(Proposed { proposal, decided: self.decided.get(id).cloned() })
    }
}

impl Memory {
    /// A proposal by its id.
    ///
    /// # Errors
    /// When the files can not be read.
    pub fn proposal(&self, id: &GateId) -> Result<Option<Proposed>> {
        Ok(self.proposals()?.get(id))
    }

    /// All proposals, the oldest first: those that wait, or every one.
    ///
    /// # Errors
    /// As [`Memory::proposal`].
    pub fn list_proposals(&self, decided_too: bool) -> Result<Vec<Proposed>> {
        Ok(self.proposals()?.list(decided_too))
    }

    pub(crate) fn unreadable_proposals(&self) -> Result<usize> {
        Ok(self.proposals()?.tail.unreadable())
    }

    fn proposals(&self) -> Result<MutexGuard<'_, Proposals>> {
        let mut proposals = self.proposals.lock().unwrap_or_else(PoisonError::into_inner);
        proposals.look(&self.root)?;
        Ok(proposals)
    }
}

/// Behind a lock of its own: a list of proposals never waits for a recall.
pub(crate) type Shared = Mutex<Proposals>;

#[cfg(test)]
mod tests {
    use cairn_store_layout::{
        MachineId,
        passage::Source,
        proposal::{Decision, Proposed as What},
    };
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn proposal(second: i64, text: &str) -> Proposal {
        let source = Source::Person { person: "jo".to_owned() };
        let proposed = What::Knowledge { path: "rules/a.md".to_owned(), text: text.to_owned() };
        Proposal::new(at(second), source, proposed, "why not".to_owned(), None)
    }

    fn decided(of: &Proposal, second: i64, decision: Decision) -> Decided {
        let (proposal, digest) = (of.id.clone(), of.digest.clone());
        Decided { proposal, at: at(second), decision, digest, by: "jo".to_owned(), reason: None }
    }

    #[test]
    fn the_same_is_proposed_once_and_the_first_decision_counts_in_any_order() {
        let (first, again) = (proposal(1, "x"), proposal(5, "x"));
        assert_eq!(first.id, again.id);
        let lines = [
            Line::Made(Box::new(again.clone())),
            Line::Decided(decided(&first, 9, Decision::Rejected)),
            Line::Made(Box::new(first.clone())),
            Line::Decided(decided(&first, 7, Decision::Accepted)),
        ];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut proposals = Proposals::default();
            order.iter().for_each(|n| proposals.take(lines[*n].clone()));
            let known = proposals.get(&first.id).unwrap();
            assert_eq!((known.proposal.at, known.decided.unwrap().decision), (at(1), Decision::Accepted));
        }
    }

    #[test]
    fn what_is_learned_is_known_before_its_line_and_stays_known_when_files_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let machine = MachineId::new("m000000001").unwrap();
        let memory = Memory::open(dir.path(), &machine).unwrap();
        let (old, new) = (proposal(1, "old"), proposal(2, "new"));
        let file = dir.path().join(Learned::Proposal(old.clone()).path(&machine));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, Learned::Proposal(old.clone()).line() + "\n").unwrap();
        memory.learn(&[Learned::Proposal(new.clone())]);
        assert_eq!(memory.list_proposals(false).unwrap().len(), 2);
        memory.learn(&[Learned::Decided(decided(&old, 3, Decision::Rejected))]);
        assert_eq!(memory.list_proposals(false).unwrap()[0].proposal, new);
        assert_eq!(memory.list_proposals(true).unwrap().len(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(memory.proposal(&old.id).unwrap(), None, "its file was taken away");
        assert!(memory.proposal(&new.id).unwrap().is_some());
    }
}
