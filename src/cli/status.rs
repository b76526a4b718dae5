//! `cairn status`: what runs and what waits, on one screen.

use cairn_store_layout::view::{KernelHealth, RunItem, RunStatus};
use clap::Args;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{exit, plural},
    trigger, workflow,
};

/// What runs and what waits for you.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn status\n  cairn status --check || echo 'something waits for you'")]
pub struct Status {
    /// Exit with 10 when something waits for a person
    #[arg(long)]
    check: bool,
}

impl Status {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let waiting = show(context)?;
        Ok(if self.check && waiting > 0 { exit::WAITS } else { exit::OK })
    }
}

/// Shows the state of the store; answers how many requests wait.
pub(super) fn show(context: &mut Context) -> Result<usize, super::Failure> {
    let reader = context.reader()?;
    let store = reader.store().clone();
    let health = reader.health()?;
    let runs: Vec<RunItem> = reader.runs().collect();
    let inbox = reader.inbox(0);
    let problems = workflow::problems(&store)?;
    let memory = reader.memory_use()?;
    let triggers = trigger::known(&store);
    let next = triggers.iter().filter_map(|t| Some((t.next?, t))).min_by_key(|(next, _)| *next);
    let count = |status| runs.iter().filter(|r| r.status == status).count();
    let (running, waiting) = (count(RunStatus::Running), count(RunStatus::Waiting));
    let (good, bad, gone) = (count(RunStatus::Succeeded), count(RunStatus::Failed), count(RunStatus::Canceled));
    let (kernel, pid) = match health.kernel {
        KernelHealth::Running { pid } => ("running", pid),
        KernelHealth::Down => ("down", None),
    };

    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.status/1", "store": store.root(), "id": store.id(), "machine": reader.machine(),
        "kernel": kernel, "pid": pid, "paused": health.paused, "inbox": inbox.len(), "commands_waiting": health.commands_waiting,
        "runs": {"running": running, "waiting": waiting, "succeeded": good, "failed": bad, "canceled": gone},
        "passages": memory.passages, "unreadable": health.unreadable,
        "problems": problems.iter().map(|p| json!(p)).collect::<Vec<Value>>(),
        "triggers": {"next": next.map(|(_, t)| trigger::document(t, None)), "off": trigger::off(&triggers)},
    }));
    screen.say(format!("store    {} ({})", store.name(), store.root().display()));
    screen.say(match (kernel, pid) {
        ("down", _) if health.commands_waiting > 0 => {
            let commands = plural(health.commands_waiting, "command");
            format!("kernel   down, {commands} saved for it; start it: {cairn} kernel start")
        }
        ("down", _) => format!("kernel   down; start it: {cairn} kernel start"),
        (_, Some(pid)) => format!("kernel   running (process {pid})"),
        (_, None) => "kernel   running".to_owned(),
    });
    if let Some(why) = &health.paused {
        screen.say(format!("paused   {why}; nothing new is begun, and it goes on by itself"));
    }
    screen.say(match inbox.len() {
        0 => "inbox    empty: nothing waits for you".to_owned(),
        n => format!(
            "inbox    {} for you: {cairn} inbox ls",
            if n == 1 { "1 waits".to_owned() } else { format!("{n} wait") }
        ),
    });
    screen.say(if runs.is_empty() {
        format!("runs     none yet; start one: {cairn} run start NAME --wait (names: {cairn} workflow ls)")
    } else {
        format!("runs     {running} running, {waiting} waiting, {good} succeeded, {bad} failed, {gone} canceled")
    });
    if let Some((at, first)) = next {
        screen.say(format!("next     {} by {}, {}", first.workflow, first.goes_by, screen.time(at)));
    }
    for workflow in trigger::off(&triggers) {
        screen.say(format!("off      triggers of {workflow}, until you trust them: {cairn} workflow trust {workflow}"));
    }
    screen.say(format!("memory   {}", plural(memory.passages, "passage")));
    for why in &health.unreadable {
        screen.say(format!("damaged  {why}; see: {cairn} verify"));
    }
    for problem in &problems {
        screen.say(format!("problem  {problem}"));
    }
    if !inbox.is_empty() {
        screen.say("");
        let rows: Vec<Vec<String>> = inbox.iter().take(5).map(|i| super::inbox::row(i, screen)).collect();
        screen.table(&super::inbox::HEAD, &rows);
    }
    Ok(inbox.len())
}
