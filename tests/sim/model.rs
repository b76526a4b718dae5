//! The reference model: what a history may say, told without a line of the kernel.
//!
//! It reads what the kernel recorded, one line after the other, and holds it against what the
//! workload meant, what the operator asked for and what the world answered. It never predicts: it
//! says no to what must not be.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use cairn_store_layout::{CommandId, Digest, GateId, RunId, command::Verb};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    sink::Sink,
    slot::{Phase, Slot},
    workload::{Does, Meant, MeantStep},
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
}

/// One run, as its history tells it.
#[derive(Debug)]
pub(crate) struct RunModel {
    pub(crate) run: RunId,
    meant: Rc<Meant>,
    n: u64,
    last: Timestamp,
    input: Value,
    expanded: BTreeMap<String, usize>,
    slots: BTreeMap<(String, Option<String>), Slot>,
    /// How steps ended as a whole.
    over: BTreeMap<String, Phase>,
    pub(crate) end: Option<(String, Duration)>,
    pub(crate) causes: Vec<String>,
}

impl RunModel {
    /// A run at the first line of its history.
    pub(crate) fn begin(line: &Value, meant: Rc<Meant>, around: &Around<'_>) -> Result<Self, String> {
        let run = RunId::new(text(line, "run")).map_err(|e| e.to_string())?;
        let listed: Vec<&str> =
            line["steps"].as_array().into_iter().flatten().filter_map(|s| s["id"].as_str()).collect();
        let wanted: Vec<&str> = meant.steps.iter().map(|s| s.id.as_str()).collect();
        if listed != wanted {
            return Err(format!("E3: version {} has the steps {wanted:?}, the run {listed:?}", meant.version));
        }
        let asked = CommandId::new(run.as_str()).ok().and_then(|id| around.asked.get(&id));
        let Some(Verb::RunStart { input, .. }) = asked else {
            return Err(format!("A2: nobody asked for the run {run}"));
        };
        Ok(Self {
            run,
            meant,
            n: 0,
            last: at(line)?,
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
        if self.end.is_some() { Vec::new() } else { self.slots.values().filter_map(Slot::request).collect() }
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
        if let Some(end) = kind.strip_prefix("run.") {
            return self.ends(end, line, around);
        }
        let step = text(line, "step").to_owned();
        let meant = self.meant.clone();
        let meant = meant.step(&step).ok_or(format!("E3: there is no step `{step}` in this version"))?;
        let iteration = line["iteration"].as_str().map(str::to_owned);
        let whole = meant.each.is_some() && iteration.is_none();
        if self.over.contains_key(&step) {
            return Err(format!("E1: step `{step}` was over"));
        }
        if whole {
            return self.whole(kind, meant, line);
        }
        self.may_begin(meant, iteration.as_deref(), kind, line)?;
        let place = (step.clone(), iteration.clone());
        let slot = self.slots.entry(place).or_default();
        slot.take(kind, line, meant, around)?;
        let phase = slot.phase.clone();
        if meant.each.is_none() && phase.is_over() {
            self.over.insert(step.clone(), phase);
        }
        let busy = self.slots.iter().filter(|((of, _), slot)| *of == step && slot.holds_a_place()).count();
        match meant.each {
            Some(most) if busy > most => Err(format!("{busy} iterations of `{step}` at once, {most} are allowed")),
            _ => Ok(()),
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
        let undone = meant.needs.iter().find(|need| self.over.get(*need) != Some(&Phase::Done));
        let excluded = meant.above.is_some_and(|above| self.input["n"].as_u64().unwrap_or(0) <= above);
        if kind == "step.skipped" {
            let is_right = match undone {
                Some(need) => self.over.contains_key(need),
                None => excluded,
            };
            return if is_right { Ok(()) } else { Err(format!("`{}` was skipped: {}", meant.id, line["reason"])) };
        }
        match undone {
            Some(need) => Err(format!("E1: `{}` begins before `{need}` is done", meant.id)),
            None if excluded => Err(format!("`{}` begins although its condition is false", meant.id)),
            None => Ok(()),
        }
    }

    /// A `for_each` step as a whole.
    fn whole(&mut self, kind: &str, meant: &MeantStep, line: &Value) -> Result<(), String> {
        let undone = meant.needs.iter().find(|need| self.over.get(*need) != Some(&Phase::Done));
        let slots: Vec<&Slot> = self.slots.iter().filter(|((of, _), _)| *of == meant.id).map(|(_, s)| s).collect();
        let all_over = self.expanded.get(&meant.id).is_some_and(|n| *n == slots.len())
            && slots.iter().all(|slot| slot.phase.is_over());
        let end = match kind {
            "step.expanded" | "step.failed" | "step.succeeded" if undone.is_some() => {
                return Err(format!("E1: `{}` begins before all it needs is done", meant.id));
            }
            "step.expanded" => {
                let items = line["items"].as_array().map_or(self.items(), Vec::len);
                if self.expanded.insert(meant.id.clone(), items).is_some() || items != self.items() {
                    return Err(format!("E1: the list of `{}` was taken twice, or is not that of the input", meant.id));
                }
                return Ok(());
            }
            "step.skipped" if undone.is_some_and(|need| self.over.contains_key(need)) => Phase::Skipped,
            "step.succeeded"
                if meant.does == Does::Set || (all_over && slots.iter().all(|s| s.phase != Phase::Failed)) =>
            {
                Phase::Done
            }
            "step.failed" if slots.iter().any(|s| s.phase == Phase::Failed) && all_over => Phase::Failed,
            "step.failed" if line["code"] == "expression" && slots.is_empty() => Phase::Failed,
            _ => return Err(format!("`{}` as a whole can not end so", meant.id)),
        };
        self.over.insert(meant.id.clone(), end);
        Ok(())
    }

    fn ends(&mut self, end: &str, line: &Value, around: &Around<'_>) -> Result<(), String> {
        let open = self.meant.steps.iter().find(|s| !self.over.contains_key(&s.id));
        let failed = self.over.values().any(|phase| *phase == Phase::Failed);
        let is_right = match end {
            "succeeded" => open.is_none() && !failed,
            "failed" => open.is_none() && failed,
            "canceled" => {
                let cause = line["cause"].as_str().and_then(|c| CommandId::new(c).ok());
                matches!(cause.and_then(|c| around.asked.get(&c)), Some(Verb::RunCancel { run, .. }) if *run == self.run)
            }
            _ => return Err("it is not known what this means for a run".to_owned()),
        };
        if !is_right {
            return Err(format!("E1: the run ends {end}; open: {:?}, failed: {failed}", open.map(|s| &s.id)));
        }
        self.end = Some((end.to_owned(), around.seen.up));
        Ok(())
    }

    fn items(&self) -> usize {
        self.input["items"].as_array().map_or(0, Vec::len)
    }
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
