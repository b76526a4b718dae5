//! What is ready: steps whose needs are met, slots that may begin, times that have come.

use std::collections::BTreeMap;

use cairn_store_layout::{
    GateId, StepId, canonical,
    definition::Field,
    event::{
        AskOpened, AttemptReused, AttemptStarted, Body, Event, FailureClass, GateExpired, GateOpened, Item, RunFailed,
        RunSucceeded, StepExpanded, StepFailed, StepSkipped, StepSucceeded, TimerFired, TimerSet,
    },
    payload::{EffectContent, Purpose, Request},
    text::brief,
    time::Span,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    command::Context,
    expr::{ExprError, Template, Value, to_json},
    plan::{Action, PlanApprove, PlanForEach, PlanStep},
    state::{Phase, Slot, State, StepEnd},
};

/// The most elements a `for_each` list may have.
const ITEMS_MAX: usize = 10_000;

/// Returns every fact that follows from the state and the time, one layer deep.
pub(crate) fn advance(state: &State, ctx: &Context) -> Vec<Event> {
    if state.end.is_some() {
        return Vec::new();
    }
    let mut pass = Pass { state, ctx, events: Vec::new(), scope: None };
    for step in 0..state.steps.len() {
        if state.steps[step].over.is_none() {
            pass.step(step);
        }
    }
    if pass.events.is_empty() && state.steps.iter().all(|s| s.over.is_some()) {
        pass.end();
    }
    pass.events
}

/// Reads a moment, or a day (its first moment in UTC).
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day: Date = text.parse().map_err(|_| format!("`{text}` is neither a moment nor a day like 2026-11-22"))?;
    day.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).map_err(|e| e.to_string())
}

struct Pass<'a> {
    state: &'a State,
    ctx: &'a Context,
    events: Vec<Event>,
    /// `input`, `steps` and `run`, made when first asked for.
    scope: Option<Value>,
}

