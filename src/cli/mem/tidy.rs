//! `cairn mem tidy`: what leaves memory by its policies, shown before or done.

use cairn_memory::{
    Uses,
    tidy::{Leaving, Summary, TidyPlan},
};
use cairn_store_layout::{command::Verb, passage::Passage, text, time, view::KernelHealth};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::{
        context::{Context, Outcome},
        failure::{Failure, exit},
        host::State,
    },
    learning,
    store::{Store, inbox, knowledge, lock},
};

/// Forget and summarise by policies/memory.toml.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn mem tidy --dry-run\n  cairn mem tidy")]
pub struct Tidy {
    /// Show every passage that would leave, by which rule and why; change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Tidy {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let policy = knowledge::policy(store.root()).map_err(|problem| {
            Failure::failed("broken_policy", "the policies of memory can not be used as they stand")
                .why(problem.to_string())
                .fix("correct the file; nothing leaves memory meanwhile")
        })?;
        if policy.is_empty() {
            return Err(Failure::new("no_policy", exit::FAILED, "policies/memory.toml has no [[forget]] and no [[summarise]]")
                .fix("say what may leave memory, such as:  [[forget]]  name = \"old-mails\"  kind = \"mail\"  older_than = \"365d\""));
        }
        if self.dry_run {
            let plan =
                learning::tidy::plan(store.root(), &policy, &[], Timestamp::now()).map_err(|e| super::failed(&e))?;
            show(context, &plan);
            return Ok(exit::OK);
        }
        ask(context, &store)
    }
}

fn ask(context: &mut Context, store: &Store) -> Outcome {
    let machine = context.machine(store)?;
    let command = inbox::submit(store, &machine, Verb::MemoryTidy {}, &context.by())?;
    let state = match lock::probe(store.root())? {
        KernelHealth::Down => State::Saved,
        KernelHealth::Running { .. } => State::Sent,
    };
    let cairn = context.cairn();
    let screen = &mut context.screen;
    screen.document(&json!({"schema": "cairn.command/1", "command": command, "state": state.word()}));
    screen.say(match state {
        State::Saved => format!("the wish to tidy is {}", state.words()),
        _ => "given to the kernel".to_owned(),
    });
    screen.note(format!("what left: git log --grep '^memory:'; one passage: {cairn} mem show ID"));
    Ok(exit::OK)
}

fn show(context: &mut Context, plan: &TidyPlan) {
    let cairn = context.cairn();
    let now = Timestamp::now();
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.tidy/1",
        "forget": plan.forget.iter().map(leaving).collect::<Vec<_>>(),
        "summarise": plan.summarise.iter().map(summary).collect::<Vec<_>>(),
        "notes": plan.notes, "held": plan.held,
    }));
    if !plan.forget.is_empty() {
        let row = |l: &Leaving| {
            vec![
                short(&l.passage).to_owned(),
                days(now, l.passage.recorded_at),
                l.uses.map_or(0, |uses| uses.count).to_string(),
                l.rule.clone(),
                l.reason.clone(),
                text::brief(&l.passage.text.replace('\n', " "), 60),
            ]
        };
        let rows: Vec<Vec<String>> = plan.forget.iter().map(row).collect();
        screen.table(&["FORGET", "AGE", "USES", "RULE", "WHY", "WORDS"], &rows);
    }
    for made in &plan.summarise {
        screen.heading(&format!("{} would summarise {}", made.rule, made.reason));
        screen.quote(made.passage.text.trim());
    }
    for note in &plan.notes {
        screen.say(format!("note: {note}"));
    }
    if plan.held > 0 {
        screen.say(format!("{} would fit and stay: they carry keep = true", plan.held));
    }
    if plan.is_empty() {
        screen.say("nothing would leave");
        return;
    }
    screen.note(format!("nothing was changed; do it: {cairn} mem tidy"));
}

fn leaving(leaving: &Leaving) -> Value {
    json!({
        "id": leaving.passage.id, "recorded_at": time::write(leaving.passage.recorded_at), "rule": leaving.rule,
        "reason": leaving.reason, "uses": uses(leaving.uses), "text": leaving.passage.text,
    })
}

fn summary(summary: &Summary) -> Value {
    json!({
        "id": summary.passage.id, "rule": summary.rule, "reason": summary.reason,
        "supersedes": summary.passage.supersedes, "text": summary.passage.text,
    })
}

/// Uses as a document tells them.
pub(super) fn uses(uses: Option<Uses>) -> Value {
    uses.map_or(json!({"count": 0, "last": null}), |u| json!({"count": u.count, "last": time::write(u.last)}))
}

fn short(passage: &Passage) -> &str {
    &passage.id[..passage.id.len().min(8)]
}

fn days(now: Timestamp, then: Timestamp) -> String {
    format!("{}d", now.duration_since(then).as_hours() / 24)
}
