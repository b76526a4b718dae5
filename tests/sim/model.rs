//! The reference model: what a history may say, told without a line of the kernel.
//!
//! It reads what the kernel recorded, one line after the other, and holds it against what the
//! workload meant, what the operator asked for and what the world answered. It never predicts: it
//! says no to what must not be.

mod ending;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use cairn_store_layout::{CommandId, Digest, GateId, RunId, command::Verb};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    family::{Claim, birth},
    shares::Turn,
    signals::Signals,
    sink::Sink,
    slot::{Phase, Slot},
    undoing::{Place, Undoing},
    workload::{CHILD, Does, Lease, Meant, MeantStep, Overlap},
};

/// The moment at which a line is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) up: Duration,
    /// When the turn began that recorded it: a kernel may wait within one.
    pub(crate) since: Duration,
    /// Which kernel recorded it; 0 when that is not known.
    pub(crate) life: u32,
}

/// What the operator may decide about.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) gate: GateId,
    pub(crate) digest: Digest,
    pub(crate) kind: RequestKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Gate,
    Ask,
    Settle,
    /// What is to become of a failure.
    Decide,
}

/// What surrounds a history: the operator's words and the world's.
pub(crate) struct Around<'a> {
    pub(crate) asked: &'a BTreeMap<CommandId, Verb>,
    pub(crate) sink: &'a Sink,
    pub(crate) seen: Seen,
    /// The run stops.
    pub(crate) stopping: bool,
    /// What it did is to be taken back then.
    pub(crate) undoes: bool,
}

/// Why a run stops before its steps are over.
#[derive(Debug)]
struct Stopping {
    why: String,
    undo: bool,
}

/// One run, as its history tells it.
#[derive(Debug)]
pub(crate) struct RunModel {
    pub(crate) run: RunId,
    pub(crate) meant: Rc<Meant>,
    n: u64,
    last: Timestamp,
    input: Value,
    expanded: BTreeMap<String, usize>,
    slots: BTreeMap<(String, Option<String>), Slot>,
    /// How steps ended as a whole.
    over: BTreeMap<String, Phase>,
    pub(crate) end: Option<(String, Duration)>,
    pub(crate) causes: Vec<String>,
    pub(crate) workflow: String,
    /// The trigger that started it, and the time that was due.
    pub(crate) fired: Option<(String, Option<Timestamp>)>,
    /// Git tree id of what it follows.
    pub(crate) definition: String,
    /// Git tree id of the workflow that its steps may start.
    pub(crate) pinned_child: Option<String>,
    /// The step that started it.
    pub(crate) birth: Option<(String, String, Option<String>, u64)>,
    /// Attempts that start a run: step, iteration, attempt.
    pub(crate) children: BTreeSet<(String, Option<String>, u64)>,
    /// What it says of them and nobody has compared yet.
    pub(crate) claims: Vec<Claim>,
    stopping: Option<Stopping>,
    undoing: Undoing,
    started: Timestamp,
    /// When a step failed whose failure stops the run.
    failing: Option<Timestamp>,
    pub(crate) signals: Signals,
    /// What it asked for as a whole, and whether it has it.
    lease: Option<(Lease, bool)>,
    /// What nobody has compared with other runs yet.
    pub(crate) turns: Vec<Turn>,
}

/// How a step stands by what it needs.
enum Needs {
    Open,
    Met,
    Lost,
}

