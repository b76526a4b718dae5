//! `workflow.toml` into a [`Workflow`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::{
    Approve, ApproveWhen, Field, ForEach, Position, Problem, Retry, Step, StepKind, Wait, Workflow, nearest,
    toml_text::{read, to_json},
};
use crate::{StepId, payload::EffectClass, time::Span};

/// The most steps one workflow may have.
const STEPS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorkflow {
    #[serde(default)]
    description: String,
    #[serde(default)]
    input: Vec<Field>,
    output: Option<toml::Value>,
    #[serde(default)]
    step: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    id: Spanned<String>,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    agent: Option<Spanned<String>>,
    call: Option<Spanned<String>>,
    run: Option<Spanned<Vec<String>>>,
    set: Option<Spanned<toml::Value>>,
    ask: Option<Spanned<String>>,
    wait: Option<Spanned<RawWait>>,
    #[serde(rename = "if")]
    when: Option<Spanned<String>>,
    for_each: Option<Spanned<RawForEach>>,
    with: Option<Spanned<toml::Table>>,
    prompt: Option<Spanned<String>>,
    template: Option<Spanned<String>>,
    form: Option<Spanned<Vec<Field>>>,
    stdin: Option<Spanned<String>>,
    output: Option<Spanned<String>>,
    timeout: Option<Spanned<Span>>,
    retry: Option<Spanned<RawRetry>>,
    approve: Option<Spanned<RawApprove>>,
    effect: Option<Spanned<EffectClass>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a length of time like \"5d\", or { until = \"...\" }")]
