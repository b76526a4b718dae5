//! A frame as a function of the interface's state: no clock, no disk, no change.

mod inbox;
pub(crate) mod layout;
mod pane;
mod pen;
mod prompt;
mod run;
mod runs;
mod workflows;

use cairn_store_layout::view::KernelHealth;
use ratatui::{buffer::Buffer, layout::Rect};

use self::{
    layout::{Regions, Room},
    pen::{Pen, Role},
};
use crate::{
    App,
    app::{Mode, Screen},
    keymap, text,
};

/// Draws the interface into `area` of `buffer`, whose cells must be blank.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let regions = app.regions();
    let mut pen = Pen { buffer, config: app.config() };
    if regions.room == Room::Line {
        let waiting = open_requests(app);
        pen.put(0, 0, area.width, &format!("cairn: {waiting} waiting (enlarge to 40x8; q quits)"), Role::Plain);
        return;
    }
    tabs(app, regions.tabs, &mut pen);
    pen.rule(regions.rule);
    match app.screen {
        Screen::Inbox => inbox::list(app, regions.list, &mut pen),
        Screen::Runs => runs::list(app, regions.list, &mut pen),
        Screen::Run => run::list(app, regions.list, &mut pen),
        Screen::Workflows => workflows::list(app, regions.list, &mut pen),
    }
    pen.divider(regions.divider);
    pane::draw(app, &regions, &mut pen);
    prompt::draw(app, &regions, &mut pen);
    message(app, &regions, &mut pen);
    footer(app, &regions, &mut pen);
}

/// Where the terminal's cursor stands while text is typed; `None` when it is hidden.
#[must_use]
pub fn draw_cursor(app: &App) -> Option<(u16, u16)> {
    let regions = app.regions();
    if regions.room == Room::Line { None } else { prompt::cursor(app, &regions) }
}

fn open_requests(app: &App) -> usize {
    app.items.values().filter(|i| i.is_open()).count()
}

fn tabs(app: &App, area: Rect, pen: &mut Pen<'_>) {
    let troubles = app.snapshot.as_ref().map_or(0, |s| s.problems.len() + s.health.unreadable.len());
    let waiting = open_requests(app) + troubles;
    let running = app.run_items.values().filter(|r| !r.status.is_final()).count();
    let workflows = app.snapshot.as_ref().map_or(0, |s| s.workflows.len());
    let mut x = 1;
    let runs = matches!(app.screen, Screen::Runs | Screen::Run);
    for (key, word, count, active) in [
        ('1', "Inbox", waiting, app.screen == Screen::Inbox),
        ('2', "Runs", running, runs),
        ('3', "Workflows", workflows, app.screen == Screen::Workflows),
    ] {
        let text = format!("{key} {word} {count}");
        // where it is narrow the health of the kernel matters more than the last tab
        let text = if area.width < 60 && key == '3' && !active { key.to_string() } else { text };
        // the brackets say in words what bold says to the eye
        let text = if active { format!("[{text}]") } else { format!(" {text} ") };
        x = pen.put_row(x, area.y, area.width, &text, Role::Plain, active) + 1;
    }
    let (health, role) = health(app);
    let store = app.snapshot.as_ref().map_or("", |s| s.store.as_str());
    let text = if area.width >= 60 && !store.is_empty() { format!("{store}   {health}") } else { health };
    let text = text::line(&text, pen.config.charset);
    let cells = u16::try_from(text::width(&text)).unwrap_or(u16::MAX);
    let left = area.width.saturating_sub(cells + 1).max(x + 1);
    pen.put(left, area.y, area.width.saturating_sub(left), &text, role);
}

fn health(app: &App) -> (String, Role) {
    if app.stale.is_some() {
        return ("VIEW STALE".to_owned(), Role::Warn);
    }
    let Some(snapshot) = &app.snapshot else { return ("loading".to_owned(), Role::Plain) };
    if snapshot.health.paused.is_some() {
        return ("KERNEL PAUSED, see cairn status".to_owned(), Role::Warn);
    }
    match (&snapshot.health.kernel, snapshot.health.commands_waiting) {
        (KernelHealth::Running { .. }, _) => ("kernel ok".to_owned(), Role::Plain),
        (KernelHealth::Down, 0) => ("KERNEL DOWN".to_owned(), Role::Warn),
        (KernelHealth::Down, n) => (format!("KERNEL DOWN, {n} saved"), Role::Warn),
    }
}

