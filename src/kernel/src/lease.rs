//! Turns: a step, or a run, that may begin only when others of its key leave room.
//!
//! The kernel of a run asks and waits; who is first is decided outside, where all runs are seen. A
//! share is held until the step is over, through retries and unknown outcomes: what may still be going
//! on at the other side counts as going on.

use cairn_store_layout::{
    RunId, StepId,
    definition::{Concurrency, Rate},
    event::{LeaseAsked, RateShare, RunFailed, Share},
    payload::EffectContent,
    text::brief,
    time::Span,
};
use jiff::Timestamp;

use crate::{
    advance::Pass,
    expr::{ExprError, Template, Value},
    plan::PlanStep,
    probe,
    state::{Phase, Slot, State},
};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 200;

/// Who asks for a share: a run as a whole, or a step of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// The step and its iteration; absent: the run itself.
    pub step: Option<(StepId, Option<String>)>,
}

/// A share that is waited for or held.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// What was asked for.
    pub asked: LeaseAsked,
    /// When.
    pub since: Timestamp,
    /// When it was granted, once it was.
    pub granted: Option<Timestamp>,
}

impl Lease {
    pub(crate) fn asked(asked: &LeaseAsked, at: Timestamp) -> Self {
        Self { asked: asked.clone(), since: at, granted: None }
    }

    pub(crate) fn grant(this: &mut Option<Self>, at: Timestamp) {
        if let Some(lease) = this {
            lease.granted = Some(at);
        }
    }
}

impl State {
    /// What the run and its steps wait for or hold, to be known again after a restart.
    #[must_use]
    pub fn leases(&self) -> Vec<(Holder, Lease)> {
        if self.end.is_some() {
            return Vec::new();
        }
        let whole = self.lease.iter().map(|lease| (None, lease));
        let slots = self.slots().filter(|(_, slot)| !slot.phase.is_over()).filter_map(|(step, slot)| {
            Some((Some((self.plan.steps[step].id.clone(), slot.key.clone())), slot.lease.as_ref()?))
        });
        whole.chain(slots).map(|(step, lease)| (Holder { run: self.run.clone(), step }, lease.clone())).collect()
    }

    /// Tells whether something of the run waits for its turn.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.end.is_none()
            && (self.lease.as_ref().is_some_and(|lease| lease.granted.is_none())
                || self.slots().any(|(_, slot)| matches!(slot.phase, Phase::Queued { .. })))
    }
}

impl Pass<'_> {
    /// Tells whether the run's own turn has come; asks for it when nobody has.
    pub(crate) fn is_let_in(&mut self) -> bool {
        let state = self.state;
        let Some(plan) = &state.plan.lease else { return true };
        if let Some(lease) = &state.lease {
            return lease.granted.is_some();
        }
        let scope = self.scope(0, None).value();
        match plan.asked(&scope) {
            Ok(asked) => self.put_run(asked),
            Err(error) => {
                let message = format!("concurrency: {}", brief(&error.message, 2_000));
                self.put_run(RunFailed { steps: Vec::new(), message });
            }
        }
        false
    }

    /// Begins with the next attempt of an effect; before the first one of all it asks for its turn.
    pub(crate) fn start_in_turn(
        &mut self,
        plan: &PlanStep,
        slot: &Slot,
        scope: &Value,
        effect: EffectContent,
    ) -> Result<(), ExprError> {
        match &plan.lease {
            Some(lease) if slot.lease.is_none() => {
                let asked = lease.asked(scope)?;
                self.put(plan, slot.key.as_deref(), None, asked);
            }
            _ => self.start(plan, slot, effect),
        }
        Ok(())
    }

    /// Looks whether a lost effect happened, where the definition says how.
    pub(crate) fn probe(&mut self, step: usize, plan: &PlanStep, slot: &Slot, attempt: u32) {
        if plan.probe.is_none() || slot.probe.is_some() {
            return;
        }
        let scope = self.scope(step, Some(slot));
        if let Some(body) = probe::begin(self.state, plan, slot, &scope) {
            self.put(plan, slot.key.as_deref(), Some(attempt), body);
        }
    }
}

/// The `concurrency` and `rate` of a step or workflow, compiled.
#[derive(Debug)]
pub(crate) struct PlanLease {
    pub(crate) concurrency: Option<(Option<Template>, u32)>,
    pub(crate) rate: Option<(Option<Template>, u32, Span)>,
    /// The key where none is given.
    pub(crate) usual: String,
}

impl PlanLease {
    /// Compiles; `read` reads an expression and notes what is wrong with it.
    pub(crate) fn compile(
        usual: String,
        concurrency: Option<&Concurrency>,
        rate: Option<&Rate>,
        mut read: impl FnMut(&str, &str) -> Option<Template>,
    ) -> Option<Self> {
        if concurrency.is_none() && rate.is_none() {
            return None;
        }
        let concurrency = concurrency.map(|c| (c.key.as_deref().and_then(|key| read("concurrency", key)), c.max));
        let rate = rate.map(|r| (r.key.as_deref().and_then(|key| read("rate", key)), r.max, r.per));
        Some(Self { concurrency, rate, usual })
    }

    /// What is asked for, in `scope`.
    pub(crate) fn asked(&self, scope: &Value) -> Result<LeaseAsked, ExprError> {
        let key = |template: &Option<Template>| match template {
            None => Ok(self.usual.clone()),
            Some(template) => {
                let key = template.text(scope)?;
                if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\n') {
                    let message =
                        format!("`{key}` can not be a key: 1 to {KEY_BYTES_MAX} bytes on one line are allowed");
                    return Err(ExprError { message, line: None });
                }
                Ok(key)
            }
        };
        let concurrency =
            self.concurrency.as_ref().map(|(of, max)| Ok(Share { key: key(of)?, max: *max })).transpose()?;
        let rate = self
            .rate
            .as_ref()
            .map(|(of, max, per)| Ok(RateShare { key: key(of)?, max: *max, per: *per }))
            .transpose()?;
        Ok(LeaseAsked { concurrency, rate })
    }
}
