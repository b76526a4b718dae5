//! Whose turn it is: shares of concurrency keys and of rates, over all runs of this machine.
//!
//! Shares are granted in the order of asking; nobody passes one who waits for the same key. What is held
//! is known from the runs themselves. What a rate has given out is in their histories too; a file of its
//! own spares reading all of them at every start, and is made from them when it is missing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use cairn_kernel::{Holder, Lease};
use cairn_store_layout::{
    RunId,
    event::{Body, LeaseAsked},
    journal::Entry,
    paths,
    record::Record,
    time::Span,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Driver, DriverError, recover::run_of};
use crate::store::{
    disk::DiskFile,
    fsutil::{self, At as _, FsResult},
};

/// Lines of the file beyond which it is written anew at a start.
const LINES_MAX: usize = 1_000;
/// What the line of a share that was granted holds.
const GRANTED: &str = "\"kind\":\"lease.granted\"";

/// Who waits and who holds.
#[derive(Default)]
pub(super) struct Leases {
    /// In the order of asking.
    queue: BTreeMap<(Timestamp, Holder), LeaseAsked>,
    waiting: BTreeMap<Holder, Timestamp>,
    held: BTreeMap<Holder, LeaseAsked>,
    /// How many hold each concurrency key.
    counts: BTreeMap<String, u32>,
    rates: BTreeMap<String, Window>,
    /// Something changed since the queue was looked at.
    stirred: bool,
    /// When a rate lets the next one go.
    due: Option<Timestamp>,
    /// What the file has to be told.
    fresh: Vec<Given>,
    /// Runs that were given something which only the journal is sure to have.
    torn: BTreeSet<RunId>,
}

/// What was given out under one rate key, oldest first.
#[derive(Default)]
struct Window {
    given: VecDeque<(Timestamp, Holder)>,
    /// The longest length of time that anybody has asked for.
    longest: Option<Span>,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    key: String,
    #[serde(with = "cairn_store_layout::time::at")]
    at: Timestamp,
    per: Span,
    run: RunId,
    step: Option<(cairn_store_layout::StepId, Option<String>)>,
}

impl Leases {
    /// A share is asked for; one that was asked for before keeps its place.
    pub(super) fn ask(&mut self, holder: Holder, lease: &Lease) {
        if self.waiting.contains_key(&holder) {
            return;
        }
        // one that asks again begins again: its run moved to another definition
        self.release(&holder);
        if let Some(rate) = &lease.asked.rate {
            // what is given out until its turn comes counts for it
            let window = self.rates.entry(rate.key.clone()).or_default();
            window.longest = window.longest.max(Some(rate.per));
        }
        self.waiting.insert(holder.clone(), lease.since);
        self.queue.insert((lease.since, holder), lease.asked.clone());
        self.stirred = true;
    }

