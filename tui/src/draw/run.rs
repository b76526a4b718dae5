//! One run: tree, waterfall, events, artifacts.

use cairn_store_layout::view::{AttemptView, SlotState, SlotView, StepView, UndoState};
use jiff::Timestamp;
use ratatui::layout::Rect;

use super::pen::{Pen, Role};
use crate::{
    App,
    app::{OpenRun, RunRow, RunTab, has_rows, iterations, span},
    config::Charset,
};

pub(super) fn list(app: &App, area: Rect, pen: &mut Pen<'_>) {
    if area.is_empty() {
        return;
    }
    let Some(run) = &app.run else {
        let text = app.run_wanted.as_ref().map_or(String::new(), |r| format!("loading run {}", r.short()));
        pen.put(area.x + 2, area.y, area.width, &text, Role::Plain);
        return;
    };
    views(run, Rect { height: 1, ..area }, pen);
    let rest = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if rest.is_empty() {
        return;
    }
    if run.rows.visible().is_empty() {
        let text =
            if run.tab == RunTab::Artifacts { "This run kept no payloads and wrote no files." } else { "Nothing yet." };
        super::nothing(app, rest, text, pen);
    }
    super::rows(&run.rows, rest, pen, |row, line, here, pen| match row {
        RunRow::Parent => {
            if let Some(parent) = &run.detail.view.parent {
                let key = parent.iteration.as_deref().map_or(String::new(), |key| format!(" {key}"));
                let text = format!("^ started by run {}, step {}{key}", parent.run.short(), parent.step);
                pen.put_row(line.x + 1, line.y, line.width.saturating_sub(2), &text, Role::Plain, here);
            }
        }
        RunRow::Step(id) => {
            if let Some(step) = run.step(id) {
                step_row(app, run, step, line, here, pen);
            }
        }
        RunRow::Slot(id, key) => {
            if let Some(slot) = run.slot(id, Some(key)) {
                let open = fold(!slot.attempts.is_empty(), run.open.contains(row));
                let label = format!("  {open} {key}");
                let facts = slot_facts(app, slot);
                let shown = (slot.state, slot.undo.as_ref().map(|undo| undo.state));
                bar_row(app, run, line, here, &label, shown, &facts, (slot.started, slot.ended), pen);
            }
        }
        RunRow::Attempt(id, key, n) => {
            if let Some(attempt) = run.attempt(id, key.as_deref(), *n) {
                attempt_row(app, run, attempt, line, here, pen);
            }
        }
        RunRow::Event(n) => event_row(app, run, *n, line, here, pen),
        RunRow::Artifact(n) => {
            if let Some(p) = run.piece(*n) {
                let key = p.iteration.as_deref().map_or(String::new(), |i| format!(" {i}"));
                let text = format!("{}{key} attempt {}  {}  {}", p.step, p.attempt, p.name, p.path);
                pen.put_row(line.x + 2, line.y, line.width.saturating_sub(3), &text, Role::Plain, here);
            }
        }
    });
}

/// What run it is, in the heading of its pane.
pub(super) fn heading(app: &App, run: &OpenRun) -> String {
    let view = &run.detail.view;
    let (word, _) = super::runs::status(view.status());
    let cost = view.cost();
    let cost = if cost.0 == 0 { String::new() } else { format!("  ${}", cost.short()) };
    format!("{} {}  {word}  since {}{cost}", view.run.short(), view.workflow, app.config().day(view.started))
}

fn views(run: &OpenRun, area: Rect, pen: &mut Pen<'_>) {
    let mut x = pen.put(area.x + 1, area.y, area.width, "v:", Role::Plain) + 1;
    for tab in RunTab::ALL {
        let text = if tab == run.tab { format!("[{}]", tab.word()) } else { tab.word().to_owned() };
        x = pen.put_row(x, area.y, area.right().saturating_sub(x), &text, Role::Plain, tab == run.tab) + 1;
    }
}

fn fold(has: bool, open: bool) -> char {
    match (has, open) {
        (false, _) => ' ',
        (true, true) => 'v',
        (true, false) => '+',
    }
}

fn step_row(app: &App, run: &OpenRun, step: &StepView, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let at = run.detail.view.steps.iter().position(|s| s.id == step.id).unwrap_or(0) + 1;
    let open = fold(has_rows(step), run.open.contains(&RunRow::Step(step.id.clone())));
    let when = if step.finally { "finally " } else { "" };
    let label = format!("{open} {at} {when}{}", step.id);
    let facts = if step.expanded {
        iterations(step)
    } else {
        step.slots.first().map_or_else(|| step.note.clone().unwrap_or_default(), |s| slot_facts(app, s))
    };
    bar_row(app, run, line, here, &label, (step.state(), undoing(step)), &facts, (step.started(), step.ended()), pen);
}

/// How taking back stands for a step as a whole: what most wants attention.
fn undoing(step: &StepView) -> Option<UndoState> {
    let order = [UndoState::Waiting, UndoState::Running, UndoState::Retrying, UndoState::Failed, UndoState::Undone];
    let has = |state: &UndoState| step.slots.iter().any(|s| s.undo.as_ref().is_some_and(|u| u.state == *state));
    order.into_iter().find(has)
}

