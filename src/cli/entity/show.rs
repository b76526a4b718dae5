//! `cairn entity show`.

use cairn_memory::{AsOf, Range, entities::ahead};
use cairn_store_layout::entity::AHEAD_MAX;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, Outcome, as_of, exit, failed, named, open, plain};
use crate::{cli::episode::timeline, learning::kinds};

/// Lines of the timeline that are shown.
const LAST: usize = 8;

/// Show one entity: its fields, the names that mean it, what is doubtful, and what happened last.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity show client/brandt\n  cairn entity show brandt --as-of 2026-11-01\n  cairn entity show client/brandt --json | jq .fields"
)]
pub struct Show {
    /// The entity: its id, or a beginning of it that no other has
    entity: String,
    /// As it was known then: a day, a moment or a commit
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
}

impl Show {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let reader = context.reader()?;
        let store = reader.store().clone();
        let memory = open(context, &store)?;
        let then = as_of(&store, self.as_of.as_deref())?;
        let entity = named(&memory, &self.entity, &then)?;
        let now = Timestamp::now();
        let limit = now.checked_add(AHEAD_MAX).unwrap_or(now);
        let mut doubts: Vec<String> = Vec::new();
        if then == AsOf::Now {
            let history = memory.entity_history(&entity.id, &then).map_err(failed)?;
            doubts.extend(history.iter().filter(|entry| entry.line.at > limit).map(|entry| ahead(entry, now)));
            // a fact already, by two machines or a merge: it is told and stands
            if let Err(fault) = kinds::check(store.root(), &entity) {
                let told = fault.message().replace(" would not fit ", " does not fit ");
                doubts.push(told.trim_end_matches("; nothing was changed").to_owned());
            }
        }
        let range = Range { since: None, until: if let AsOf::Time(at) = then { Some(at) } else { None } };
        let lines = match then {
            AsOf::Commit(_) => Vec::new(),
            _ => timeline::of(&memory, &reader, &entity.id, range)?,
        };
        let fields: Value = entity
            .fields
            .iter()
            .map(|(name, field)| {
                let since = cairn_store_layout::time::write(field.since);
                (name.clone(), json!({"value": field.value, "since": since, "change": field.change, "of": field.of}))
            })
            .collect();
        let last = &lines[lines.len().saturating_sub(LAST)..];
        let cairn = context.cairn();
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.entity/1", "id": entity.id, "kind": entity.id.kind(), "version": entity.version,
            "merged": entity.merged, "created": cairn_store_layout::time::write(entity.created),
            "updated": cairn_store_layout::time::write(entity.updated), "values": entity.values(), "fields": fields,
            "doubts": doubts, "timeline": last,
        }));
        screen.heading(&format!("{}, version {}", entity.id, entity.version));
        if !entity.merged.is_empty() {
            let names: Vec<&str> = entity.merged.iter().map(|id| id.as_str()).collect();
            screen.say(format!("also      {}", names.join(", ")));
        }
        let width = entity.fields.keys().map(String::len).max().unwrap_or(0).max(8);
        for (name, field) in &entity.fields {
            screen.say(format!("{name:width$}  {}", plain(&field.value)));
        }
        for doubt in &doubts {
            screen.say(format!("doubtful  {doubt}"));
        }
        if !last.is_empty() {
            screen.say("");
            timeline::print(screen, last);
        }
        screen.note(format!("where each value came from: {cairn} entity blame {}", entity.id));
        Ok(exit::OK)
    }
}