impl Pass<'_> {
    fn step(&mut self, index: usize) {
        let state = self.state;
        let plan = &state.plan.steps[index];
        let this = &state.steps[index];
        if this.slots.is_empty() && !this.expanded {
            if plan.needs.iter().any(|n| state.steps[*n].over.is_none()) {
                return;
            }
            if let Some(need) = plan.needs.iter().find(|n| state.steps[**n].over != Some(StepEnd::Done)) {
                let end = state.steps[*need].over.map_or("open", StepEnd::word);
                let how = if end == "failed" { "failed" } else { "was not done" };
                let reason = format!("it needs `{}`, which {how}", state.plan.steps[*need].id);
                self.put(plan, None, None, StepSkipped { reason });
                return;
            }
            match &plan.for_each {
                Some(for_each) => self.expand(plan, for_each),
                None => self.begin(plan, &Slot::new(None, None)),
            }
            return;
        }
        let mut free = match &plan.for_each {
            Some(f) => f.max_parallel.saturating_sub(this.slots.iter().filter(|s| s.phase.is_busy()).count()),
            None => 1,
        };
        for slot in &this.slots {
            let before = self.events.len();
            self.slot(plan, slot, free > 0);
            let started = self.events[before..].iter().any(|e| matches!(e.body, Body::AttemptStarted(_)));
            // a retry takes the place of its own pause
            if started && !slot.phase.is_busy() {
                free -= 1;
            }
        }
        if this.expanded && this.slots.iter().all(|s| s.phase.is_over()) {
            self.close(plan, &this.slots);
        }
    }

    fn slot(&mut self, plan: &PlanStep, slot: &Slot, free: bool) {
        let now = self.ctx.now;
        let key = slot.key.as_deref();
        match &slot.phase {
            Phase::Pending if free => self.begin(plan, slot),
            Phase::Approved if free => {
                if let Some(effect) = slot.effect.clone() {
                    self.start(plan, key, 1, effect);
                }
            }
            Phase::Retrying { attempt, at } if now >= *at => {
                if let Some(effect) = slot.effect.clone() {
                    self.start(plan, key, attempt + 1, effect);
                }
            }
            Phase::Gated { gate, expires: Some(at), .. } if now >= *at => {
                self.put(plan, key, None, GateExpired { gate: gate.clone() });
            }
            Phase::Timer { until } if now >= *until => self.put(plan, key, None, TimerFired {}),
            _ => {}
        }
    }

    /// Takes the list of a `for_each` step; a `set` step is computed whole.
    fn expand(&mut self, plan: &PlanStep, for_each: &PlanForEach) {
        let result = self.items(for_each).and_then(|items| {
            let Action::Set { value } = &plan.action else {
                return Ok(Body::from(StepExpanded { items: listed(items)? }));
            };
            let mut output = serde_json::Map::new();
            for (key, item) in items {
                let scope = self.scope_of(Some(&key), Some(&item));
                if let Some(when) = &plan.when
                    && !truth(when, &scope)?
                {
                    continue;
                }
                output.insert(key, to_json(&value.eval(&scope)?)?);
            }
            Ok(Body::from(StepSucceeded { output: Some(output.into()) }))
        });
        match result {
            Ok(body) => self.put(plan, None, None, body),
            Err(error) => self.fail(plan, None, &error),
        }
    }

    fn items(&mut self, for_each: &PlanForEach) -> Result<Vec<(String, Value)>, ExprError> {
        let base = self.scope_of(None, None);
        let list = for_each.list.eval(&base)?;
        let fault = |message: String| ExprError { message, line: None };
        let named = list.kind() == minijinja::value::ValueKind::Map;
        if !named
            && list.kind() != minijinja::value::ValueKind::Seq
            && list.kind() != minijinja::value::ValueKind::Iterable
        {
            return Err(fault(format!("`for_each.in` must give a list or an object, not {}", list.kind())));
        }
        let mut items: Vec<(String, Value)> = Vec::new();
        let mut taken = std::collections::BTreeSet::new();
        for (n, entry) in list.try_iter().map_err(|e| fault(e.to_string()))?.enumerate() {
            let (natural, item) = if named {
                let item = list.get_item(&entry).map_err(|e| fault(e.to_string()))?;
                (entry.to_string(), item)
            } else {
                (n.to_string(), entry)
            };
            let scope = self.scope_of(Some(&natural), Some(&item));
            if let Some(filter) = &for_each.filter
                && !truth(filter, &scope)?
            {
                continue;
            }
            let key = match &for_each.key {
                Some(key) => key.text(&scope)?,
                None => natural,
            };
            if key.is_empty() || key.len() > 200 || key.contains('\n') {
                return Err(fault(format!("`{key}` can not name an iteration: 1 to 200 characters on one line")));
            }
            if !taken.insert(key.clone()) {
                return Err(fault(format!(
                    "two elements of the list have the key `{key}`; give `for_each.key` an expression that tells them apart"
                )));
            }
            items.push((key, item));
            if items.len() > ITEMS_MAX {
                return Err(fault(format!("the list has more than {ITEMS_MAX} elements")));
            }
        }
        Ok(items)
    }

    /// A slot that nothing holds back any more.
    fn begin(&mut self, plan: &PlanStep, slot: &Slot) {
        let key = slot.key.as_deref();
        let scope = self.scope_of(key, slot.item.as_ref());
        if let Some(when) = &plan.when {
            match truth(when, &scope) {
                Ok(true) => {}
                Ok(false) => {
                    return self.put(plan, key, None, StepSkipped { reason: "its `if` is false".to_owned() });
                }
                Err(error) => return self.fail(plan, key, &error),
            }
        }
        if let Err(error) = self.act(plan, key, &scope) {
            self.fail(plan, key, &error);
        }
    }

    fn act(&mut self, plan: &PlanStep, key: Option<&str>, scope: &Value) -> Result<(), ExprError> {
        let request = match &plan.action {
            Action::Set { value } => {
                let output = Some(to_json(&value.eval(scope)?)?);
                self.put(plan, key, None, StepSucceeded { output });
                return Ok(());
            }
            Action::Ask { prompt, form } => {
                self.ask(plan, key, brief(&prompt.text(scope)?, 16_000), form);
                return Ok(());
            }
            Action::Wait { span, text } => {
                let until = self.until(*span, &text.text(scope)?)?;
                self.put(plan, key, None, TimerSet { until });
                return Ok(());
            }
            Action::Agent { agent, with, prompt, template } => Request::Agent {
                agent: agent.clone(),
                input: to_json(&with.eval(scope)?)?,
                prompt: prompt.clone(),
                template: template.clone(),
                schema: plan.schema.clone(),
            },
            Action::Call { connector, operation, with } => Request::Call {
                connector: connector.clone(),
                operation: operation.clone(),
                input: with_added(to_json(&with.eval(scope)?)?, &plan.spec.adds),
                schema: plan.schema.clone(),
            },
            Action::Workflow { workflow, with } => {
                Request::Workflow { workflow: workflow.clone(), input: to_json(&with.eval(scope)?)? }
            }
            Action::Run { argv, stdin } => Request::Run {
                argv: argv.iter().map(|a| a.text(scope)).collect::<Result<_, _>>()?,
                stdin: stdin.as_ref().map(|s| s.text(scope)).transpose()?,
                schema: plan.schema.clone(),
            },
        };
        if let Some(reused) = self.taken_over(plan, key, &request) {
            self.put(plan, key, None, reused);
            return Ok(());
        }
        let request = self.dated(request);
        let effect = EffectContent {
            run: self.state.run.clone(),
            step: plan.id.clone(),
            iteration: key.map(str::to_owned),
            ordinal: self.state.first_ordinal(plan, key),
            purpose: Purpose::Step,
            definition: self.state.definition.clone(),
            pin: plan.spec.pin.clone(),
            class: plan.spec.effect,
            request,
        };
        match &plan.approve {
            Some(approve) => self.gate(plan, key, scope, approve, effect)?,
            None => self.start(plan, key, 1, effect),
        }
        Ok(())
    }

    /// What an earlier history gave to the same request.
    fn taken_over(&self, plan: &PlanStep, key: Option<&str>, request: &Request) -> Option<AttemptReused> {
        self.state.reuse.as_ref()?;
        let request = request.digest();
        let found = self.state.found(plan, key, 0, &request)?;
        Some(AttemptReused { from: found.from.clone(), request, output: found.output.clone() })
    }

    /// A fork recalls what was known then, unless the definition names a time itself.
    fn dated(&self, mut request: Request) -> Request {
        if let (Some(as_of), Request::Call { connector, operation, input, .. }) = (self.state.as_of, &mut request)
            && (connector.as_str(), operation.as_str()) == ("memory", "recall")
            && let Some(fields) = input.as_object_mut()
        {
            fields.entry("as_of").or_insert_with(|| cairn_store_layout::time::write(as_of).into());
        }
        request
    }

    fn gate(
        &mut self,
        plan: &PlanStep,
        key: Option<&str>,
        scope: &Value,
        approve: &PlanApprove,
        effect: EffectContent,
    ) -> Result<(), ExprError> {
        let text = |t: &Option<Template>| t.as_ref().map(|t| t.text(scope).map(|s| brief(&s, 2_000))).transpose();
        let summary = text(&approve.summary)?.unwrap_or_else(|| effect.request.name());
        let body = GateOpened {
            gate: self.request_id(plan, key),
            digest: effect.digest(),
            class: plan.spec.class,
            effect,
            summary,
            why: text(&approve.why)?,
            evidence: approve.evidence.as_ref().map(|e| to_json(&e.eval(scope)?)).transpose()?,
            expires: approve.expires.map(|span| self.ctx.now + span.0),
        };
        self.put(plan, key, None, body);
        Ok(())
    }

    fn ask(&mut self, plan: &PlanStep, key: Option<&str>, prompt: String, form: &[Field]) {
        let content = serde_json::json!({
            "run": self.state.run, "step": plan.id, "iteration": key, "prompt": prompt, "form": form,
        });
        let gate = self.request_id(plan, key);
        let digest = canonical::digest(&content);
        self.put(plan, key, None, AskOpened { gate, digest, prompt, form: form.to_vec() });
    }

    /// The first request of a place has round 0; rounds from 1 on belong to attempts whose outcome is unknown.
    fn request_id(&self, plan: &PlanStep, key: Option<&str>) -> GateId {
        let round = match self.state.first_ordinal(plan, key) {
            0 => 0,
            ordinal => (1 << 16) + ordinal,
        };
        GateId::derive(&self.state.run, &plan.id, key, round)
    }

    fn until(&self, span: bool, text: &str) -> Result<Timestamp, ExprError> {
        let until = if span { Span::parse(text).map(|s| self.ctx.now + s.0) } else { moment(text) };
        until.map_err(|message| ExprError { message, line: None })
    }

    fn start(&mut self, plan: &PlanStep, key: Option<&str>, attempt: u32, effect: EffectContent) {
        let body = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
        self.put(plan, key, Some(attempt), body);
    }

    /// A `for_each` step whose iterations are all over.
    fn close(&mut self, plan: &PlanStep, slots: &[Slot]) {
        let failed: Vec<&Slot> = slots.iter().filter(|s| s.phase == Phase::Failed).collect();
        let Some(first) = failed.first() else {
            return self.put(plan, None, None, StepSucceeded { output: None });
        };
        let message = format!(
            "{} of {} iterations failed, first `{}`: {}",
            failed.len(),
            slots.len(),
            first.key.as_deref().unwrap_or_default(),
            first.message.as_deref().unwrap_or("no reason recorded"),
        );
        self.put(plan, None, None, StepFailed { class: FailureClass::Hard, code: "iterations".to_owned(), message });
    }

    /// Every step is over: so is the run.
    fn end(&mut self) {
        let state = self.state;
        let failed: Vec<usize> =
            (0..state.steps.len()).filter(|i| state.steps[*i].over == Some(StepEnd::Failed)).collect();
        let body = if let Some(first) = failed.first() {
            let step = &state.steps[*first];
            let why = step.message.clone().or_else(|| step.slots.iter().find_map(|s| s.message.clone()));
            let why = why.unwrap_or_default();
            let steps: Vec<StepId> = failed.iter().map(|i| state.plan.steps[*i].id.clone()).collect();
            Body::from(RunFailed { message: format!("{}: {why}", steps[0]), steps })
        } else {
            let scope = self.scope_of(None, None);
            let output = state
                .plan
                .output
                .as_ref()
                .map_or(Ok(serde_json::Value::Null), |tree| tree.eval(&scope).and_then(|value| to_json(&value)));
            match output {
                Ok(output) => Body::from(RunSucceeded { output }),
                Err(e) => {
                    let message = format!("output: {}", brief(&e.message, 2_000));
                    Body::from(RunFailed { steps: Vec::new(), message })
                }
            }
        };
        self.events.push(Event { at: self.ctx.now, step: None, iteration: None, attempt: None, cause: None, body });
    }

    fn fail(&mut self, plan: &PlanStep, key: Option<&str>, error: &ExprError) {
        let body =
            // it may quote a value, and a value may be as large as a file
            StepFailed { class: FailureClass::Hard, code: "expression".to_owned(), message: brief(&error.message, 2_000) };
        self.put(plan, key, None, body);
    }

    fn put(&mut self, plan: &PlanStep, key: Option<&str>, attempt: Option<u32>, body: impl Into<Body>) {
        self.events.push(Event {
            at: self.ctx.now,
            step: Some(plan.id.clone()),
            iteration: key.map(str::to_owned),
            attempt,
            cause: None,
            body: body.into(),
        });
    }

    fn scope_of(&mut self, key: Option<&str>, item: Option<&Value>) -> Value {
        let state = self.state;
        let base = self.scope.get_or_insert_with(|| scope(state)).clone();
        match (key, item) {
            (Some(key), Some(item)) => minijinja::context! { key => key, item => item, ..base },
            _ => base,
        }
    }
}

