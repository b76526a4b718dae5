//! The reference model of events: each reaches every run that listens, is kept, and is taken once.

use std::collections::BTreeMap;

use cairn_store_layout::{CommandId, RunId, command::Verb};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    model::{Around, RunModel, at, text},
    workload::{Does, Meant, event_name},
};

/// What one run has heard of, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Signals(Vec<Came>);

#[derive(Debug)]
struct Came {
    signal: CommandId,
    name: String,
    data: Value,
    taken: bool,
}

/// An event that the machine's log has.
#[derive(Debug)]
pub(crate) struct Heard {
    at: Timestamp,
    name: String,
    run: Option<RunId>,
}

impl Heard {
    /// Its id, name and moment, unless it is for one run alone.
    pub(crate) fn for_all<'a>(&'a self, id: &'a CommandId) -> Option<(&'a CommandId, &'a str, Timestamp)> {
        self.run.is_none().then_some((id, self.name.as_str(), self.at))
    }
}

/// Every event that the machine's log has.
pub(crate) type Log = BTreeMap<CommandId, Heard>;

impl Signals {
    /// It is what the operator emitted, for a run that listens to it, and new.
    pub(crate) fn received(
        &mut self,
        line: &Value,
        meant: &Meant,
        run: &RunId,
        around: &Around<'_>,
    ) -> Result<(), String> {
        let signal = CommandId::new(text(line, "signal")).map_err(|e| e.to_string())?;
        let Some(Verb::EventEmit { name, data, run: only }) = around.asked.get(&signal) else {
            return Err(format!("A2: nobody emitted {signal}"));
        };
        if text(line, "name") != name || line["data"] != *data || only.as_ref().is_some_and(|only| only != run) {
            return Err(format!("E10: {name} with {data} was emitted for {only:?}"));
        }
        let listens = |does: Does| matches!(does, Does::Listen { event, .. } if event_name(event) == *name);
        if !meant.steps.iter().any(|step| listens(step.does)) {
            return Err(format!("E10: nothing waits for {name}"));
        }
        if self.has(&signal) {
            return Err(format!("E10: {name} came twice"));
        }
        self.0.push(Came { signal, name: name.clone(), data: data.clone(), taken: false });
        Ok(())
    }

    pub(crate) fn has(&self, signal: &CommandId) -> bool {
        self.0.iter().any(|came| came.signal == *signal)
    }

    /// The oldest that a wait could take.
    pub(crate) fn fitting(&self, does: Does, input: &Value) -> Option<&CommandId> {
        let Does::Listen { event, own, .. } = does else { return None };
        let fits =
            |came: &&Came| !came.taken && came.name == event_name(event) && (!own || came.data["k"] == input["n"]);
        self.0.iter().find(fits).map(|came| &came.signal)
    }

    /// A wait takes the oldest that fits, and nobody else does.
    pub(crate) fn taken(&mut self, line: &Value, does: Does, input: &Value) -> Result<(), String> {
        let fitting = self.fitting(does, input).cloned();
        if fitting.as_ref().map(CommandId::as_str) != line["signal"].as_str() {
            return Err(format!("E10: the wait takes {}, the oldest that fits is {fitting:?}", line["signal"]));
        }
        let came = self.0.iter_mut().find(|came| fitting.as_ref() == Some(&came.signal)).ok_or("E10: it never came")?;
        if line["output"] != came.data {
            return Err(format!("E10: {} came with {}, {} is given", came.name, came.data, line["output"]));
        }
        came.taken = true;
        Ok(())
    }
}

/// Takes a line of the machine's log in.
pub(crate) fn hear(log: &mut Log, line: &Value) -> Result<(), String> {
    let id = CommandId::new(text(line, "event")).map_err(|e| e.to_string())?;
    let run = line["run"].as_str().and_then(|run| RunId::new(run).ok());
    let heard = Heard { at: at(line)?, name: text(line, "name").to_owned(), run };
    match log.insert(id.clone(), heard) {
        Some(_) => Err(format!("E10: the event {id} was recorded twice")),
        None => Ok(()),
    }
}

/// E10: every event reached every run that was under way and listens to its name.
pub(crate) fn reached(log: &Log, runs: &BTreeMap<String, RunModel>) -> Result<(), String> {
    for (id, heard) in log {
        let name = |does: Does| matches!(does, Does::Listen { event, .. } if event_name(event) == heard.name);
        let missed = runs.values().find(|run| {
            run.was_under_way(heard.at)
                && heard.run.as_ref().is_none_or(|only| *only == run.run)
                && run.meant.steps.iter().any(|step| name(step.does))
                && !run.signals.has(id)
        });
        if let Some(run) = missed {
            return Err(format!("E10: {} of {} never reached run {}", heard.name, heard.at, run.run));
        }
    }
    Ok(())
}