    /// A share is no longer waited for or held.
    pub(super) fn release(&mut self, holder: &Holder) {
        if let Some(since) = self.waiting.remove(holder) {
            self.queue.remove(&(since, holder.clone()));
            self.stirred = true;
        }
        let Some(asked) = self.held.remove(holder) else { return };
        self.stirred = true;
        if let Some(share) = &asked.concurrency
            && let Some(count) = self.counts.get_mut(&share.key)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&share.key);
            }
        }
    }

    /// Everything of a run is over.
    pub(super) fn release_run(&mut self, run: &RunId) {
        let of_run = |holder: &&Holder| holder.run == *run;
        let all: BTreeSet<Holder> =
            self.held.keys().filter(of_run).chain(self.waiting.keys().filter(of_run)).cloned().collect();
        all.iter().for_each(|holder| self.release(holder));
    }

    /// Those whose turn has come at `now`; each holds its share from here on.
    pub(super) fn grant(&mut self, now: Timestamp) -> Vec<Holder> {
        if !self.stirred && self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        (self.stirred, self.due) = (false, None);
        let (mut full, mut granted) = (BTreeSet::new(), Vec::new());
        for ((since, holder), asked) in &self.queue {
            let shared = asked.concurrency.as_ref().map(|share| (share.key.clone(), self.has_room(share)));
            let rated = asked.rate.as_ref().map(|rate| {
                let window = self.rates.get(&rate.key);
                (rate.key.clone(), window.and_then(|window| window.next(rate.max, rate.per, now)))
            });
            let blocked = |key: &str| full.contains(key);
            let no_share = shared.as_ref().is_some_and(|(key, room)| !room || blocked(key));
            let no_rate = rated.as_ref().is_some_and(|(key, next)| next.is_some() || blocked(key));
            if let Some((_, Some(next))) = &rated {
                self.due = Some(self.due.map_or(*next, |due| due.min(*next)));
            }
            if no_share || no_rate {
                // those behind wait too, each for the key that this one waits for
                full.extend(shared.filter(|_| no_share).map(|(key, _)| key));
                full.extend(rated.filter(|_| no_rate).map(|(key, _)| key));
                continue;
            }
            if let Some((key, _)) = shared {
                *self.counts.entry(key).or_default() += 1;
            }
            if let Some(rate) = &asked.rate {
                self.rates.entry(rate.key.clone()).or_default().give(now, holder, rate.per);
                let (key, per, run, step) = (rate.key.clone(), rate.per, holder.run.clone(), holder.step.clone());
                self.fresh.push(Given { key, at: now, per, run, step });
            }
            granted.push((*since, holder.clone()));
        }
        for (since, holder) in &granted {
            let place = (*since, holder.clone());
            self.waiting.remove(holder);
            if let Some(asked) = self.queue.remove(&place) {
                self.held.insert(holder.clone(), asked);
            }
        }
        granted.into_iter().map(|(_, holder)| holder).collect()
    }

    /// When a rate lets the next one go, if nothing else happens before.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.filter(|_| !self.queue.is_empty())
    }

    /// Tells whether something of `run` waits and may go before `horizon` by time alone.
    pub(super) fn goes_soon(&self, run: &RunId, horizon: Timestamp) -> bool {
        self.due().is_some_and(|due| due <= horizon) && self.waiting.keys().any(|holder| holder.run == *run)
    }

    /// Takes up what a run waits for or holds, after a restart.
    fn take_up(&mut self, holder: Holder, lease: &Lease) {
        let Some(granted) = lease.granted else { return self.ask(holder, lease) };
        if self.held.contains_key(&holder) || cairn_kernel::seeded!(TurnForgotten: true, else false) {
            return;
        }
        if let Some(share) = &lease.asked.concurrency {
            *self.counts.entry(share.key.clone()).or_default() += 1;
        }
        if let Some(rate) = &lease.asked.rate {
            self.rates.entry(rate.key.clone()).or_default().give(granted, &holder, rate.per);
        }
        self.held.insert(holder, lease.asked.clone());
        self.stirred = true;
    }

    fn has_room(&self, share: &cairn_store_layout::event::Share) -> bool {
        self.counts.get(&share.key).is_none_or(|count| *count < share.max)
    }
}

impl Window {
    /// When the next one may go; `None`: now.
    fn next(&self, max: u32, per: Span, now: Timestamp) -> Option<Timestamp> {
        let max = max as usize;
        let within = self.given.iter().filter(|(at, _)| *at + per.0 > now).count();
        if within < max {
            return None;
        }
        // the one whose leaving makes room
        self.given.get(self.given.len() - max).map(|(at, _)| *at + per.0)
    }

    /// Notes what was given to `holder`, once; `false` when it is known.
    fn give(&mut self, at: Timestamp, holder: &Holder, per: Span) -> bool {
        if self.given.iter().any(|(_, known)| known == holder) {
            return false;
        }
        self.longest = self.longest.max(Some(per));
        let behind = self.given.iter().rev().take_while(|(known, _)| *known > at).count();
        self.given.insert(self.given.len() - behind, (at, holder.clone()));
        true
    }

    /// Forgets what no rate asks for any more.
    fn prune(&mut self, now: Timestamp) {
        let Some(longest) = self.longest else { return };
        while self.given.front().is_some_and(|(at, _)| *at + longest.0 <= now) {
            self.given.pop_front();
        }
    }
}

impl Driver {
    /// Grants what can be granted now. Tells whether there was something.
    pub(super) fn grant_turns(&mut self) -> Result<bool, DriverError> {
        // a kernel that stops begins nothing new
        if self.stopping {
            return Ok(false);
        }
        let now = self.clock.now();
        let granted = self.leases.grant(now);
        let any = !granted.is_empty();
        for holder in granted {
            let command = cairn_kernel::Command::Grant { step: holder.step.clone() };
            if let Err(refusal) = self.ask(&holder.run, &command, None)? {
                tracing::info!(run = %holder.run, %refusal, "a turn came too late");
                self.leases.release(&holder);
            }
        }
        Ok(any)
    }

    /// Remembers whom the journal knows to have been given something: the file is not synced, and a crash may
    /// have taken its end. What the journal has forgotten was synced with the commits that hold it.
    pub(super) fn recover_rates(&mut self, by_file: &BTreeMap<String, Vec<Entry>>) {
        let given = |entries: &[Entry]| entries.iter().any(|entry| entry.line.contains(GRANTED));
        let torn = by_file.iter().filter(|(_, entries)| given(entries)).filter_map(|(path, _)| run_of(path));
        self.leases.torn = torn.collect();
    }

