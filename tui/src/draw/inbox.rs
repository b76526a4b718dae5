//! The list of the Inbox.

use cairn_store_layout::view::{InboxItem, ItemState};
use ratatui::layout::Rect;

use super::pen::{Pen, Role};
use crate::{
    App,
    app::{InboxRow, States},
    text,
};

/// The narrowest list that names the workflow of each request.
const WORKFLOW_FROM: u16 = 64;
/// The most cells its name takes.
const WORKFLOW: u16 = 18;

pub(super) fn list(app: &App, area: Rect, pen: &mut Pen<'_>) {
    if area.is_empty() {
        return;
    }
    if app.inbox.visible().is_empty() {
        super::nothing(app, area, &empty(app), pen);
    }
    let workflow = workflow_cells(app, area.width);
    super::rows(&app.inbox, area, pen, |row, line, here, pen| match row {
        InboxRow::Item(gate) => {
            if let Some(item) = app.items.get(gate) {
                request(app, item, workflow, line, here, pen);
            }
        }
        InboxRow::Problem(text) => trouble(text, line, here, pen),
        InboxRow::Unreadable(text) => trouble(text, line, here, pen),
    });
}

fn empty(app: &App) -> String {
    if app.inbox_states == States::Closed {
        return "Nothing was decided lately. f shows everything.".to_owned();
    }
    let last = app.items.values().filter_map(|i| match &i.state {
        ItemState::Approved { at, .. } | ItemState::Denied { at, .. } | ItemState::Answered { at, .. } => Some(*at),
        _ => None,
    });
    let last = last.max().map_or(String::new(), |at| format!(" Last decision {}.", app.config().clock(at)));
    let start = match app.snapshot.as_ref().and_then(|s| s.workflows.first()) {
        Some(name) => format!(" Start a run from a shell: cairn run start {name}"),
        None => " No workflows yet: put one into workflows/, or begin with cairn init --demo.".to_owned(),
    };
    format!("Nothing waits for you.{last}{start}")
}

/// The width of the column of workflows: no wider than their names, and none where the summary, which is
/// what a list is read for, would be left with too little.
fn workflow_cells(app: &App, width: u16) -> u16 {
    if width < WORKFLOW_FROM {
        return 0;
    }
    let names = app.inbox.visible().iter().filter_map(|row| match row {
        InboxRow::Item(gate) => app.items.get(gate).map(|item| text::width(&item.workflow)),
        _ => None,
    });
    u16::try_from(names.max().unwrap_or(0)).unwrap_or(WORKFLOW).min(WORKFLOW)
}

/// `> a3f2 14:02 SEND   invoice-chase Reminder 2 to Brandt GmbH`
fn request(app: &App, item: &InboxItem, workflow: u16, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let at = app.config().clock(item.opened);
    let mut x = line.x + 2;
    x = pen.put_row(x, line.y, 4, item.id.short(), Role::Plain, here) + 1;
    x = pen.put_row(x, line.y, 5, &at, Role::Plain, here) + 1;
    let role = if item.level() >= 3 { Role::Warn } else { Role::Plain };
    pen.put_row(x, line.y, 6, item.kind.word(), role, here);
    x += 7;
    if workflow > 0 {
        pen.put_row(x, line.y, workflow, &item.workflow, Role::Plain, here);
        x += workflow + 1;
    }
    let room = line.right().saturating_sub(x + 1);
    let state = state(app, item);
    let cells = text::width(&state) as u16;
    let room_for_summary = if cells == 0 { room } else { room.saturating_sub(cells + 1) };
    let end = pen.put_row(x, line.y, room_for_summary, &item.summary, Role::Plain, here);
    if cells > 0 {
        pen.put_row(end + 1, line.y, line.right().saturating_sub(end + 1), &state, Role::Plain, here);
    }
}

fn state(app: &App, item: &InboxItem) -> String {
    let clock = |at| app.config().clock(at);
    match &item.state {
        ItemState::Waiting => match app.sent.get(&item.id) {
            Some(sent) if app.kernel_down() => format!("[{} saved]", sent.word),
            Some(sent) => format!("[{} sent]", sent.word),
            None => item.expires.map_or(String::new(), |at| {
                let day = app.snapshot.as_ref().map(|s| app.config().day(s.as_of));
                let when = app.config().day(at);
                let today = day.is_some_and(|d| d[..10] == when[..10]);
                if today { format!("EXP {}", clock(at)) } else { String::new() }
            }),
        },
        ItemState::Approved { at, .. } => format!("[approved {}]", clock(*at)),
        ItemState::Denied { at, .. } => format!("[denied {}]", clock(*at)),
        ItemState::Answered { at, .. } => format!("[answered {}]", clock(*at)),
        ItemState::Expired { at } => format!("[expired {}]", clock(*at)),
        ItemState::Withdrawn { at } => format!("[withdrawn {}]", clock(*at)),
    }
}

fn trouble(text: &str, line: Rect, here: bool, pen: &mut Pen<'_>) {
    let x = pen.put_row(line.x + 2, line.y, 11, "!    --:--", Role::Plain, here) + 1;
    pen.put_row(x, line.y, 6, "FIX", Role::Warn, here);
    let first = text.lines().next().unwrap_or_default();
    pen.put_row(x + 7, line.y, line.right().saturating_sub(x + 8), first, Role::Plain, here);
}
