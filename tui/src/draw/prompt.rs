//! What the bottom rows ask: the question on the message line, the answers on the last one.

use super::{
    layout::Regions,
    pen::{Pen, Role},
};
use crate::{
    App,
    app::{Form, Mode, Proof, Purpose, REASONS},
    text,
};

/// Cells that the name of a field takes at most.
const NAME: usize = 20;

/// The rows above the message line: form, help, copy menu.
pub(super) fn draw(app: &App, regions: &Regions, pen: &mut Pen<'_>) {
    let area = regions.prompt;
    if area.is_empty() {
        return;
    }
    match &app.mode {
        Mode::Form(form) => {
            pen.rule(ratatui::layout::Rect { height: 1, ..area });
            let first = form_top(form, area.height);
            for (y, (at, field)) in (area.y + 1..area.bottom()).zip(form.fields.iter().enumerate().skip(first)) {
                let here = at == form.at;
                pen.put(0, y, 1, if here { ">" } else { " " }, Role::Strong);
                let name = text::fit(&text::line(&field.name, pen.config.charset), name_cells(form));
                let x = pen.put_row(2, y, area.width, &name, Role::Label, here) + 1;
                let hint = if field.choices.is_empty() {
                    field.description.clone().unwrap_or_default()
                } else {
                    format!("({})", field.choices.join(" | "))
                };
                let x = pen.put_row(x, y, area.width / 2, &form.typed[at], Role::Plain, here) + 2;
                pen.put(x, y, area.width.saturating_sub(x + 1), &hint, Role::Plain);
            }
        }
        Mode::Help { at, .. } => {
            pen.rule(ratatui::layout::Rect { height: 1, ..area });
            let rows = app.help_rows();
            let height = usize::from(area.height).saturating_sub(1);
            let first = (at + 1).saturating_sub(height);
            for (y, (n, b)) in (area.y + 1..area.bottom()).zip(rows.iter().enumerate().skip(first)) {
                let here = n == *at;
                pen.put(0, y, 1, if here { ">" } else { " " }, Role::Strong);
                let keys: Vec<String> = b.keys.iter().map(ToString::to_string).collect();
                pen.put_row(2, y, 18, &keys.join(" "), Role::Label, here);
                let off = app.refusal(b.action).map_or(String::new(), |why| format!("[{why}] "));
                pen.put_row(21, y, area.width.saturating_sub(22), &format!("{off}{}", b.help), Role::Plain, here);
            }
        }
        Mode::Copy(entries) => {
            for (y, (n, (what, value))) in (area.y..area.bottom()).zip(entries.iter().enumerate()) {
                let value = if *what == "text" { "the whole text" } else { value.as_str() };
                pen.put(2, y, area.width.saturating_sub(3), &format!("{}  {what:<8} {value}", n + 1), Role::Plain);
            }
        }
        _ => {}
    }
}

/// The question, for the message line.
pub(super) fn question(app: &App) -> Option<(String, Role)> {
    let plain = |text: String| Some((text, Role::Plain));
    match &app.mode {
        Mode::Normal => None,
        Mode::Find => plain("find: words fuzzy, 'exact, !not".to_owned()),
        Mode::Confirm(confirm) => Some((confirm.words.clone(), Role::Warn)),
        Mode::Reason { target, .. } => {
            let reasons: Vec<String> = REASONS.iter().enumerate().map(|(n, r)| format!("{} {r}", n + 1)).collect();
            plain(format!("Deny {}: {}", target.gate.short(), reasons.join(" ")))
        }
        Mode::Form(form) => match &form.wrong {
            Some(wrong) => Some((wrong.clone(), Role::Warn)),
            None => plain(format!("Answer {}", form.target.gate.short())),
        },
        Mode::Copy(_) => plain("Copy what?".to_owned()),
        Mode::Help { typed, at } => {
            let cli = app.help_rows().get(*at).map_or("", |b| b.cli);
            let same = if cli.is_empty() { String::new() } else { format!("      same from a shell: {cli}") };
            plain(format!("keys valid here  /{typed}{same}"))
        }
    }
}

/// What may be pressed, for the last line.
pub(super) fn answers(app: &App) -> Option<String> {
    Some(match &app.mode {
        Mode::Normal => return None,
        Mode::Find => format!("/{}", app.filter()),
        Mode::Confirm(confirm) => match &confirm.proof {
            Proof::Digit(digit) if matches!(confirm.purpose, Purpose::Edit { .. }) => {
                format!("{digit} {}   j k scroll   any other key: no", confirm.verb)
            }
            Proof::Digit(digit) => format!("{digit} {}   any other key: no", confirm.verb),
            Proof::Id(id) => format!("type {id} - it {}: {}_   any other key: no", confirm.verb, confirm.typed),
        },
        Mode::Reason { typed, .. } => format!("{typed}_   (or type; Enter denies; Esc: no)"),
        Mode::Form(form) if form.at + 1 < form.fields.len() => {
            "Enter next field   Left Right choose   Esc: no answer".to_owned()
        }
        Mode::Form(_) => "Enter sends the answer   Left Right choose   Esc: no answer".to_owned(),
        Mode::Copy(_) => "the number copies   any other key: no".to_owned(),
        Mode::Help { .. } => "type to filter   Up Down choose   Enter runs it   Esc closes".to_owned(),
    })
}

/// Where the terminal's cursor stands.
pub(super) fn cursor(app: &App, regions: &Regions) -> Option<(u16, u16)> {
    let cells = |s: &str| text::width(&text::line(s, app.config().charset)) as u16;
    let (x, y) = match &app.mode {
        Mode::Find => (2 + cells(app.filter()), regions.footer.y),
        Mode::Help { typed, .. } => (19 + cells(typed), regions.message.y),
        Mode::Form(form) => {
            let row = form.at.saturating_sub(form_top(form, regions.prompt.height)) as u16;
            let x = 3 + name_cells(form) as u16 + cells(form.typed.get(form.at)?).min(regions.prompt.width / 2);
            (x, regions.prompt.y + 1 + row)
        }
        _ => return None,
    };
    Some((x.min(app.columns.saturating_sub(1)), y.min(app.height.saturating_sub(1))))
}

fn name_cells(form: &Form) -> usize {
    form.fields.iter().map(|f| text::width(&f.name)).max().unwrap_or(0).min(NAME)
}

fn form_top(form: &Form, height: u16) -> usize {
    (form.at + 1).saturating_sub(usize::from(height.saturating_sub(1)).max(1))
}
