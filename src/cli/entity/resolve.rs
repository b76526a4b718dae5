//! `cairn entity resolve`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Context, Failure, Outcome, exit, failed, open};

/// Say which entities are meant by some fields, the likeliest first, and why. Keys that name one party (tax id, e-mail,
/// phone) make sure; names and domains only hint.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity resolve email=AP+7@brandt.example\n  cairn entity resolve --kind client name='Brandt GmbH' website=brandt.example"
)]
pub struct Resolve {
    /// What is known: name, email, phone, website, vat_id ...
    #[arg(value_name = "FIELD=VALUE", required = true)]
    fields: Vec<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

impl Resolve {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        let memory = open(context, &store)?;
        let mut fields = Map::new();
        for field in &self.fields {
            let (name, value) =
                field.split_once('=').ok_or_else(|| Failure::usage(format!("`{field}` is not FIELD=VALUE")))?;
            fields.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        let mut found = memory.resolve(self.kind.as_deref(), &Value::Object(fields)).map_err(failed)?;
        found.truncate(self.limit);
        let screen = &mut context.screen;
        let items: Vec<Value> = found
            .iter()
            .map(|candidate| {
                let mut value = json!(candidate);
                value["sure"] = json!(candidate.is_sure());
                value
            })
            .collect();
        screen.list("cairn.candidates/1", &items, None);
        if found.is_empty() {
            screen.say("nobody that shares any of it");
            screen.note("Only name, e-mail, phone, tax id, website and aliases tell one party from another.");
            return Ok(exit::OK);
        }
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|c| {
                let sure = if c.is_sure() { "sure" } else { "maybe" };
                let score = format!("{:.2}", c.likeness.score);
                vec![c.entity.to_string(), sure.to_owned(), score, c.likeness.reasons.join(", ")]
            })
            .collect();
        screen.table(&["ENTITY", "IS IT", "SCORE", "WHY"], &rows);
        Ok(exit::OK)
    }
}
