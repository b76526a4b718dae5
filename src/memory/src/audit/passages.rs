//! The audit of passages and of facts about entities.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cairn_store_layout::{
    entity::{Change, EntityChange},
    time,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{AHEAD, Beside, Concern, Finding, short};
use crate::{Kept, Ledger, words};

/// Texts are compared by runs of so many words.
const SHINGLE: usize = 3;
/// Texts that share so much of all their runs say the same.
const ALIKE: f64 = 0.8;
/// A run that so many texts about one entity have tells none apart.
const COMMON: usize = 50;
/// Two machines that set a field differently within this time did not know of each other.
const SAME_DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn look(ledger: &Ledger, beside: &Beside<'_>, findings: &mut Vec<Finding>) {
    let kept: Vec<Kept<'_>> = ledger.kept().collect();
    let current: Vec<Kept<'_>> = kept.iter().copied().filter(|kept| kept.superseded.is_none()).collect();
    stale(ledger, beside, &current, findings);
    superseding(ledger, &kept, &current, findings);
    doubled(&current, findings);
    fields(&ledger.changes, beside.now, findings);
    for kept in &kept {
        ahead(&kept.passage.id, kept.passage.recorded_at, beside.now, findings);
    }
}

fn stale(ledger: &Ledger, beside: &Beside<'_>, current: &[Kept<'_>], findings: &mut Vec<Finding>) {
    let mut idle: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kept in current {
        let passage = kept.passage;
        if let Some(to) = passage.valid_to.filter(|to| *to <= beside.now) {
            findings.push(Finding {
                concern: Concern::Stale,
                about: vec![passage.id.clone()],
                message: format!("passage {} holds only until {}", short(&passage.id), &time::write(to)[..10]),
                next: format!("it is not recalled any more: cairn mem forget {}", short(&passage.id)),
            });
            continue;
        }
        let last = ledger.usage.passage(&passage.id).map_or(passage.recorded_at, |uses| uses.last);
        if beside.now.duration_since(last.max(passage.recorded_at)) >= beside.unused {
            idle.entry(passage.entity.as_deref().unwrap_or("nothing in particular"))
                .or_default()
                .push(passage.id.clone());
        }
    }
    // one line an entity: an old store has thousands of them
    for (entity, ids) in idle {
        let days = beside.unused.as_hours() / 24;
        let count = if ids.len() == 1 { "1 passage".to_owned() } else { format!("{} passages", ids.len()) };
        findings.push(Finding {
            concern: Concern::Stale,
            about: ids,
            message: format!("{count} about {entity}: given to no step for {days} days or more"),
            next: "let a [[forget]] rule with `unused_for` in policies/memory.toml take them, then cairn mem tidy --dry-run"
                .to_owned(),
        });
    }
}

fn superseding(ledger: &Ledger, kept: &[Kept<'_>], current: &[Kept<'_>], findings: &mut Vec<Finding>) {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kept in current {
        for id in &kept.passage.supersedes {
            by.entry(id).or_default().push(&kept.passage.id);
        }
    }
    for (id, by) in by.into_iter().filter(|(_, by)| by.len() > 1) {
        let names: Vec<&str> = by.iter().map(|id| short(id)).collect();
        findings.push(Finding {
            concern: Concern::Contradicting,
            about: by.iter().map(|id| (*id).to_owned()).collect(),
            message: format!("{} all stand in for passage {}, and all are current", names.join(", "), short(id)),
            next: format!(
                "read them with cairn mem show, then let one supersede the others: cairn mem supersede {}",
                names[0]
            ),
        });
    }
    for kept in kept {
        for id in kept.passage.supersedes.iter().filter(|id| !ledger.knows(id)) {
            findings.push(Finding {
                concern: Concern::Dangling,
                about: vec![kept.passage.id.clone()],
                message: format!(
                    "passage {} supersedes {}, which this store does not have",
                    short(&kept.passage.id),
                    short(id)
                ),
                next: "harmless; it comes with the next sync, or its id was written by hand".to_owned(),
            });
        }
    }
}

