//! `cairn inbox show`: the exact effect, and apart from it everything that speaks for it.

use cairn_store_layout::{
    definition::{Field, FieldType},
    view::{InboxItem, ItemKind},
};
use clap::Args;
use serde_json::Value;

use super::{Context, Outcome, document, state_words};
use crate::cli::{failure::exit, screen::Screen};

/// Show one request: the exact text, why, and what it was derived from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn inbox show a3f2\n  cairn inbox show a3f2 --json | jq -r .text")]
pub struct Show {
    /// The request: its id, or a unique beginning of at least 4 characters
    id: String,
}

impl Show {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let item = context.reader()?.resolve_request(&self.id)?;
        let mut value = document(&item);
        value["schema"] = "cairn.request/1".into();
        context.screen.document(&value);
        show(&mut context.screen, &item);
        let (cairn, id) = (context.cairn(), item.id.short().to_owned());
        if item.is_open() {
            context.screen.note(match item.kind {
                ItemKind::Gate(_) => {
                    let confirm = if item.level() >= 3 { format!(" --confirm {id}") } else { String::new() };
                    format!(
                        "\napprove  {cairn} inbox approve {id} --digest {}{confirm}\n\
                         deny     {cairn} inbox deny {id} -m WHY\nedit     {cairn} inbox edit {id}",
                        &item.digest.as_str()[..12]
                    )
                }
                ItemKind::Learn => {
                    let confirm = if item.level() >= 3 { format!(" --confirm {id}") } else { String::new() };
                    format!(
                        "\naccept   {cairn} inbox approve {id} --digest {}{confirm}\n\
                         reject   {cairn} inbox deny {id} -m WHY",
                        &item.digest.as_str()[..12]
                    )
                }
                ItemKind::Ask | ItemKind::Settle | ItemKind::Decide => {
                    format!("\nanswer   {cairn} inbox answer {id} {}", example(&item))
                }
            });
        }
        Ok(exit::OK)
    }
}

/// Shows a request as a person must see it before deciding.
pub(super) fn show(screen: &mut Screen, item: &InboxItem) {
    screen.heading(&format!("{} {}: {}", item.id.short(), item.kind.word(), item.summary));
    let iteration = item.iteration.as_deref().map_or(String::new(), |i| format!(" [{i}]"));
    let (position, of) = item.position;
    if let (Some(run), Some(step)) = (&item.run, &item.step) {
        let (workflow, run) = (&item.workflow, run.short());
        screen.say(format!("asked by  {workflow} run {run}, step {step}{iteration} ({position} of {of})"));
    }
    screen.say(format!("opened    {}", screen.time_full(item.opened)));
    if let Some(at) = item.expires {
        screen.say(format!("expires   {} (unanswered never means yes)", screen.time_full(at)));
    }
    screen.say(format!("state     {}", state_words(&item.state, screen)));
    if let Some(effect) = &item.effect {
        let class =
            serde_json::to_value(effect.class).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        screen.say(format!("does      {} (level {}, repeats: {class})", effect.request.name(), item.level()));
        screen.say(format!("digest    {}", item.digest));
        screen.say("");
        screen.heading("EXACTLY THIS");
        screen.quote(&item.text());
        if let Some(before) = &item.proposed {
            let before = before.request.input().map(cairn_store_layout::payload::to_text).unwrap_or_default();
            screen.say("");
            screen.heading("CHANGED SINCE IT WAS PROPOSED");
            screen.quote(&super::edit::diff(&before, &item.text()));
        }
    }
    if item.learns.is_some() {
        screen.say(format!("does      learns it (level {}); no run waits for it", item.level()));
        screen.say(format!("digest    {}", item.digest));
        screen.say("");
        screen.heading("EXACTLY THIS WOULD BE LEARNED");
        screen.quote(&item.text());
    }
    if let Some(ask) = &item.ask {
        if item.effect.is_none() {
            screen.say(format!("digest    {}", item.digest));
        }
        screen.say("");
        screen.heading("THE QUESTION");
        screen.quote(&ask.prompt);
        ask.form.iter().for_each(|field| screen.quote(&format!("- {}", describe(field))));
    }
    if let Some(why) = &item.why {
        screen.say("");
        screen.heading(if item.learns.is_some() { "WHY (who proposes it says)" } else { "WHY (the workflow's words)" });
        screen.quote(why);
    }
    if let Some(evidence) = &item.evidence {
        screen.say("");
        screen.heading("EVIDENCE (not sent; written by others, not checked)");
        screen.quote(&told(evidence));
    }
}

