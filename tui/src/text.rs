//! Cutting and wrapping text by the width of its cells.
//!
//! Text goes through [`DisplayText`] here, at the border of the screen: no function of this crate
//! puts a string on the screen that did not come through [`line`] or [`wrap`].

use cairn_store_layout::text::DisplayText;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::Charset;

/// The mark of a text that was cut.
const CUT: &str = "~";

/// Width in cells.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Makes `raw` safe for one line.
pub(crate) fn line(raw: &str, charset: Charset) -> String {
    plain(DisplayText::line(raw).as_str(), charset)
}

/// Cuts `text` to at most `cells`, marking the cut.
pub(crate) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for g in text.graphemes(true) {
        if used + g.width() + CUT.len() > cells {
            break;
        }
        used += g.width();
        out.push_str(g);
    }
    if cells > 0 {
        out.push_str(CUT);
    }
    out
}

/// Cuts `text` or fills it with blanks, to exactly `cells`.
pub(crate) fn fit(text: &str, cells: usize) -> String {
    let mut out = cut(text, cells);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', cells.saturating_sub(used)));
    out
}

/// Makes `raw` safe and breaks it into lines of at most `cells`, at blanks where it can.
///
/// Every character of the text is on one of the lines. An empty text is one empty line.
pub(crate) fn wrap(raw: &str, cells: usize, charset: Charset) -> Vec<String> {
    let safe = plain(DisplayText::new(raw).as_str(), charset);
    safe.split('\n').flat_map(|l| wrap_line(l, cells.max(1))).collect()
}

fn wrap_line(text: &str, cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in pieces(text) {
        let fits = |c: &str| width(c) + width(word) <= cells;
        if fits(&current) {
            current.push_str(word);
            continue;
        }
        // blanks at the end of a line may hang over: they are not seen, and the next line begins with a word
        if word.starts_with(' ') {
            lines.push(std::mem::take(&mut current));
            continue;
        }
        if width(word) <= cells {
            lines.push(std::mem::take(&mut current).trim_end().to_owned());
            current.push_str(word);
            continue;
        }
        for g in word.graphemes(true) {
            if width(&current) + g.width() > cells && !current.is_empty() {
                lines.push(std::mem::take(&mut current));
            }
            current.push_str(g);
        }
    }
    lines.push(current);
    lines
}

/// Splits into runs of blanks and runs of everything else.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = rest.chars().next()? == ' ';
        let end = rest.find(|c| (c == ' ') != blank).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(piece)
    })
}

fn plain(text: &str, charset: Charset) -> String {
    if charset != Charset::Ascii || text.is_ascii() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { out.push_str(&format!("<U+{:04X}>", u32::from(c))) }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_is_marked_and_never_splits_a_character() {
        assert_eq!(cut("Reminder to Brandt", 10), "Reminder ~");
        assert_eq!(cut("漢字漢字", 5), "漢字~");
        assert_eq!(cut("漢字漢字", 4), "漢~");
        assert_eq!(cut("ab", 2), "ab");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(fit("漢", 4), "漢  ");
    }

    #[test]
    fn text_that_the_terminal_can_not_show_is_named() {
        assert_eq!(line("Grüße\u{1b}[2J\nx", Charset::Ascii), "Gr<U+00FC><U+00DF>e<U+001B>[2J x");
        assert_eq!(line("Grüße", Charset::AsciiLines), "Grüße");
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("one two three", 8, Charset::Unicode), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, Charset::Unicode), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4, Charset::Unicode), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn nothing_but_blanks_is_lost(text in "[ a-zé漢\u{202e}\n]{0,80}", cells in 2usize..20) {
            let squeezed = |s: &str| s.split_whitespace().collect::<String>();
            let lines = wrap(&text, cells, Charset::Unicode);
            prop_assert!(lines.iter().all(|l| width(l) <= cells), "{lines:?}");
            let marked = DisplayText::new(&text);
            prop_assert_eq!(squeezed(&lines.concat()), squeezed(marked.as_str()));
        }
    }
}
