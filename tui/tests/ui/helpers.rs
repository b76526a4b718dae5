//! An interface with a hand on its keys.

use cairn_store_layout::view::{InboxItem, Snapshot};
use cairn_tui::{App, Config, Intent, Key, Millis, Msg, draw, samples};
use ratatui::{buffer::Buffer, layout::Rect};

/// An interface and a clock that a test moves.
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) size: (u16, u16),
    now: u64,
}

impl Desk {
    pub(crate) fn new(columns: u16, rows: u16, config: Config) -> Self {
        let mut app = App::new(config);
        app.update(Msg::Resize(columns, rows));
        Self { app, size: (columns, rows), now: 10_000 }
    }

    /// With the views of the sample store.
    pub(crate) fn sample(columns: u16, rows: u16) -> Self {
        let mut desk = Self::new(columns, rows, Config::default());
        desk.views(samples::snapshot());
        desk
    }

    pub(crate) fn views(&mut self, snapshot: Snapshot) {
        assert_eq!(self.app.update(Msg::Views(Box::new(snapshot))), []);
    }

    /// Presses keys one by one at the pace of a person.
    pub(crate) fn press(&mut self, keys: &str) -> Vec<Intent> {
        parse(keys).into_iter().flat_map(|key| self.key(key, 400)).collect()
    }

    /// Presses one key `ms` after the last.
    pub(crate) fn key(&mut self, key: Key, ms: u64) -> Vec<Intent> {
        self.now += ms;
        self.app.update(Msg::Keys(vec![key], Millis(self.now)))
    }

    /// Keys that arrive in one piece.
    pub(crate) fn burst(&mut self, keys: &str) -> Vec<Intent> {
        self.now += 400;
        self.app.update(Msg::Keys(parse(keys), Millis(self.now)))
    }

    pub(crate) fn buffer(&self) -> Buffer {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        let mut buffer = Buffer::empty(area);
        draw(&self.app, area, &mut buffer);
        buffer
    }

    /// The screen as text, without blanks at the ends of lines.
    pub(crate) fn screen(&self) -> String {
        let buffer = self.buffer();
        let mut out = String::new();
        for y in 0..self.size.1 {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..self.size.0 {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The row under the gutter mark.
    pub(crate) fn cursor_line(&self) -> String {
        self.screen().lines().skip(2).find(|l| l.starts_with('>')).unwrap_or_default().to_owned()
    }

    /// The line above the last: message or question.
    pub(crate) fn message(&self) -> String {
        let rows = usize::from(self.size.1);
        self.screen().lines().nth(rows - 2).unwrap_or_default().trim().to_owned()
    }

    pub(crate) fn footer(&self) -> String {
        self.screen().lines().last().unwrap_or_default().trim().to_owned()
    }

    /// The digit that the open question asks for.
    pub(crate) fn digit(&self) -> char {
        self.footer().chars().next().expect("a question is open")
    }
}

/// The item of the sample store whose summary begins like this.
pub(crate) fn item(summary: &str) -> InboxItem {
    samples::snapshot().inbox.into_iter().find(|i| i.summary.starts_with(summary)).expect("it is in the samples")
}

/// `j j Enter a` or `jja`: words are named keys, else every character is a key.
pub(crate) fn parse(keys: &str) -> Vec<Key> {
    keys.split(' ')
        .flat_map(|word| match word {
            "Enter" => vec![Key::Enter],
            "Esc" => vec![Key::Esc],
            "Tab" => vec![Key::Tab],
            "Space" => vec![Key::Char(' ')],
            "Backspace" => vec![Key::Backspace],
            "Down" => vec![Key::Down],
            "Up" => vec![Key::Up],
            "Left" => vec![Key::Left],
            "Right" => vec![Key::Right],
            "^d" => vec![Key::Ctrl('d')],
            "^c" => vec![Key::Ctrl('c')],
            "^l" => vec![Key::Ctrl('l')],
            "^z" => vec![Key::Ctrl('z')],
            text => text.chars().map(Key::Char).collect(),
        })
        .collect()
}
