//! Which passages a rule of forgetting takes, and why each.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::definition::{ForgetRule, MemoryPolicy};
use jiff::{SignedDuration, Timestamp};

use super::{Item, Leaving, TidyPlan, days};

/// Adds what the rules take; a passage leaves once, by the first rule that takes it.
pub(super) fn plan(items: &[Item<'_>], policy: &MemoryPolicy, now: Timestamp, plan: &mut TidyPlan) {
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    for rule in &policy.forget {
        let fit: Vec<Item<'_>> =
            items.iter().copied().filter(|item| rule.filter.fits(item.passage, item.workflow)).collect();
        if fit.is_empty() {
            plan.notes.push(format!("`{}` fits no passage", rule.name));
        }
        let left: Vec<Item<'_>> = fit.into_iter().filter(|item| !gone.contains(item.passage.id.as_str())).collect();
        for (item, reason) in taken(rule, &left, now) {
            gone.insert(&item.passage.id);
            let rule = rule.name.clone();
            plan.forget.push(Leaving { passage: item.passage.clone(), rule, reason, uses: item.uses });
        }
    }
}

/// What one rule takes of what fits it, what is worth the least first.
fn taken<'a>(rule: &ForgetRule, fit: &[Item<'a>], now: Timestamp) -> Vec<(Item<'a>, String)> {
    let mut due: Vec<(Item<'a>, Vec<String>)> =
        fit.iter().filter_map(|item| Some((*item, due(rule, item, now)?))).collect();
    due.sort_by_cached_key(|(item, _)| worth(item));
    if rule.keep.is_none() && rule.over_bytes.is_none() {
        return due.into_iter().map(|(item, reasons)| (item, reasons.join(", "))).collect();
    }
    let mut surplus: BTreeMap<&str, String> = BTreeMap::new();
    if let Some(keep) = rule.keep {
        let mut groups: BTreeMap<(&str, &str), Vec<Item<'a>>> = BTreeMap::new();
        for item in fit {
            let passage = item.passage;
            groups.entry((passage.entity.as_deref().unwrap_or_default(), &passage.kind)).or_default().push(*item);
        }
        for mut group in groups.into_values() {
            group.sort_by_key(worth);
            let over = group.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
            for item in &group[..over] {
                surplus.insert(&item.passage.id, format!("{} of its kind, {keep} are kept", group.len()));
            }
        }
    }
    if let Some(bytes_max) = rule.over_bytes {
        let mut all = fit.to_vec();
        all.sort_by_key(worth);
        let total: u64 = all.iter().map(|item| item.passage.text.len() as u64).sum();
        let mut bytes = total;
        for item in all {
            if bytes <= bytes_max {
                break;
            }
            bytes -= item.passage.text.len() as u64;
            surplus.entry(&item.passage.id).or_insert(format!("{total} bytes, {bytes_max} are kept"));
        }
    }
    due.into_iter()
        .filter_map(|(item, mut reasons)| {
            reasons.push(surplus.get(item.passage.id.as_str())?.clone());
            Some((item, reasons.join(", ")))
        })
        .collect()
}

/// Why the conditions of time are all true; `None` when one is not.
fn due(rule: &ForgetRule, item: &Item<'_>, now: Timestamp) -> Option<Vec<String>> {
    let since = |then: Timestamp| now.duration_since(then);
    let mut reasons = Vec::new();
    if let Some(age) = rule.older_than {
        over(since(item.passage.recorded_at), age.0)?;
        reasons.push(format!("{} days old", days(now, item.passage.recorded_at)));
    }
    if let Some(age) = rule.superseded_for {
        over(since(item.superseded?), age.0)?;
        reasons.push(format!("superseded for {} days", days(now, item.superseded?)));
    }
    if let Some(age) = rule.unused_for {
        let last = item.uses.map_or(item.passage.recorded_at, |uses| uses.last.max(item.passage.recorded_at));
        over(since(last), age.0)?;
        reasons.push(match item.uses {
            Some(uses) => format!("unused for {} days", days(now, uses.last)),
            None => "never used".to_owned(),
        });
    }
    Some(reasons)
}

fn over(age: SignedDuration, bound: SignedDuration) -> Option<()> {
    (age >= bound).then_some(())
}

/// What goes first sorts first: the least used, then the oldest.
fn worth(item: &Item<'_>) -> (u64, Timestamp, String) {
    (item.uses.map_or(0, |uses| uses.count), item.passage.recorded_at, item.passage.id.clone())
}
