//! The dispatcher of a simulated kernel: attempts leave through it, and their intents are checked.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use cairn::{
    driver::{Dispatcher, Report},
    store::definitions::Pinned,
};
use cairn_kernel::Perform;
use cairn_store_layout::{
    Digest, RunId, StepId,
    payload::{EffectClass, Purpose},
};

use crate::{
    lab::Lab,
    sink::{Sender, Sink},
};

/// Attempts that were started and not heard of, by where they belong.
pub(crate) type UnderWay = BTreeMap<(RunId, StepId, Option<String>), u32>;

/// Intents that were durable once, and attempts that are known to have failed: what may be sent.
#[derive(Debug, Default)]
pub(crate) struct Intents {
    pub(crate) recorded: BTreeSet<(Digest, u32)>,
    pub(crate) failed: BTreeSet<(Digest, u32)>,
    /// Probes that were recorded: run, step, iteration, attempt.
    probes: BTreeSet<String>,
    /// The number of the first attempt under each key.
    firsts: BTreeMap<Digest, u32>,
    /// The key of each slot that started an attempt.
    keys: BTreeMap<String, Digest>,
}

impl Intents {
    /// Takes a line of a history in.
    pub(crate) fn note(&mut self, line: &serde_json::Value, path: &str) {
        let kind = line["kind"].as_str().unwrap_or_default();
        let (what, how) = kind.split_once('.').unwrap_or_default();
        let slot = format!("{path} {} {} {what}", line["step"], line["iteration"]);
        let attempt = u32::try_from(line["attempt"].as_u64().unwrap_or(0)).unwrap_or(0);
        match (what, how) {
            ("attempt" | "undo", "started") => {
                let Some(key) = line["key"].as_str().and_then(|k| Digest::new(k).ok()) else { return };
                self.keys.insert(slot, key.clone());
                self.firsts.entry(key.clone()).or_insert(attempt);
                self.recorded.insert((key, attempt));
            }
            ("probe", "started") => {
                let run = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".jsonl");
                let text = |key: &str| line[key].as_str().unwrap_or_default();
                self.probes.insert(format!("{run} {} {} {attempt}", text("step"), text("iteration")));
            }
            ("attempt" | "undo", "failed") => {
                let Some(key) = self.keys.get(&slot) else { return };
                self.failed.insert((key.clone(), attempt));
            }
            _ => {}
        }
    }
}

/// One kernel's hands, for one life.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) lab: Rc<Lab>,
    pub(crate) sink: Rc<RefCell<Sink>>,
    pub(crate) intents: Rc<RefCell<Intents>>,
    pub(crate) from: Sender,
    pub(crate) under_way: Rc<RefCell<UnderWay>>,
}

impl Hands {
    /// E4: no effect leaves before its intent is durable: in the journal as a power cut would leave it,
    /// unless an earlier kernel recorded it.
    fn check_intent(&self, perform: &Perform) {
        let intent = (perform.key.clone(), perform.attempt);
        let is_recorded = match perform.effect.purpose {
            Purpose::Probe => self.intents.borrow().probes.contains(&probe_of(perform)),
            _ => self.intents.borrow().recorded.contains(&intent),
        };
        let is_durable = is_recorded || self.is_in_journal(perform);
        let slot = format!("attempt {} of {}/{}", perform.attempt, perform.run.short(), perform.step);
        if !is_durable {
            self.wrong(format!("E4: {slot} left before its intent was durable"));
        }
        let before = (perform.key.clone(), perform.attempt.saturating_sub(1));
        // attempts are counted through all rounds of a step: each round is an effect of its own
        let first = *self.intents.borrow_mut().firsts.entry(perform.key.clone()).or_insert(perform.attempt);
        let once = perform.effect.class == EffectClass::Once && perform.attempt > first;
        if once && !self.intents.borrow().failed.contains(&before) && !self.failed_in_journal(perform) {
            self.wrong(format!("E6: {slot}, class once, left although nobody knows what became of the one before"));
        }
        self.intents.borrow_mut().recorded.insert(intent);
    }

    fn is_in_journal(&self, perform: &Perform) -> bool {
        let mut marks = vec![
            format!("{}.started", word(perform)),
            format!("\\\"attempt\\\":{},", perform.attempt),
            format!("\\\"step\\\":\\\"{}\\\"", perform.step),
            perform.run.to_string(),
        ];
        // a probe has its place from what it looks for
        if perform.effect.purpose != Purpose::Probe {
            marks.extend([perform.key.to_string(), perform.effect.digest().to_string()]);
        }
        self.journal_has(&marks)
    }

    /// The failure of the attempt before may be in the very write that holds this intent.
    fn failed_in_journal(&self, perform: &Perform) -> bool {
        let marks = [
            format!("{}.failed", word(perform)),
            format!("\\\"attempt\\\":{},", perform.attempt - 1),
            format!("\\\"step\\\":\\\"{}\\\"", perform.step),
            perform.run.to_string(),
        ];
        self.journal_has(&marks)
    }

    fn journal_has(&self, marks: &[String]) -> bool {
        self.lab.look(self.from.machine, |platter| {
            let mut segments = platter.seen_below("store/.cairn/journal").filter_map(|path| platter.durable(path));
            segments.any(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                text.lines().any(|line| marks.iter().all(|mark| line.contains(mark.as_str())))
            })
        })
    }

    fn wrong(&self, what: String) {
        self.sink.borrow_mut().wrongs.push(what);
    }
}

fn probe_of(perform: &Perform) -> String {
    let iteration = perform.iteration.as_deref().unwrap_or_default();
    format!("{} {} {iteration} {}", perform.run, perform.step, perform.attempt)
}

/// What the kinds of events about an attempt begin with.
fn word(perform: &Perform) -> &'static str {
    match perform.effect.purpose {
        Purpose::Step => "attempt",
        Purpose::Undo => "undo",
        Purpose::Probe => "probe",
    }
}

impl Dispatcher for Hands {
    fn start(&mut self, perform: Perform, _pinned: &Arc<Pinned>) {
        if self.lab.is_dead(self.from.machine) {
            return;
        }
        self.check_intent(&perform);
        let slot = (perform.run.clone(), perform.step.clone(), perform.iteration.clone());
        self.under_way.borrow_mut().insert(slot, perform.attempt);
        let time = &self.lab.time;
        self.sink.borrow_mut().take(self.from, &perform, time.up(), time.is_steady());
    }

    fn abort(&mut self, run: &RunId) {
        self.under_way.borrow_mut().retain(|(of, _, _), _| of != run);
    }

    fn reported(&mut self, report: &Report) {
        let slot = (report.run.clone(), report.step.clone(), report.iteration.clone());
        let mut under_way = self.under_way.borrow_mut();
        if under_way.get(&slot) == Some(&report.attempt) {
            under_way.remove(&slot);
        }
    }

    fn in_flight(&self) -> usize {
        self.under_way.borrow().len()
    }

    fn shut_down(&mut self) {}
}