/// Pairs of nearly equal texts of one entity, found by the runs of words that they share.
fn doubled(current: &[Kept<'_>], findings: &mut Vec<Finding>) {
    let mut about: BTreeMap<&str, Vec<&Kept<'_>>> = BTreeMap::new();
    for kept in current {
        about.entry(kept.passage.entity.as_deref().unwrap_or_default()).or_default().push(kept);
    }
    for group in about.values().filter(|group| group.len() > 1) {
        let runs: Vec<BTreeSet<u64>> = group.iter().map(|kept| shingles(&kept.passage.text)).collect();
        let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (n, runs) in runs.iter().enumerate() {
            for run in runs {
                let holders = holders.entry(*run).or_default();
                if holders.len() < COMMON {
                    holders.iter().for_each(|m| *shared.entry((*m, n)).or_default() += 1);
                    holders.push(n);
                }
            }
        }
        for ((a, b), shared) in shared {
            #[expect(clippy::cast_precision_loss, reason = "a text has at most some thousand words")]
            let likeness = shared as f64 / (runs[a].len() + runs[b].len() - shared) as f64;
            if likeness >= ALIKE {
                let (a, b) = (group[a].passage, group[b].passage);
                let (old, new) = if a.recorded_at <= b.recorded_at { (a, b) } else { (b, a) };
                findings.push(Finding {
                    concern: Concern::Duplicate,
                    about: vec![old.id.clone(), new.id.clone()],
                    message: format!("passages {} and {} say nearly the same", short(&old.id), short(&new.id)),
                    next: format!("cairn mem forget {}", short(&old.id)),
                });
            }
        }
    }
}

fn shingles(text: &str) -> BTreeSet<u64> {
    let stems = words::stems(text);
    let size = SHINGLE.min(stems.len().max(1));
    let hash = |run: &[String]| {
        let hash = blake3::hash(run.join(" ").as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
    };
    stems.windows(size).map(hash).collect()
}

/// Fields that two machines set differently at about the same time, and changes that are dated ahead.
fn fields(changes: &[(cairn_store_layout::MachineId, EntityChange)], now: Timestamp, findings: &mut Vec<Finding>) {
    type Setting<'a> = (Timestamp, &'a str, &'a Value);
    let mut set: BTreeMap<(&str, &str), Vec<Setting<'_>>> = BTreeMap::new();
    for (machine, change) in changes {
        ahead(change.entity.as_str(), change.at, now, findings);
        if let Change::Fields { set: values, .. } = &change.change {
            for (field, value) in values {
                set.entry((change.entity.as_str(), field)).or_default().push((change.at, machine.as_str(), value));
            }
        }
    }
    for ((entity, field), mut settings) in set {
        settings.sort_by_key(|(at, machine, _)| (*at, *machine));
        let apart = settings.windows(2).find(|pair| {
            let [(a_at, a, a_value), (b_at, b, b_value)] = pair else { return false };
            a != b && a_value != b_value && b_at.duration_since(*a_at) <= SAME_DAY
        });
        if let Some([(_, a, before), (_, b, after)]) = apart {
            findings.push(Finding {
                concern: Concern::Contradicting,
                about: vec![format!("{entity} {field}")],
                message: format!(
                    "{a} set `{field}` of {entity} to {before}, {b} within a day to {after}; the later one holds"
                ),
                next: format!("look at both, and set what is right: cairn entity set {entity} {field}=VALUE"),
            });
        }
    }
}

fn ahead(what: &str, at: Timestamp, now: Timestamp, findings: &mut Vec<Finding>) {
    if at.duration_since(now) > AHEAD {
        findings.push(Finding {
            concern: Concern::Contradicting,
            about: vec![what.to_owned()],
            message: format!("{what} has a fact of the future, {}", time::short(at)),
            next: "the clock of the machine that recorded it was ahead; later facts count after it until then"
                .to_owned(),
        });
    }
}
