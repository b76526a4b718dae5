//! Child runs: started for a step, canceled with it, and their end told to it once.
//!
//! Nothing is remembered beside the histories. A child's id follows from the attempt that started it, its
//! first record names that attempt, and the parent takes one outcome for it: whatever a crash leaves out is
//! found and made good at the next start.

use std::collections::{BTreeMap, BTreeSet};

use cairn_kernel::{Child, Command, DEPTH_MAX, Outcome};
use cairn_store_layout::{
    RunId,
    event::{FailureClass, Parent, Usage},
    money::Usd,
    paths,
    payload::Purpose,
    view::{RunStatus, RunView},
};
use jiff::Timestamp;

use super::{
    Driver, DriverError,
    begin::{Begin, Follows},
    wake::Report,
};
use crate::store::{
    definitions::{self, PinError},
    reader::history,
};

/// The longest message of a child that its parent repeats, in characters.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Who belongs to whom, and what has to be looked at.
#[derive(Default)]
pub(super) struct Families {
    /// Children that are not over, by parent.
    children: BTreeMap<RunId, BTreeSet<RunId>>,
    /// Children that are over and whose parents do not know it yet.
    ended: Vec<RunId>,
    /// Parents of which something changed.
    moved: BTreeSet<RunId>,
}

impl Families {
    /// Something of `run` changed.
    pub(super) fn stir(&mut self, run: &RunId, is_over: bool, is_child: bool) {
        if self.children.contains_key(run) {
            self.moved.insert(run.clone());
        }
        if is_over && is_child {
            self.ended.push(run.clone());
        }
    }

    fn add(&mut self, parent: &RunId, child: &RunId) {
        self.children.entry(parent.clone()).or_default().insert(child.clone());
    }

    fn remove(&mut self, parent: &RunId, child: &RunId) {
        if let Some(children) = self.children.get_mut(parent) {
            children.remove(child);
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
    }

    fn of(&self, parent: &RunId) -> Vec<RunId> {
        self.children.get(parent).into_iter().flatten().cloned().collect()
    }
}

impl Driver {
    /// Starts the child run of an attempt, or finds it, and how it ended.
    pub(super) fn child(&mut self, child: &Child) -> Result<(), DriverError> {
        if let Some(live) = self.runs.get(&child.run) {
            let over = live.state.end().is_some();
            self.families.add(&child.of, &child.run);
            self.families.stir(&child.run, over, true);
            return Ok(());
        }
        if self.parked.contains_key(&child.run) {
            // the parent waits as the child does, until somebody has looked at it
            return Ok(());
        }
        if self.store.path(&paths::run(&child.run)).exists() {
            return self.found(child);
        }
        if self.runs.get(&child.of).is_some_and(|live| live.state.gives_up(&parent_of(child, 0)).is_some()) {
            let message = format!("the run stopped before that of `{}` had begun", child.workflow);
            return self.answer(outcome_of(child, failed("child_canceled", message, Usage::default())));
        }
        if !self.runs.get(&child.of).is_some_and(|live| live.state.awaits(&parent_of(child, 0))) {
            // its run was ended in the very turn in which the step began
            return Ok(());
        }
        match self.begin_child(child)? {
            Ok(()) => {
                self.families.add(&child.of, &child.run);
                Ok(())
            }
            Err((code, message)) => {
                let message = format!("the run of `{}` could not be started: {message}", child.workflow);
                self.answer(outcome_of(child, failed(code, message, Usage::default())))
            }
        }
    }

