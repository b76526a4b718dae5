//! `workflow.toml` into a [`Workflow`].

use serde_json::Value;
use toml::Spanned;

use super::{
    Concurrency, Misfire, OnFailure, Overlap, Position, Problem, Step, Trigger, TriggerSource, Workflow,
    raw::{MisfireWord, OnFailureWord, OverlapWord, RawConcurrency, RawStep, RawTrigger, RawWorkflow},
    toml_text::{read, to_json},
};
use crate::StepId;

/// The most steps one workflow may have.
const STEPS_MAX: usize = 200;

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
            Some("add a [[step]] with an `id` and one of agent, call, run, workflow, set, ask, wait"),
        );
    }
    let count = raw.step.len() + raw.finally.len();
    if count > STEPS_MAX {
        reader.problem(None, &format!("the workflow has {count} steps; at most {STEPS_MAX} are allowed"), None);
    }
    let mut seen = Vec::new();
    let steps = reader.steps(raw.step, &mut seen);
    let finally = reader.steps(raw.finally, &mut seen);
    let mut triggers: Vec<Trigger> = Vec::new();
    for (n, trigger) in raw.trigger.into_iter().enumerate() {
        let place = reader.place(&trigger);
        let Some(trigger) = reader.trigger(n, place, trigger.into_inner()) else { continue };
        if triggers.iter().any(|t| t.id == trigger.id) {
            let message = format!("there are two triggers called `{}`", trigger.id);
            reader.problem(Some(place), &message, Some("rename one of them"));
        }
        triggers.push(trigger);
    }
    let concurrency = raw.concurrency.and_then(|c| {
        let place = reader.place(&c);
        reader.concurrency(place, c.into_inner())
    });
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    Ok(Workflow {
        name: name.to_owned(),
        description: raw.description,
        input: raw.input,
        output: raw.output.as_ref().map(to_json),
        steps,
        finally,
        triggers,
        deadline: raw.deadline,
        on_failure: raw.on_failure.map(|word| match word {
            OnFailureWord::Continue => OnFailure::Continue,
            OnFailureWord::Stop => OnFailure::Stop,
            OnFailureWord::Undo => OnFailure::Undo,
        }),
        concurrency,
    })
}

/// Reads one file and gathers what is wrong with it.
pub(super) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, at: Option<Position>, message: &str, hint: Option<&str>) {
        let mut problem = Problem::new(self.file, at, message);
        problem.hint = hint.map(str::to_owned);
        self.problems.push(problem);
    }

    pub(super) fn place<T>(&self, value: &Spanned<T>) -> Position {
        Position::of(self.text, value.span().start)
    }

    pub(super) fn id(&mut self, name: &Spanned<String>) -> Option<StepId> {
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

    /// Where something begins.
    pub(super) fn spot(&self, start: usize) -> Position {
        Position::of(self.text, start)
    }

    fn steps(&mut self, raw: Vec<RawStep>, seen: &mut Vec<StepId>) -> Vec<Step> {
        let mut steps = Vec::new();
        for step in raw {
            let at = self.place(&step.id);
            let Some(step) = self.step(step) else { continue };
            if seen.contains(&step.id) {
                self.problem(
                    Some(at),
                    &format!("there are two steps called `{}`", step.id),
                    Some("rename one of them"),
                );
            }
            seen.push(step.id.clone());
            steps.push(step);
        }
        steps
    }

    pub(super) fn concurrency(&mut self, place: Position, raw: RawConcurrency) -> Option<Concurrency> {
        if raw.max == 0 {
            self.problem(Some(place), "`max` must be at least 1", None);
            return None;
        }
        Some(Concurrency { key: raw.key, max: raw.max })
    }

    fn trigger(&mut self, n: usize, place: Position, raw: RawTrigger) -> Option<Trigger> {
        let sources: Vec<(&str, TriggerSource)> = [
            raw.cron.map(|v| ("cron", TriggerSource::Cron(v))),
            raw.every.map(|v| ("every", TriggerSource::Every(v))),
            raw.at.map(|v| ("at", TriggerSource::At(v))),
            raw.event.map(|v| ("event", TriggerSource::Event(v))),
            raw.file.map(|v| ("file", TriggerSource::File(v))),
            raw.run_finished.map(|v| ("run_finished", TriggerSource::RunFinished(v))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [(kind, source)] = <[_; 1]>::try_from(sources)
            .map_err(|sources| {
                let words = "cron, every, at, event, file, run_finished";
                let message = if sources.is_empty() {
                    "the trigger goes by nothing"
                } else {
                    "the trigger goes by several things"
                };
                self.problem(Some(place), message, Some(&format!("give it exactly one of {words}")));
            })
            .ok()?;
        let timed = matches!(source, TriggerSource::Cron(_) | TriggerSource::Every(_) | TriggerSource::At(_));
        for (key, given) in [
            ("misfire", raw.misfire.is_some()),
            ("max_lateness", raw.max_lateness.is_some()),
            ("jitter", raw.jitter.is_some()),
            ("timezone", raw.timezone.is_some()),
        ] {
            if given && !timed {
                let message = format!("`{key}` has no meaning for a trigger by `{kind}`");
                self.problem(Some(place), &message, Some("it belongs to cron, every and at"));
            }
        }
        Some(Trigger {
            id: raw.id.unwrap_or_else(|| if n == 0 { kind.to_owned() } else { format!("{kind}_{}", n + 1) }),
            source,
            input: raw.input.map_or_else(|| Value::Object(serde_json::Map::new()), |t| to_json(&toml::Value::Table(t))),
            filter: raw.r#where,
            dedupe_key: raw.dedupe_key,
            overlap: raw.overlap.map_or_else(Overlap::default, |word| match word {
                OverlapWord::Skip => Overlap::Skip,
                OverlapWord::Queue => Overlap::Queue,
                OverlapWord::Replace => Overlap::Replace,
                OverlapWord::Allow => Overlap::Allow,
            }),
            misfire: raw.misfire.map_or_else(Misfire::default, |word| match word {
                MisfireWord::Skip => Misfire::Skip,
                MisfireWord::Once => Misfire::Once,
                MisfireWord::All => Misfire::All,
            }),
            max_lateness: raw.max_lateness,
            jitter: raw.jitter,
            timezone: raw.timezone,
            at: Some(place),
        })
    }
}
