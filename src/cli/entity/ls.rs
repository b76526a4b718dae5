//! `cairn entity ls`.

use cairn_memory::{AsOf, Find};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure, Outcome, exit, failed, open, plain, plural};

/// The fields that say most, for the last column.
const TOLD: [&str; 5] = ["name", "client", "number", "status", "email"];

/// List entities, by name.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity ls client\n  cairn entity ls invoice --where status=open\n  cairn entity ls --text brandt"
)]
pub struct Ls {
    /// Only of this kind
    kind: Option<String>,
    /// Only those whose field has this value, as often as there are fields
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Only those that hold these words anywhere
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Ls {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let mut find = Find { kind: self.kind.clone(), text: self.text.clone(), ..Find::default() };
        for field in &self.fields {
            let (name, value) =
                field.split_once('=').ok_or_else(|| Failure::usage(format!("`{field}` is not FIELD=VALUE")))?;
            find.fields.insert(name.to_owned(), super::set::typed(value));
        }
        let mut found = memory.entities(&find, &AsOf::Now).map_err(failed)?;
        let hidden = found.len().saturating_sub(self.limit.unwrap_or(usize::MAX));
        found.truncate(self.limit.unwrap_or(usize::MAX));
        let cairn = context.cairn();
        let screen = &mut context.screen;
        let item = |entity: &cairn_store_layout::entity::Entity| {
            json!({
                "id": entity.id, "kind": entity.id.kind(), "version": entity.version, "fields": entity.values(),
                "merged": entity.merged, "updated": cairn_store_layout::time::write(entity.updated),
            })
        };
        screen.list("cairn.entities/1", &found.iter().map(item).collect::<Vec<Value>>(), None);
        if found.is_empty() {
            screen.say("no entities");
            screen.note(format!("Steps make them with entity.set; begin one yourself: {cairn} entity set client/brandt name='Brandt GmbH'"));
            return Ok(exit::OK);
        }
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|entity| {
                let told = TOLD.iter().filter_map(|name| entity.fields.get(*name)).map(|field| plain(&field.value));
                let told = told.collect::<Vec<_>>().join(", ");
                vec![entity.id.to_string(), entity.version.to_string(), screen.time(entity.updated), told]
            })
            .collect();
        screen.table(&["ID", "VERSION", "UPDATED", "WHAT"], &rows);
        if hidden > 0 {
            screen.note(format!("and {}", plural(hidden as u64, "more entity")));
        }
        screen.note(format!("look at one: {cairn} entity show {}", found[0].id));
        Ok(exit::OK)
    }
}
