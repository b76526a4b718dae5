//! Where the verbs write: text for a person, or one JSON document.
//!
//! Results go to stdout in one write, hints to stderr. Every text passes [`DisplayText`], whether it
//! is ours or a stranger's, so that no byte of a letter or a model can reach the terminal raw; in
//! JSON the same characters are escaped. A reader that hangs up early (`| head`) is no error.

use std::io::{self, IsTerminal as _, Write as _};

use cairn_store_layout::text::{DisplayText, has_hidden};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How output is to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// One JSON document instead of text.
    pub json: bool,
    /// No hints.
    pub quiet: bool,
    /// When to use colour.
    pub color: Color,
}

/// Collects the results of one command.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    tty: bool,
    paint: bool,
    zone: TimeZone,
    out: String,
}

impl Screen {
    /// A screen for this process' standard output.
    #[must_use]
    pub fn new(look: Look) -> Self {
        let tty = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var("TERM").is_ok_and(|t| t == "dumb" || t.starts_with("vt"));
        let paint = match look.color {
            Color::Auto => tty && !plain,
            Color::Always => true,
            Color::Never => false,
        };
        Self { look, tty, paint, zone: TimeZone::system(), out: String::new() }
    }

    /// Tells whether results are wanted as JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.look.json
    }

    /// Tells whether a person is on both ends, so that a question can be asked.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.tty && io::stdin().is_terminal() && !self.look.json
    }

    /// Tells whether standard output is a terminal.
    #[must_use]
    pub fn is_tty(&self) -> bool {
        self.tty
    }

    /// Adds lines of text to the results.
    pub fn say(&mut self, text: impl AsRef<str>) {
        if !self.look.json {
            self.out.push_str(DisplayText::new(text.as_ref()).as_str());
            self.out.push('\n');
        }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        if !self.look.json {
            let text = self.bold(DisplayText::line(text).as_str());
            self.out.push_str(&text);
            self.out.push('\n');
        }
    }

    /// Adds a block of somebody's words, indented, so that they can not be taken for ours.
    pub fn quote(&mut self, text: &str) {
        if !self.look.json {
            for line in DisplayText::new(text).as_str().lines() {
                self.out.push_str(if line.is_empty() { "" } else { "    " });
                self.out.push_str(line);
                self.out.push('\n');
            }
        }
    }

    /// Adds an aligned table; the last column is free text. Piped, columns are parted by tabs.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if self.look.json {
            return;
        }
        let clean = |row: &[String]| row.iter().map(|c| DisplayText::line(c).as_str().to_owned()).collect::<Vec<_>>();
        let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| clean(row)).collect();
        if !self.tty {
            for row in std::iter::once(&head).chain(&rows) {
                self.out.push_str(&row.join("\t"));
                self.out.push('\n');
            }
            return;
        }
        let mut widths: Vec<usize> = head.iter().map(|h| width(h)).collect();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                if let Some(known) = widths.get_mut(column) {
                    *known = (*known).max(width(cell));
                }
            }
        }
        let title = self.bold(&padded(&head, &widths));
        self.out.push_str(&title);
        self.out.push('\n');
        for row in &rows {
            self.out.push_str(&padded(row, &widths));
            self.out.push('\n');
        }
    }

    /// Sets the one JSON document.
    pub fn document(&mut self, value: &Value) {
        if self.look.json {
            self.out = escaped(&format!("{value:#}"));
            self.out.push('\n');
        }
    }

    /// Sets the one JSON document to a list.
    pub fn list(&mut self, schema: &str, items: &[Value], next: Option<&str>) {
        self.document(&json!({"schema": schema, "items": items, "next": next}));
    }

    /// Says something that is no result, at once: a hint, a step taken.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.look.quiet && !self.look.json {
            let _ = writeln!(io::stderr().lock(), "{}", DisplayText::new(text.as_ref()));
        }
    }

    /// Writes the results so far. A reader that hung up is no error.
    ///
    /// # Errors
    /// When the system refuses, for example because the disk behind stdout is full.
    pub fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.out);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    /// A moment for a list: local day and minute.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// A moment in full: local, to the second, with its zone.
    #[must_use]
    pub fn time_full(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    fn bold(&self, text: &str) -> String {
        if self.paint { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn padded(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, cell) in row.iter().enumerate() {
        line.push_str(cell);
        if column + 1 < row.len() {
            let room = widths.get(column).copied().unwrap_or(0);
            line.push_str(&" ".repeat(room.saturating_sub(width(cell)) + 2));
        }
    }
    line.trim_end().to_owned()
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Escapes in JSON what could deceive a terminal; such characters stand only inside strings.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && has_hidden(c.encode_utf8(&mut [0; 4])) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(look: Look, tty: bool) -> Screen {
        Screen { look, tty, paint: false, zone: TimeZone::UTC, out: String::new() }
    }

    #[test]
    fn a_table_is_aligned_on_a_terminal_and_tabbed_in_a_pipe() {
        let rows =
            [vec!["a1".to_owned(), "漢字".to_owned(), "x\ny".to_owned()], ["b", "c", "d"].map(str::to_owned).to_vec()];
        let mut tty = screen(Look::default(), true);
        tty.table(&["ID", "NAME", "NOTE"], &rows);
        assert_eq!(tty.out, "ID  NAME  NOTE\na1  漢字  x y\nb   c     d\n");
        let mut pipe = screen(Look::default(), false);
        pipe.table(&["ID", "NAME", "NOTE"], &rows);
        assert_eq!(pipe.out, "ID\tNAME\tNOTE\na1\t漢字\tx y\nb\tc\td\n");
    }

    #[test]
    fn nothing_deceives_the_terminal() {
        let mut text = screen(Look::default(), true);
        text.say("a\x1b[2Jb");
        text.quote("one\n\u{202e}two");
        assert_eq!(text.out, "a<U+001B>[2Jb\n    one\n    <U+202E>two\n");

        let mut doc = screen(Look { json: true, ..Look::default() }, true);
        doc.say("not shown");
        let value = json!({"t": "a\u{202e}\u{9b}\u{e0041}\tb"});
        doc.document(&value);
        assert!(doc.out.contains("\\u202e\\u009b\\udb40\\udc41\\tb"), "{}", doc.out);
        assert_eq!(serde_json::from_str::<Value>(&doc.out).unwrap(), value, "and it is the same JSON");
    }

    #[test]
    fn times_are_absolute() {
        let at: Timestamp = "2026-11-22T14:02:31.5Z".parse().unwrap();
        let s = screen(Look::default(), true);
        assert_eq!((s.time(at).as_str(), s.time_full(at).as_str()), ("2026-11-22 14:02", "2026-11-22 14:02:31 UTC"));
    }
}
