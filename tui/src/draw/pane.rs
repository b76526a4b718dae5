//! The reading pane and its heading.

use super::{
    layout::{Regions, Room},
    pen::{Pen, Role},
};
use crate::{
    App,
    app::{Focus, InboxRow, Screen, text_rows},
    detail::{self, LABEL},
};

pub(super) fn draw(app: &App, regions: &Regions, pen: &mut Pen<'_>) {
    let area = regions.detail;
    if regions.heading.is_empty() {
        return;
    }
    let (lines, _) = app.pane_lines(area.width, area.height);
    let rows = text_rows(area.height, lines.len());
    heading(app, regions, pen);
    for (y, line) in (area.y..area.bottom()).zip(lines.iter().skip(app.scroll).take(rows)) {
        if line.at_edge {
            pen.put(area.x, y, area.width, &line.text, line.tone.into());
        } else {
            pen.put(area.x, y, LABEL as u16, line.label, Role::Label);
            pen.put(area.x + LABEL as u16, y, area.width.saturating_sub(LABEL as u16), &line.text, line.tone.into());
        }
    }
    if rows < lines.len() && area.height > 0 {
        let below = lines.len().saturating_sub(app.scroll + rows);
        let key = if app.focus == Focus::List && !app.mode.scrolls() { "Tab, then j" } else { "j" };
        let text = match below {
            0 => "end".to_owned(),
            1 => format!("1 more line - {key}"),
            n => format!("{n} more lines - {key}"),
        };
        let left = area.width.saturating_sub(text.len() as u16 + 1);
        pen.put(area.x + left, area.bottom() - 1, area.width - left, &text, Role::Strong);
    }
}

fn heading(app: &App, regions: &Regions, pen: &mut Pen<'_>) {
    let area = regions.heading;
    let mark = if app.focus == Focus::Detail { "> " } else { "- " };
    let text = match app.screen {
        Screen::Inbox => match app.inbox.cursor() {
            Some(InboxRow::Item(gate)) => app.items.get(gate).map(detail::heading),
            Some(InboxRow::Problem(_)) => Some("FIX: a definition cannot be used as it stands".to_owned()),
            Some(InboxRow::Unreadable(_)) => Some("FIX: a history cannot be read".to_owned()),
            None => None,
        },
        Screen::Runs => {
            app.runs.cursor().and_then(|r| app.run_items.get(r)).map(|r| format!("{}  {}", r.run.short(), r.workflow))
        }
        Screen::Run => app.run.as_ref().map(|r| super::run::heading(app, r)),
        Screen::Workflows => app.workflows.cursor().map(crate::app::WorkflowRow::name),
    };
    let Some(text) = text else { return };
    if regions.room == Room::Stacked {
        pen.rule(area);
    }
    pen.put(area.x, area.y, area.width, &format!("{mark}{text} "), Role::Strong);
}