fn message(app: &App, regions: &Regions, pen: &mut Pen<'_>) {
    let area = regions.message;
    let width = area.width.saturating_sub(1);
    if let Some((text, role)) = prompt::question(app) {
        pen.put(1, area.y, width, &text, role);
        return;
    }
    if let Some(note) = &app.note {
        let role = if note.ok { Role::Plain } else { Role::Warn };
        pen.put(1, area.y, width, &note.text, role);
        return;
    }
    if let Some((since, why)) = &app.stale {
        let text = format!("STALE since {}: {why}", app.config().clock(*since));
        pen.put(1, area.y, width, &text, Role::Warn);
        return;
    }
    let trouble = app.run.as_ref().filter(|_| app.screen == Screen::Run).and_then(|r| r.detail.trouble.as_deref());
    if let Some(trouble) = trouble {
        pen.put(1, area.y, width, trouble, Role::Warn);
        return;
    }
    if let Some((gate, old, new)) = app.changed.as_ref().filter(|_| app.screen == Screen::Inbox) {
        let text = format!(
            "CHANGED {}: digest {} -> {}, read again; Tab or a move unlocks it",
            gate.short(),
            old.short(),
            new.short()
        );
        pen.put(1, area.y, width, &text, Role::Warn);
        return;
    }
    if !app.filter().is_empty() {
        pen.put(1, area.y, width, &format!("/{}   Esc clears", app.filter()), Role::Plain);
        return;
    }
    if app.kernel_down() {
        let text = "decisions are saved and apply once the kernel runs: cairn kernel start";
        pen.put(1, area.y, width, text, Role::Plain);
    }
}

/// The keys of the selected row. Verbs keep their place; what is not possible now stands in brackets.
fn footer(app: &App, regions: &Regions, pen: &mut Pen<'_>) {
    let area = regions.footer;
    if let Some(text) = prompt::answers(app) {
        pen.put(1, area.y, area.width.saturating_sub(1), &text, Role::Strong);
        return;
    }
    let help = "? keys";
    let limit = area.width.saturating_sub(2 + help.len() as u16);
    let mut x = 1;
    for b in keymap::valid(&app.scopes()).filter(|b| !b.word.is_empty() && b.word != "keys") {
        let mut text = format!("{} {}", b.keys[0], b.word);
        if app.refusal(b.action).is_some() {
            text = format!("[{text}]");
        }
        if x + text.len() as u16 > limit {
            break;
        }
        x = pen.put(x, area.y, area.width, &text, Role::Plain) + 2;
    }
    pen.put(x, area.y, area.width.saturating_sub(x), help, Role::Plain);
}

/// Words for a list that has nothing to show: it loads, it is filtered, or it is empty.
fn nothing(app: &App, area: Rect, empty: &str, pen: &mut Pen<'_>) {
    let text = if app.snapshot.is_none() {
        "loading".to_owned()
    } else if !app.filter().is_empty() || app.mode == Mode::Find {
        format!("no match for \"{}\" - Esc clears", app.filter())
    } else {
        empty.to_owned()
    };
    let width = usize::from(area.width.saturating_sub(4)).max(1);
    for (y, line) in (area.y..area.bottom()).zip(text::wrap(&text, width, pen.config.charset)) {
        pen.put(area.x + 2, y, area.width.saturating_sub(3), &line, Role::Plain);
    }
}

/// Draws the visible rows of a list, the last line for what waits behind `.`.
fn rows<I: Clone + Ord>(
    rows: &crate::app::Rows<I>,
    area: Rect,
    pen: &mut Pen<'_>,
    mut row: impl FnMut(&I, Rect, bool, &mut Pen<'_>),
) {
    let height = usize::from(area.height.saturating_sub(1).max(1));
    let shown = rows.visible().iter().skip(rows.top()).take(height);
    for (y, id) in (area.y..area.bottom()).zip(shown) {
        let here = rows.cursor() == Some(id);
        let line = Rect { y, height: 1, ..area };
        if here {
            pen.put(area.x, y, 1, ">", Role::Strong);
        }
        row(id, line, here, pen);
    }
    let below = rows.visible().len().saturating_sub(rows.top() + height);
    let mut words = Vec::new();
    if below > 0 {
        words.push(format!("{below} more below"));
    }
    match rows.fresh() {
        0 => {}
        1 => words.push("1 new row - press .".to_owned()),
        n => words.push(format!("{n} new rows - press .")),
    }
    if area.height > 1 && !words.is_empty() {
        let text = words.join("   ");
        let left = area.width.saturating_sub(text.len() as u16 + 1);
        pen.put(area.x + left, area.bottom() - 1, area.width - left, &text, Role::Plain);
    }
}
