//! Running again: resume, rerun, fork and migrate, as far as they need more than the run itself.
//!
//! A rerun and a fork are new runs; what they take over stands in their first event, so that every
//! start finds the same results. A move is a fact of the run that moves. A parked run is read once
//! more; one that this build would have taken elsewhere stays parked until somebody ends or moves it.

use std::sync::Arc;

use cairn_kernel::{Command as Ask, Context, Move, Refusal, State, migrate};
use cairn_store_layout::{
    CommandId, RunId,
    command::Again,
    event::{Body, Event, Origin, RunFollowed, RunMigrated},
    paths,
};

use super::{
    Driver, DriverError,
    begin::{Begin, Follows},
    intake::No,
    live::Live,
};
use crate::store::{
    definitions::{self, PinError, Pinned, Pins},
    past::{self, PastError},
};

/// Longer histories are not decided again at a start, where everybody waits; `cairn verify --replay` does.
const CHECKED_RECORDS_MAX: usize = 10_000;

/// How a run is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With the results that still answer.
    Rerun,
    /// With no result of the earlier run.
    Anew,
    /// From a step on, with memory as it was then.
    Fork,
}

type Taken = Result<Option<RunId>, No>;

impl Driver {
    /// The state and the pinned definition at the first event of a history.
    pub(super) fn begin_again(&mut self, events: &[Event]) -> Result<(State, Arc<Pinned>), PastError> {
        let root = self.store.root().to_owned();
        past::begin(&root, events, &mut |workflow, pins| {
            let other = cairn_kernel::seeded!(PinForgotten: definitions::pin(&self.repo, workflow).ok(), else None);
            self.pinned(workflow, other.as_ref().unwrap_or(pins))
        })
    }

    /// Lets a run go on under the definition that `moved` names. `events`: its history until then.
    pub(super) fn follow_move(
        &mut self,
        live: &mut Live,
        events: &[Event],
        moved: &RunMigrated,
    ) -> Result<(), PastError> {
        let start = past::start_of(events)?;
        let mut load = |workflow: &str, pins: &Pins| self.pinned(workflow, pins);
        let mut before = past::collect(events, &mut load)?;
        let pinned = load(&start.workflow, &past::pins_after(moved))?;
        live.state = live.state.moved(start, moved, pinned.plan.clone(), &mut before);
        live.pinned = pinned;
        Ok(())
    }

    /// Tells where this build would have decided otherwise than the history of an unfinished run says,
    /// if that can be told.
    pub(super) fn difference(&mut self, live: &Live, events: &[Event]) -> Option<String> {
        if live.state.end().is_some() || events.len() > CHECKED_RECORDS_MAX {
            return None;
        }
        let root = self.store.root().to_owned();
        let replayed = past::replay(&root, events, true, &mut |workflow, pins| self.pinned(workflow, pins));
        // what could not be loaded was told by whoever loaded it for the state
        let difference = replayed.ok()?.difference?;
        Some(format!(
            "nondeterministic: {}; it goes on only if somebody moves it on purpose (cairn run migrate {run}), or \
             ends it and begins another (cairn run cancel {run}, cairn run rerun {run})",
            difference.words(),
            run = live.view.run.short()
        ))
    }

    /// Holds a parked run that could be read again, for whoever ends or moves it.
    pub(super) fn take_parked(&mut self, run: &RunId) {
        if let Some(live) = self.parked.get_mut(run).and_then(|parked| parked.read.take()) {
            self.parked.remove(run);
            self.runs.insert(run.clone(), *live);
        }
    }

    /// Reads a parked run once more; otherwise ends the pauses of a run.
    pub(super) fn resume_parked(
        &mut self,
        path: &str,
        id: &CommandId,
        by: &str,
        run: &RunId,
    ) -> Result<Taken, DriverError> {
        if !self.parked.contains_key(run) {
            return self.hand_over(path, id, run, &Ask::Resume);
        }
        let before = self.parked.remove(run);
        match self.load(run) {
            Ok(()) => {}
            Err(error @ (DriverError::History { .. } | DriverError::Gap { .. })) => {
                let (ahead, entry) = before.map_or((false, None), |parked| (parked.ahead, parked.entry));
                self.parked.insert(run.clone(), super::Parked { why: error.to_string(), ahead, entry, read: None });
            }
            Err(error) => return Err(error),
        }
        if let Some(parked) = self.parked.get(run) {
            let message = format!("run {} still can not be followed: {}", run.short(), parked.why);
            return Ok(Err(No { code: "run_parked", message, run: Some(run.clone()) }));
        }
        self.log_event(RunFollowed { run: run.clone(), command: id.clone(), by: by.to_owned() })?;
        if self.runs.contains_key(run) {
            self.write_turn()?;
            self.resume_run(run)?;
            drop(self.ask(run, &Ask::Advance, None)?);
        }
        Ok(Ok(Some(run.clone())))
    }