impl RunModel {
    /// A run at the first line of its history. `parent`: the run that says that it started it.
    pub(crate) fn begin(
        line: &Value,
        meant: Rc<Meant>,
        around: &Around<'_>,
        parent: Option<&Self>,
    ) -> Result<Self, String> {
        let run = RunId::new(text(line, "run")).map_err(|e| e.to_string())?;
        let listed: Vec<&str> =
            line["steps"].as_array().into_iter().flatten().filter_map(|s| s["id"].as_str()).collect();
        let wanted: Vec<&str> = meant.steps.iter().map(|s| s.id.as_str()).collect();
        if listed != wanted {
            return Err(format!("E3: version {} has the steps {wanted:?}, the run {listed:?}", meant.version));
        }
        let asked = CommandId::new(run.as_str()).ok().and_then(|id| around.asked.get(&id));
        let birth = birth(line);
        let fired = line.get("fired").map(|fired| (text(fired, "trigger").to_owned(), moment(fired, "due")));
        let input = match (asked, &birth) {
            (Some(Verb::RunStart { input, .. }), None) => input,
            (None, Some(_)) => &parent.ok_or("E1: there is no parent")?.input,
            (None, None)
                if meant.triggers.iter().any(|trigger| fired.as_ref().is_some_and(|(id, _)| *id == trigger.id)) =>
            {
                &serde_json::json!({"n": 5})
            }
            _ => return Err(format!("A2: nobody asked for the run {run}")),
        };
        Ok(Self {
            run,
            meant,
            n: 0,
            last: at(line)?,
            started: at(line)?,
            workflow: text(line, "workflow").to_owned(),
            fired,
            definition: text(line, "definition").to_owned(),
            pinned_child: line["pins"][format!("workflows/{CHILD}")].as_str().map(str::to_owned),
            birth,
            children: BTreeSet::new(),
            claims: Vec::new(),
            stopping: None,
            undoing: Undoing::default(),
            failing: None,
            signals: Signals::default(),
            lease: None,
            turns: Vec::new(),
            input: input.clone(),
            expanded: BTreeMap::new(),
            slots: BTreeMap::new(),
            over: BTreeMap::new(),
            end: None,
            causes: Vec::new(),
        })
    }

    /// Takes the next line, or says why it must not be there.
    pub(crate) fn line(&mut self, line: &Value, around: &Around<'_>) -> Result<(), String> {
        let kind = text(line, "kind").to_owned();
        let result = self.take(&kind, line, around);
        result.map_err(|why| format!("{why} (record {} of run {}, {kind})", line["n"], self.run.short()))
    }

    /// What the operator is asked.
    pub(crate) fn requests(&self) -> Vec<Request> {
        if self.end.is_some() {
            return Vec::new();
        }
        self.slots.values().filter_map(Slot::request).chain(self.undoing.request()).collect()
    }

