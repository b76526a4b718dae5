//! Keys while the bottom rows ask something.

use cairn_store_layout::definition::{Field, fill};
use serde_json::{Map, Value};

use super::{
    App, Confirm, Form, Mode, Proof, REASONS, Screen,
    mode::{Purpose, Target},
    views::Sent,
};
use crate::{
    Intent, Key, Millis,
    keymap::{self, Action, Binding},
};

/// The longest text of an input, in characters.
const TYPED_MAX: usize = 2000;

impl App {
    /// Rows that the open question takes from the body.
    pub(crate) fn prompt_rows(&self) -> u16 {
        let rows = match &self.mode {
            Mode::Form(form) => form.fields.len() + 1,
            Mode::Help { .. } => self.help_rows().len() + 1,
            Mode::Copy(entries) => entries.len(),
            _ => 0,
        };
        u16::try_from(rows).unwrap_or(u16::MAX)
    }

    /// The keys that are valid here and pass what was typed into the help.
    pub(crate) fn help_rows(&self) -> Vec<&'static Binding> {
        let typed = match &self.mode {
            Mode::Help { typed, .. } => typed.to_lowercase(),
            _ => String::new(),
        };
        keymap::valid(&self.scopes())
            .filter(|b| {
                b.keys.iter().any(|k| k.to_string().to_lowercase() == typed)
                    || b.help.to_lowercase().contains(&typed)
                    || b.word.contains(&typed)
            })
            .collect()
    }

    pub(super) fn copy_menu(&mut self, at: Millis) {
        let mut entries = Vec::new();
        if let Some(item) = self.selected() {
            entries.push(("id", item.id.to_string()));
            entries.push(("command", format!("cairn inbox show {}", item.id.short())));
            entries.extend(item.run.as_ref().map(|run| ("run", run.to_string())));
            if item.effect.is_some() || item.learns.is_some() {
                entries.push(("text", item.text()));
            }
        } else if let (Screen::Workflows, Some(row)) = (self.screen, self.workflows.cursor()) {
            entries.push(("name", row.workflow.clone()));
            entries.push(("command", row.command()));
        } else if let Some(run) = self.selected_run() {
            entries.push(("id", run.to_string()));
            entries.push(("command", format!("cairn run show {run}")));
            let commit = self.run_items.get(run).and_then(|r| r.commit.as_ref());
            entries.extend(commit.map(|c| ("commit", format!("git show {c}"))));
        }
        if entries.is_empty() {
            self.say(false, "nothing is selected");
        } else {
            self.enter(Mode::Copy(entries), at);
        }
    }

    pub(super) fn type_text(&mut self, text: &str) {
        let push = |typed: &mut String| {
            let room = TYPED_MAX.saturating_sub(typed.chars().count());
            typed.extend(text.chars().take(room));
        };
        match &mut self.mode {
            Mode::Find => {
                let mut typed = self.filter().to_owned();
                push(&mut typed);
                self.set_filter(typed);
            }
            Mode::Reason { typed, .. } => push(typed),
            Mode::Form(form) => {
                if let Some(typed) = form.typed.get_mut(form.at) {
                    push(typed);
                }
            }
            Mode::Help { typed, at } => {
                push(typed);
                *at = 0;
            }
            _ => {}
        }
    }

    fn erase(&mut self) {
        match &mut self.mode {
            Mode::Find => {
                let mut typed = self.filter().to_owned();
                typed.pop();
                self.set_filter(typed);
            }
            Mode::Reason { typed, .. } => drop(typed.pop()),
            Mode::Form(form) => {
                if let Some(typed) = form.typed.get_mut(form.at) {
                    typed.pop();
                }
            }
            Mode::Help { typed, at } => {
                typed.pop();
                *at = 0;
            }
            _ => {}
        }
    }

    pub(super) fn prompt_key(&mut self, key: Key, at: Millis, intents: &mut Vec<Intent>) {
        match std::mem::take(&mut self.mode) {
            Mode::Normal => {}
            Mode::Confirm(confirm) => self.confirm_key(confirm, key, intents),
            Mode::Copy(entries) => {
                let index = match key {
                    Key::Char(c) => c.to_digit(10).and_then(|d| (d as usize).checked_sub(1)),
                    _ => None,
                };
                if let Some((what, text)) = index.and_then(|i| entries.into_iter().nth(i)) {
                    let shown = if what == "text" { String::new() } else { format!(": {text}") };
                    self.say(true, format!("copied the {what}{shown}"));
                    intents.push(Intent::Copy(text));
                }
            }
            mode @ Mode::Find => {
                self.mode = mode;
                match key {
                    Key::Enter | Key::Tab => self.mode = Mode::Normal,
                    Key::Esc => {
                        self.mode = Mode::Normal;
                        self.set_filter(String::new());
                    }
                    Key::Down => self.travel(1),
                    Key::Up => self.travel(-1),
                    _ => self.line_key(key),
                }
            }
            Mode::Reason { target, typed } => match key {
                Key::Esc => self.say(true, format!("{} was not denied", target.gate.short())),
                Key::Enter => {
                    let reason = Some(typed.trim().to_owned()).filter(|r| !r.is_empty());
                    self.denied(target, reason, intents);
                }
                Key::Char(c) if typed.is_empty() && ('1'..='5').contains(&c) => {
                    let index = c as usize - '1' as usize;
                    self.denied(target, Some(REASONS[index].to_owned()), intents);
                }
                _ => {
                    self.mode = Mode::Reason { target, typed };
                    self.line_key(key);
                }
            },
            Mode::Form(form) => self.form_key(form, key, intents),
            Mode::Help { typed, at: row } => {
                self.mode = Mode::Help { typed: typed.clone(), at: row };
                let rows = self.help_rows();
                match key {
                    Key::Esc => self.mode = Mode::Normal,
                    Key::Enter => {
                        self.mode = Mode::Normal;
                        if let Some(binding) = rows.get(row) {
                            self.act(binding.action, binding.keys[0], at, intents);
                        }
                    }
                    Key::Down => {
                        let last = rows.len().saturating_sub(1);
                        self.mode = Mode::Help { typed, at: (row + 1).min(last) };
                    }
                    Key::Up => self.mode = Mode::Help { typed, at: row.saturating_sub(1) },
                    _ => self.line_key(key),
                }
            }
        }
    }

    fn line_key(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.type_text(c.encode_utf8(&mut [0; 4])),
            Key::Backspace => self.erase(),
            _ => {}
        }
    }

    fn confirm_key(&mut self, mut confirm: Confirm, key: Key, intents: &mut Vec<Intent>) {
        // the difference an edit makes may be longer than the pane, and nobody saw it before
        if let (Purpose::Edit { .. }, Some(by)) = (&confirm.purpose, self.scrolls(key)) {
            self.scroll = self.scroll.saturating_add_signed(by);
            self.mode = Mode::Confirm(confirm);
            return;
        }
        let done = match (&confirm.proof, key) {
            (Proof::Digit(digit), Key::Char(c)) => c == *digit,
            (Proof::Id(id), Key::Char(c)) if id[confirm.typed.len()..].starts_with(c) => {
                confirm.typed.push(c);
                if confirm.typed.len() < id.len() {
                    self.mode = Mode::Confirm(confirm);
                    return;
                }
                true
            }
            _ => false,
        };
        if done {
            self.confirmed(confirm.purpose, intents);
        } else {
            let draft =
                if matches!(confirm.purpose, Purpose::Edit { .. }) { "; your draft is kept: e resumes" } else { "" };
            self.say(true, format!("not confirmed: nothing was sent{draft}"));
        }
    }

    /// How far a key scrolls the pane, if it does.
    fn scrolls(&self, key: Key) -> Option<isize> {
        let page = isize::try_from(self.regions().detail.height / 2).unwrap_or(1).max(1);
        match keymap::lookup(&self.scopes(), key)?.action {
            Action::Down => Some(1),
            Action::Up => Some(-1),
            Action::PageDown => Some(page),
            Action::PageUp => Some(-page),
            Action::Top => Some(isize::MIN / 2),
            Action::Bottom => Some(isize::MAX / 2),
            _ => None,
        }
    }

    fn form_key(&mut self, mut form: Form, key: Key, intents: &mut Vec<Intent>) {
        let last = form.fields.len().saturating_sub(1);
        form.wrong = None;
        match key {
            Key::Esc => return self.say(true, format!("{} was not answered", form.target.gate.short())),
            Key::Up | Key::BackTab => form.at = form.at.saturating_sub(1),
            Key::Down | Key::Tab => form.at = (form.at + 1).min(last),
            Key::Left | Key::Right => choose(&mut form, key == Key::Right),
            Key::Enter if form.at < last => form.at += 1,
            Key::Enter => match filled(&form) {
                Ok(answer) => {
                    let Target { run, gate, digest } = form.target;
                    self.sent.insert(gate.clone(), Sent::new("answer"));
                    // only a run asks a question
                    intents.extend(run.map(|run| Intent::Answer { run, gate, digest, answer }));
                    return;
                }
                Err((at, why)) => {
                    form.at = at.unwrap_or(form.at);
                    form.wrong = Some(why);
                }
            },
            _ => {
                self.mode = Mode::Form(form);
                return self.line_key(key);
            }
        }
        self.mode = Mode::Form(form);
    }
}

/// Puts the next choice of the field into it.
fn choose(form: &mut Form, forward: bool) {
    let (Some(field), Some(typed)) = (form.fields.get(form.at), form.typed.get_mut(form.at)) else { return };
    let n = field.choices.len();
    if n == 0 {
        return;
    }
    let next = match field.choices.iter().position(|c| c == typed) {
        Some(at) => (at + if forward { 1 } else { n - 1 }) % n,
        None if forward => 0,
        None => n - 1,
    };
    *typed = field.choices[next].clone();
}

/// Reads all fields; tells the first that is wrong and why.
fn filled(form: &Form) -> Result<Value, (Option<usize>, String)> {
    let mut given = Map::new();
    for (at, (field, typed)) in form.fields.iter().zip(&form.typed).enumerate() {
        if typed.trim().is_empty() {
            continue;
        }
        given.insert(field.name.clone(), field.read(typed.trim()).map_err(|why| (Some(at), why))?);
    }
    fill(&form.fields, &Value::Object(given)).map_err(|wrong| {
        let missing = |f: &Field| wrong.first().is_some_and(|w| w.contains(&format!("`{}`", f.name)));
        (form.fields.iter().position(missing), wrong.into_iter().next().unwrap_or_default())
    })
}
