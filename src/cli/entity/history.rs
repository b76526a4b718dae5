//! `cairn entity history`.

use cairn_store_layout::entity::{Change, check};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Outcome, as_of, exit, failed, head, named, open, plain, who};

/// Show every change of an entity, oldest first: when, by whom, what, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity history client/brandt\n  cairn entity history brandt --as-of 1c0ffee"
)]
pub struct History {
    /// The entity: its id, or a beginning of it that no other has
    entity: String,
    /// As it was known then: a day, a moment or a commit
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
}

impl History {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let then = as_of(&store, self.as_of.as_deref())?;
        let entity = named(&memory, &self.entity, &then)?;
        let changes = memory.entity_history(&entity.id, &then).map_err(failed)?;
        let screen = &mut context.screen;
        let item = |entry: &cairn_store_layout::entity::Entry| {
            let mut value = json!(entry.line);
            value["machine"] = json!(entry.machine);
            value
        };
        screen.list("cairn.changes/1", &changes.iter().map(item).collect::<Vec<Value>>(), None);
        let rows: Vec<Vec<String>> = changes
            .iter()
            .map(|entry| {
                let mut what = values(entry.line.change.as_ref());
                if entry.line.entity != entity.id {
                    what = format!("{}: {what}", entry.line.entity);
                }
                if let Some(reason) = &entry.line.reason {
                    what = format!("{what} ({reason})");
                }
                vec![head(&entry.line.id).to_owned(), screen.time(entry.line.at), who(entry), what]
            })
            .collect();
        screen.table(&["CHANGE", "AT", "BY", "WHAT"], &rows);
        Ok(exit::OK)
    }
}

/// What a change did, with its values.
fn values(change: Option<&Change>) -> String {
    let Some(Change::Fields { set, add, remove }) = change else { return check::words(change) };
    let mut said: Vec<String> = Vec::new();
    for (name, value) in set {
        said.push(if value.is_null() { format!("{name} cleared") } else { format!("{name} = {}", plain(value)) });
    }
    for (sign, lists) in [("+", add), ("-", remove)] {
        for (name, values) in lists {
            let values: Vec<String> = values.iter().map(plain).collect();
            said.push(format!("{name} {sign} {}", values.join(", ")));
        }
    }
    said.join("; ")
}