/// One field of a form with what it takes.
fn describe(field: &Field) -> String {
    let mut text = field.name.clone();
    if !field.choices.is_empty() {
        text.push_str(&format!(" (one of {})", field.choices.join(", ")));
    } else if field.kind != FieldType::Text {
        text.push_str(&format!(" ({})", field.kind.word()));
    }
    if let Some(default) = &field.default {
        text.push_str(&format!(", {default} if left out"));
    } else if field.optional {
        text.push_str(", may be left out");
    }
    if let Some(about) = &field.description {
        text.push_str(&format!(": {about}"));
    }
    text
}

fn example(item: &InboxItem) -> String {
    let fields = item.ask.as_ref().map(|a| a.form.as_slice()).unwrap_or_default();
    fields.iter().map(|f| format!("--set {}=...", f.name)).collect::<Vec<_>>().join(" ")
}

/// Evidence for a person: recalled passages as a list with why each matched, anything else as it is.
fn told(evidence: &Value) -> String {
    if let Some(hits) = hits(evidence) {
        if hits.is_empty() {
            return "nothing is remembered about it".to_owned();
        }
        return hits.iter().map(passage).collect::<Vec<_>>().join("\n");
    }
    match evidence {
        Value::String(text) => text.clone(),
        hit if is_hit(hit) => passage(hit),
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !is_nothing(value))
            .map(|(name, value)| match value {
                Value::Array(_) | Value::Object(_) => format!("{name}:\n{}", indented(&told(value))),
                Value::String(text) if text.contains('\n') => format!("{name}:\n{}", indented(text)),
                scalar => format!("{name}: {}", told(scalar)),
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Array(items) => {
            items.iter().map(|v| format!("- {}", told(v).replace('\n', "\n  "))).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// The list in the answer of `memory.recall`, or such a list by itself.
fn hits(evidence: &Value) -> Option<&Vec<Value>> {
    // beside other things they are one of several parts
    if evidence.as_object().is_some_and(|parts| parts.len() > 1) {
        return None;
    }
    let list = evidence.get("hits").unwrap_or(evidence).as_array()?;
    (evidence.get("hits").is_some() || (!list.is_empty() && list.iter().all(is_hit))).then_some(list)
}

fn is_hit(value: &Value) -> bool {
    value.get("text").is_some_and(Value::is_string) && value.get("why").is_some()
}

fn passage(hit: &Value) -> String {
    let text = |name: &str| match hit.get(name) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let facts = [text("kind"), text("entity"), text("recorded_at"), text("source")];
    let facts: Vec<String> = facts.into_iter().filter(|f| !f.is_empty()).collect();
    format!("- {}\n  from: {}\n  matched: {}", text("text").trim().replace('\n', "\n  "), facts.join(", "), text("why"))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn recalled_passages_are_told_with_why_they_matched() {
        let hit = json!({"text": "Pays late,\nbut pays.", "kind": "note", "entity": "client/brandt", "source": "jo", "why": "words \"late\" (rank 1)"});
        let shown = "- Pays late,\n  but pays.\n  from: note, client/brandt, jo\n  matched: words \"late\" (rank 1)";
        assert_eq!(told(&json!({"hits": [hit]})), shown);
        assert_eq!(told(&json!([hit])), shown);
        assert_eq!(told(&json!({"hits": []})), "nothing is remembered about it");
        assert_eq!(told(&json!({"row": {"days": 12}, "note": "x"})), "note: x\nrow:\n  days: 12");
    }
}
