//! `cairn inbox`: what waits for a person, and the decisions on it.

pub mod answer;
pub mod approve;
pub mod decision;
pub mod deny;
pub mod edit;
pub mod ls;
pub mod show;

use cairn_store_layout::{
    time,
    view::{InboxItem, ItemState},
};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
    screen::Screen,
};

/// What waits for your decision.
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// List what waits
    Ls(ls::Ls),
    /// Show one request: the exact text, why, and what it was derived from
    Show(show::Show),
    /// Let exactly what was shown happen
    Approve(approve::Approve),
    /// Do not let it happen
    Deny(deny::Deny),
    /// Change the text in your editor; it still waits for approval then
    Edit(edit::Edit),
    /// Fill a form
    Answer(answer::Answer),
}

impl Inbox {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Self::Ls(verb) => verb.run(context),
            Self::Show(verb) => verb.run(context),
            Self::Approve(verb) => verb.run(context),
            Self::Deny(verb) => verb.run(context),
            Self::Edit(verb) => verb.run(context),
            Self::Answer(verb) => verb.run(context),
        }
    }
}

/// The columns of [`row`].
pub(super) const HEAD: [&str; 6] = ["ID", "CLASS", "WORKFLOW", "STEP", "EXPIRES", "SUMMARY"];

/// One request as a line of a table.
pub(super) fn row(item: &InboxItem, screen: &Screen) -> Vec<String> {
    let step = item.step.as_ref().map_or("-".to_owned(), ToString::to_string);
    let step = match &item.iteration {
        Some(iteration) => format!("{step} [{iteration}]"),
        None => step,
    };
    let expires = item.expires.map_or("-".to_owned(), |at| screen.time(at));
    let summary = match &item.state {
        ItemState::Waiting => item.summary.clone(),
        state => format!("{}: {}", state_words(state, screen), item.summary),
    };
    vec![item.id.short().to_owned(), item.kind.word().to_owned(), item.workflow.clone(), step, expires, summary]
}

/// One request as a document for a script.
pub(super) fn document(item: &InboxItem) -> Value {
    let mut value = json!(item);
    value["class"] = json!(item.kind.word());
    value["level"] = json!(item.level());
    value["opened"] = json!(time::write(item.opened));
    value["text"] = json!(item.text());
    value["expires"] = json!(item.expires.map(time::write));
    value
}

/// What became of a request, in a few words.
fn state_words(state: &ItemState, screen: &Screen) -> String {
    match state {
        ItemState::Waiting => "waits for you".to_owned(),
        ItemState::Approved { by, at } => format!("approved by {by} at {}", screen.time(*at)),
        ItemState::Denied { by, at, reason } => {
            let why = reason.as_deref().map_or(String::new(), |r| format!(" ({r})"));
            format!("denied by {by} at {}{why}", screen.time(*at))
        }
        ItemState::Answered { by, at } => format!("answered by {by} at {}", screen.time(*at)),
        ItemState::Expired { at } => format!("expired at {}", screen.time(*at)),
        ItemState::Withdrawn { at } => format!("no longer asked since {}", screen.time(*at)),
    }
}

/// Refuses what was decided already.
fn still_open(item: &InboxItem, screen: &Screen) -> Result<(), Failure> {
    if item.is_open() {
        return Ok(());
    }
    let message = format!("{} was decided already", item.id.short());
    Err(Failure::new("already_decided", exit::STALE, message)
        .why(state_words(&item.state, screen))
        .fix(format!("cairn inbox show {}", item.id.short())))
}
