//! `cairn mem audit`: what in memory and knowledge deserves a look, and what to do about each.

use cairn_memory::audit::{Concern, Finding};
use cairn_store_layout::time::Span;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::{
        context::{Context, Outcome},
        failure::{Failure, exit, plural},
    },
    learning,
};

/// What in memory and knowledge deserves a look: stale, contradicting, dangling, doubled, unreadable, never used.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn mem audit\n  cairn mem audit --unused 90d --strict")]
pub struct Audit {
    /// Passages that no step was given for so long are stale
    #[arg(long, value_name = "TIME", default_value = "180d", value_parser = Span::parse)]
    unused: Span,
    /// Exit 1 when there is something to look at
    #[arg(long)]
    strict: bool,
}

impl Audit {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let findings = learning::tidy::audit(store.root(), Timestamp::now(), self.unused.0)
            .map_err(|why| Failure::failed("memory", why).fix("cairn verify says which files can not be read"))?;
        let screen = &mut context.screen;
        let items: Vec<Value> = findings.iter().map(|f| json!(f)).collect();
        screen.document(&json!({"schema": "cairn.audit/1", "ok": findings.is_empty(), "findings": items}));
        for concern in Concern::ALL {
            let of: Vec<&Finding> = findings.iter().filter(|f| f.concern == concern).collect();
            if of.is_empty() {
                continue;
            }
            screen.heading(&format!("{}: {}", concern.word(), of.len()));
            for finding in of {
                let place = if concern == Concern::Unreadable {
                    format!("{}: ", finding.about.join(", "))
                } else {
                    String::new()
                };
                screen.say(format!("  {place}{}", finding.message));
                screen.say(format!("    next: {}", finding.next));
            }
        }
        screen.say(match findings.len() {
            0 => "nothing deserves a look".to_owned(),
            n => format!("{} to look at; nothing was changed", plural(n as u64, "thing")),
        });
        Ok(if self.strict && !findings.is_empty() { exit::FAILED } else { exit::OK })
    }
}