    /// Tells whether an event of this moment was for it.
    pub(crate) fn was_under_way(&self, at: Timestamp) -> bool {
        self.started <= at && (self.end.is_none() || at < self.last)
    }

    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        self.end.as_ref().map(|_| self.last)
    }

    pub(crate) fn fired_by(&self, trigger: &str) -> bool {
        self.fired.as_ref().is_some_and(|(id, _)| id == trigger)
    }

    /// What the trigger that started it says of runs side by side.
    pub(crate) fn overlap(&self) -> Option<Overlap> {
        self.meant.triggers.iter().find(|trigger| self.fired_by(&trigger.id)).map(|trigger| trigger.overlap)
    }

    /// What has to be done and nobody does, at the end of a turn.
    pub(crate) fn is_idle(&self) -> Option<String> {
        if self.end.is_some() || self.failing.is_some() || self.stopping.is_some() {
            return None;
        }
        self.slots.iter().find_map(|((step, _), slot)| {
            let meant = self.meant.step(step)?;
            let waits = matches!(slot.phase, Phase::Listening(..)) && !self.over.contains_key(step);
            match self.signals.fitting(meant.does, &self.input) {
                Some(signal) if waits => {
                    Some(format!("E10: `{step}` waits for an event like {signal}, which is there"))
                }
                _ if slot.is_forgotten(meant) => Some(format!("E6: nobody looks whether `{step}` happened")),
                _ => None,
            }
        })
    }

    /// Tells whether an attempt that started a run waits for its end still.
    pub(crate) fn awaits(&self, step: &str, iteration: Option<&str>, attempt: u64) -> bool {
        let slot = self.slots.get(&(step.to_owned(), iteration.map(str::to_owned)));
        let here = |slot: &Slot| slot.phase == Phase::InFlight && u64::from(slot.attempt) == attempt;
        self.end.is_none() && !self.over.contains_key(step) && slot.is_some_and(here)
    }

    fn take(&mut self, kind: &str, line: &Value, around: &Around<'_>) -> Result<(), String> {
        self.n += 1;
        if line["n"].as_u64() != Some(self.n) {
            return Err(format!("D7: record {} follows record {}", line["n"], self.n - 1));
        }
        if self.end.is_some() {
            return Err("E1: something happens after the end".to_owned());
        }
        let now = at(line)?;
        if now < self.last {
            return Err(format!("the clock went back from {} to {now}", self.last));
        }
        self.last = now;
        if let Some(cause) = line["cause"].as_str() {
            self.causes.push(cause.to_owned());
        }
        match kind.strip_prefix("run.") {
            Some("stopping") => return self.stops(line, around),
            Some(end) => return self.ends(end, line, around),
            None => {}
        }
        match kind {
            "signal.received" => return self.signals.received(line, &self.meant, &self.run, around),
            "lease.asked" | "lease.granted" if line["step"].is_null() => return self.turn(kind, line),
            _ => {}
        }
        let step = text(line, "step").to_owned();
        let meant = self.meant.clone();
        let meant = meant.step(&step).ok_or(format!("E3: there is no step `{step}` in this version"))?;
        let place = (step.clone(), line["iteration"].as_str().map(str::to_owned));
        if kind.starts_with("undo.") || (kind == "request.withdrawn" && self.undoing.asks(text(line, "gate"))) {
            return self.takes_back(kind, line, &place, meant, around);
        }
        if self.over.contains_key(&step) {
            return Err(format!("E1: step `{step}` was over"));
        }
        self.may_go_on(kind, line, meant)?;
        let around = Around { stopping: self.stops_main(meant), undoes: self.undoes(), ..*around };
        if meant.each.is_some() && place.1.is_none() {
            return self.whole(kind, meant, line);
        }
        self.may_begin(meant, place.1.as_deref(), kind, line)?;
        if meant.does == Does::Child {
            self.note_child(kind, line, &place);
        }
        match kind {
            "signal.taken" => self.signals.taken(line, meant.does, &self.input)?,
            "wait.opened" => {
                if let Some(kept) = self.signals.fitting(meant.does, &self.input) {
                    return Err(format!("E10: it waits for an event like {kept}, which was there before"));
                }
            }
            "lease.granted" => {
                let (holder, lease) = (holder(&self.run, Some(&place)), meant.lease.clone().unwrap_or_default());
                self.turns.push(Turn::Granted { holder, lease, at: now });
            }
            _ => {}
        }
        let slot = self.slots.entry(place.clone()).or_default();
        slot.take(kind, line, meant, &around)?;
        let phase = slot.phase.clone();
        if phase.is_over() && meant.lease.is_some() {
            self.turns.push(Turn::Over { holder: holder(&self.run, Some(&place)), at: now });
        }
        if kind == "attempt.succeeded" && meant.undo.is_some() {
            self.undoing.completed(place);
        }
        if phase == Phase::Failed {
            self.fails(meant, now);
        }
        if meant.each.is_none() && phase.is_over() {
            self.over.insert(step.clone(), phase);
        }
        let busy = self.slots.iter().filter(|((of, _), slot)| *of == step && slot.holds_a_place()).count();
        match meant.each {
            Some(most) if busy > most => Err(format!("{busy} iterations of `{step}` at once, {most} are allowed")),
            _ => Ok(()),
        }
    }

    /// The turn of the run as a whole.
    fn turn(&mut self, kind: &str, line: &Value) -> Result<(), String> {
        match (kind, &mut self.lease) {
            ("lease.asked", None) if self.meant.lease == Some(Lease::read(line)) => {
                self.lease = Some((Lease::read(line), false));
                Ok(())
            }
            ("lease.granted", Some((lease, has @ false))) => {
                *has = true;
                let (holder, lease, at) = (holder(&self.run, None), lease.clone(), at(line)?);
                self.turns.push(Turn::Granted { holder, lease, at });
                Ok(())
            }
            (_, lease) => Err(format!("{:?} is meant, {lease:?} was asked for", self.meant.lease)),
        }
    }

    fn note_child(&mut self, kind: &str, line: &Value, place: &Place) {
        let attempt = line["attempt"].as_u64().unwrap_or(0);
        let outcome = match kind {
            "attempt.started" => {
                self.children.insert((place.0.clone(), place.1.clone(), attempt));
                return;
            }
            "attempt.succeeded" => Ok(line["output"].clone()),
            "attempt.failed" => Err(text(line, "code").to_owned()),
            _ => return,
        };
        self.claims.push(Claim { step: place.0.clone(), iteration: place.1.clone(), attempt, outcome });
    }

    fn needs(&self, meant: &MeantStep) -> Needs {
        let done = meant.needs.iter().filter(|need| self.over.get(*need) == Some(&Phase::Done)).count();
        let open = meant.needs.iter().filter(|need| !self.over.contains_key(*need)).count();
        match meant.join {
            None if open > 0 => Needs::Open,
            _ if done >= meant.join.unwrap_or(meant.needs.len()) => Needs::Met,
            Some(wanted) if done + open >= wanted => Needs::Open,
            _ => Needs::Lost,
        }
    }

    /// A slot that is touched for the first time: what it needs is done, unless it is skipped for that.
    fn may_begin(&self, meant: &MeantStep, iteration: Option<&str>, kind: &str, line: &Value) -> Result<(), String> {
        if self.slots.contains_key(&(meant.id.clone(), iteration.map(str::to_owned))) {
            return Ok(());
        }
        if iteration.is_some() && !self.expanded.contains_key(&meant.id) {
            return Err(format!("`{}` has no list yet", meant.id));
        }
        let excluded = meant.above.is_some_and(|above| self.input["n"].as_u64().unwrap_or(0) <= above);
        let needs = self.needs(meant);
        if kind == "step.skipped" {
            let is_right = match needs {
                Needs::Open => false,
                Needs::Lost => true,
                Needs::Met => excluded,
            };
            let is_right = is_right || self.stops_main(meant);
            return if is_right { Ok(()) } else { Err(format!("`{}` was skipped: {}", meant.id, line["reason"])) };
        }
        match needs {
            Needs::Met if excluded => Err(format!("`{}` begins although its condition is false", meant.id)),
            Needs::Met => Ok(()),
            _ => Err(format!("E1: `{}` begins before what it needs is done", meant.id)),
        }
    }

    /// A `for_each` step as a whole.
    fn whole(&mut self, kind: &str, meant: &MeantStep, line: &Value) -> Result<(), String> {
        let needs = self.needs(meant);
        let stops = self.stops_main(meant);
        let slots: Vec<&Slot> = self.slots.iter().filter(|((of, _), _)| *of == meant.id).map(|(_, s)| s).collect();
        let all_over = self.expanded.get(&meant.id).is_some_and(|n| *n == slots.len())
            && slots.iter().all(|slot| slot.phase.is_over());
        let end = match kind {
            "step.expanded" | "step.failed" | "step.succeeded" if !matches!(needs, Needs::Met) => {
                return Err(format!("E1: `{}` begins before all it needs is done", meant.id));
            }
            "step.expanded" => {
                let items = line["items"].as_array().map_or(self.items(), Vec::len);
                if self.expanded.insert(meant.id.clone(), items).is_some() || items != self.items() {
                    return Err(format!("E1: the list of `{}` was taken twice, or is not that of the input", meant.id));
                }
                return Ok(());
            }
            "step.skipped" if matches!(needs, Needs::Lost) => Phase::Skipped,
            "step.skipped" if stops => {
                let effect = slots.iter().find(|slot| slot.phase == Phase::InFlight).filter(|_| meant.does.changes());
                if effect.is_some() || slots.iter().any(|slot| slot.request().is_some()) {
                    return Err("E6: what may have happened, or is asked still, counts as not done".to_owned());
                }
                Phase::Skipped
            }
            "step.succeeded"
                if meant.does == Does::Set || (all_over && slots.iter().all(|s| s.phase != Phase::Failed)) =>
            {
                Phase::Done
            }
            "step.failed" if slots.iter().any(|s| s.phase == Phase::Failed) && (all_over || stops) => Phase::Failed,
            "step.failed" if line["code"] == "expression" && slots.is_empty() => Phase::Failed,
            _ => return Err(format!("`{}` as a whole can not end so", meant.id)),
        };
        if end == Phase::Failed {
            self.fails(meant, at(line)?);
        }
        self.over.insert(meant.id.clone(), end);
        Ok(())
    }

    fn items(&self) -> usize {
        self.input["items"].as_array().map_or(0, Vec::len)
    }
}

fn holder(run: &RunId, place: Option<&Place>) -> String {
    place.map_or_else(|| run.to_string(), |(step, iteration)| format!("{run} {step} {iteration:?}"))
}

pub(crate) fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

pub(crate) fn at(line: &Value) -> Result<Timestamp, String> {
    moment(line, "at").ok_or_else(|| "it has no time".to_owned())
}

pub(crate) fn moment(line: &Value, key: &str) -> Option<Timestamp> {
    line[key].as_str()?.parse().ok()
}
