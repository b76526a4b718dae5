//! `workflow.toml` letter by letter: which keys there are and what type each has.
//!
//! Nothing is checked here beyond that; [`super::parse`] makes the definition of it. What these types
//! accept is what the published JSON Schema says.

use serde::Deserialize;
use toml::Spanned;

use super::Field;
use crate::{payload::EffectClass, time::Span};

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkflow {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) input: Vec<Field>,
    pub(super) output: Option<toml::Value>,
    #[serde(default)]
    pub(super) trigger: Vec<Spanned<RawTrigger>>,
    pub(super) deadline: Option<Span>,
    pub(super) on_failure: Option<OnFailureWord>,
    pub(super) concurrency: Option<Spanned<RawConcurrency>>,
    #[serde(default)]
    pub(super) step: Vec<RawStep>,
    #[serde(default)]
    pub(super) finally: Vec<RawStep>,
}

/// One `[[step]]` or `[[finally]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) needs: Vec<Spanned<String>>,
    pub(super) join: Option<Spanned<RawJoin>>,
    pub(super) agent: Option<Spanned<String>>,
    pub(super) call: Option<Spanned<String>>,
    pub(super) run: Option<Spanned<Vec<String>>>,
    pub(super) workflow: Option<Spanned<String>>,
    pub(super) set: Option<Spanned<toml::Value>>,
    pub(super) ask: Option<Spanned<String>>,
    pub(super) wait: Option<Spanned<RawWait>>,
    #[serde(rename = "if")]
    pub(super) when: Option<Spanned<String>>,
    pub(super) for_each: Option<Spanned<RawForEach>>,
    pub(super) repeat: Option<Spanned<RawRepeat>>,
    pub(super) with: Option<Spanned<toml::Table>>,
    pub(super) prompt: Option<Spanned<String>>,
    pub(super) template: Option<Spanned<String>>,
    pub(super) form: Option<Spanned<Vec<Field>>>,
    pub(super) stdin: Option<Spanned<String>>,
    pub(super) output: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<Span>>,
    pub(super) retry: Option<Spanned<RawRetry>>,
    pub(super) on_soft: Option<Spanned<AfterWord>>,
    pub(super) on_hard: Option<Spanned<AfterWord>>,
    pub(super) on_business: Option<Spanned<AfterWord>>,
    pub(super) approve: Option<Spanned<RawApprove>>,
    pub(super) effect: Option<Spanned<EffectClass>>,
    pub(super) probe: Option<Spanned<RawProbe>>,
    pub(super) undo: Option<Spanned<RawUndo>>,
    pub(super) cache: Option<Spanned<Span>>,
    pub(super) concurrency: Option<Spanned<RawConcurrency>>,
    pub(super) rate: Option<Spanned<RawRate>>,
}

/// `on_failure` of a workflow.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailureWord {
    Continue,
    Stop,
    Undo,
}

/// `on_soft`, `on_hard`, `on_business` of a step.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum AfterWord {
    Fail,
    Skip,
    Ask,
    Retry,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "\"all\", \"any\", or how many of the needs must be done")]
pub(super) enum RawJoin {
    Word(JoinWord),
    Count(u32),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum JoinWord {
    All,
    Any,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a length of time like \"5d\", { until = \"...\" }, or { event = \"...\", where = \"...\", within = \"...\" }"
)]
pub(super) enum RawWait {
    For(String),
    Until(RawUntil),
    Event(RawEvent),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUntil {
    pub(super) until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvent {
    pub(super) event: String,
    pub(super) r#where: Option<String>,
    pub(super) within: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForEach {
    pub(super) r#in: String,
    pub(super) key: Option<String>,
    pub(super) r#where: Option<String>,
    pub(super) max_parallel: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRepeat {
    pub(super) until: String,
    pub(super) max: u32,
    pub(super) every: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    pub(super) attempts: Option<u32>,
    pub(super) backoff: Option<BackoffWord>,
    pub(super) first: Option<Span>,
    pub(super) max: Option<Span>,
    pub(super) jitter: Option<bool>,
    #[serde(default)]
    pub(super) on: Vec<String>,
    pub(super) within: Option<Span>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum BackoffWord {
    Exponential,
    Linear,
    Fixed,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "\"always\", \"never\", or a table with `when`, `summary`, `why`, `evidence`, `expires`")]
pub(super) enum RawApprove {
    Word(String),
    Table(RawApproveTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproveTable {
    pub(super) when: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) why: Option<String>,
    pub(super) evidence: Option<toml::Value>,
    pub(super) expires: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    pub(super) call: String,
    #[serde(default)]
    pub(super) with: toml::Table,
    pub(super) found: String,
    pub(super) output: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUndo {
    pub(super) agent: Option<String>,
    pub(super) call: Option<String>,
    pub(super) run: Option<Vec<String>>,
    pub(super) workflow: Option<String>,
    #[serde(default)]
    pub(super) with: toml::Table,
    pub(super) prompt: Option<String>,
    pub(super) template: Option<String>,
    pub(super) stdin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConcurrency {
    pub(super) key: Option<String>,
    pub(super) max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub(super) key: Option<String>,
    pub(super) max: u32,
    pub(super) per: Span,
}

/// One `[[trigger]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrigger {
    pub(super) id: Option<String>,
    pub(super) cron: Option<String>,
    pub(super) every: Option<Span>,
    pub(super) at: Option<String>,
    pub(super) event: Option<String>,
    pub(super) file: Option<String>,
    pub(super) run_finished: Option<String>,
    pub(super) input: Option<toml::Table>,
    pub(super) r#where: Option<String>,
    pub(super) dedupe_key: Option<String>,
    pub(super) overlap: Option<OverlapWord>,
    pub(super) misfire: Option<MisfireWord>,
    pub(super) max_lateness: Option<Span>,
    pub(super) jitter: Option<Span>,
    pub(super) timezone: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverlapWord {
    Skip,
    Queue,
    Replace,
    Allow,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum MisfireWord {
    Skip,
    Once,
    All,
}