    /// Knows again what the rates have given out.
    pub(super) fn take_up_rates(&mut self) -> Result<(), DriverError> {
        let now = self.clock.now();
        let path = self.store.path(paths::RATES);
        let (mut all, lines) = match read(&path)? {
            Some(found) => found,
            None => (from_histories(self.store.root())?, usize::MAX),
        };
        // a line that was cut short would spoil the next one
        let (known, is_whole) = (all.len(), all.len() == lines);
        for run in std::mem::take(&mut self.leases.torn) {
            let text = fsutil::read(&self.store.path(&paths::run(&run)))?.unwrap_or_default();
            all.extend(given_in(&run, &String::from_utf8_lossy(&text)));
        }
        let mut is_told = true;
        for (n, given) in all.into_iter().enumerate() {
            let holder = Holder { run: given.run, step: given.step };
            let is_new = self.leases.rates.entry(given.key).or_default().give(given.at, &holder, given.per);
            is_told &= !is_new || n < known;
        }
        self.leases.rates.values_mut().for_each(|window| window.prune(now));
        self.leases.rates.retain(|_, window| !window.given.is_empty());
        if lines > LINES_MAX || !is_told || !is_whole {
            self.leases.write_all(&path)?;
        }
        Ok(())
    }

    /// Knows again what a run waits for or holds.
    pub(super) fn take_up_turns(&mut self, run: &RunId) {
        let leases = self.runs.get(run).map(|live| live.state.leases()).unwrap_or_default();
        for (holder, lease) in leases {
            self.leases.take_up(holder, &lease);
        }
    }

    /// Tells the file what was given out; it can be made again, so its troubles stop nobody.
    pub(super) fn note_rates(&mut self) {
        let fresh = std::mem::take(&mut self.leases.fresh);
        if fresh.is_empty() {
            return;
        }
        let text: String = fresh.iter().map(line).collect();
        let path = self.store.path(paths::RATES);
        let append = || DiskFile::open_append(&path, true)?.append(text.as_bytes());
        if let Err(error) = append().at("append to", &path) {
            tracing::warn!(%error, "what rates gave out could not be noted; a start reads it from the histories");
            // half a file would hide that something is missing
            drop(fsutil::remove(&path));
        }
        let now = self.clock.now();
        for given in &fresh {
            if let Some(window) = self.leases.rates.get_mut(&given.key) {
                window.prune(now);
            }
        }
    }
}

impl Leases {
    fn write_all(&self, path: &Path) -> FsResult<()> {
        let mut text = String::new();
        for (key, window) in &self.rates {
            let Some(per) = window.longest else { continue };
            for (at, holder) in &window.given {
                let (run, step) = (holder.run.clone(), holder.step.clone());
                text.push_str(&line(&Given { key: key.clone(), at: *at, per, run, step }));
            }
        }
        fsutil::write(path, text.as_bytes())
    }
}

fn line(given: &Given) -> String {
    let mut line = serde_json::to_string(given).expect("it holds only JSON types");
    line.push('\n');
    line
}

/// The file, and how many lines it has; `None` when there is none. A line that was cut short is left out.
fn read(path: &Path) -> FsResult<Option<(Vec<Given>, usize)>> {
    let Some(bytes) = fsutil::read(path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let given: Vec<Given> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(Some((given, text.lines().count())))
}

/// What the histories say was given out.
fn from_histories(root: &Path) -> FsResult<Vec<Given>> {
    let mut all = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(paths::RUNS)];
    while let Some(folder) = folders.pop() {
        for entry in fsutil::list(&folder)? {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(entry.path());
                continue;
            }
            let text = fsutil::read(&entry.path())?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if text.contains(GRANTED) {
                let stem = entry.path().file_stem().and_then(|s| s.to_str()).and_then(|s| RunId::new(s).ok());
                all.extend(stem.into_iter().flat_map(|run| given_in(&run, &text)));
            }
        }
    }
    Ok(all)
}