/// Cost and note of a plain step or iteration.
fn slot_facts(app: &App, slot: &SlotView) -> String {
    let mut out = Vec::new();
    if slot.state == SlotState::Waiting
        && let Some(at) = slot.started
    {
        out.push(app.config().clock(at));
    }
    if slot.cost().0 > 0 {
        out.push(format!("${}", slot.cost().short()));
    }
    if let Some(child) = slot.child() {
        out.push(format!("run {}", child.short()));
    }
    if slot.attempts.len() > 1 {
        out.push(format!("attempt {}", slot.attempts.len()));
    }
    out.extend(slot.note.clone());
    out.join("  ")
}

fn attempt_row(app: &App, run: &OpenRun, attempt: &AttemptView, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let state = match (&attempt.failure, attempt.ended) {
        (Some(_), _) => SlotState::Failed,
        (None, Some(_)) => SlotState::Done,
        (None, None) => SlotState::Running,
    };
    let facts = match &attempt.failure {
        Some((_, why)) => why.lines().next().unwrap_or_default().to_owned(),
        None => attempt.usage.model.clone().unwrap_or_default(),
    };
    let label = format!("    - attempt {}", attempt.number);
    bar_row(app, run, line, here, &label, (state, None), &facts, (Some(attempt.started), attempt.ended), pen);
}

#[expect(clippy::too_many_arguments, reason = "one row has this many columns, and it is drawn in one place")]
fn bar_row(
    app: &App,
    run: &OpenRun,
    line: Rect,
    here: bool,
    label: &str,
    (state, undo): (SlotState, Option<UndoState>),
    facts: &str,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    pen: &mut Pen<'_>,
) {
    let label_cells = (line.width / 3).clamp(12, 26);
    let mut x = line.x + 1;
    pen.put_row(x, line.y, label_cells, label, Role::Plain, here);
    x += label_cells + 1;
    let (word, role) = match (undo, state) {
        (Some(UndoState::Running), _) => ("undoing", Role::Plain),
        (Some(UndoState::Retrying), _) => (SlotState::Retrying.word(), Role::Warn),
        (Some(UndoState::Waiting), _) => (SlotState::Waiting.word(), Role::Warn),
        (Some(UndoState::Undone), _) => ("undone", Role::Plain),
        (Some(UndoState::Failed), _) => ("STAYS", Role::Bad),
        (None, SlotState::Waiting | SlotState::Retrying) => (state.word(), Role::Warn),
        (None, SlotState::Failed) => (state.word(), Role::Bad),
        (None, SlotState::Done) => (state.word(), Role::Good),
        (None, _) => (state.word(), Role::Plain),
    };
    pen.put_row(x, line.y, 7, word, role, here);
    x += 8;
    if let (Some(from), Some(to)) = (from, to) {
        pen.put_row(x, line.y, 6, &span(from, to), Role::Plain, here);
    }
    // the bar of what is not over reaches to the latest thing known of the run
    let until = to.or_else(|| latest(app, run));
    x += 7;
    let room = line.right().saturating_sub(x + 1);
    if run.tab == RunTab::Waterfall {
        if let (Some(from), Some(until)) = (from, until) {
            bar(app, run, Rect { x, width: room, ..line }, state, (from, until), pen);
        }
    } else {
        pen.put_row(x, line.y, room, facts, Role::Plain, here);
    }
}

fn latest(app: &App, run: &OpenRun) -> Option<Timestamp> {
    run.detail.view.ended.or(app.snapshot.as_ref().map(|s| s.as_of)).max(run.detail.events.last().map(|e| e.at))
}

/// When it was, as a bar between the start of the run and the latest thing known of it.
fn bar(app: &App, run: &OpenRun, area: Rect, state: SlotState, (from, to): (Timestamp, Timestamp), pen: &mut Pen<'_>) {
    let begin = run.detail.view.started;
    let Some(end) = latest(app, run) else { return };
    let cells = i128::from(area.width.saturating_sub(1));
    if cells <= 0 {
        return;
    }
    let whole = end.duration_since(begin).as_millis().max(1);
    let cell = |at: Timestamp| (at.duration_since(begin).as_millis().clamp(0, whole) * (cells - 1) / whole) as u16;
    let (first, last) = (cell(from), cell(to).max(cell(from)));
    let unicode = app.config().charset == Charset::Unicode;
    let mark = match state {
        SlotState::Waiting | SlotState::Queued | SlotState::Timer | SlotState::Retrying => "~",
        _ if unicode => "█",
        _ => "#",
    };
    pen.put(area.x, area.y, 1, if unicode { "│" } else { "|" }, Role::Plain);
    let text = mark.repeat(usize::from(last - first) + 1);
    pen.put(area.x + 1 + first, area.y, last - first + 1, &text, Role::Plain);
}

fn event_row(app: &App, run: &OpenRun, n: u64, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let Some(event) = run.event(n) else { return };
    let step = event.step.as_ref().map_or("", |s| s.as_str());
    let step = match &event.iteration {
        Some(key) => format!("{step} {key}"),
        None => step.to_owned(),
    };
    let mut x = line.x + 2;
    let mut column = |cells: u16, text: &str| {
        pen.put_row(x, line.y, cells.min(line.right().saturating_sub(x)), text, Role::Plain, here);
        x += cells + 1;
    };
    column(4, &n.to_string());
    column(8, &app.config().seconds(event.at));
    column((line.width / 5).clamp(10, 18), &step);
    let rest = line.width.saturating_sub(2 + 5 + 9 + (line.width / 5).clamp(10, 18) + 2);
    column(rest, &format!("{}: {}", event.kind, event.text));
}
