//! What triggers did, folded from the machine's log of this month and the last.
//!
//! That is as far back as anybody looks: a dedupe text counts for at least a month, and a time that was
//! missed before the first day of last month is not made up for.

use std::collections::BTreeMap;

use cairn_store_layout::{
    Digest, MachineId,
    event::{Body, TriggerFired},
    paths,
    record::Record,
};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::store::{
    Store, artifacts,
    fsutil::{self, FsResult},
};

/// What all triggers did, by workflow and trigger.
#[derive(Debug, Clone, Default)]
pub struct Pasts {
    all: BTreeMap<(String, String), Past>,
}

/// What one trigger did.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Due times up to here are done with.
    pub due: Option<Timestamp>,
    /// The latest record, with when it was written.
    pub last: Option<(Timestamp, TriggerFired)>,
    /// The start that waits for an earlier run.
    pub waiting: Option<TriggerFired>,
    /// Events, runs and files that are done with, with when.
    saw: BTreeMap<String, Timestamp>,
    /// Texts for which a run was started, with when.
    dedupe: BTreeMap<String, Timestamp>,
}

impl Pasts {
    /// Reads the log of `machine` as it lies in the work tree.
    ///
    /// # Errors
    /// When it can not be read; lines that are no records are passed over, `cairn verify` names them.
    pub fn read(store: &Store, machine: &MachineId, now: Timestamp) -> FsResult<Self> {
        let mut pasts = Self::default();
        for path in logs(machine, now) {
            let bytes = fsutil::read(&store.path(&path))?.unwrap_or_default();
            for line in
                String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains("\"kind\":\"trigger.fired\""))
            {
                let mut fetch = |digest: &Digest| artifacts::get(store.root(), digest).ok().flatten();
                if let Ok(Record { event, .. }) = Record::decode(line, &mut fetch)
                    && let Body::TriggerFired(fired) = event.body
                {
                    pasts.note(event.at, &fired);
                }
            }
        }
        Ok(pasts)
    }

    /// Takes in a record.
    pub fn note(&mut self, at: Timestamp, fired: &TriggerFired) {
        self.all.entry((fired.workflow.clone(), fired.trigger.clone())).or_default().note(at, fired);
    }

    /// What one trigger did.
    #[must_use]
    pub fn of(&self, workflow: &str, trigger: &str) -> Option<&Past> {
        self.all.get(&(workflow.to_owned(), trigger.to_owned()))
    }

    /// Forgets what is older than the log that a start would read.
    pub fn prune(&mut self, now: Timestamp) {
        let begin = window(now);
        for past in self.all.values_mut() {
            past.saw.retain(|_, at| *at >= begin);
            past.dedupe.retain(|_, at| *at >= begin);
        }
    }
}

impl Past {
    /// Tells whether this event, run or file is done with.
    #[must_use]
    pub fn has_seen(&self, saw: &str, content: Option<&Digest>) -> bool {
        self.saw.contains_key(&mark(saw, content))
    }

    /// Tells whether a run was started for this text, or waits to be.
    #[must_use]
    pub fn has_started_for(&self, dedupe: &str) -> bool {
        self.dedupe.contains_key(dedupe)
    }

    fn note(&mut self, at: Timestamp, fired: &TriggerFired) {
        self.due = self.due.max(fired.due);
        if let Some(saw) = &fired.saw {
            self.saw.insert(mark(saw, fired.content.as_ref()), at);
        }
        if let Some(dedupe) = fired.dedupe.as_ref().filter(|_| fired.left_out.is_none()) {
            self.dedupe.insert(dedupe.clone(), at);
        }
        let ended = |waiting: &TriggerFired| {
            (&waiting.saw, &waiting.content, waiting.due) == (&fired.saw, &fired.content, fired.due)
        };
        if fired.run.is_none() && fired.left_out.is_none() {
            self.waiting = Some(fired.clone());
        } else if self.waiting.as_ref().is_some_and(ended) {
            self.waiting = None;
        }
        self.last = Some((at, fired.clone()));
    }
}

/// The first moment of the log that is read.
#[must_use]
pub fn window(now: Timestamp) -> Timestamp {
    let day = now.to_zoned(TimeZone::UTC).date();
    let first = day.first_of_month().checked_sub(1.month()).unwrap_or(Date::MIN);
    first.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

/// The logs of this month and the last, older first.
#[must_use]
pub fn logs(machine: &MachineId, now: Timestamp) -> [String; 2] {
    [paths::log(machine, window(now)), paths::log(machine, now)]
}

fn mark(saw: &str, content: Option<&Digest>) -> String {
    content.map_or_else(|| saw.to_owned(), |content| format!("{saw}\n{content}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store_layout::RunId;

    fn fired(due: Option<&str>, saw: Option<&str>) -> TriggerFired {
        TriggerFired {
            workflow: "w".to_owned(),
            trigger: "t".to_owned(),
            due: due.map(|d| d.parse().unwrap()),
            saw: saw.map(str::to_owned),
            content: None,
            times: None,
            depth: 0,
            dedupe: Some("x".to_owned()),
            input: None,
            run: None,
            left_out: None,
        }
    }

    #[test]
    fn what_was_done_is_known_and_a_start_waits_until_it_is_answered() {
        let at: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let mut pasts = Pasts::default();
        pasts.note(at, &TriggerFired { left_out: Some("no".to_owned()), ..fired(None, Some("a")) });
        let past = pasts.of("w", "t").unwrap();
        assert!(past.has_seen("a", None) && !past.has_seen("a", Some(&Digest::of(b""))) && !past.has_started_for("x"));
        pasts.note(at, &fired(Some("2026-11-22T07:00:00Z"), None));
        assert!(pasts.of("w", "t").unwrap().waiting.is_some());
        assert!(pasts.of("w", "t").unwrap().has_started_for("x"), "what waits counts as started");
        let run = RunId::new("01kaxw00000000000000000000").unwrap();
        pasts.note(at, &TriggerFired { run: Some(run), ..fired(Some("2026-11-22T07:00:00Z"), None) });
        let past = pasts.of("w", "t").unwrap();
        assert!(past.waiting.is_none());
        assert_eq!(past.due, Some("2026-11-22T07:00:00Z".parse().unwrap()));
        pasts.prune("2027-01-01T00:00:00Z".parse().unwrap());
        assert!(!pasts.of("w", "t").unwrap().has_started_for("x"), "December begins the window of January");
    }

    #[test]
    fn the_window_is_this_month_and_the_last() {
        let machine = MachineId::new("m000000000").unwrap();
        let of = |now: &str| logs(&machine, now.parse().unwrap());
        assert_eq!(of("2026-01-31T23:00:00Z"), ["log/m000000000/2025-12.jsonl", "log/m000000000/2026-01.jsonl"]);
        assert_eq!(of("2026-03-31T23:00:00Z"), ["log/m000000000/2026-02.jsonl", "log/m000000000/2026-03.jsonl"]);
    }
}
