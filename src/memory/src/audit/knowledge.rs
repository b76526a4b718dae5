//! The audit of files of knowledge.

use std::collections::BTreeSet;

use cairn_store_layout::definition::{
    Knowledge,
    knowledge::{Content, Pattern},
};
use jiff::{civil::Date, tz::TimeZone};

use super::{Beside, Concern, Finding};
use crate::Ledger;

pub(super) fn look(ledger: &Ledger, beside: &Beside<'_>, findings: &mut Vec<Finding>) {
    let today = beside.now.to_zoned(TimeZone::UTC).date();
    let ids: BTreeSet<&str> = beside.knowledge.iter().map(|k| k.id.as_str()).collect();
    let entities = ledger.entities();
    for knowledge in beside.knowledge {
        let mut tell = |concern, message: String, next: String| {
            findings.push(Finding { concern, about: vec![knowledge.id.clone()], message, next });
        };
        let edit = format!("edit or remove {}", knowledge.file());
        if let Some(to) = knowledge.valid_to.filter(|to| *to < today) {
            tell(Concern::Stale, format!("{} holds only until {to}", knowledge.id), edit.clone());
        } else if ledger.usage.knowledge(&knowledge.id).is_none() {
            let message = format!("{} was never given to a step", knowledge.id);
            tell(Concern::Unused, message, format!("it applies to {}; {edit}", knowledge.applies.words()));
        }
        for gone in knowledge.replaces.iter().filter(|id| !ids.contains(id.as_str())) {
            tell(Concern::Dangling, format!("{} replaces {gone}, which is not there", knowledge.id), edit.clone());
        }
        for (word, pattern) in knowledge.applies.patterns() {
            if !names_something(word, pattern, beside, &entities) {
                let message = format!("{} applies to {word} `{}`, and there is none", knowledge.id, pattern.as_str());
                tell(Concern::Dangling, message, edit.clone());
            }
        }
    }
    for (n, a) in beside.knowledge.iter().enumerate() {
        for b in &beside.knowledge[n + 1..] {
            if contradict(a, b, today) {
                let topic = a.topic.as_deref().unwrap_or_default();
                findings.push(Finding {
                    concern: Concern::Contradicting,
                    about: vec![a.id.clone(), b.id.clone()],
                    message: format!("{} and {} want different things of `{topic}`, equally narrowly", a.id, b.id),
                    next: format!("let one say `replaces`, or narrow it with `applies`: {}", b.file()),
                });
            }
        }
    }
}

fn names_something(word: &str, pattern: &Pattern, beside: &Beside<'_>, entities: &BTreeSet<&str>) -> bool {
    match word {
        "workflow" => beside.workflows.iter().any(|(name, _)| pattern.fits(name)),
        "step" => beside.workflows.iter().flat_map(|(_, steps)| steps).any(|step| pattern.fits(step)),
        _ => entities.iter().any(|entity| pattern.fits(entity)),
    }
}

/// Two preferences of one topic that differ, where no order of the two is meant: a narrower one is an exception.
fn contradict(a: &Knowledge, b: &Knowledge, today: Date) -> bool {
    let (Content::Preference { value: x, .. }, Content::Preference { value: y, .. }) = (&a.content, &b.content) else {
        return false;
    };
    let ended = |k: &Knowledge| k.valid_to.is_some_and(|to| to < today);
    let apart =
        |a: &Knowledge, b: &Knowledge| matches!((a.valid_to, b.valid_from), (Some(to), Some(from)) if to < from);
    a.topic == b.topic
        && x != y
        && a.applies.meets(&b.applies)
        && a.applies.narrowness() == b.applies.narrowness()
        && a.priority == b.priority
        && !a.replaces.contains(&b.id)
        && !b.replaces.contains(&a.id)
        && !ended(a)
        && !ended(b)
        && !apart(a, b)
        && !apart(b, a)
}