/// The input with the fields that the connector's file adds; what the step gives itself stays.
fn with_added(mut input: serde_json::Value, adds: &BTreeMap<String, String>) -> serde_json::Value {
    if let Some(fields) = input.as_object_mut() {
        for (name, value) in adds {
            fields.entry(name).or_insert_with(|| value.as_str().into());
        }
    }
    input
}

pub(crate) fn truth(when: &Template, scope: &Value) -> Result<bool, ExprError> {
    let value = when.eval(scope)?;
    match value.kind() {
        minijinja::value::ValueKind::Bool => Ok(value.is_true()),
        kind => {
            Err(ExprError { message: format!("a condition must be true or false, not {kind} ({value})"), line: None })
        }
    }
}

fn listed(items: Vec<(String, Value)>) -> Result<Vec<Item>, ExprError> {
    items.into_iter().map(|(key, item)| Ok(Item { key, item: to_json(&item)? })).collect()
}

/// The names every expression may use.
fn scope(state: &State) -> Value {
    let mut steps: BTreeMap<String, Value> = BTreeMap::new();
    for (plan, step) in state.plan.steps.iter().zip(&state.steps) {
        if let Some(end) = step.over {
            let output = step.output.clone().unwrap_or(Value::from(()));
            steps.insert(plan.id.to_string(), minijinja::context! { output => output, status => end.word() });
        }
    }
    let date = state.started.to_zoned(TimeZone::UTC).date().to_string();
    minijinja::context! {
        input => state.input.clone(),
        steps => Value::from(steps),
        run => minijinja::context! { id => state.run.as_str(), date => date, workflow => state.plan.workflow.as_str() },
    }
}
