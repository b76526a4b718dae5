//! Bytes of the terminal, as keys and pastes.
//!
//! An escape sequence may arrive in pieces on a slow line. It is kept until it is whole or its time is
//! over, so that a torn arrow key is an arrow key and never an Esc with letters after it.

use crate::Key;

/// The longest escape sequence that is waited for.
const SEQUENCE_MAX: usize = 32;
/// The largest paste that is kept; what follows is dropped.
const PASTE_MAX: usize = 256 * 1024;
const PASTE_END: &[u8] = b"\x1b[201~";

/// What the operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Key(Key),
    Paste(String),
}

/// How long the rest of something begun is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// The time of a lone Esc.
    Escape,
    /// The time of a paste whose end does not come.
    Paste,
}

/// Turns bytes into input, keeping what is not whole.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

enum Step {
    More,
    Took(usize, Option<Key>),
    PasteBegins(usize),
}

impl Decoder {
    /// Takes bytes as they arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.pending.extend_from_slice(bytes);
        let mut out = Vec::new();
        loop {
            if self.paste.is_some() {
                match self.paste_step() {
                    Some(text) => out.push(Input::Paste(text)),
                    None => break,
                }
                continue;
            }
            match step(&self.pending) {
                Step::More => break,
                Step::Took(0, _) => break,
                Step::Took(n, key) => {
                    self.pending.drain(..n);
                    out.extend(key.map(Input::Key));
                }
                Step::PasteBegins(n) => {
                    self.pending.drain(..n);
                    self.paste = Some(Vec::new());
                }
            }
        }
        out
    }

    /// What is waited for, if anything.
    pub(super) fn waits(&self) -> Option<Patience> {
        match (&self.paste, self.pending.as_slice()) {
            (Some(_), _) => Some(Patience::Paste),
            (None, []) => None,
            (None, _) => Some(Patience::Escape),
        }
    }

    /// The time is over: an Esc alone is Esc, half a paste is a paste, any other piece is dropped.
    pub(super) fn give_up(&mut self) -> Vec<Input> {
        let pending = std::mem::take(&mut self.pending);
        match self.paste.take() {
            Some(mut text) => {
                text.extend_from_slice(&pending);
                vec![Input::Paste(String::from_utf8_lossy(&text).into_owned())]
            }
            None if pending == [0x1b] => vec![Input::Key(Key::Esc)],
            None => Vec::new(),
        }
    }

    /// Forgets everything, after another program had the terminal.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn paste_step(&mut self) -> Option<String> {
        let text = self.paste.as_mut()?;
        if let Some(at) = find(&self.pending, PASTE_END) {
            let room = PASTE_MAX.saturating_sub(text.len());
            text.extend_from_slice(&self.pending[..at.min(room)]);
            self.pending.drain(..at + PASTE_END.len());
            return self.paste.take().map(|t| String::from_utf8_lossy(&t).into_owned());
        }
        // the end mark itself may be torn
        let keep = self.pending.len().saturating_sub(PASTE_END.len() - 1);
        let room = PASTE_MAX.saturating_sub(text.len());
        text.extend_from_slice(&self.pending[..keep.min(room)]);
        self.pending.drain(..keep);
        None
    }
}

fn step(bytes: &[u8]) -> Step {
    match bytes {
        [] => Step::More,
        [0x1b] => Step::More,
        [0x1b, 0x1b, ..] => Step::Took(1, Some(Key::Esc)),
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', rest @ ..] => match rest {
            [] => Step::More,
            [c, ..] => Step::Took(3, final_letter(*c)),
        },
        [0x1b, rest @ ..] => match character(rest) {
            Some((n, c)) => Step::Took(n + 1, c.map(Key::Alt)),
            None => Step::More,
        },
        [b'\r' | b'\n', ..] => Step::Took(1, Some(Key::Enter)),
        [b'\t', ..] => Step::Took(1, Some(Key::Tab)),
        [0x7f | 0x08, ..] => Step::Took(1, Some(Key::Backspace)),
        [c @ 1..=26, ..] => Step::Took(1, Some(Key::Ctrl(char::from(b'a' + c - 1)))),
        [0..=31, ..] => Step::Took(1, None),
        _ => match character(bytes) {
            Some((n, c)) => Step::Took(n, c.map(Key::Char)),
            None => Step::More,
        },
    }
}

