//! What the policies of memory would do now, and what of memory deserves a look: the store's files for the pure
//! planning and auditing of the memory crate.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use cairn_memory::{
    Ledger,
    audit::{self, Beside, Finding},
    tidy::{self, TidyPlan},
};
use cairn_store_layout::{
    MachineId, RunId,
    definition::{MemoryPolicy, Problem},
    learned::Learned,
    paths,
    record::LINE_BYTES_MAX,
};
use jiff::{SignedDuration, Timestamp};

use crate::store::definitions::WorkTree;

/// Plans what `policy` does at `now` to what lies below `root`, and to what was `learned` and stands in no file yet.
///
/// # Errors
/// When the files of memory can not be read.
pub(crate) fn plan(
    root: &Path,
    policy: &MemoryPolicy,
    learned: &[(MachineId, &Learned)],
    now: Timestamp,
) -> cairn_memory::Result<TidyPlan> {
    let mut ledger = Ledger::read(root)?;
    learned.iter().for_each(|(machine, learned)| ledger.take(machine, learned));
    let known = std::cell::RefCell::new(BTreeMap::new());
    let workflow_of =
        |run: &RunId| known.borrow_mut().entry(run.clone()).or_insert_with(|| workflow_of(root, run)).clone();
    Ok(tidy::plan(&ledger, policy, now, &workflow_of))
}

/// Looks at all of memory and knowledge below `root`. Files of knowledge that can not be read are findings too.
///
/// # Errors
/// When the files of memory can not be read, in words.
pub(crate) fn audit(root: &Path, now: Timestamp, unused: SignedDuration) -> Result<Vec<Finding>, String> {
    let ledger = Ledger::read(root).map_err(|e| e.to_string())?;
    let tree = WorkTree::read(root).map_err(|e| format!("the definitions can not be read: {e}"))?;
    let workflows: Vec<(String, Vec<String>)> = tree
        .workflows
        .iter()
        .map(|(name, loaded)| {
            let steps = loaded.as_ref().map(|w| w.bundle.workflow.steps.iter().map(|s| s.id.to_string()).collect());
            (name.clone(), steps.unwrap_or_default())
        })
        .collect();
    let broken = tree.parts.problems.iter().filter(|p| ["knowledge", "policies"].iter().any(|f| p.file.starts_with(f)));
    let mut findings: Vec<Finding> = broken.map(unreadable).collect();
    let beside = Beside { knowledge: &tree.knowledge, workflows: &workflows, now, unused };
    findings.extend(audit::audit(&ledger, &beside));
    Ok(findings)
}

fn unreadable(problem: &Problem) -> Finding {
    let place = problem.at.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
    Finding {
        concern: audit::Concern::Unreadable,
        about: vec![format!("{}{place}", problem.file)],
        message: problem.message.clone(),
        next: problem.hint.clone().unwrap_or_else(|| "correct it; it is left out until then".to_owned()),
    }
}

/// The workflow of a run, from the first line of its history; `None` when that can not be read.
fn workflow_of(root: &Path, run: &RunId) -> Option<String> {
    let file = std::fs::File::open(root.join(paths::run(run))).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(LINE_BYTES_MAX as u64)).read_until(b'\n', &mut line).ok()?;
    let first: serde_json::Value = serde_json::from_slice(&line).ok()?;
    Some(first["workflow"].as_str()?.to_owned())
}
