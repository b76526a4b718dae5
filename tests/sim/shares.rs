//! The reference model of turns: over all runs of a machine no key is held by more than may hold it, and no
//! rate lets more begin than it says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::workload::Lease;

/// What one run says of its turns, in the order of its history.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Granted { holder: String, lease: Lease, at: Timestamp },
    Over { holder: String, at: Timestamp },
}

/// Who held what, and when.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    held: BTreeMap<String, Vec<Held>>,
    given: BTreeMap<String, Vec<Timestamp>>,
}

#[derive(Debug)]
struct Held {
    holder: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// A kernel tells the rate the time a moment before it records the turn.
const SLACK: SignedDuration = SignedDuration::from_millis(1);

impl Shares {
    /// Takes in what all runs say that is new; a kernel has finished its turn, so they are whole.
    pub(crate) fn take(&mut self, turns: Vec<Turn>) -> Result<(), String> {
        let (granted, over): (Vec<Turn>, Vec<Turn>) =
            turns.into_iter().partition(|turn| matches!(turn, Turn::Granted { .. }));
        let mut looks = Vec::new();
        for turn in granted {
            let Turn::Granted { holder, lease, at } = turn else { continue };
            if let Some((key, most)) = &lease.concurrency {
                let held = self.held.entry(key.clone()).or_default();
                held.push(Held { holder, from: at, until: None });
                looks.push((key.clone(), *most, at));
            }
            if let Some((key, most, seconds)) = &lease.rate {
                let given = self.given.entry(key.clone()).or_default();
                given.push(at);
                let since = at - SignedDuration::from_secs(seconds.cast_signed()) + SLACK;
                let near = given.iter().filter(|other| **other >= since && **other <= at).count();
                if near > *most as usize {
                    return Err(format!("the rate {key} lets {near} begin within {seconds} s, {most} are allowed"));
                }
            }
        }
        for turn in over {
            let Turn::Over { holder, at } = turn else { continue };
            for held in self.held.values_mut().flatten().filter(|h| h.holder == holder && h.until.is_none()) {
                held.until = Some(at);
            }
        }
        for (key, most, at) in looks {
            let holds = |held: &&Held| held.from <= at && held.until.is_none_or(|until| until > at);
            let count = self.held[&key].iter().filter(holds).count();
            if count > most as usize {
                return Err(format!("{count} hold the turn {key} at {at}, {most} are allowed"));
            }
        }
        for held in self.held.values_mut() {
            // nobody is compared with what was over before it began
            let oldest = held.iter().filter(|h| h.until.is_none()).map(|h| h.from).min();
            held.retain(|h| h.until.is_none_or(|until| oldest.is_some_and(|oldest| until > oldest)));
        }
        Ok(())
    }
}

impl Lease {
    /// What a line says is asked for.
    pub(crate) fn read(line: &Value) -> Self {
        let key = |of: &Value| of["key"].as_str().unwrap_or_default().to_owned();
        let max = |of: &Value| of["max"].as_u64().and_then(|max| u32::try_from(max).ok()).unwrap_or(0);
        let (turn, rate) = (&line["concurrency"], &line["rate"]);
        let seconds = |of: &Value| of["per"].as_str().and_then(seconds).unwrap_or(0);
        Self {
            concurrency: (!turn.is_null()).then(|| (key(turn), max(turn))),
            rate: (!rate.is_null()).then(|| (key(rate), max(rate), seconds(rate))),
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    text.strip_suffix('m')
        .map_or_else(|| text.strip_suffix('s').and_then(|n| n.parse().ok()), |n| n.parse::<u64>().ok().map(|n| n * 60))
}