/// What follows `ESC [`.
fn control_sequence(rest: &[u8]) -> Step {
    // the console of Linux sends ESC [ [ A for F1
    if let [b'[', tail @ ..] = rest {
        return match tail {
            [] => Step::More,
            [c @ b'A'..=b'E', ..] => Step::Took(4, Some(Key::F(c - b'A' + 1))),
            [..] => Step::Took(4, None),
        };
    }
    let Some(end) = rest.iter().position(|b| !(0x20..=0x3f).contains(b)) else {
        return if rest.len() > SEQUENCE_MAX { Step::Took(rest.len() + 2, None) } else { Step::More };
    };
    let taken = end + 3;
    let number = || {
        let digits: Vec<u8> = rest[..end].iter().copied().take_while(u8::is_ascii_digit).collect();
        std::str::from_utf8(&digits).ok().and_then(|d| d.parse::<u16>().ok())
    };
    match rest[end] {
        // a new sequence begins inside this one: this one is lost
        0x1b => Step::Took(taken - 1, None),
        b'~' => match number() {
            Some(200) => Step::PasteBegins(taken),
            Some(n) => Step::Took(taken, numbered(n)),
            None => Step::Took(taken, None),
        },
        c => Step::Took(taken, final_letter(c)),
    }
}

fn final_letter(c: u8) -> Option<Key> {
    Some(match c {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'Z' => Key::BackTab,
        b'P'..=b'S' => Key::F(c - b'P' + 1),
        b'M' => Key::Enter,
        _ => return None,
    })
}

fn numbered(n: u16) -> Option<Key> {
    Some(match n {
        1 | 7 => Key::Home,
        3 => Key::Delete,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
        11..=15 => Key::F((n - 10) as u8),
        17..=21 => Key::F((n - 11) as u8),
        23 | 24 => Key::F((n - 12) as u8),
        _ => return None,
    })
}

/// The first character and its length; `None` when it is not whole yet.
fn character(bytes: &[u8]) -> Option<(usize, Option<char>)> {
    let first = *bytes.first()?;
    let len = match first {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((1, None)),
    };
    let have = &bytes[..len.min(bytes.len())];
    match std::str::from_utf8(have) {
        Ok(text) if have.len() == len => Some((len, text.chars().next().filter(|c| !c.is_control()))),
        Ok(_) => None,
        Err(e) if e.error_len().is_none() && have.len() < len => None,
        Err(_) => Some((1, None)),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &str, expected: &str) {
        let mut decoder = Decoder::default();
        let mut all = decoder.push(bytes.as_bytes());
        all.extend(decoder.give_up());
        let words: Vec<String> = all
            .iter()
            .map(|i| match i {
                Input::Key(k) => k.to_string(),
                Input::Paste(t) => format!("paste({t})"),
            })
            .collect();
        assert_eq!(words.join(" "), expected, "{bytes:?}");
    }

    #[test]
    fn sequences_are_keys() {
        check("a\r\tü漢", "a Enter Tab ü 漢");
        check("\x1b[A\x1bOB\x1b[1;5C\x1b[Z", "Up Down Right S-Tab");
        check("\x1b[5~\x1b[6~\x1b[1~\x1b[4~\x1b[3~", "PgUp PgDn Home End Del");
        check("\x1bOP\x1b[11~\x1b[[A\x1b[24~", "F1 F1 F1 F12");
        check("\x03\x1a\x7f", "ctrl-c ctrl-z Backspace");
        check("\x1b", "Esc");
        check("\x1b\x1b[A", "Esc Up");
        check("\x1bj", "alt-j");
        check("\x1b[200~a7\n\x1b[31m\x1b[201~x", "paste(a7\n\x1b[31m) x");
        check("\x1b[?1;2c\x1b[<0;1;1Mx", "Enter x");
        check("\x1b[", "");
    }

    #[test]
    fn a_torn_arrow_is_still_an_arrow() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"\x1b"), []);
        assert_eq!(decoder.waits(), Some(Patience::Escape));
        assert_eq!(decoder.push(b"["), []);
        assert_eq!(decoder.push(b"A"), [Input::Key(Key::Up)]);
        assert_eq!(decoder.waits(), None);
    }

    proptest! {
        #[test]
        fn where_bytes_are_torn_changes_nothing(bytes in proptest::collection::vec(
            prop_oneof![Just(0x1bu8), Just(b'['), Just(b'O'), Just(b'A'), Just(b'~'), Just(b'2'), Just(b'0'), any::<u8>()], 0..60,
        ), cut in 0usize..60) {
            let whole = Decoder::default().push(&bytes);
            let cut = cut.min(bytes.len());
            let mut torn = Decoder::default();
            let mut parts = torn.push(&bytes[..cut]);
            parts.extend(torn.push(&bytes[cut..]));
            prop_assert_eq!(whole, parts);
            torn.give_up();
            prop_assert_eq!(torn.waits(), None);
        }
    }
}
