//! What starts runs by itself: one `[[trigger]]` of a workflow.

use serde_json::Value;

use super::Position;
use crate::time::Span;

/// One `[[trigger]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its name, unique in the workflow; given, or made of its kind and position.
    pub id: String,
    /// What it goes by.
    pub source: TriggerSource,
    /// The input of the run: a value with expressions over `event`, `file` and `due`.
    pub input: Value,
    /// Start a run only if this expression is true.
    pub filter: Option<String>,
    /// A text with expressions; a second start with the same text is left out.
    pub dedupe_key: Option<String>,
    /// What happens while an earlier run of this trigger is not over.
    pub overlap: Overlap,
    /// For times: what happens to those that passed while nobody was there.
    pub misfire: Misfire,
    /// A time that passed longer ago than this is never made up for.
    pub max_lateness: Option<Span>,
    /// Start up to this much later, by a fixed amount for each time.
    pub jitter: Option<Span>,
    /// The time zone of `cron` and `at`, by its IANA name; absent: UTC.
    pub timezone: Option<String>,
    /// Where it stands in the file.
    pub at: Option<Position>,
}

/// What a trigger goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerSource {
    /// `cron = "0 8 * * 1-5"`.
    Cron(String),
    /// `every = "15m"`.
    Every(Span),
    /// `at = "2026-12-01T08:00:00"`: once.
    At(String),
    /// `event = "payment.received"`.
    Event(String),
    /// `file = "mails/*.eml"`: a file that appears under `files/`.
    File(String),
    /// `run_finished = "invoice-chase"`.
    RunFinished(String),
}

/// What happens while an earlier run of the same trigger is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The start is left out.
    #[default]
    Skip,
    /// It waits for the earlier one; at most one waits.
    Queue,
    /// The earlier one is canceled.
    Replace,
    /// Both run.
    Allow,
}

/// What happens to times that passed while no kernel was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// One start makes up for all of them.
    #[default]
    Once,
    /// Each is made up for, oldest first, at most 100.
    All,
}
