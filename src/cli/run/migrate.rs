//! `cairn run migrate`.

use cairn_store_layout::command::Verb;
use clap::Args;
use serde_json::json;

use super::{Context, Outcome, again, compared, viewed};
use crate::{
    cli::{
        failure::{Failure, exit},
        host::Wait,
    },
    store::past::{self, Loader},
};

/// Move a run that has not ended to another version of its definition.
///
/// Shows first what would be kept, redone, new and gone. What is done stays done and is taken over; requests
/// that wait for you are withdrawn and asked anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn run migrate 7k2m9q --dry-run           what would change; changes nothing
  cairn run migrate 7k2m9q --yes               to the latest version
  cairn run migrate 7k2m9q --to TREE --yes     to the version with this git tree id

Refused while an attempt is under way or its outcome is unknown.")]
pub struct Migrate {
    /// The run: its id, or a unique end of at least 4 characters
    run: String,
    /// The version: `latest`, or a git tree id
    #[arg(long, value_name = "VERSION", default_value = "latest")]
    to: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Migrate {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let view = viewed(&reader, &self.run)?;
        again::refuse_over(&view, "migrate")?;
        let mut loader = Loader::new(reader.store().root())?;
        let target = compared::Target::find(&reader, &mut loader, &view.workflow, &self.to)?;
        let events = past::events(reader.store().root(), &view.run)?.unwrap_or_default();
        let comparison = compared::with(&events, &target, &mut loader)?;
        let pins = past::pins_now(&events).map_err(|error| again::bad_past(&view.run, &error))?;
        let screen = &mut context.screen;
        if !screen.is_json() || self.dry_run {
            let title = format!("run {} of {}, to {}", view.run.short(), view.workflow, target.name);
            screen.heading(&title);
            compared::show(screen, &comparison, None);
        }
        if self.dry_run {
            let mut document = compared::document(&comparison, &target);
            document["schema"] = json!("cairn.comparison/1");
            document["run"] = json!(view.run);
            document["workflow"] = json!(view.workflow);
            document["definition"] = json!(view.definition);
            document["same_definition"] = json!(target.is(&pins));
            screen.document(&document);
            screen.say("a dry run: nothing was changed");
            return Ok(exit::OK);
        }
        if !context.common.yes {
            return Err(Failure::usage(format!("moving run {} needs your word", view.run.short()))
                .why("what is redone may be sent again once you approve it")
                .fix(format!(
                    "look at the table, then cairn run migrate {} --to {} --yes",
                    view.run.short(),
                    self.to
                )));
        }
        let to = (self.to != "latest").then(|| self.to.clone());
        let verb = Verb::RunMigrate { run: view.run.clone(), to };
        again::ask(context, &mut reader, &view, verb, &self.wait)
    }
}
