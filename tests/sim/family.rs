//! The reference model of families: which run a step started, and that the two tell the same.
//!
//! Each side is read from its own history. They are compared when a kernel has finished its turn, for a
//! crash may leave one of the two behind until the next start.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::{RunModel, text};

/// An attempt that started a run: run, step, iteration, attempt.
type Birth = (String, String, Option<String>, u64);

/// What a parent says of a child.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) step: String,
    pub(crate) iteration: Option<String>,
    pub(crate) attempt: u64,
    /// What it gave, or the code of its failure.
    pub(crate) outcome: Result<Value, String>,
}

/// What is known of all families of a machine.
#[derive(Debug, Default)]
pub(crate) struct Families {
    /// Children by their birth: the path of the history.
    born: BTreeMap<Birth, String>,
    known: BTreeSet<String>,
}

/// The birth of a run, if a step started it.
pub(crate) fn birth(line: &Value) -> Option<Birth> {
    let parent = line.get("parent")?;
    let iteration = parent["iteration"].as_str().map(str::to_owned);
    Some((text(parent, "run").to_owned(), text(parent, "step").to_owned(), iteration, parent["attempt"].as_u64()?))
}

impl Families {
    /// Compares the sides of each family in which something is new. E1, E3: a step starts one run an attempt,
    /// of the version its own run is pinned to, says of it what its history says, and ends it when it no
    /// longer waits.
    pub(crate) fn check(&mut self, runs: &mut BTreeMap<String, RunModel>) -> Result<(), String> {
        let children = runs.iter().filter(|(path, run)| run.birth.is_some() && !self.known.contains(*path));
        let fresh: Vec<(String, Birth)> =
            children.filter_map(|(path, run)| Some((path.clone(), run.birth.clone()?))).collect();
        for (path, birth) in fresh {
            let child = &runs[&path];
            let parent = runs.values().find(|run| run.run.as_str() == birth.0);
            let parent = parent.ok_or_else(|| format!("E1: {path} says that run {} started it", birth.0))?;
            let place = (birth.1.clone(), birth.2.clone(), birth.3);
            if !parent.children.contains(&place) {
                return Err(format!("E4: run {} was started by {place:?}, of which there is no intent", child.run));
            }
            if parent.pinned_child.as_ref() != Some(&child.definition) {
                return Err(format!(
                    "E3: {:?} is pinned for run {}, its child follows {}",
                    parent.pinned_child, parent.run, child.definition
                ));
            }
            if let Some(other) = self.born.insert(birth, path.clone()) {
                return Err(format!("E1: {place:?} started {other} and {path}"));
            }
            self.known.insert(path);
        }
        let claims: Vec<(String, Claim)> = runs
            .values_mut()
            .flat_map(|run| {
                let name = run.run.to_string();
                std::mem::take(&mut run.claims).into_iter().map(move |claim| (name.clone(), claim))
            })
            .collect();
        for (parent, claim) in claims {
            let birth = (parent, claim.step.clone(), claim.iteration.clone(), claim.attempt);
            self.compare(&birth, &claim, runs)?;
        }
        self.orphans(runs)
    }

    fn compare(&self, birth: &Birth, claim: &Claim, runs: &BTreeMap<String, RunModel>) -> Result<(), String> {
        let child = self.born.get(birth).and_then(|path| runs.get(path));
        let end = child.and_then(|child| child.end.as_ref()).map(|(end, _)| end.as_str());
        let is_right = match &claim.outcome {
            Ok(output) => end == Some("succeeded") && output.is_null(),
            Err(code) => match code.as_str() {
                "child_failed" => end == Some("failed"),
                // or the run that was to start it stopped before it had begun
                "child_canceled" => child.is_none() || end == Some("canceled"),
                "timeout" => true,
                // it could not be started
                _ => child.is_none(),
            },
        };
        if is_right {
            return Ok(());
        }
        Err(format!("E1: {birth:?} says {:?} of a run that ended {end:?}", claim.outcome))
    }

    /// A child whose step no longer waits is over, or on its way there.
    fn orphans(&self, runs: &BTreeMap<String, RunModel>) -> Result<(), String> {
        for (birth, path) in &self.born {
            let child = &runs[path];
            if child.end.is_some() || child.is_ending() {
                continue;
            }
            let parent = runs.values().find(|run| run.run.as_str() == birth.0);
            if !parent.is_some_and(|run| run.awaits(&birth.1, birth.2.as_deref(), birth.3)) {
                return Err(format!("E9: nobody waits for run {} any more, and it goes on", child.run));
            }
        }
        Ok(())
    }
}