enum RawWait {
    For(String),
    Until(RawUntil),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUntil {
    until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForEach {
    r#in: String,
    key: Option<String>,
    r#where: Option<String>,
    max_parallel: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetry {
    attempts: Option<u32>,
    first: Option<Span>,
    max: Option<Span>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "\"always\", \"never\", or a table with `when`, `summary`, `why`, `evidence`, `expires`")]
enum RawApprove {
    Word(String),
    Table(RawApproveTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApproveTable {
    when: Option<String>,
    summary: Option<String>,
    why: Option<String>,
    evidence: Option<toml::Value>,
    expires: Option<Span>,
}

/// Reads the definition of workflow `name` from the text of `file`.
///
/// # Errors
/// All problems that can be told without knowing agents, connectors and expressions.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Workflow, Vec<Problem>> {
    let raw: RawWorkflow = read(file, text).map_err(|p| vec![p])?;
    let mut reader = Reader { file, text, problems: Vec::new() };
    if raw.step.is_empty() {
        reader.problem(
            None,
            "the workflow has no step",
            Some("add a [[step]] with an `id` and one of agent, call, run, set, ask, wait"),
        );
    }
    if raw.step.len() > STEPS_MAX {
        reader.problem(
            None,
            &format!("the workflow has {} steps; at most {STEPS_MAX} are allowed", raw.step.len()),
            None,
        );
    }
    let mut steps: Vec<Step> = Vec::new();
    for step in raw.step {
        let at = reader.place(&step.id);
        if let Some(step) = reader.step(step) {
            if steps.iter().any(|s| s.id == step.id) {
                reader.problem(
                    Some(at),
                    &format!("there are two steps called `{}`", step.id),
                    Some("rename one of them"),
                );
            }
            steps.push(step);
        }
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    Ok(Workflow {
        name: name.to_owned(),
        description: raw.description,
        input: raw.input,
        output: raw.output.as_ref().map(to_json),
        steps,
    })
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: Option<Position>, message: &str, hint: Option<&str>) {
        let mut problem = Problem::new(self.file, at, message);
        problem.hint = hint.map(str::to_owned);
        self.problems.push(problem);
    }

    fn place<T>(&self, value: &Spanned<T>) -> Position {
        Position::of(self.text, value.span().start)
    }

    fn id(&mut self, name: &Spanned<String>) -> Option<StepId> {
        match StepId::new(name.as_ref().as_str()) {
            Ok(id) => Some(id),
            Err(e) => {
                let suggestion = name.as_ref().to_ascii_lowercase().replace('-', "_");
                let hint = StepId::new(suggestion.as_str()).ok().map(|s| format!("write `{s}`"));
                self.problem(Some(self.place(name)), &e.to_string(), hint.as_deref());
                None
            }
        }
    }

    fn step(&mut self, raw: RawStep) -> Option<Step> {
        let at = self.positions(&raw);
        let here = at.get("id").copied();
        let id = self.id(&raw.id);
        let needs: Vec<StepId> = raw.needs.iter().filter_map(|n| self.id(n)).collect();
        let kind = self.kind(&raw, &at);
        let retry = raw.retry.map_or_else(Retry::default, |r| {
            let place = self.place(&r);
            let r = r.into_inner();
            let base = Retry::default();
            let attempts = r.attempts.unwrap_or(base.attempts);
            if !(1..=20).contains(&attempts) {
                self.problem(Some(place), "`attempts` must be between 1 and 20", None);
            }
            Retry { attempts, first: r.first.unwrap_or(base.first), max: r.max.unwrap_or(base.max) }
        });
        let for_each = raw.for_each.map(|f| {
            let place = self.place(&f);
            let f = f.into_inner();
            let max_parallel = f.max_parallel.unwrap_or(8);
            if !(1..=1000).contains(&max_parallel) {
                self.problem(Some(place), "`max_parallel` must be between 1 and 1000", None);
            }
            ForEach { list: f.r#in, key: f.key, filter: f.r#where, max_parallel }
        });
        let approve = raw.approve.and_then(|a| {
            let place = self.place(&a);
            self.approve(place, a.into_inner())
        });
        let kind = kind?;
        if !kind.has_effect() {
            for (key, given) in
                [("approve", approve.is_some()), ("effect", raw.effect.is_some()), ("timeout", raw.timeout.is_some())]
            {
                if given {
                    let place = at.get(key).copied().or(here);
                    self.problem(
                        place,
                        &format!("`{key}` has no meaning for a `{}` step", kind.word()),
                        Some("only agent, call and run steps have effects"),
                    );
                }
            }
        }
        Some(Step {
            id: id?,
            kind,
            needs,
            when: raw.when.map(Spanned::into_inner),
            for_each,
            timeout: raw.timeout.map(Spanned::into_inner),
            retry,
            approve: approve.filter(|a| a.when == ApproveWhen::Always),
            effect: raw.effect.map(Spanned::into_inner),
            schema: raw.output.map(Spanned::into_inner),
            at,
        })
    }

    fn positions(&self, raw: &RawStep) -> BTreeMap<String, Position> {
        let mut at = BTreeMap::new();
        let mut put = |key: &str, span: Option<std::ops::Range<usize>>| {
            if let Some(span) = span {
                at.insert(key.to_owned(), Position::of(self.text, span.start));
            }
        };
        put("id", Some(raw.id.span()));
        put("needs", raw.needs.first().map(Spanned::span));
        put("agent", raw.agent.as_ref().map(Spanned::span));
        put("call", raw.call.as_ref().map(Spanned::span));
        put("run", raw.run.as_ref().map(Spanned::span));
        put("set", raw.set.as_ref().map(Spanned::span));
        put("ask", raw.ask.as_ref().map(Spanned::span));
        put("wait", raw.wait.as_ref().map(Spanned::span));
        put("if", raw.when.as_ref().map(Spanned::span));
        put("for_each", raw.for_each.as_ref().map(Spanned::span));
        put("with", raw.with.as_ref().map(Spanned::span));
        put("prompt", raw.prompt.as_ref().map(Spanned::span));
        put("template", raw.template.as_ref().map(Spanned::span));
        put("form", raw.form.as_ref().map(Spanned::span));
        put("stdin", raw.stdin.as_ref().map(Spanned::span));
        put("output", raw.output.as_ref().map(Spanned::span));
        put("timeout", raw.timeout.as_ref().map(Spanned::span));
        put("retry", raw.retry.as_ref().map(Spanned::span));
        put("approve", raw.approve.as_ref().map(Spanned::span));
        put("effect", raw.effect.as_ref().map(Spanned::span));
        at
    }

    /// The one kind key, and the keys that belong to that kind alone.
    fn kind(&mut self, raw: &RawStep, at: &BTreeMap<String, Position>) -> Option<StepKind> {
        let kinds: Vec<&str> =
            ["agent", "call", "run", "set", "ask", "wait"].into_iter().filter(|k| at.contains_key(*k)).collect();
        let here = at.get("id").copied();
        let kind = match kinds.as_slice() {
            [one] => *one,
            [] => {
                self.problem(
                    here,
                    &format!("step `{}` does nothing", raw.id.as_ref()),
                    Some("give it one of agent, call, run, set, ask, wait"),
                );
                return None;
            }
            more => {
                self.problem(
                    here,
                    &format!("step `{}` does several things: {}", raw.id.as_ref(), more.join(", ")),
                    Some("make a step of its own for each"),
                );
                return None;
            }
        };
        for (key, homes) in [
            ("with", &["agent", "call"][..]),
            ("prompt", &["agent"]),
            ("template", &["agent"]),
            ("form", &["ask"]),
            ("stdin", &["run"]),
            ("output", &["agent", "call", "run"]),
        ] {
            if at.contains_key(key) && !homes.contains(&kind) {
                let message = format!("`{key}` belongs to {} steps; this is a `{kind}` step", homes.join(", "));
                self.problem(at.get(key).copied(), &message, None);
            }
        }
        let with = raw.with.as_ref().map_or_else(
            || Value::Object(serde_json::Map::new()),
            |w| to_json(&toml::Value::Table(w.as_ref().clone())),
        );
        let text = |s: &Option<Spanned<String>>| s.as_ref().map(|s| s.as_ref().clone());
        Some(match kind {
            "agent" => StepKind::Agent {
                agent: text(&raw.agent)?,
                with,
                prompt: text(&raw.prompt),
                template: text(&raw.template),
            },
            "call" => {
                let name = text(&raw.call)?;
                let Some((connector, operation)) = name.split_once('.') else {
                    self.problem(
                        at.get("call").copied(),
                        &format!("`{name}` is not `connector.operation`"),
                        Some("for example `mail.send`"),
                    );
                    return None;
                };
                StepKind::Call { connector: connector.to_owned(), operation: operation.to_owned(), with }
            }
            "run" => {
                let argv = raw.run.as_ref()?.as_ref().clone();
                if argv.is_empty() {
                    self.problem(
                        at.get("run").copied(),
                        "`run` names no program",
                        Some("for example run = [\"python3\", \"score.py\"]"),
                    );
                    return None;
                }
                StepKind::Run { argv, stdin: text(&raw.stdin) }
            }
            "set" => StepKind::Set { value: to_json(raw.set.as_ref()?.as_ref()) },
            "ask" => StepKind::Ask {
                prompt: text(&raw.ask)?,
                form: raw.form.as_ref().map(|f| f.as_ref().clone()).unwrap_or_default(),
            },
            _ => StepKind::Wait(match raw.wait.as_ref()?.as_ref() {
                RawWait::For(span) => Wait::For(span.clone()),
                RawWait::Until(until) => Wait::Until(until.until.clone()),
            }),
        })
    }

    fn approve(&mut self, place: Position, raw: RawApprove) -> Option<Approve> {
        let table = match raw {
            RawApprove::Word(word) => {
                RawApproveTable { when: Some(word), summary: None, why: None, evidence: None, expires: None }
            }
            RawApprove::Table(table) => table,
        };
        let word = table.when.as_deref().unwrap_or("always");
        let when = match word {
            "always" => ApproveWhen::Always,
            "never" => ApproveWhen::Never,
            other => {
                let hint = nearest(other, ["always", "never"]).map(|n| format!("did you mean `{n}`?"));
                self.problem(
                    Some(place),
                    &format!("`{other}` is not a way to approve; use always or never"),
                    hint.as_deref(),
                );
                return None;
            }
        };
        Some(Approve {
            when,
            summary: table.summary,
            why: table.why,
            evidence: table.evidence.as_ref().map(to_json),
            expires: table.expires,
        })
    }
}