    /// Begins a run that does another one again. Its id is the command's.
    pub(super) fn run_again(
        &mut self,
        path: &str,
        id: &CommandId,
        by: &str,
        of: &RunId,
        again: Again,
        how: How,
    ) -> Result<Taken, DriverError> {
        let run = RunId::from(id.clone());
        let no = |code, message| Ok(Err(No { code, message, run: None }));
        if self.runs.contains_key(&run) {
            return Ok(Ok(Some(run)));
        }
        if self.store.path(&paths::run(&run)).exists() {
            return Ok(Ok(None));
        }
        let events = match self.events_of(of)? {
            Ok(Some(events)) => events,
            Ok(None) => return no("no_such_run", format!("there is no run {of} in this store ({path})")),
            Err(why) => return no("bad_history", why),
        };
        let start = match past::start_of(&events) {
            Ok(start) => start,
            Err(error) => return no("bad_history", error.to_string()),
        };
        let follows = if again.latest {
            self.follow(&start.workflow)?
        } else {
            self.follow_pins(&start.workflow, past::pins_now(&events).unwrap_or_else(|_| past::pins_of(start)))
        };
        let follows = match follows {
            Ok(follows) => follows,
            Err((code, message)) => return no(code, message),
        };
        let plan = follows.pinned.plan.clone();
        if let Some(step) = again.from.as_ref().filter(|step| !plan.has_step(step)) {
            return no("no_such_step", format!("`{}` has no step `{step}` in that version", start.workflow));
        }
        let as_of = match (how, &again.from) {
            (How::Fork, Some(step)) => {
                let began = events.iter().find(|event| event.step.as_ref() == Some(step));
                began.or(events.last()).map(|event| event.at)
            }
            (How::Fork, None) => return no("no_step", "a fork needs the step it goes on from".to_owned()),
            _ => None,
        };
        let mut input = start.input.clone();
        if let Some(fields) = input.as_object_mut() {
            fields.retain(|name, _| plan.input().iter().any(|field| field.name == *name));
            fields.extend(again.input);
        }
        let records = if how == How::Anew { 0 } else { events.len() as u64 };
        let begin = Begin {
            run: run.clone(),
            follows,
            input,
            trigger: if how == How::Fork { "fork" } else { "rerun" }.to_owned(),
            by: by.to_owned(),
            cause: Some(id.clone()),
            parent: None,
            origin: Some(Origin { run: of.clone(), records, from: again.from, as_of }),
            fired: None,
        };
        if let Err((code, message)) = self.begin_run(begin)? {
            return no(code, message);
        }
        if let Some(live) = self.runs.get_mut(&run) {
            live.since.consumed.insert(path.to_owned());
        }
        Ok(Ok(Some(run)))
    }

    /// Moves a run to the version of its definition with the tree id `to`, else to the latest.
    pub(super) fn move_run(
        &mut self,
        path: &str,
        id: &CommandId,
        by: &str,
        run: &RunId,
        to: Option<&str>,
    ) -> Result<Taken, DriverError> {
        let no = |code, message| Ok(Err(No { code, message, run: Some(run.clone()) }));
        let parked = self.parked.get(run).filter(|parked| parked.read.is_some()).map(|parked| parked.why.clone());
        self.take_parked(run);
        if !self.runs.contains_key(run) {
            // whoever is not held here is told why, by the same words as any other command
            return self.hand_over(path, id, run, &Ask::Advance);
        }
        let result = self.try_move(id, by, run, to, parked.is_some())?;
        if let (Some(why), Err(_)) = (parked, &result)
            && let Some(live) = self.runs.remove(run)
        {
            let ahead = live.is_ahead();
            self.parked.insert(run.clone(), super::Parked { why, ahead, entry: None, read: Some(Box::new(live)) });
        }
        match result {
            Ok(()) | Err((_, None)) => Ok(Ok(Some(run.clone()))),
            Err((code, Some(message))) => no(code, message),
        }
    }

