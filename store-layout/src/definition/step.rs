//! One `[[step]]` into a [`Step`].

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Spanned;

use super::{
    AfterFailure, Approve, ApproveWhen, Backoff, ForEach, Join, OnClass, Position, Probe, Rate, Repeat, Retry, Step,
    StepKind, Undo, Wait, nearest,
    parse::Reader,
    raw::{AfterWord, BackoffWord, JoinWord, RawApprove, RawApproveTable, RawJoin, RawStep, RawUndo, RawWait},
    toml_text::to_json,
};
use crate::StepId;

/// The keys that say what a step does; a step has exactly one.
const KINDS: [&str; 7] = ["agent", "call", "run", "workflow", "set", "ask", "wait"];

/// Keys that only steps with an effect have.
const EFFECT_KEYS: [&str; 11] = [
    "approve",
    "effect",
    "timeout",
    "retry",
    "on_soft",
    "on_hard",
    "on_business",
    "undo",
    "repeat",
    "concurrency",
    "rate",
];

impl Reader<'_> {
    pub(super) fn step(&mut self, raw: RawStep) -> Option<Step> {
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
            Retry {
                attempts,
                first: r.first.unwrap_or(base.first),
                max: r.max.unwrap_or(base.max),
                backoff: r.backoff.map_or(base.backoff, |word| match word {
                    BackoffWord::Exponential => Backoff::Exponential,
                    BackoffWord::Linear => Backoff::Linear,
                    BackoffWord::Fixed => Backoff::Fixed,
                }),
                jitter: r.jitter.unwrap_or(base.jitter),
                on: r.on,
                within: r.within,
            }
        });
        let join = raw.join.as_ref().map_or(Join::All, |j| match j.as_ref() {
            RawJoin::Word(JoinWord::All) => Join::All,
            RawJoin::Word(JoinWord::Any) => Join::Any,
            RawJoin::Count(n) => Join::Count(*n),
        });
        if let Join::Count(n) = join
            && (n == 0 || n as usize > needs.len())
        {
            let message = format!("`join` must be between 1 and the number of needs, {}", needs.len());
            self.problem(at.get("join").copied(), &message, None);
        }
        let repeat = raw.repeat.map(|r| {
            let place = self.place(&r);
            let r = r.into_inner();
            if !(1..=1000).contains(&r.max) {
                self.problem(Some(place), "`max` must be between 1 and 1000", None);
            }
            Repeat { until: r.until, max: r.max, every: r.every }
        });
        let undo = raw.undo.and_then(|u| {
            let place = self.place(&u);
            self.undo(place, u.into_inner())
        });
        let probe = raw.probe.and_then(|p| {
            let place = self.place(&p);
            let p = p.into_inner();
            let (connector, operation) = self.operation(Some(place), &p.call)?;
            let output = p.output.as_ref().map(to_json);
            Some(Probe { connector, operation, with: to_json(&toml::Value::Table(p.with)), found: p.found, output })
        });
        let concurrency = raw.concurrency.and_then(|c| {
            let place = self.place(&c);
            self.concurrency(place, c.into_inner())
        });
        let rate = raw.rate.map(|r| {
            let place = self.place(&r);
            let r = r.into_inner();
            if r.max == 0 || r.per.0.is_zero() {
                self.problem(Some(place), "`max` must be at least 1 and `per` longer than nothing", None);
            }
            Rate { key: r.key, max: r.max, per: r.per }
        });
        let usual = OnClass::default();
        let on = OnClass {
            soft: raw.on_soft.as_ref().map_or(usual.soft, |w| after(*w.as_ref())),
            hard: raw.on_hard.as_ref().map_or(usual.hard, |w| after(*w.as_ref())),
            business: raw.on_business.as_ref().map_or(usual.business, |w| after(*w.as_ref())),
        };
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
            for key in EFFECT_KEYS {
                if at.contains_key(key) {
                    let place = at.get(key).copied().or(here);
                    self.problem(
                        place,
                        &format!("`{key}` has no meaning for a `{}` step", kind.word()),
                        Some("only agent, call, run and workflow steps have effects"),
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
            join,
            repeat,
            undo,
            probe,
            on,
            cache: raw.cache.map(Spanned::into_inner),
            concurrency,
            rate,
            at,
        })
    }

    fn positions(&self, raw: &RawStep) -> BTreeMap<String, Position> {
        let mut at = BTreeMap::new();
        let mut put = |key: &str, span: Option<std::ops::Range<usize>>| {
            if let Some(span) = span {
                at.insert(key.to_owned(), self.spot(span.start));
            }
        };
        put("id", Some(raw.id.span()));
        put("needs", raw.needs.first().map(Spanned::span));
        macro_rules! places {
            ($($field:ident = $key:literal),* $(,)?) => { $(put($key, raw.$field.as_ref().map(Spanned::span));)* };
        }
        places! {
            join = "join", agent = "agent", call = "call", run = "run", workflow = "workflow", set = "set", ask = "ask",
            wait = "wait", when = "if", for_each = "for_each", repeat = "repeat", with = "with", prompt = "prompt",
            template = "template", form = "form", stdin = "stdin", output = "output", timeout = "timeout",
            retry = "retry", on_soft = "on_soft", on_hard = "on_hard", on_business = "on_business",
            approve = "approve", effect = "effect", probe = "probe", undo = "undo", cache = "cache",
            concurrency = "concurrency", rate = "rate",
        }
        at
    }

    /// The one kind key, and the keys that belong to that kind alone.
    fn kind(&mut self, raw: &RawStep, at: &BTreeMap<String, Position>) -> Option<StepKind> {
        let kinds: Vec<&str> = KINDS.into_iter().filter(|k| at.contains_key(*k)).collect();
        let here = at.get("id").copied();
        let kind = match kinds.as_slice() {
            [one] => *one,
            [] => {
                self.problem(
                    here,
                    &format!("step `{}` does nothing", raw.id.as_ref()),
                    Some("give it one of agent, call, run, workflow, set, ask, wait"),
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
            ("with", &["agent", "call", "workflow"][..]),
            ("prompt", &["agent"]),
            ("template", &["agent"]),
            ("form", &["ask"]),
            ("stdin", &["run"]),
            ("output", &["agent", "call", "run"]),
            ("probe", &["agent", "call", "run"]),
            ("cache", &["agent", "call", "run"]),
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
                let (connector, operation) = self.operation(at.get("call").copied(), raw.call.as_ref()?.as_ref())?;
                StepKind::Call { connector, operation, with }
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
            "workflow" => StepKind::Workflow { workflow: text(&raw.workflow)?, with },
            "set" => StepKind::Set { value: to_json(raw.set.as_ref()?.as_ref()) },
            "ask" => StepKind::Ask {
                prompt: text(&raw.ask)?,
                form: raw.form.as_ref().map(|f| f.as_ref().clone()).unwrap_or_default(),
            },
            _ => StepKind::Wait(match raw.wait.as_ref()?.as_ref() {
                RawWait::For(span) => Wait::For(span.clone()),
                RawWait::Until(until) => Wait::Until(until.until.clone()),
                RawWait::Event(wait) => {
                    Wait::Event { event: wait.event.clone(), filter: wait.r#where.clone(), within: wait.within }
                }
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

    fn operation(&mut self, place: Option<Position>, name: &str) -> Option<(String, String)> {
        let found = name.split_once('.').map(|(c, o)| (c.to_owned(), o.to_owned()));
        if found.is_none() {
            let message = format!("`{name}` is not `connector.operation`");
            self.problem(place, &message, Some("for example `mail.send`"));
        }
        found
    }

    fn undo(&mut self, place: Position, raw: RawUndo) -> Option<Undo> {
        let with = to_json(&toml::Value::Table(raw.with));
        let kind = match (raw.agent, raw.call, raw.run) {
            (Some(agent), None, None) => StepKind::Agent { agent, with, prompt: raw.prompt, template: raw.template },
            (None, Some(name), None) => {
                let (connector, operation) = self.operation(Some(place), &name)?;
                StepKind::Call { connector, operation, with }
            }
            (None, None, Some(argv)) if !argv.is_empty() => StepKind::Run { argv, stdin: raw.stdin },
            _ => {
                let hint = Some("for example undo = { call = \"crm.delete\", with = { id = \"{{ output.id }}\" } }");
                self.problem(Some(place), "`undo` must name exactly one of agent, call, run", hint);
                return None;
            }
        };
        Some(Undo { kind })
    }
}

fn after(word: AfterWord) -> AfterFailure {
    match word {
        AfterWord::Fail => AfterFailure::Fail,
        AfterWord::Skip => AfterFailure::Skip,
        AfterWord::Ask => AfterFailure::Ask,
        AfterWord::Retry => AfterFailure::Retry,
    }
}
