//! The list of workflows with what starts them.

use ratatui::layout::Rect;

use super::pen::{Pen, Role};
use crate::{
    App,
    app::{WorkflowRow, trust},
};

pub(super) fn list(app: &App, area: Rect, pen: &mut Pen<'_>) {
    if area.is_empty() {
        return;
    }
    if app.workflows.visible().is_empty() {
        super::nothing(app, area, "No workflows. Write workflows/NAME/workflow.toml; cairn workflow check", pen);
    }
    super::rows(&app.workflows, area, pen, |workflow, line, here, pen| row(app, workflow, line, here, pen));
}

/// `> invoice-chase     weekdays   on  2026-11-23 08:00 cron 0 8 * * 1-5`
fn row(app: &App, row: &WorkflowRow, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let trigger = app.trigger(row);
    let name = line.width.saturating_sub(50).clamp(10, 20);
    let mut x = line.x + 2;
    let mut column = |cells: u16, text: &str, role: Role| {
        let room = cells.min(line.right().saturating_sub(x));
        pen.put_row(x, line.y, room, text, role, here);
        x = x.saturating_add(cells + 1);
    };
    column(name, &row.workflow, Role::Plain);
    column(10, row.trigger.as_deref().unwrap_or("-"), Role::Plain);
    let Some(trigger) = trigger else { return column(line.width, "started by you", Role::Plain) };
    column(3, trust(trigger), if trigger.on { Role::Plain } else { Role::Warn });
    let next = match (trigger.next, trigger.missed) {
        (Some(at), _) => app.config().day(at),
        (None, 0) => "-".to_owned(),
        (None, n) => format!("{n} passed"),
    };
    column(16, &next, Role::Plain);
    column(line.width, &trigger.by, Role::Plain);
}
