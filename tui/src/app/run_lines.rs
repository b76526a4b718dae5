//! The reading pane of a run: what a step was given, gave back, cost and failed with.

use cairn_store_layout::{
    event::Parent,
    money::Usd,
    payload::{EffectClass, to_text},
    view::{AttemptView, RunItem, SlotState, SlotView, StepView, UndoState},
};
use jiff::Timestamp;
use serde_json::Value;

use super::run::Piece;
use crate::{
    Config, EventLine,
    detail::{Pane, Tone, short},
};

/// Lines of an input or output that the pane shows; the rest is in the history.
const VALUE_LINES_MAX: usize = 200;

/// One step as a whole.
pub(crate) fn step(pane: &mut Pane<'_>, step: &StepView, config: &Config) {
    // once it is known exactly, its slot says what it does
    if step.expanded || step.slots.iter().all(|s| s.effect.is_none()) {
        let what = step.what.as_deref().map_or(String::new(), |w| format!(" {w}"));
        pane.part("DOES", &format!("{}{what}", step.does), Tone::Plain);
    }
    if !step.needs.is_empty() {
        let needs: Vec<&str> = step.needs.iter().map(cairn_store_layout::StepId::as_str).collect();
        pane.part("NEEDS", &needs.join(", "), Tone::Plain);
    }
    if step.finally {
        pane.part("WHEN", "finally: after all other steps, however they ended", Tone::Plain);
    }
    if let Some(note) = &step.note {
        pane.part("NOTE", note, Tone::Warn);
    }
    if step.expanded {
        pane.part("STATE", &format!("{}, {}", step.state().word(), iterations(step)), Tone::Plain);
        pane.part("COST", &dollars(step.cost()), Tone::Plain);
        return;
    }
    match step.slots.first() {
        Some(only) => slot(pane, only, config),
        None => pane.part("STATE", step.state().word(), Tone::Plain),
    }
}

/// How many iterations are over, of how many, and what the others do: `3 of 10 over, 7 WAIT`.
pub(crate) fn iterations(step: &StepView) -> String {
    let count = |wanted: SlotState| step.slots.iter().filter(|s| s.state == wanted).count();
    let over = step.slots.iter().filter(|s| s.state.is_over()).count();
    let mut out = format!("{over} of {} over", step.slots.len());
    for state in [
        SlotState::Failed,
        SlotState::Waiting,
        SlotState::Running,
        SlotState::Retrying,
        SlotState::Queued,
        SlotState::Timer,
        SlotState::Denied,
        SlotState::Skipped,
    ] {
        match count(state) {
            0 => {}
            n => out.push_str(&format!(", {n} {}", state.word())),
        }
    }
    out
}

/// A plain step or one iteration.
pub(crate) fn slot(pane: &mut Pane<'_>, slot: &SlotView, config: &Config) {
    let mut state = slot.state.word().to_owned();
    if let Some(started) = slot.started {
        state.push_str(&format!(", from {}", config.seconds(started)));
        if let Some(ended) = slot.ended {
            state.push_str(&format!(" to {} ({})", config.seconds(ended), span(started, ended)));
        }
    }
    pane.part("STATE", &state, Tone::Plain);
    if let Some(note) = &slot.note {
        pane.part("NOTE", note, Tone::Warn);
    }
    if let Some(undo) = &slot.undo {
        let what = undo.effect.as_ref().map_or(String::new(), |effect| format!(" by {}", effect.request.name()));
        let attempts = if undo.attempts > 1 { format!(", attempt {}", undo.attempts) } else { String::new() };
        let text = format!("{}{what}{attempts}, {}", undo_words(undo.state), config.seconds(undo.at));
        pane.part("UNDO", &text, Tone::Plain);
    }
    if let Some(child) = slot.child() {
        pane.part("CHILD", &format!("run {} (Enter goes to it)", child.short()), Tone::Plain);
    }
    if let Some(gate) = &slot.gate {
        pane.part("GATE", &format!("{} (i goes to it while it is open)", gate.short()), Tone::Plain);
    }
    if let Some(item) = &slot.item {
        pane.part("ITEM", &short(item), Tone::Quote);
    }
    if let Some(effect) = &slot.effect {
        let class = match effect.class {
            EffectClass::None => "computes",
            EffectClass::Read => "reads",
            EffectClass::Idempotent => "changes, repeatable",
            EffectClass::Once => "changes, once",
        };
        pane.part("DOES", &format!("{} ({class})", effect.request.name()), Tone::Plain);
        if let Some(input) = effect.request.input() {
            value(pane, "IN", input);
        }
    }
    if let Some(output) = &slot.output {
        value(pane, "OUT", output);
    }
    for a in &slot.attempts {
        attempt(pane, a, config);
    }
}

fn undo_words(state: UndoState) -> &'static str {
    match state {
        UndoState::Running => "is being taken back",
        UndoState::Retrying => "is taken back once more later",
        UndoState::Waiting => "nobody knows whether it was taken back; you are asked",
        UndoState::Undone => "taken back",
        UndoState::Failed => "not taken back, for good",
    }
}

/// The run whose step started this one.
pub(crate) fn parent(pane: &mut Pane<'_>, parent: &Parent) {
    let iteration = parent.iteration.as_deref().map_or(String::new(), |key| format!(" {key}"));
    pane.part("RUN", parent.run.as_str(), Tone::Plain);
    pane.part("STEP", &format!("{}{iteration}, attempt {}", parent.step, parent.attempt), Tone::Plain);
    pane.part("", "that step waits for the end of this run; Enter goes to it", Tone::Plain);
}