fn given_in(run: &RunId, text: &str) -> Vec<Given> {
    let mut asked: BTreeMap<Option<(cairn_store_layout::StepId, Option<String>)>, LeaseAsked> = BTreeMap::new();
    let mut given = Vec::new();
    for line in text.lines().filter(|line| line.contains("\"kind\":\"lease.")) {
        let Ok(Record { event, .. }) = Record::decode(line, &mut |_| None) else { continue };
        let step = event.step.clone().map(|step| (step, event.iteration.clone()));
        match event.body {
            Body::LeaseAsked(lease) => drop(asked.insert(step, lease)),
            Body::LeaseGranted(_) => {
                let Some(rate) = asked.get(&step).and_then(|lease| lease.rate.clone()) else { continue };
                given.push(Given { key: rate.key, at: event.at, per: rate.per, run: run.clone(), step });
            }
            _ => {}
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use cairn_store_layout::event::{RateShare, Share};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    fn holder(n: u8) -> Holder {
        Holder { run: RunId::new(format!("01kaxw000000000000000000{n:02}")).unwrap(), step: None }
    }

    fn lease(since: i64, key: Option<(&str, u32)>, rate: Option<(&str, u32, i64)>) -> Lease {
        let concurrency = key.map(|(key, max)| Share { key: key.to_owned(), max });
        let rate = rate.map(|(key, max, per)| RateShare { key: key.to_owned(), max, per: Span::seconds(per) });
        Lease { asked: LeaseAsked { concurrency, rate }, since: at(since), granted: None }
    }

    #[test]
    fn turns_come_in_the_order_of_asking_and_nobody_passes_for_the_same_key() {
        let mut leases = Leases::default();
        leases.ask(holder(3), &lease(3, Some(("a", 1)), None));
        leases.ask(holder(1), &lease(1, Some(("a", 1)), None));
        leases.ask(holder(2), &lease(2, Some(("a", 2)), None));
        leases.ask(holder(4), &lease(4, Some(("b", 1)), None));
        // the second would fit by its own `max` and goes; the third waits
        assert_eq!(leases.grant(at(5)), [holder(1), holder(2), holder(4)]);
        leases.release(&holder(1));
        assert_eq!(leases.grant(at(6)), [], "one is still held, and this one wants it alone");
        leases.ask(holder(5), &lease(7, Some(("a", 2)), None));
        assert_eq!(leases.grant(at(7)), [], "the one before it waits for the same key");
        leases.release(&holder(2));
        assert_eq!(leases.grant(at(8)), [holder(3), holder(5)], "each by its own `max`, in the order of asking");
        leases.release_run(&holder(5).run);
        leases.release_run(&holder(3).run);
        leases.release_run(&holder(4).run);
        assert!(leases.held.is_empty() && leases.counts.is_empty() && leases.queue.is_empty());
    }

    #[test]
    fn a_rate_lets_so_many_go_in_any_window_of_its_length() {
        let mut leases = Leases::default();
        for n in 1..=5 {
            leases.ask(holder(n), &lease(i64::from(n) - 9, None, Some(("r", 2, 60))));
        }
        assert_eq!(leases.grant(at(0)), [holder(1), holder(2)]);
        assert_eq!((leases.due(), leases.grant(at(59))), (Some(at(60)), vec![]));
        assert_eq!(leases.grant(at(60)), [holder(3), holder(4)]);
        leases.release(&holder(3));
        assert_eq!(leases.grant(at(90)), [], "a share that was given back was given all the same");
        assert_eq!(leases.grant(at(120)), [holder(5)]);
        assert_eq!(leases.due(), None);
    }

    #[test]
    fn what_one_that_waits_counts_is_not_forgotten_for_those_that_count_less() {
        let mut leases = Leases::default();
        leases.ask(holder(1), &lease(0, None, Some(("r", 2, 60))));
        assert_eq!(leases.grant(at(0)), [holder(1)]);
        leases.ask(holder(2), &lease(50, None, Some(("r", 2, 60))));
        leases.ask(holder(3), &lease(51, None, Some(("r", 2, 600))));
        assert_eq!(leases.grant(at(55)), [holder(2)]);
        leases.rates.values_mut().for_each(|window| window.prune(at(70)));
        assert_eq!(leases.grant(at(70)), [], "two began within these ten minutes");
        assert_eq!(leases.grant(at(600)), [holder(3)]);
    }

    #[test]
    fn what_was_given_out_is_known_again_from_the_file_and_from_the_histories() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rates.jsonl");
        let mut leases = Leases::default();
        leases.ask(holder(1), &lease(0, None, Some(("r", 1, 60))));
        assert_eq!(leases.grant(at(0)), [holder(1)]);
        leases.write_all(&path).unwrap();
        let (mut given, lines) = read(&path).unwrap().unwrap();
        assert_eq!((given.len(), lines, given[0].at), (1, 1, at(0)));

        let run = holder(1).run;
        let history = format!(
            "{{\"n\":1,\"at\":\"{0}\",\"kind\":\"lease.asked\",\"v\":1,\"rate\":{{\"key\":\"r\",\"max\":1,\"per\":\"1m\"}}}}\n\
             {{\"n\":2,\"at\":\"{0}\",\"kind\":\"lease.granted\",\"v\":1}}\n",
            cairn_store_layout::time::write(at(0))
        );
        given.extend(given_in(&run, &history));
        assert_eq!(given[0], given[1], "both tell the same");
        let mut again = Leases::default();
        for given in given {
            let holder = Holder { run: given.run, step: given.step };
            again.rates.entry(given.key).or_default().give(given.at, &holder, given.per);
        }
        again.ask(holder(2), &lease(1, None, Some(("r", 1, 60))));
        assert_eq!((again.grant(at(59)), again.grant(at(60))), (vec![], vec![holder(2)]), "counted once");
    }
}
