//! `cairn verify`: is everything as it was written?

use clap::Args;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{exit, plural},
};
use crate::store::verify;

/// Check that everything is as it was written; offline, changes nothing.
///
/// Reads the journal, every history, every decision against what was shown, the artifacts, the inbox
/// and the git repository. Works beside a running kernel.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 when there is a finding.")]
pub struct Verify {
    /// Decide every finished run again, too: would this build have done the same?
    #[arg(long)]
    replay: bool,
}

impl Verify {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let report = if self.replay { verify::verify_and_replay(&store) } else { verify::verify(&store) };
        let screen = &mut context.screen;
        let findings: Vec<Value> = report.findings.iter().map(|f| json!(f)).collect();
        screen.document(&json!({
            "schema": "cairn.verify/1", "ok": report.ok(), "findings": findings, "checked": report.checked,
        }));
        for finding in &report.findings {
            screen.say(format!("{}: {}  [{}]", finding.path, finding.message, finding.code));
        }
        let c = &report.checked;
        let checked = [
            plural(c.histories, "history").replace("historys", "histories"),
            plural(c.records, "record"),
            plural(c.decisions, "decision"),
            plural(c.artifacts, "artifact"),
            plural(c.journal_entries, "journal entry").replace("entrys", "entries"),
            plural(c.commands, "command"),
        ];
        let replayed = self.replay.then(|| format!("{} decided again", plural(c.replayed, "run")));
        let checked: Vec<String> = checked.into_iter().chain(replayed).collect();
        screen.say(if report.ok() {
            format!("all is as it was written: {}", checked.join(", "))
        } else {
            format!("{} in {}", plural(report.findings.len() as u64, "finding"), checked.join(", "))
        });
        if !report.ok() {
            screen.note("nothing was changed; git log -- PATH shows who wrote a file last");
        }
        Ok(if report.ok() { exit::OK } else { exit::FAILED })
    }
}