/// One attempt.
pub(crate) fn attempt(pane: &mut Pane<'_>, a: &AttemptView, config: &Config) {
    let mut text = format!("{} started {}", a.number, config.seconds(a.started));
    if let Some(ended) = a.ended {
        text.push_str(&format!(", {} later", span(a.started, ended)));
    }
    match &a.failure {
        Some((class, why)) => {
            let class = format!("{class:?}").to_lowercase();
            pane.part("TRY", &format!("{text}: failed ({class}) {why}"), Tone::Warn);
        }
        None => pane.part(
            "TRY",
            &format!("{text}{}", if a.ended.is_some() { ": done" } else { ": in flight" }),
            Tone::Plain,
        ),
    }
    if let Some(at) = a.retry_at {
        pane.part("", &format!("next attempt at {}", config.seconds(at)), Tone::Plain);
    }
    let u = &a.usage;
    if u.cost_usd.is_some() || u.model.is_some() || u.tokens_in.is_some() {
        let mut used = vec![u.model.clone().unwrap_or_else(|| "local".to_owned())];
        used.extend(u.tokens_in.map(|n| format!("{n} tokens in")));
        used.extend(u.tokens_out.map(|n| format!("{n} out")));
        used.extend(u.cost_usd.as_ref().map(|c| format!("${c}")));
        pane.part("USED", &used.join(", "), Tone::Plain);
    }
    for f in &a.files {
        pane.part("WROTE", &f.path, Tone::Plain);
    }
    for p in &a.artifacts {
        pane.part("KEPT", &format!("{} ({} bytes, {})", p.name, p.bytes, p.digest.short()), Tone::Plain);
    }
}

/// One event.
pub(crate) fn event(pane: &mut Pane<'_>, event: &EventLine, config: &Config) {
    pane.part("EVENT", &format!("{} {}", event.n, event.kind), Tone::Plain);
    pane.part("AT", &config.day(event.at), Tone::Plain);
    if let Some(step) = &event.step {
        let iteration = event.iteration.as_deref().map_or(String::new(), |i| format!(", {i}"));
        pane.part("STEP", &format!("{step}{iteration}"), Tone::Plain);
    }
    pane.part("WHAT", &event.text, Tone::Plain);
}

/// One payload or file.
pub(crate) fn piece(pane: &mut Pane<'_>, piece: &Piece) {
    let iteration = piece.iteration.as_deref().map_or(String::new(), |i| format!(", {i}"));
    pane.part("WHAT", &piece.name, Tone::Plain);
    pane.part("FROM", &format!("{}{iteration}, attempt {}", piece.step, piece.attempt), Tone::Plain);
    pane.part("PATH", &piece.path, Tone::Plain);
    if let Some(bytes) = piece.bytes {
        pane.part("SIZE", &format!("{bytes} bytes"), Tone::Plain);
    }
}

/// A run of the list.
pub(crate) fn run(pane: &mut Pane<'_>, item: &RunItem, requests: &[String], config: &Config) {
    pane.part("STATE", item.status.word(), Tone::Plain);
    if !item.note.is_empty() {
        pane.part("NOTE", &item.note, Tone::Plain);
    }
    let mut when = config.day(item.started);
    if let Some(ended) = item.ended {
        when.push_str(&format!(" to {} ({})", config.day(ended), span(item.started, ended)));
    }
    pane.part("WHEN", &when, Tone::Plain);
    pane.part("STEPS", &format!("{} of {} over", item.steps_done, item.steps), Tone::Plain);
    pane.part("COST", &format!("${}", item.cost_usd), Tone::Plain);
    for request in requests {
        pane.part("WAITS", request, Tone::Plain);
    }
    match &item.commit {
        Some(commit) => pane.part("GIT", &format!("git show {}", commit.get(..12).unwrap_or(commit)), Tone::Plain),
        None => pane.part("GIT", "none yet; a run is committed when it comes to rest", Tone::Plain),
    }
    pane.part("ID", item.run.as_str(), Tone::Plain);
    pane.part("", "Enter shows its steps", Tone::Plain);
}

/// A length of time in at most six cells: `7ms`, `0.2s`, `41s`, `22m04`, `3h05`, `4d11h`.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    let ms = to.duration_since(from).as_millis().max(0);
    let s = ms / 1000;
    match s {
        0 if ms < 100 => format!("{ms}ms"),
        0..10 => format!("{}.{}s", s, ms % 1000 / 100),
        10..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}", s / 60, s % 60),
        3600..86400 => format!("{}h{:02}", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86400, s % 86400 / 3600),
    }
}

/// Dollars for a column; empty when nothing was spent.
pub(crate) fn dollars(cost: Usd) -> String {
    if cost == Usd::default() { "nothing".to_owned() } else { format!("${}", cost.short()) }
}

fn value(pane: &mut Pane<'_>, label: &'static str, value: &Value) {
    let text = match value {
        Value::String(s) => s.clone(),
        other => to_text(other),
    };
    let lines = text.lines().count();
    let head: Vec<&str> = text.lines().take(VALUE_LINES_MAX).collect();
    pane.part(label, &head.join("\n"), Tone::Quote);
    if lines > VALUE_LINES_MAX {
        pane.part("", &format!("{} more lines: cairn run history", lines - VALUE_LINES_MAX), Tone::Warn);
    }
}
