//! `cairn init`: make a store and say what to do next.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    context::{Context, Outcome},
    failure::{exit, plural},
};
use crate::store::init;

/// Make a store: a folder with a git repository that holds everything.
///
/// The folder must be new or empty. With --demo it begins with three complete workflows
/// (invoice-chase, client-onboarding, content-production) and their sample files; they run at once,
/// with local agents and without any key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn init shop --demo\n  cairn init .")]
pub struct Init {
    /// The folder; the one that -C names, or the one you are in, if left out
    dir: Option<PathBuf>,
    /// Begin with three complete workflows and sample files
    #[arg(long)]
    demo: bool,
}

impl Init {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let dir = self.dir.clone().or_else(|| context.common.dir.clone()).unwrap_or_else(|| PathBuf::from("."));
        let made = init::init(&dir, self.demo)?;
        let root = made.store.root().display().to_string();
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.init/1", "store": root, "id": made.store.id(), "machine": made.machine,
            "workflows": made.workflows,
        }));
        screen.say(format!("made a store in {root} (machine {})", made.machine));
        if let Some(first) = made.workflows.iter().find(|w| *w == "invoice-chase").or(made.workflows.first()) {
            let count = plural(made.workflows.len() as u64, "workflow");
            screen.say(format!("{count}: {}", made.workflows.join(", ")));
            screen.note(format!(
                "\nnext:\n  cairn -C {root} run start {first} --wait\n  cairn -C {root} inbox ls\n  cairn -C {root}"
            ));
        } else {
            screen.note(format!(
                "\nnext:\n  write {root}/workflows/NAME/workflow.toml\n  cairn -C {root} workflow check\n  \
                 cairn -C {root} run start NAME --wait\nor look at complete examples: cairn init DIR --demo"
            ));
        }
        Ok(exit::OK)
    }
}
