//! Text that is safe to show on a terminal.
//!
//! Letters, web pages and models write text that we show. Whatever could move the cursor, change
//! colours, hide characters or turn the reading direction is replaced by a visible mark, here and
//! nowhere else, before the text reaches the interface or the command line.

use std::{borrow::Cow, fmt};

/// Text in which every character that could deceive a terminal or its reader is visible.
///
/// Line breaks stay; a tab becomes four spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayText(String);

impl DisplayText {
    /// Makes `raw` safe to show.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self(visible(raw).into_owned())
    }

    /// Makes `raw` safe to show on one line: line breaks become spaces.
    #[must_use]
    pub fn line(raw: &str) -> Self {
        Self(visible(&raw.replace(['\n', '\r'], " ")).into_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DisplayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns `text`, cut after `chars` characters with three dots to say so.
#[must_use]
pub fn brief(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Roughly how many tokens a model makes of `text`: a quarter of its characters or four thirds of its words,
/// whichever is more, rounded up. An estimate that is rather high than low for letters in European languages.
#[must_use]
pub fn tokens(text: &str) -> usize {
    let (chars, words) = (text.chars().count(), text.split_whitespace().count());
    chars.div_ceil(4).max((words * 4).div_ceil(3))
}

/// Tells whether `raw` holds characters that a reader could not see.
#[must_use]
pub fn has_hidden(raw: &str) -> bool {
    raw.chars().any(|c| is_hidden(c) && c != '\t' && c != '\r')
}

fn visible(raw: &str) -> Cow<'_, str> {
    if !raw.chars().any(is_hidden) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 16);
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\t' => out.push_str("    "),
            // the line break that follows says it all
            '\r' if rest.peek() == Some(&'\n') => {}
            c if is_hidden(c) => out.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Controls, direction marks, characters without width, tags and variation selectors.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' => false,
        c if c.is_control() => true,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_characters_and_says_so() {
        assert_eq!(brief("äöü", 3), "äöü");
        assert_eq!(brief("äöü", 2), "äö...");
    }

    #[test]
    fn what_could_deceive_is_marked() {
        for (raw, shown) in [
            ("plain text, ünïcode, 漢字", "plain text, ünïcode, 漢字"),
            ("\x1b[31mred\x1b[0m", "<U+001B>[31mred<U+001B>[0m"),
            ("a\u{202e}b", "a<U+202E>b"),
            ("zero\u{200b}width", "zero<U+200B>width"),
            ("tag\u{e0041}", "tag<U+E0041>"),
            ("c1 \u{9b}2J", "c1 <U+009B>2J"),
            ("one\r\ntwo\tx", "one\ntwo    x"),
            ("over\rwrite", "over<U+000D>write"),
        ] {
            assert_eq!(DisplayText::new(raw).as_str(), shown);
        }
        assert_eq!(DisplayText::line("a\nb").as_str(), "a b");
        assert!(has_hidden("a\u{202e}b") && !has_hidden("a\tb\r\n"));
    }
}
