//! The names an expression may use, and where their values come from.
//!
//! A scope is looked into, never copied: what a step gave stands in one place and is shared by every
//! expression that is evaluated, so that a run of many steps and iterations costs the same for each.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use minijinja::value::{Enumerator, Object};

use crate::{expr::Value, plan::Plan};

/// What later steps see of those that are over, and what every expression sees of the run.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    input: Value,
    run: Value,
    over: Arc<BTreeMap<Arc<str>, Value>>,
}

impl Known {
    pub(crate) fn new(plan: &Plan, run: &str, started: Timestamp, input: Value) -> Self {
        let run = minijinja::context! {
            id => run,
            date => started.to_zoned(TimeZone::UTC).date().to_string(),
            workflow => plan.workflow.as_str(),
        };
        Self { input, run, over: Arc::default() }
    }

    /// What the run was given.
    pub(crate) fn input(&self) -> &Value {
        &self.input
    }

    /// A step is over: from here on its name has a value.
    pub(crate) fn step(&mut self, id: &str, status: &'static str, output: Option<&Value>) {
        let output = output.cloned().unwrap_or(Value::from(()));
        let seen = minijinja::context! { output => output, status => status };
        Arc::make_mut(&mut self.over).insert(Arc::from(id), seen);
    }

    /// What an expression of a step may use beside its iteration. `fate`: how the run ends, for `finally`.
    pub(crate) fn scope(&self, plan: &Arc<Plan>, fate: Option<(&'static str, Option<String>)>) -> Scope {
        let steps = Steps { over: self.over.clone(), open: plan.may_see_open.then(|| plan.clone()) };
        let run = match fate {
            None => self.run.clone(),
            Some((status, failure)) => {
                let base = self.run.clone();
                minijinja::context! { status => status, failure => failure, ..base }
            }
        };
        Scope { names: Arc::new([("input", self.input.clone()), ("steps", Value::from_object(steps)), ("run", run)]) }
    }
}

/// Names with their values.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    names: Arc<[(&'static str, Value)]>,
}

impl Scope {
    /// The scope with some names more; a name that is there twice has the value given last.
    pub(crate) fn with(&self, more: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self { names: self.names.iter().cloned().chain(more).collect() }
    }

    /// What an expression is given.
    pub(crate) fn value(&self) -> Value {
        Value::from_object(self.clone())
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.names.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.iter().map(|(name, _)| Value::from(*name)).collect())
    }
}

/// `steps`: those that are over, in the order of their names. Where a step may begin before all it
/// mentions are over, one that is not has no output and the status `open`.
#[derive(Debug)]
struct Steps {
    over: Arc<BTreeMap<Arc<str>, Value>>,
    open: Option<Arc<Plan>>,
}

impl Object for Steps {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.over.get(key).cloned().or_else(|| {
            let exists = self.open.as_ref().is_some_and(|plan| plan.index_of(key).is_some());
            exists.then(|| minijinja::context! { output => (), status => "open" })
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.over.keys().map(|id| Value::from(id.as_ref())).collect())
    }
}