    /// A refusal without words: the command was taken before.
    fn try_move(
        &mut self,
        id: &CommandId,
        by: &str,
        run: &RunId,
        to: Option<&str>,
        parked: bool,
    ) -> Result<Result<(), (&'static str, Option<String>)>, DriverError> {
        let no = |(code, message): (&'static str, String)| Ok(Err((code, Some(message))));
        let events = match self.events_of(run)? {
            Ok(Some(events)) => events,
            Ok(None) => return no(("no_such_run", format!("the history of run {run} is gone"))),
            Err(why) => return no(("bad_history", why)),
        };
        let start = match past::start_of(&events) {
            Ok(start) => start,
            Err(error) => return no(("bad_history", error.to_string())),
        };
        let follows = match to {
            None => self.follow(&start.workflow)?,
            Some(tree) => self.follow_tree(&start.workflow, tree)?,
        };
        let follows = match follows {
            Ok(follows) => follows,
            Err(why) => return no(why),
        };
        let pins = past::pins_now(&events).unwrap_or_else(|_| past::pins_of(start));
        if pins == follows.pins && !parked {
            let message = format!("run {} follows that version already", run.short());
            return no(("same_definition", message));
        }
        let at = self.clock.now();
        let ctx = Context { now: at, entropy: 0, cause: Some(id.clone()) };
        let Some(mut live) = self.runs.remove(run) else { return no(("not_here", run.to_string())) };
        let Follows { pins: Pins { definition, files }, pinned, .. } = follows;
        let to = Move { definition, pins: files, plan: pinned.plan.clone(), by: by.to_owned() };
        let facts = match migrate(&live.state, &to, &ctx) {
            Ok(facts) => facts,
            Err(refusal) => {
                self.runs.insert(run.clone(), live);
                let words = (refusal != Refusal::AlreadyTaken).then(|| refusal.to_string());
                return Ok(Err((refusal.code(), words)));
            }
        };
        let moved = facts.iter().find_map(|fact| match &fact.body {
            Body::RunMigrated(moved) => Some(moved.clone()),
            _ => None,
        });
        // as a kernel does that reads them: the requests are withdrawn before the plan changes
        for fact in facts.iter().filter(|fact| !matches!(fact.body, Body::RunMigrated(_))) {
            cairn_kernel::evolve(&mut live.state, fact);
        }
        let followed = match &moved {
            Some(moved) => self.follow_move(&mut live, &events, moved),
            None => Ok(()),
        };
        if let Err(error) = followed {
            self.runs.insert(run.clone(), live);
            return no(("bad_definition", error.to_string()));
        }
        for fact in facts {
            if matches!(fact.body, Body::RunMigrated(_)) {
                cairn_kernel::evolve(&mut live.state, &fact);
            }
            live.stage(self.store.root(), fact, &mut self.turn)?;
        }
        self.runs.insert(run.clone(), live);
        // the move is durable before anything is done under the new definition
        self.write_turn()?;
        drop(self.ask(run, &Ask::Advance, None)?);
        Ok(Ok(()))
    }

    /// Everything that is recorded of a run; what cannot be read is told in a sentence.
    fn events_of(&mut self, run: &RunId) -> Result<Result<Option<Vec<Event>>, String>, DriverError> {
        // what this turn decided belongs to it
        self.write_turn()?;
        Ok(past::events(self.store.root(), run).map_err(|error| error.to_string()))
    }

    /// The workflow as earlier pins name it.
    fn follow_pins(&mut self, workflow: &str, pins: Pins) -> Result<Follows, (&'static str, String)> {
        match self.pinned(workflow, &pins) {
            Ok(pinned) => Ok(Follows { workflow: workflow.to_owned(), pins, pinned }),
            // an object that is gone is a reason not to begin, and none to stop for the others
            Err(error) => Err(("bad_definition", error.to_string())),
        }
    }

    /// The workflow as one version of its folder, with agents and connectors of the last commit.
    fn follow_tree(
        &mut self,
        workflow: &str,
        tree: &str,
    ) -> Result<Result<Follows, (&'static str, String)>, DriverError> {
        let pins = tree
            .parse()
            .map_err(|_| PinError::BadPin(tree.to_owned()))
            .and_then(|tree| definitions::pin_tree(&self.repo, workflow, &tree));
        Ok(match pins {
            Ok(pins) => self.follow_pins(workflow, pins),
            Err(error) => Err(("bad_definition", error.to_string())),
        })
    }
}
