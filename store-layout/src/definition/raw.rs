//! `workflow.toml` letter by letter: which keys there are and what type each has.
//!
//! Nothing is checked here beyond that; [`super::parse`] makes the definition of it. What these types
//! accept is what the published JSON Schema says.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::Field;
use crate::{payload::EffectClass, time::Span};

/// The whole file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkflow {
    /// What it is for, in a sentence.
    #[serde(default)]
    pub(super) description: String,
    /// What a run is given.
    #[serde(default)]
    pub(super) input: Vec<Field>,
    /// What a run gives back: a value with expressions.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) output: Option<toml::Value>,
    /// What starts runs by itself.
    #[serde(default)]
    #[schemars(with = "Vec<RawTrigger>")]
    pub(super) trigger: Vec<Spanned<RawTrigger>>,
    /// The run is stopped when it takes longer than this.
    pub(super) deadline: Option<Span>,
    /// What a failed step means for the others: `continue` (steps that do not need it go on), `stop`, or `undo` (stop, and take back what was done). Default: `undo` if a step says how, else `continue`.
    pub(super) on_failure: Option<OnFailureWord>,
    /// How many runs with the same key may be under way at once.
    #[schemars(with = "Option<RawConcurrency>")]
    pub(super) concurrency: Option<Spanned<RawConcurrency>>,
    /// The steps, 1 to 200 with those of `finally`.
    #[serde(default)]
    pub(super) step: Vec<RawStep>,
    /// Steps that follow when everything else is over, however it ended.
    #[serde(default)]
    pub(super) finally: Vec<RawStep>,
}

/// One `[[step]]` or `[[finally]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    /// Its name: a letter, then letters, digits and `_`.
    #[schemars(with = "String")]
    pub(super) id: Spanned<String>,
    /// The steps that must be over, and done, before it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) needs: Vec<Spanned<String>>,
    /// How many of the needs must be done: `all`, `any` or a number.
    #[schemars(with = "Option<RawJoin>")]
    pub(super) join: Option<Spanned<RawJoin>>,
    /// Ask this agent.
    #[schemars(with = "Option<String>")]
    pub(super) agent: Option<Spanned<String>>,
    /// Call this operation of a connector.
    #[schemars(with = "Option<String>")]
    pub(super) call: Option<Spanned<String>>,
    /// Run this program with these arguments; no shell sees them.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) run: Option<Spanned<Vec<String>>>,
    /// Start a run of this workflow and wait for its end.
    #[schemars(with = "Option<String>")]
    pub(super) workflow: Option<Spanned<String>>,
    /// A value with expressions.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) set: Option<Spanned<toml::Value>>,
    /// Ask the operator.
    #[schemars(with = "Option<String>")]
    pub(super) ask: Option<Spanned<String>>,
    /// Wait for a length of time, a moment or an event.
    #[schemars(with = "Option<RawWait>")]
    pub(super) wait: Option<Spanned<RawWait>>,
    /// Do it only if this expression is true; otherwise it is skipped.
    #[serde(rename = "if")]
    #[schemars(with = "Option<String>")]
    pub(super) when: Option<Spanned<String>>,
    /// Do it for every element of a list.
    #[schemars(with = "Option<RawForEach>")]
    pub(super) for_each: Option<Spanned<RawForEach>>,
    /// Do it again until an expression is true.
    #[schemars(with = "Option<RawRepeat>")]
    pub(super) repeat: Option<Spanned<RawRepeat>>,
    /// What it is given: values with expressions.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(super) with: Option<Spanned<toml::Table>>,
    /// The prompt file of the agent.
    #[schemars(with = "Option<String>")]
    pub(super) prompt: Option<Spanned<String>>,
    /// The template file of the agent.
    #[schemars(with = "Option<String>")]
    pub(super) template: Option<Spanned<String>>,
    /// The fields that the operator fills.
    #[schemars(with = "Option<Vec<Field>>")]
    pub(super) form: Option<Spanned<Vec<Field>>>,
    /// What the program reads.
    #[schemars(with = "Option<String>")]
    pub(super) stdin: Option<Spanned<String>>,
    /// A JSON Schema file that the output must satisfy.
    #[schemars(with = "Option<String>")]
    pub(super) output: Option<Spanned<String>>,
    /// How long one attempt may take.
    #[schemars(with = "Option<Span>")]
    pub(super) timeout: Option<Spanned<Span>>,
    /// What happens after a failure that may pass.
    #[schemars(with = "Option<RawRetry>")]
    pub(super) retry: Option<Spanned<RawRetry>>,
    /// What follows a soft failure that is no longer retried: `fail`, `skip`, `ask` or `retry`. Default: `fail`.
    #[schemars(with = "Option<AfterWord>")]
    pub(super) on_soft: Option<Spanned<AfterWord>>,
    /// What follows a hard failure: `fail`, `skip`, `ask` or `retry`. Default: `fail`.
    #[schemars(with = "Option<AfterWord>")]
    pub(super) on_hard: Option<Spanned<AfterWord>>,
    /// What follows a business failure: `fail`, `skip`, `ask` or `retry`. Default: `ask`.
    #[schemars(with = "Option<AfterWord>")]
    pub(super) on_business: Option<Spanned<AfterWord>>,
    /// Whether a person is asked before the effect: `never`, `always`, or a table.
    #[schemars(with = "Option<RawApprove>")]
    pub(super) approve: Option<Spanned<RawApprove>>,
    /// How the effect may be repeated; overrides what agent or operation say.
    #[schemars(with = "Option<EffectClass>")]
    pub(super) effect: Option<Spanned<EffectClass>>,
    /// How to find out whether the effect happened when its reply was lost.
    #[schemars(with = "Option<RawProbe>")]
    pub(super) probe: Option<Spanned<RawProbe>>,
    /// How what it did is taken back.
    #[schemars(with = "Option<RawUndo>")]
    pub(super) undo: Option<Spanned<RawUndo>>,
    /// For how long the answer to an equal request is used again.
    #[schemars(with = "Option<Span>")]
    pub(super) cache: Option<Spanned<Span>>,
    /// How many steps with the same key may be under way at once, over all runs.
    #[schemars(with = "Option<RawConcurrency>")]
    pub(super) concurrency: Option<Spanned<RawConcurrency>>,
    /// How many may begin in a length of time, over all runs.
    #[schemars(with = "Option<RawRate>")]
    pub(super) rate: Option<Spanned<RawRate>>,
}

