//! Beginning a run, whoever asks for it: a command, a trigger.
//!
//! Nothing here decides whether a run may begin. Its first event and what follows at once are staged
//! together, so that they become durable in one write.

use std::{collections::BTreeMap, sync::Arc};

use cairn_kernel::{Command, State};
use cairn_store_layout::{
    CommandId, RunId,
    definition::fill,
    event::{Event, Fired, Origin, Parent, RunStarted},
    record::Record,
    view::RunView,
};
use serde_json::Value;

use super::{
    Driver, DriverError,
    live::{self, Live},
};
use crate::store::{
    definitions::{self, PinError, Pinned, Pins},
    past,
};

/// What a run begins with.
pub(super) struct Begin {
    /// Its id, which nobody has used.
    pub(super) run: RunId,
    /// What it follows, and what that is pinned to.
    pub(super) follows: Follows,
    /// Its input as given: defaults are filled in here.
    pub(super) input: Value,
    /// What started it, as in [`RunStarted::trigger`].
    pub(super) trigger: String,
    /// Who asked for it.
    pub(super) by: String,
    /// The command that asked, if one did.
    pub(super) cause: Option<CommandId>,
    /// The step that waits for its end.
    pub(super) parent: Option<Parent>,
    /// The run whose results it takes over.
    pub(super) origin: Option<Origin>,
    /// What a trigger started it for.
    pub(super) fired: Option<Fired>,
}

/// A workflow as a run is pinned to it.
#[derive(Clone)]
pub(super) struct Follows {
    /// The workflow's name.
    pub(super) workflow: String,
    /// The git ids.
    pub(super) pins: Pins,
    /// What they name, loaded.
    pub(super) pinned: Arc<Pinned>,
}

/// Why a run can not begin: a stable code, and a sentence.
pub(super) type Refused = (&'static str, String);

impl Driver {
    /// The workflow as it stands in the last commit.
    ///
    /// # Errors
    /// When git can not be read; what is wrong with the definition comes back as a value.
    pub(super) fn follow(&mut self, workflow: &str) -> Result<Result<Follows, Refused>, DriverError> {
        let loaded = self.pins_of(workflow).and_then(|pins| Ok((self.pinned(workflow, &pins)?, pins)));
        Ok(match loaded {
            Ok((pinned, pins)) => Ok(Follows { workflow: workflow.to_owned(), pins, pinned }),
            Err(PinError::Git(error)) => return Err(error.into()),
            Err(error @ PinError::NoSuchWorkflow(_)) => Err(("no_such_workflow", error.to_string())),
            Err(error) => Err(("bad_definition", error.to_string())),
        })
    }

    /// What pins a run that begins now. Asked of git once for each commit, not for each run.
    fn pins_of(&mut self, workflow: &str) -> Result<Pins, PinError> {
        let tip = self.repo.tip()?;
        if self.pins.0 != tip {
            self.pins = (tip, BTreeMap::new());
        }
        if let Some(pins) = self.pins.1.get(workflow) {
            return Ok(pins.clone());
        }
        let pins = definitions::pin(&self.repo, workflow)?;
        self.pins.1.insert(workflow.to_owned(), pins.clone());
        Ok(pins)
    }

    /// Begins a run: its start and what it does at once are staged.
    ///
    /// # Errors
    /// When the store can not be written; what is wrong with the input comes back as a value, and
    /// nothing was staged then.
    pub(super) fn begin_run(&mut self, begin: Begin) -> Result<Result<(), Refused>, DriverError> {
        let Begin { run, follows, input, trigger, by, cause, parent, origin, fired } = begin;
        let Follows { workflow, pins, pinned } = follows;
        let input = match fill(pinned.plan.input(), &input) {
            Ok(input) => input,
            Err(wrong) => return Ok(Err(("bad_input", wrong.join("; ")))),
        };
        let Pins { definition, files } = pins;
        let start = RunStarted {
            run: run.clone(),
            workflow,
            definition,
            pins: files,
            input,
            trigger,
            by,
            machine: self.machine.clone(),
            steps: pinned.plan.listed().to_vec(),
            parent,
            origin,
            fired,
        };
        self.triggers.started(&start);
        let at = self.clock.now();
        let state = State::begin(pinned.plan.clone(), &start, at);
        let root = self.store.root().to_owned();
        let mut load = |workflow: &str, pins: &Pins| self.pinned(workflow, pins);
        let state = match past::offer(&root, state, start.origin.as_ref(), &mut load) {
            Ok(state) => state,
            Err(error) => return Ok(Err(("bad_origin", error.to_string()))),
        };
        let event = Event { at, step: None, iteration: None, attempt: None, cause, body: start.into() };
        let record = Record { n: 0, event };
        let Some(view) = RunView::begin(&record) else {
            return Ok(Err(("bug", "a run must begin with its start".to_owned())));
        };
        let mut live = Live::new(state, pinned, view);
        let line = match live::encode(self.store.root(), &live.path, &record, &mut live.since) {
            // too many steps for one line: no reason to stop for the others
            Err(error @ DriverError::Record { .. }) => return Ok(Err(("bad_definition", error.to_string()))),
            line => line?,
        };
        live.bytes = line.len() as u64 + 1;
        self.turn.lines.push((live.path.clone(), line));
        live.note(&record.event);
        self.runs.insert(run.clone(), live);
        // a kernel that is about to stop leaves the first steps to the next one
        if !self.stopping
            && let Err(refusal) = self.ask(&run, &Command::Advance, None)?
        {
            tracing::error!(%run, %refusal, "a new run could not advance");
        }
        Ok(Ok(()))
    }
}
