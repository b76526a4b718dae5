//! The one way text reaches the screen: safe, cut, and inside its place.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use crate::{Config, Theme, config::Charset, detail::Tone, text};

/// What a piece of text is, for the theme to set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Strong,
    Label,
    Good,
    Bad,
    Warn,
    Quote,
}

impl From<Tone> for Role {
    fn from(tone: Tone) -> Self {
        match tone {
            Tone::Plain => Self::Plain,
            Tone::Added => Self::Good,
            Tone::Removed => Self::Bad,
            Tone::Quote => Self::Quote,
            Tone::Warn => Self::Warn,
        }
    }
}

/// Writes into a buffer.
pub(super) struct Pen<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) config: &'a Config,
}

impl Pen<'_> {
    /// The style of a role. Colours are the terminal's own 16, so they fit its background.
    pub(super) fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let ansi = self.config.theme == Theme::Ansi;
        match role {
            Role::Plain => plain,
            Role::Strong => bold,
            Role::Label if ansi => plain.fg(Color::Cyan),
            Role::Label => bold,
            Role::Good if ansi => plain.fg(Color::Green),
            Role::Bad if ansi => plain.fg(Color::Red),
            Role::Warn if ansi => bold.fg(Color::Yellow),
            Role::Warn => bold.add_modifier(Modifier::UNDERLINED),
            Role::Good | Role::Bad | Role::Quote => plain,
        }
    }

    /// Writes `raw` at `x`, `y`, in at most `cells` cells. Returns the column after it.
    pub(super) fn put(&mut self, x: u16, y: u16, cells: u16, raw: &str, role: Role) -> u16 {
        let style = self.style(role);
        self.put_styled(x, y, cells, raw, style)
    }

    /// As [`Pen::put`], bold on top when `strong`.
    pub(super) fn put_row(&mut self, x: u16, y: u16, cells: u16, raw: &str, role: Role, strong: bool) -> u16 {
        let mut style = self.style(role);
        if strong {
            style = style.add_modifier(Modifier::BOLD);
        }
        self.put_styled(x, y, cells, raw, style)
    }

    /// Writes a line from side to side of `area`.
    pub(super) fn rule(&mut self, area: Rect) {
        let symbol = if self.config.charset == Charset::Unicode { "─" } else { "-" };
        for x in area.left()..area.right() {
            self.put_styled(x, area.y, 1, symbol, Style::new());
        }
    }

    /// Writes a line from top to bottom of `area`.
    pub(super) fn divider(&mut self, area: Rect) {
        let symbol = if self.config.charset == Charset::Unicode { "│" } else { "|" };
        for y in area.top()..area.bottom() {
            self.put_styled(area.x, y, 1, symbol, Style::new());
        }
    }

    fn put_styled(&mut self, x: u16, y: u16, cells: u16, raw: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y >= area.bottom() || x >= area.right() || y < area.top() {
            return x;
        }
        let cells = cells.min(area.right() - x);
        let safe = text::cut(&text::line(raw, self.config.charset), usize::from(cells));
        let mut at = x;
        for (piece, marked) in marks(&safe) {
            let style = if marked { style.add_modifier(Modifier::REVERSED) } else { style };
            (at, _) = self.buffer.set_stringn(at, y, piece, usize::from(area.right().saturating_sub(at)), style);
        }
        at
    }
}

/// Splits text at the marks of hidden characters, `<U+202E>`.
fn marks(text: &str) -> Vec<(&str, bool)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("<U+") {
        let tail = &rest[start + 3..];
        let digits = tail.bytes().take_while(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b)).count();
        let end = start + 3 + digits;
        if (4..=6).contains(&digits) && rest[end..].starts_with('>') {
            out.push((&rest[..start], false));
            out.push((&rest[start..=end], true));
            rest = &rest[end + 1..];
        } else {
            out.push((&rest[..start + 3], false));
            rest = tail;
        }
    }
    out.push((rest, false));
    out.retain(|(piece, _)| !piece.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found() {
        assert_eq!(marks("a<U+202E>b"), [("a", false), ("<U+202E>", true), ("b", false)]);
        assert_eq!(marks("x <U+ y"), [("x <U+", false), (" y", false)]);
        assert_eq!(marks("<U+1>"), [("<U+", false), ("1>", false)]);
    }

    #[test]
    fn nothing_leaves_the_buffer() {
        let config = Config::default();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        let mut pen = Pen { buffer: &mut buffer, config: &config };
        assert_eq!(pen.put(2, 0, 90, "漢字漢字", Role::Plain), 3);
        assert_eq!(pen.put(9, 9, 4, "x", Role::Plain), 9);
        assert_eq!(buffer, Buffer::with_lines(["  ~ "]));
    }
}
