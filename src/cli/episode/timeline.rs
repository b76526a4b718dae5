//! The one timeline of an entity: what memory knows, with the runs by name and the letters that they sent.

use std::collections::BTreeSet;

use cairn_memory::{AsOf, Happened, Memory, Range, identity::keys};
use cairn_store_layout::{
    EntityId, RunId,
    passage::Source,
    payload::Request,
    text::brief,
    view::{RunView, SlotState},
};
use serde_json::Value;

use super::{Failure, failed};
use crate::{cli::screen::Screen, store::reader::Reader};

/// As much of a text as a line shows.
const TEXT_CHARS: usize = 100;

/// What happened with an entity, oldest first.
///
/// # Errors
/// When memory can not be read. A run whose history can not be read is told without its workflow.
pub(in crate::cli) fn of(
    memory: &Memory,
    reader: &Reader,
    entity: &EntityId,
    range: Range,
) -> Result<Vec<Happened>, Failure> {
    // letters belong to runs, which may have begun outside of the range
    let mut lines = memory.timeline(entity, Range::default()).map_err(failed)?;
    let addresses = addresses(memory, entity)?;
    let mut letters = Vec::new();
    for line in lines.iter_mut().filter(|line| line.kind == "run") {
        let view = RunId::new(line.id.as_str()).ok().and_then(|run| reader.view(&run).ok().flatten());
        let Some(view) = view else { continue };
        let steps = line.text.split_once(" in ").map_or("", |(_, steps)| steps).to_owned();
        line.text = format!("{} ({}): {steps}", view.workflow, view.status().word());
        letters.extend(letters_of(&view, &addresses));
    }
    lines.extend(letters);
    lines.retain(|line| range.holds(line.at));
    lines.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
    Ok(lines)
}

/// Shows lines under their days, each with where it is found.
pub(in crate::cli) fn print(screen: &mut Screen, lines: &[Happened]) {
    let mut day = String::new();
    for line in lines {
        let at = screen.time(line.at);
        let (date, time) = at.split_once(' ').unwrap_or((at.as_str(), ""));
        if date != day {
            screen.heading(date);
            day = date.to_owned();
        }
        let text = brief(&line.text.split_whitespace().collect::<Vec<_>>().join(" "), TEXT_CHARS);
        let by = line.source.as_ref().map_or(String::new(), |source| format!(", {}", source.words()));
        let id = match line.kind.as_str() {
            "run" => &line.id[line.id.len().saturating_sub(6)..],
            // the file that keeps it
            "letter" => line.id.as_str(),
            _ => &line.id[..line.id.len().min(8)],
        };
        screen.say(format!("  {time}  {:8} {text}  [{id}{by}]", line.kind));
    }
}

/// The addresses under which an entity gets letters.
fn addresses(memory: &Memory, entity: &EntityId) -> Result<BTreeSet<String>, Failure> {
    let known = memory.entity(entity, &AsOf::Now).map_err(failed)?;
    let mut found = BTreeSet::new();
    for field in known.iter().flat_map(|entity| entity.fields.values()) {
        match &field.value {
            Value::String(text) => found.extend(keys::email(text)),
            Value::Array(list) => found.extend(list.iter().filter_map(Value::as_str).filter_map(keys::email)),
            _ => {}
        }
    }
    Ok(found)
}

/// The letters of a run that went to one of `addresses`.
fn letters_of(view: &RunView, addresses: &BTreeSet<String>) -> Vec<Happened> {
    let slots = view.steps.iter().flat_map(|step| step.slots.iter().map(move |slot| (step, slot)));
    let letter = |(step, slot): (&cairn_store_layout::view::StepView, &cairn_store_layout::view::SlotView)| {
        let Request::Call { operation, input, .. } = &slot.effect.as_ref()?.request else { return None };
        let sent = slot.state == SlotState::Done && operation == "send";
        let to = match input.get("to")? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let reached = to.iter().filter_map(|to| keys::email(to)).any(|to| addresses.contains(&to));
        let subject = input.get("subject").and_then(Value::as_str).unwrap_or("no subject");
        (sent && reached).then(|| Happened {
            at: slot.ended.unwrap_or_default(),
            kind: "letter".to_owned(),
            text: subject.to_owned(),
            id: slot.output.as_ref().and_then(|o| o.get("file")).and_then(Value::as_str).unwrap_or("-").to_owned(),
            source: Some(Source::Run {
                run: view.run.clone(),
                step: step.id.clone(),
                iteration: slot.iteration.clone(),
            }),
            refs: slot
                .output
                .as_ref()
                .and_then(|output| output.get("message_id"))
                .and_then(Value::as_str)
                .map(|id| ("message_id".to_owned(), id.to_owned()))
                .into_iter()
                .collect(),
        })
    };
    slots.filter_map(letter).collect()
}
