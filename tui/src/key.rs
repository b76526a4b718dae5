//! Keys as the interface names them: no more than it can tell apart on every terminal.

use std::fmt;

/// One key press.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A character that was typed.
    Char(char),
    /// A letter with Ctrl, in lower case.
    Ctrl(char),
    /// A character with Alt. Nothing is bound to these: on slow lines an Esc looks the same.
    Alt(char),
    /// Enter or Return.
    Enter,
    /// Escape, once it is certain that no sequence follows.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// The key that deletes to the left.
    Backspace,
    /// The key that deletes to the right.
    Delete,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// A function key.
    F(u8),
}

impl Key {
    /// Tells whether the key leaves a character when it is pasted or typed into text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::Char(_) | Self::Enter | Self::Tab)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Char(' ') => "Space",
            Self::Char(c) => return f.pad(c.encode_utf8(&mut [0; 4])),
            Self::Ctrl(c) => return f.pad(&format!("ctrl-{c}")),
            Self::Alt(c) => return f.pad(&format!("alt-{c}")),
            Self::F(n) => return f.pad(&format!("F{n}")),
            Self::Enter => "Enter",
            Self::Esc => "Esc",
            Self::Tab => "Tab",
            Self::BackTab => "S-Tab",
            Self::Backspace => "Backspace",
            Self::Delete => "Del",
            Self::Up => "Up",
            Self::Down => "Down",
            Self::Left => "Left",
            Self::Right => "Right",
            Self::Home => "Home",
            Self::End => "End",
            Self::PageUp => "PgUp",
            Self::PageDown => "PgDn",
        };
        f.pad(word)
    }
}
