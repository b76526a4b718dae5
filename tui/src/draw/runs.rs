//! The list of runs.

use cairn_store_layout::view::{RunItem, RunStatus};
use ratatui::layout::Rect;

use super::pen::{Pen, Role};
use crate::{App, app::span};

pub(super) fn list(app: &App, area: Rect, pen: &mut Pen<'_>) {
    if area.is_empty() {
        return;
    }
    if app.runs.visible().is_empty() {
        let name = app.snapshot.as_ref().and_then(|s| s.workflows.first()).map_or("WORKFLOW", String::as_str);
        let text = format!("No runs yet. Start one from a shell: cairn run start {name}");
        super::nothing(app, area, &text, pen);
    }
    super::rows(&app.runs, area, pen, |run, line, here, pen| {
        if let Some(item) = app.run_items.get(run) {
            row(app, item, line, here, pen);
        }
    });
}

/// `> k3f9ab WAITING   invoice-chase   4/6 13:58 41s     $0.04 approve a3f2`
fn row(app: &App, item: &RunItem, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let (word, role) = status(item.status);
    let workflow = line.width.saturating_sub(56).clamp(8, 18);
    let mut x = line.x + 2;
    let mut column = |cells: u16, text: &str, role: Role| {
        let room = cells.min(line.right().saturating_sub(x));
        pen.put_row(x, line.y, room, text, role, here);
        x = x.saturating_add(cells + 1);
    };
    column(6, item.run.short(), Role::Plain);
    column(9, word, role);
    column(workflow, &item.workflow, Role::Plain);
    column(5, &format!("{}/{}", item.steps_done, item.steps), Role::Plain);
    column(5, &app.config().clock(item.started), Role::Plain);
    // what goes on has no length yet: a figure that stands still would be wrong a minute later
    column(6, &item.ended.map_or(String::new(), |ended| span(item.started, ended)), Role::Plain);
    let cost =
        cairn_store_layout::money::Usd::parse(&item.cost_usd).map_or(String::new(), |c| format!("${}", c.short()));
    column(6, &cost, Role::Plain);
    column(line.width, &item.note, Role::Plain);
}

/// The word of a state; capitals for what wants attention.
pub(super) fn status(status: RunStatus) -> (&'static str, Role) {
    match status {
        RunStatus::Running => ("running", Role::Plain),
        RunStatus::Waiting => ("WAITING", Role::Warn),
        RunStatus::Succeeded => ("succeeded", Role::Good),
        RunStatus::Failed => ("FAILED", Role::Bad),
        RunStatus::Canceled => ("canceled", Role::Plain),
    }
}
