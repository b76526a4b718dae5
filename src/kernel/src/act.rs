//! What a slot does when nothing holds it back any more: its list, its effect, its gate, its question.

use std::collections::BTreeMap;

use cairn_store_layout::{
    canonical,
    catalog::Spec,
    definition::Field,
    event::{AskOpened, AttemptReused, Body, GateOpened, Item, StepExpanded, StepSkipped, StepSucceeded, TimerSet},
    payload::{EffectContent, Purpose, Request},
    text::brief,
    time::Span,
};
use jiff::Timestamp;

use crate::{
    advance::{Pass, moment, truth},
    expr::{ExprError, Value, to_json},
    gates::About,
    plan::{Action, PlanApprove, PlanForEach, PlanStep},
    scope::Scope,
    state::Slot,
};

/// The most elements a `for_each` list may have.
const ITEMS_MAX: usize = 10_000;

impl Pass<'_> {
    /// Takes the list of a `for_each` step; a `set` step is computed whole.
    pub(crate) fn expand(&mut self, index: usize, plan: &PlanStep, for_each: &PlanForEach) {
        let base = self.scope(index, None);
        let result = items(for_each, &base).and_then(|items| {
            let Action::Set { value } = &plan.action else {
                return Ok(Body::from(StepExpanded { items: listed(items)? }));
            };
            let mut output = serde_json::Map::new();
            for (key, item) in items {
                let scope = of(&base, &key, &item);
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

    /// A slot that nothing holds back any more.
    pub(crate) fn begin(&mut self, index: usize, plan: &PlanStep, slot: &Slot) {
        let key = slot.key.as_deref();
        let scope = self.scope(index, Some(slot));
        // asked once: a later round was let in by the first
        if let Some(when) = plan.when.as_ref().filter(|_| slot.ordinal == 0) {
            match truth(when, &scope.value()) {
                Ok(true) => {}
                Ok(false) => {
                    return self.put(plan, key, None, StepSkipped { reason: "its `if` is false".to_owned() });
                }
                Err(error) => return self.fail(plan, key, &error),
            }
        }
        if let Err(error) = self.act(plan, slot, &scope) {
            self.fail(plan, key, &error);
        }
    }

    fn act(&mut self, plan: &PlanStep, slot: &Slot, names: &Scope) -> Result<(), ExprError> {
        let key = slot.key.as_deref();
        let scope = &names.value();
        match &plan.action {
            Action::Set { value } => {
                let output = Some(to_json(&value.eval(scope)?)?);
                self.put(plan, key, None, StepSucceeded { output });
            }
            Action::Ask { prompt, form } => self.ask(plan, key, brief(&prompt.text(scope)?, 16_000), form),
            Action::Wait { span, text } => {
                let until = self.until(*span, &text.text(scope)?)?;
                self.put(plan, key, None, TimerSet { until });
            }
            Action::Listen { event, filter, within } => {
                self.listen(plan, key, event, filter.as_ref(), *within, names);
            }
            action => {
                let Some(mut request) = request(action, &plan.spec, plan.schema.as_deref(), scope)? else {
                    return Ok(());
                };
                if let (Some(comment), Some(input)) =
                    (&slot.comment, request.input_mut().and_then(serde_json::Value::as_object_mut))
                {
                    input.insert("comment".to_owned(), comment.as_str().into());
                }
                if let Some(reused) = self.taken_over(plan, slot, &request) {
                    self.put(plan, key, None, reused);
                    return Ok(());
                }
                let request = self.dated(request);
                let effect = EffectContent {
                    run: self.state.run.clone(),
                    step: plan.id.clone(),
                    iteration: slot.key.clone(),
                    ordinal: self.state.first_ordinal(plan, key) + slot.ordinal,
                    purpose: Purpose::Step,
                    definition: self.state.definition.clone(),
                    pin: plan.spec.pin.clone(),
                    class: plan.spec.effect,
                    request,
                };
                match &plan.approve {
                    Some(approve) => self.gate(plan, key, scope, approve, effect)?,
                    None => self.start_in_turn(plan, slot, scope, effect)?,
                }
            }
        }
        Ok(())
    }

    /// What an earlier history gave to the same request. A person who sent a comment wants another answer.
    fn taken_over(&self, plan: &PlanStep, slot: &Slot, request: &Request) -> Option<AttemptReused> {
        self.state.reuse.as_ref().filter(|_| slot.comment.is_none())?;
        let request = request.digest();
        let found = self.state.found(plan, slot.key.as_deref(), slot.round - 1, &request)?;
        Some(AttemptReused { from: found.from.clone(), request, output: found.output.clone() })
    }

    /// A fork reads memory and entities as they were then, unless the definition names a time itself.
    fn dated(&self, mut request: Request) -> Request {
        if let (Some(as_of), Request::Call { connector, operation, input, .. }) = (self.state.as_of, &mut request)
            && matches!(
                (connector.as_str(), operation.as_str()),
                ("memory", "recall" | "context") | ("entity", "get" | "find" | "history")
            )
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
        let summary = approve.summary(scope)?.unwrap_or_else(|| effect.request.name());
        let body = GateOpened {
            gate: About::Effect(effect.ordinal).gate(&self.state.run, &plan.id, key),
            digest: effect.digest(),
            class: plan.spec.class,
            effect,
            summary,
            why: approve.why(scope)?,
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
        let gate = About::Effect(self.state.first_ordinal(plan, key)).gate(&self.state.run, &plan.id, key);
        let digest = canonical::digest(&content);
        self.put(plan, key, None, AskOpened { gate, digest, prompt, form: form.to_vec() });
    }

    fn until(&self, span: bool, text: &str) -> Result<Timestamp, ExprError> {
        let until = if span { Span::parse(text).map(|s| self.ctx.now + s.0) } else { moment(text) };
        until.map_err(|message| ExprError { message, line: None })
    }
}

/// The request of a step or of an `undo`; nothing when it does not ask the world for anything.
pub(crate) fn request(
    action: &Action,
    spec: &Spec,
    schema: Option<&str>,
    scope: &Value,
) -> Result<Option<Request>, ExprError> {
    let schema = schema.map(str::to_owned);
    Ok(Some(match action {
        Action::Agent { agent, with, prompt, template } => Request::Agent {
            agent: agent.clone(),
            input: to_json(&with.eval(scope)?)?,
            prompt: prompt.clone(),
            template: template.clone(),
            schema,
        },
        Action::Call { connector, operation, with } => Request::Call {
            connector: connector.clone(),
            operation: operation.clone(),
            input: with_added(to_json(&with.eval(scope)?)?, &spec.adds),
            schema,
        },
        Action::Run { argv, stdin } => Request::Run {
            argv: argv.iter().map(|a| a.text(scope)).collect::<Result<_, _>>()?,
            stdin: stdin.as_ref().map(|s| s.text(scope)).transpose()?,
            schema,
        },
        Action::Workflow { workflow, with } => {
            Request::Workflow { workflow: workflow.clone(), input: to_json(&with.eval(scope)?)? }
        }
        Action::Set { .. } | Action::Ask { .. } | Action::Wait { .. } | Action::Listen { .. } => return Ok(None),
    }))
}

fn items(for_each: &PlanForEach, base: &Scope) -> Result<Vec<(String, Value)>, ExprError> {
    let list = for_each.list.eval(&base.value())?;
    let fault = |message: String| ExprError { message, line: None };
    let named = list.kind() == minijinja::value::ValueKind::Map;
    if !named && list.kind() != minijinja::value::ValueKind::Seq && list.kind() != minijinja::value::ValueKind::Iterable
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
        let scope = of(base, &natural, &item);
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

/// What an expression sees of one element of a list.
fn of(base: &Scope, key: &str, item: &Value) -> Value {
    base.with([("key", Value::from(key)), ("item", item.clone())]).value()
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

fn listed(items: Vec<(String, Value)>) -> Result<Vec<Item>, ExprError> {
    items.into_iter().map(|(key, item)| Ok(Item { key, item: to_json(&item)? })).collect()
}