/// `on_failure` of a workflow.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailureWord {
    Continue,
    Stop,
    Undo,
}

/// `on_soft`, `on_hard`, `on_business` of a step.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum AfterWord {
    Fail,
    Skip,
    Ask,
    Retry,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "\"all\", \"any\", or how many of the needs must be done")]
pub(super) enum RawJoin {
    Word(JoinWord),
    Count(u32),
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum JoinWord {
    All,
    Any,
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a length of time like \"5d\", { until = \"...\" }, or { event = \"...\", where = \"...\", within = \"...\" }"
)]
pub(super) enum RawWait {
    For(String),
    Until(RawUntil),
    Event(RawEvent),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUntil {
    /// A moment like `2026-12-01T08:00:00Z`, or a day; may be an expression.
    pub(super) until: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvent {
    /// The name of the event.
    pub(super) event: String,
    /// Only an event for which this expression is true; `event` is what came with it.
    pub(super) r#where: Option<String>,
    /// Wait no longer than this; the output is null then.
    pub(super) within: Option<Span>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForEach {
    /// An expression that gives a list, or an object whose values are taken.
    pub(super) r#in: String,
    /// An expression that names the iteration; default: the object's key, or the position.
    pub(super) key: Option<String>,
    /// Take only the elements for which this expression is true.
    pub(super) r#where: Option<String>,
    /// How many iterations may be in flight at once, 1 to 1,000; default 8.
    pub(super) max_parallel: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRepeat {
    /// The expression that ends it; `output` is what the round gave, `round` counts from 1.
    pub(super) until: String,
    /// The most rounds, 1 to 1,000; the step fails when the last one is not enough.
    pub(super) max: u32,
    /// The pause between rounds.
    pub(super) every: Option<Span>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    /// Attempts in all, 1 to 20; default 3.
    pub(super) attempts: Option<u32>,
    /// How the pauses grow: `exponential` (default), `linear` or `fixed`.
    pub(super) backoff: Option<BackoffWord>,
    /// The bound of the first pause; default `1s`.
    pub(super) first: Option<Span>,
    /// The bound of every pause; default `1m`.
    pub(super) max: Option<Span>,
    /// Draw each pause between zero and its bound (default), or keep to the bound.
    pub(super) jitter: Option<bool>,
    /// Retry only failures with these codes; default: every soft failure.
    #[serde(default)]
    pub(super) on: Vec<String>,
    /// No attempt begins later than this after the first.
    pub(super) within: Option<Span>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum BackoffWord {
    Exponential,
    Linear,
    Fixed,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "\"always\", \"never\", or a table with `when`, `summary`, `why`, `evidence`, `expires`")]
pub(super) enum RawApprove {
    Word(String),
    Table(RawApproveTable),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApproveTable {
    /// `always` (default) or `never`.
    pub(super) when: Option<String>,
    /// One line for the list; may hold expressions.
    pub(super) summary: Option<String>,
    /// Why the workflow wants it; may hold expressions.
    pub(super) why: Option<String>,
    /// What it was derived from; a value with expressions.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) evidence: Option<toml::Value>,
    /// How long an unanswered gate stands.
    pub(super) expires: Option<Span>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    /// The operation that looks; it must only read.
    pub(super) call: String,
    /// What it is given; `request` is what the lost effect was given, `effect.key` its idempotency key.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(super) with: toml::Table,
    /// True when the effect did happen; `output` is what the probe gave.
    pub(super) found: String,
    /// What the step gives then; default: what the probe gave.
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) output: Option<toml::Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUndo {
    /// Ask this agent.
    pub(super) agent: Option<String>,
    /// Call this operation of a connector.
    pub(super) call: Option<String>,
    /// Run this program.
    pub(super) run: Option<Vec<String>>,
    /// What it is given; `output` is what the step gave.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub(super) with: toml::Table,
    /// The prompt file of the agent.
    pub(super) prompt: Option<String>,
    /// The template file of the agent.
    pub(super) template: Option<String>,
    /// What the program reads.
    pub(super) stdin: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConcurrency {
    /// Those with the same key count together; may be an expression. Default: all of this step, or of this workflow.
    pub(super) key: Option<String>,
    /// How many at once, at least 1.
    pub(super) max: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    /// Those with the same key count together; may be an expression. Default: all of this step.
    pub(super) key: Option<String>,
    /// How many may begin in `per`, at least 1.
    pub(super) max: u32,
    /// The length of time.
    pub(super) per: Span,
}

/// One `[[trigger]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrigger {
    /// Its name; default: what it goes by, with its position.
    pub(super) id: Option<String>,
    /// Minute, hour, day, month and day of the week, like `0 8 * * 1-5`.
    pub(super) cron: Option<String>,
    /// At this distance from each other.
    pub(super) every: Option<Span>,
    /// Once, at this moment.
    pub(super) at: Option<String>,
    /// When this event is emitted.
    pub(super) event: Option<String>,
    /// When a file appears below `files/`: a path with `*`.
    pub(super) file: Option<String>,
    /// When a run of this workflow is over.
    pub(super) run_finished: Option<String>,
    /// The input of the run; `due`, `event`, `file` or `run` is what the trigger saw.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(super) input: Option<toml::Table>,
    /// Only if this expression is true.
    pub(super) r#where: Option<String>,
    /// A text with expressions; a second start with the same text is left out.
    pub(super) dedupe_key: Option<String>,
    /// While an earlier run of this trigger is not over: `skip` (default), `queue`, `replace` or `allow`.
    pub(super) overlap: Option<OverlapWord>,
    /// Times that passed while no kernel was there: `skip`, `once` (default) or `all`.
    pub(super) misfire: Option<MisfireWord>,
    /// A time that passed longer ago is never made up for.
    pub(super) max_lateness: Option<Span>,
    /// Start up to this much later, by an amount that is fixed for each time.
    pub(super) jitter: Option<Span>,
    /// The IANA name of the zone of `cron` and `at`; default UTC.
    pub(super) timezone: Option<String>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverlapWord {
    Skip,
    Queue,
    Replace,
    Allow,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum MisfireWord {
    Skip,
    Once,
    All,
}