    fn begin_child(&mut self, child: &Child) -> Result<Result<(), super::begin::Refused>, DriverError> {
        let Some(live) = self.runs.get(&child.of) else { return Ok(Ok(())) };
        let depth = live.view.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > DEPTH_MAX {
            return Ok(Err(("child_depth", format!("runs may start runs at most {DEPTH_MAX} deep"))));
        }
        let (by, parent_pins) = (live.view.by.clone(), live.pinned.pins.files.clone());
        let loaded = definitions::pin_child(&self.repo, &parent_pins, &child.workflow)
            .and_then(|pins| Ok((self.pinned(&child.workflow, &pins)?, pins)));
        let (pinned, pins) = match loaded {
            Ok(loaded) => loaded,
            Err(PinError::Git(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(("child_definition", error.to_string()))),
        };
        let parent = parent_of(child, depth);
        self.begin_run(Begin {
            run: child.run.clone(),
            follows: Follows { workflow: child.workflow.clone(), pins, pinned },
            input: child.input.clone(),
            trigger: "workflow".to_owned(),
            by,
            cause: None,
            parent: Some(parent),
            origin: None,
            fired: None,
        })
    }

    /// A child whose history is there and that nobody follows: it is over, or not ours any more.
    fn found(&mut self, child: &Child) -> Result<(), DriverError> {
        let view = history::read(self.store.root(), &child.run)
            .ok()
            .flatten()
            .and_then(|history| history.fold(&paths::run(&child.run)).ok());
        match view.as_ref().and_then(outcome) {
            Some(outcome) => self.answer(outcome_of(child, outcome)),
            None => {
                tracing::warn!(child = %child.run, parent = %child.of, "a child run can not be followed; its parent waits");
                Ok(())
            }
        }
    }

    /// Tells parents of children that are over, and cancels children that nobody waits for any more.
    pub(super) fn settle_families(&mut self) -> Result<(), DriverError> {
        loop {
            if let Some(child) = self.families.ended.pop() {
                self.tell_parent(&child)?;
            } else if let Some(parent) = self.families.moved.pop_first() {
                for child in self.families.of(&parent) {
                    self.let_go(&child, true)?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn tell_parent(&mut self, child: &RunId) -> Result<(), DriverError> {
        let Some(live) = self.runs.get(child) else { return Ok(()) };
        let (Some(parent), Some(outcome)) = (live.view.parent.clone(), outcome(&live.view)) else { return Ok(()) };
        self.families.remove(&parent.run, child);
        if !self.runs.get(&parent.run).is_some_and(|live| live.state.awaits(&parent)) {
            return Ok(());
        }
        let Parent { run, step, iteration, attempt, .. } = parent;
        self.answer(Report { run, step, iteration, attempt, purpose: Purpose::Step, outcome })
    }

    /// Cancels a child whose attempt is over: its run was canceled, or it took too long. One that a stopping run
    /// still waits for is canceled once, and takes back what it did if its parent does. `just_now`: not found so at a start.
    fn let_go(&mut self, child: &RunId, just_now: bool) -> Result<(), DriverError> {
        let Some(live) = self.runs.get(child).filter(|live| live.state.end().is_none()) else { return Ok(()) };
        let Some(parent) = live.view.parent.clone() else { return Ok(()) };
        let of = self.runs.get(&parent.run).map(|of| &of.state).filter(|of| of.awaits(&parent));
        let (undo, reason) = match of.map(|of| of.gives_up(&parent)) {
            Some(Some(undo)) if !live.state.is_ending() => (undo, "the run that started it stops"),
            // it is waited for; a second cancel would cut its end short
            Some(_) => return Ok(()),
            None => {
                // a second cancel leaves out what `finally` says: only a person's, who ended the parent so
                let at_once = self.runs.get(&parent.run).is_some_and(|of| of.state.is_cut_off());
                let keeps_on = live.state.is_ending() && !(just_now && at_once);
                self.families.remove(&parent.run, child);
                if keeps_on {
                    return Ok(());
                }
                (false, "the step that started it no longer waits for it")
            }
        };
        let command =
            Command::Cancel { by: format!("run {}", parent.run.short()), reason: Some(reason.to_owned()), undo };
        if let Err(refusal) = self.ask(child, &command, None)? {
            tracing::info!(%child, %refusal, "a child run could not be canceled");
        }
        Ok(())
    }

    /// Knows the families again after a restart, and cancels what lost its parent meanwhile.
    pub(super) fn take_up_families(&mut self) -> Result<(), DriverError> {
        let children: Vec<(RunId, Parent)> = self
            .runs
            .iter()
            .filter(|(_, live)| live.state.end().is_none())
            .filter_map(|(run, live)| Some((run.clone(), live.view.parent.clone()?)))
            .collect();
        for (child, parent) in children {
            self.families.add(&parent.run, &child);
            // a parent that is only out of sight, parked or removed, has not given it up
            if self.runs.contains_key(&parent.run) || self.is_over(&parent.run) {
                self.let_go(&child, false)?;
            }
        }
        Ok(())
    }

    fn is_over(&self, run: &RunId) -> bool {
        let text = crate::store::fsutil::read(&self.store.path(&paths::run(run))).ok().flatten();
        text.is_some_and(|text| super::recover::ends(&text))
    }

    /// Tells whether a run, and every run that it started, waits for nothing that comes by itself soon.
    pub(super) fn rests(&self, run: &RunId, horizon: Timestamp) -> bool {
        let Some(live) = self.runs.get(run) else { return true };
        live.state.is_at_rest(horizon)
            && !(live.state.is_queued() && (self.dispatcher.in_flight() > 0 || self.leases.goes_soon(run, horizon)))
            && self.families.of(run).iter().all(|child| self.rests(child, horizon))
    }
}

fn parent_of(child: &Child, depth: u32) -> Parent {
    let Child { of, step, iteration, attempt, .. } = child.clone();
    Parent { run: of, step, iteration, attempt, depth }
}

fn outcome_of(child: &Child, outcome: Outcome) -> Report {
    let Child { of, step, iteration, attempt, .. } = child.clone();
    Report { run: of, step, iteration, attempt, purpose: Purpose::Step, outcome }
}

/// What a child's end means to the step that started it; `None` while it has not ended.
fn outcome(view: &RunView) -> Option<Outcome> {
    let message = || {
        let why = view.message.as_deref().unwrap_or("no reason recorded");
        let why: String = why.chars().take(MESSAGE_CHARS_MAX).collect();
        format!("run {} of `{}`: {why}", view.run.short(), view.workflow)
    };
    // a run costs what it and the runs that it started cost; a sum over runs takes those without a parent
    let cost = view.cost();
    let usage = Usage { cost_usd: (cost != Usd::default()).then(|| cost.to_string()), ..Usage::default() };
    Some(match view.end? {
        RunStatus::Succeeded => Outcome::Succeeded {
            output: view.output.clone().unwrap_or_default(),
            usage,
            artifacts: Vec::new(),
            files: Vec::new(),
            learned: Vec::new(),
        },
        RunStatus::Failed => failed("child_failed", message(), usage),
        RunStatus::Canceled => failed("child_canceled", message(), usage),
        RunStatus::Running | RunStatus::Waiting => return None,
    })
}

fn failed(code: &str, message: String, usage: Usage) -> Outcome {
    Outcome::Failed {
        class: FailureClass::Hard,
        code: code.to_owned(),
        message,
        usage,
        artifacts: Vec::new(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use cairn_store_layout::{
        MachineId, StepId,
        event::{AttemptFailed, AttemptStarted, AttemptSucceeded, Body, Event, RunCanceled, RunFailed, RunSucceeded},
        event::{PlannedStep, RunStarted},
        payload::{EffectClass, EffectContent, Request},
        record::Record,
    };
    use serde_json::json;

    use super::*;

    /// A run of one step that was tried twice, for money each time, and then ended so.
    fn ended(end: Option<Body>) -> RunView {
        let (run, step) = (RunId::new("01kaxw00000000000000000000").unwrap(), StepId::new("a").unwrap());
        let effect = EffectContent {
            run: run.clone(),
            step: step.clone(),
            iteration: None,
            ordinal: 0,
            purpose: Purpose::Step,
            definition: "d".to_owned(),
            pin: None,
            class: EffectClass::None,
            request: Request::Run { argv: vec!["x".to_owned()], stdin: None, schema: None },
        };
        let start = RunStarted {
            run,
            workflow: "w".to_owned(),
            definition: "d".to_owned(),
            pins: BTreeMap::new(),
            input: json!({}),
            trigger: "workflow".to_owned(),
            by: "jo".to_owned(),
            machine: MachineId::new("mabcdefghi").unwrap(),
            steps: vec![PlannedStep {
                id: step.clone(),
                does: "run".to_owned(),
                what: None,
                needs: Vec::new(),
                finally: false,
            }],
            parent: None,
            origin: None,
            fired: None,
        };
        let begun = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
        let cost = |usd: &str| Usage { cost_usd: Some(usd.to_owned()), ..Usage::default() };
        let busy = AttemptFailed {
            class: FailureClass::Soft,
            code: "busy".to_owned(),
            message: "no".to_owned(),
            retry_at: Some(Timestamp::UNIX_EPOCH),
            usage: cost("0.02"),
            artifacts: Vec::new(),
            settled_by: None,
            then: None,
        };
        let done = AttemptSucceeded {
            output: json!(1),
            usage: cost("0.031"),
            artifacts: Vec::new(),
            files: Vec::new(),
            settled_by: None,
            cached_from: None,
        };
        let steps: [(Option<u32>, Body); 5] = [
            (None, start.into()),
            (Some(1), begun.clone().into()),
            (Some(1), busy.into()),
            (Some(2), begun.into()),
            (Some(2), done.into()),
        ];
        let mut view = None;
        for (n, (attempt, body)) in (0..).zip(steps.into_iter().chain(end.map(|end| (None, end)))) {
            let step = attempt.map(|_| step.clone());
            let event = Event { at: Timestamp::UNIX_EPOCH, step, iteration: None, attempt, cause: None, body };
            let record = Record { n, event };
            match &mut view {
                None => view = RunView::begin(&record),
                Some(view) => view.apply(&record),
            }
        }
        view.expect("a start")
    }

    #[test]
    fn what_a_child_cost_is_told_to_its_parent_however_it_ends() {
        let failed = RunFailed { steps: Vec::new(), message: "no".to_owned() };
        let ends: [Body; 3] = [
            RunSucceeded { output: json!(null) }.into(),
            failed.into(),
            RunCanceled { by: "jo".to_owned(), reason: None }.into(),
        ];
        for end in ends {
            let told = outcome(&ended(Some(end))).expect("it ended");
            let (Outcome::Succeeded { usage, .. } | Outcome::Failed { usage, .. }) = told else { panic!("{told:?}") };
            assert_eq!(usage.cost_usd.as_deref(), Some("0.051"));
        }
        assert_eq!(outcome(&ended(None)), None, "it goes on");
    }
}
