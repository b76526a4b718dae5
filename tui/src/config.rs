//! What the interface is told about its surroundings when it starts.

use jiff::{Timestamp, tz::TimeZone};

/// Which characters the terminal can be trusted with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Box lines, and text as it is.
    #[default]
    Unicode,
    /// Lines of ASCII, text as it is: for languages whose terminals draw box lines two cells wide.
    AsciiLines,
    /// Nothing but ASCII; every other character is named by its number.
    Ascii,
}

impl Charset {
    /// Chooses by the values of `LC_ALL`/`LC_CTYPE`/`LANG` (the first that is set) and `TERM`.
    #[must_use]
    pub fn detect(locale: &str, term: &str) -> Self {
        let upper = locale.to_ascii_uppercase();
        let plain = ["linux", "dumb", ""].contains(&term) || term.starts_with("vt");
        if !(upper.contains("UTF-8") || upper.contains("UTF8")) || term == "dumb" {
            Self::Ascii
        } else if plain || ["ja", "ko", "zh"].iter().any(|l| locale.starts_with(l)) {
            Self::AsciiLines
        } else {
            Self::Unicode
        }
    }
}

/// How things are set apart. Words come first: no colour carries a meaning alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// The 16 colours of the terminal on its own background.
    #[default]
    Ansi,
    /// Bold, underline and reverse only.
    Mono,
}

impl Theme {
    /// Chooses by `NO_COLOR` (set and not empty) and `TERM`.
    #[must_use]
    pub fn detect(no_color: bool, term: &str) -> Self {
        if no_color || ["dumb", "", "vt100", "vt102", "vt220"].contains(&term) { Self::Mono } else { Self::Ansi }
    }
}

/// What the interface is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// Which characters may be drawn.
    pub charset: Charset,
    /// How things are set apart.
    pub theme: Theme,
}

impl Default for Config {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, charset: Charset::default(), theme: Theme::default() }
    }
}

impl Config {
    /// Hours and minutes of `at`.
    pub(crate) fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M").to_string()
    }

    /// Hours, minutes and seconds of `at`.
    pub(crate) fn seconds(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// Day, hours and minutes of `at`.
    pub(crate) fn day(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surroundings_choose_characters_and_colours() {
        for (locale, term, charset) in [
            ("en_GB.UTF-8", "xterm-256color", Charset::Unicode),
            ("C.utf8", "tmux-256color", Charset::Unicode),
            ("ja_JP.UTF-8", "xterm", Charset::AsciiLines),
            ("en_US.UTF-8", "linux", Charset::AsciiLines),
            ("C", "xterm", Charset::Ascii),
            ("", "xterm", Charset::Ascii),
            ("en_US.UTF-8", "dumb", Charset::Ascii),
        ] {
            assert_eq!(Charset::detect(locale, term), charset, "{locale} {term}");
        }
        assert_eq!(Theme::detect(false, "xterm"), Theme::Ansi);
        assert_eq!(Theme::detect(true, "xterm"), Theme::Mono);
        assert_eq!(Theme::detect(false, "dumb"), Theme::Mono);
    }
}
