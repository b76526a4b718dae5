//! What a policy would do to memory now: a plan with a reason a line, from passages, their uses and the time.
//!
//! Planning reads no file and records nothing: a dry run shows the plan, the kernel carries it out. The same
//! passages, uses, policy and moment give the same plan on every machine.

mod forget;
mod summarise;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use cairn_store_layout::{
    RunId,
    definition::{KEEP_LABEL, MemoryPolicy},
    passage::{Forgotten, Passage, Source},
};
use jiff::Timestamp;

use crate::{Kept, Ledger, Uses};

/// What would be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TidyPlan {
    /// Passages that would be forgotten, in the order of the rules.
    pub forget: Vec<Leaving>,
    /// Summaries that would be added.
    pub summarise: Vec<Summary>,
    /// What is worth knowing about the rules: those that fit nothing, those that work against each other.
    pub notes: Vec<String>,
    /// Passages that a rule would have touched, had a person not labelled them to be kept.
    pub held: usize,
}

/// A passage that would be forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    /// The passage.
    pub passage: Passage,
    /// The rule.
    pub rule: String,
    /// Why, for a person.
    pub reason: String,
    /// How often it was given to a step, and when last.
    pub uses: Option<Uses>,
}

/// A summary that would be added.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The passage as it would be recorded; it names those that it supersedes.
    pub passage: Passage,
    /// The rule.
    pub rule: String,
    /// Why, for a person.
    pub reason: String,
}

impl TidyPlan {
    /// Tells whether nothing would be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forget.is_empty() && self.summarise.is_empty()
    }

    /// How much by which rule, such as `old-mails forgets 12, mail-digest summarises 40 as 3`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut rules: Vec<&str> = Vec::new();
        for rule in self.summarise.iter().map(|s| s.rule.as_str()).chain(self.forget.iter().map(|l| l.rule.as_str())) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        for rule in rules {
            let forgotten = self.forget.iter().filter(|l| l.rule == rule).count();
            let made: Vec<&Summary> = self.summarise.iter().filter(|s| s.rule == rule).collect();
            let replaced: usize = made.iter().map(|s| s.passage.supersedes.len()).sum();
            if forgotten > 0 {
                parts.push(format!("{rule} forgets {forgotten}"));
            }
            if !made.is_empty() {
                parts.push(format!("{rule} summarises {replaced} as {}", made.len()));
            }
        }
        parts.join(", ")
    }
}

impl Leaving {
    /// What is recorded when it is carried out.
    #[must_use]
    pub fn forgotten(&self, at: Timestamp, source: Source) -> Forgotten {
        let (forgets, reason) = (self.passage.id.clone(), self.reason.clone());
        Forgotten { forgets, at, source, reason, policy: Some(self.rule.clone()) }
    }
}

/// A passage as the rules look at it.
#[derive(Clone, Copy)]
struct Item<'a> {
    passage: &'a Passage,
    superseded: Option<Timestamp>,
    workflow: Option<&'a str>,
    uses: Option<Uses>,
}

/// Plans what `policy` does to what the ledger holds at `now`. `workflow_of` is asked only when a rule asks for
/// workflows.
#[must_use]
pub fn plan(
    ledger: &Ledger,
    policy: &MemoryPolicy,
    now: Timestamp,
    workflow_of: &dyn Fn(&RunId) -> Option<String>,
) -> TidyPlan {
    let kept: Vec<Kept<'_>> = ledger.kept().collect();
    let asks = policy.asks_for_workflows();
    let workflows: Vec<Option<String>> = kept
        .iter()
        .map(|kept| match &kept.passage.source {
            Source::Run { run, .. } if asks => workflow_of(run),
            _ => None,
        })
        .collect();
    let items: Vec<Item<'_>> = kept
        .iter()
        .zip(&workflows)
        .map(|(kept, workflow)| Item {
            passage: kept.passage,
            superseded: kept.superseded,
            workflow: workflow.as_deref(),
            uses: ledger.usage.passage(&kept.passage.id),
        })
        .collect();
    let (held, free): (Vec<Item<'_>>, Vec<Item<'_>>) = items.into_iter().partition(|item| is_held(item.passage));
    let mut plan = TidyPlan { notes: policy.contradictions(), ..TidyPlan::default() };
    plan.held = held.iter().filter(|item| fits_any(policy, item)).count();
    let mut replaced = summarise::plan(&free, policy, now, &mut plan);
    // what a summary replaces goes on for the rules of forgetting as superseded from now
    let free: Vec<Item<'_>> = free
        .into_iter()
        .map(|item| match replaced.remove(&item.passage.id) {
            true => Item { superseded: Some(item.superseded.unwrap_or(now)), ..item },
            false => item,
        })
        .collect();
    forget::plan(&free, policy, now, &mut plan);
    keep_stand_ins(&kept, &mut plan);
    plan
}

/// Leaves passages alone that stand in for others which stay: these would speak again once it is gone.
fn keep_stand_ins(kept: &[Kept<'_>], plan: &mut TidyPlan) {
    let mut stays: BTreeSet<&str> = kept.iter().map(|kept| kept.passage.id.as_str()).collect();
    for leaving in &plan.forget {
        stays.remove(leaving.passage.id.as_str());
    }
    let mut spared = 0;
    // what is spared stays as well, and may be superseded by another that leaves
    while let Some(at) =
        plan.forget.iter().position(|l| l.passage.supersedes.iter().any(|id| stays.contains(id.as_str())))
    {
        let leaving = plan.forget.remove(at);
        let id = kept.iter().find(|kept| kept.passage.id == leaving.passage.id);
        stays.extend(id.map(|kept| kept.passage.id.as_str()));
        spared += 1;
    }
    if spared > 0 {
        plan.notes.push(format!("{spared} stay because they stand in for passages that stay"));
    }
}

fn is_held(passage: &Passage) -> bool {
    passage.labels.get(KEEP_LABEL).is_some_and(|value| value == "true")
}

fn fits_any(policy: &MemoryPolicy, item: &Item<'_>) -> bool {
    let filters = policy.forget.iter().map(|r| &r.filter).chain(policy.summarise.iter().map(|r| &r.filter));
    filters.into_iter().any(|filter| filter.fits(item.passage, item.workflow))
}

/// Whole days from `then` to `now`, for people.
fn days(now: Timestamp, then: Timestamp) -> i64 {
    now.duration_since(then).as_hours() / 24
}
