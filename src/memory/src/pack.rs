//! Context packs: what is recalled, as text for a prompt, within a number of tokens.
//!
//! Each passage stands in a tag that its text can not close, so that a prompt can tell what was
//! recalled from what is asked, and [`strip_recalled`] can take it out again: recalled text is
//! quoted data, and is never learned a second time.

use cairn_store_layout::{passage::Passage, time};
use serde::Serialize;

use crate::query::{Hit, Recalled};

const OPEN: &str = "<recalled ";
const CLOSE: &str = "</recalled>";

/// Recalled passages as text for a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContextPack {
    /// The quoted passages in rank order, one after another; empty when nothing was found or fits.
    pub text: String,
    /// What the text costs, by [`tokens`]; never more than was allowed.
    pub tokens: usize,
    /// Where each quoted passage is from, in the order of the text.
    pub citations: Vec<Citation>,
    /// What matched and is not in the text.
    pub left_out: Vec<LeftOut>,
    /// Set when similarity could not be used and only words were, with the reason.
    pub words_only: Option<String>,
}

/// Where a quoted passage is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Citation {
    /// The passage.
    pub id: String,
    /// Its source in a few words.
    pub source: String,
    /// Why it matched.
    pub why: String,
    /// Whether only its beginning is quoted.
    pub cut: bool,
}

/// A passage that matched and was left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOut {
    /// The passage.
    pub id: String,
    /// Why, in a few words.
    pub why: String,
}

/// Estimates what a text costs in tokens, without any model's own table: the greater of a quarter of
/// its characters and four thirds of its words, rounded up. English prose and code stay below it with
/// the tokenizers in common use; scripts without spaces between words may exceed it.
#[must_use]
pub fn tokens(text: &str) -> usize {
    let words = text.split_whitespace().count();
    text.chars().count().div_ceil(4).max((words * 4).div_ceil(3))
}

/// Takes out what [`crate::Memory::pack`] quoted, also when a model repeated it or wrote it into JSON, and
/// names the passages. A quotation that was never closed reaches to the end.
#[must_use]
pub fn strip_recalled(text: &str) -> (String, Vec<String>) {
    let (mut out, mut ids) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        out.push_str(&rest[..start]);
        let quoted = &rest[start + OPEN.len()..];
        let end = quoted.find(CLOSE);
        ids.extend(id(&quoted[..end.unwrap_or(quoted.len())]));
        rest = end.map_or("", |end| &quoted[end + CLOSE.len()..]);
        // The line break after a quotation is part of it.
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
    // What stood around a quotation may itself read as one now that they meet.
    if !out.contains(OPEN) {
        return (out, ids);
    }
    let (out, more) = strip_recalled(&out);
    ids.extend(more);
    (out, ids)
}

/// Quotes the hits that fit into `budget` tokens, in rank order. A passage is quoted whole; only if
/// none fits is the first one quoted in part, and marked so.
pub(crate) fn pack(recalled: Recalled, budget: usize) -> ContextPack {
    let mut pack = ContextPack {
        text: String::new(),
        tokens: 0,
        citations: Vec::new(),
        left_out: Vec::new(),
        words_only: recalled.words_only,
    };
    for hit in &recalled.hits {
        let longer = format!("{}{}", pack.text, quote(&hit.passage, &hit.passage.text, false));
        let tokens = tokens(&longer);
        if tokens <= budget {
            (pack.text, pack.tokens) = (longer, tokens);
            pack.citations.push(citation(hit, false));
        } else {
            let why = format!("it would make {tokens} tokens of {budget}");
            pack.left_out.push(LeftOut { id: hit.passage.id.clone(), why });
        }
    }
    if let (true, Some(first)) = (pack.citations.is_empty(), recalled.hits.first())
        && let Some(text) = cut(&first.passage, budget)
    {
        pack.tokens = tokens(&text);
        pack.text = text;
        pack.citations.push(citation(first, true));
        pack.left_out.remove(0);
    }
    pack
}

fn citation(hit: &Hit, cut: bool) -> Citation {
    Citation { id: hit.passage.id.clone(), source: hit.passage.source.words(), why: hit.why.words(), cut }
}

/// The longest beginning of a passage that fits, if a word of it does.
fn cut(passage: &Passage, budget: usize) -> Option<String> {
    let ends: Vec<usize> =
        passage.text.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(i, _)| i).filter(|i| *i > 0).collect();
    let quoted = |end: &usize| quote(passage, passage.text[..*end].trim_end(), true);
    let fitting = ends.partition_point(|end| tokens(&quoted(end)) <= budget);
    fitting.checked_sub(1).map(|last| quoted(&ends[last]))
}

fn quote(passage: &Passage, text: &str, cut: bool) -> String {
    let mut out = format!(
        "{OPEN}id=\"{}\" source=\"{}\" recorded=\"{}\"",
        escape(&passage.id),
        escape(&passage.source.words()),
        time::short(passage.recorded_at)
    );
    if let Some(entity) = &passage.entity {
        out.push_str(&format!(" entity=\"{}\"", escape(entity)));
    }
    if cut {
        out.push_str(" cut=\"true\"");
    }
    out.push_str(&format!(">{}{CLOSE}\n", escape(text)));
    out
}

/// Neither a tag nor the end of an attribute can be in what this returns.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The id in the head of a quotation, with its quotes escaped or not.
fn id(quoted: &str) -> Option<String> {
    let value = quoted.split_once("id=")?.1.trim_start_matches(['\\', '"']);
    let end = value.find(['\\', '"', ' ', '>']).unwrap_or(value.len());
    Some(value[..end].to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_greater_of_two_estimates() {
        assert_eq!((tokens(""), tokens("abcde"), tokens("a b c d")), (0, 2, 6));
    }

    #[test]
    fn a_quotation_is_taken_out_however_it_comes_back() {
        let check = |text: &str, rest: &str, ids: &[&str]| {
            assert_eq!(
                strip_recalled(text),
                (rest.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect()),
                "{text}"
            );
        };
        check("a <recalled id=\"x1\" source=\"ada\">secret</recalled>\nb", "a b", &["x1"]);
        check(r#"{"reply":"<recalled id=\"x1\">secret</recalled>ok"}"#, r#"{"reply":"ok"}"#, &["x1"]);
        check("kept <recalled id=\"x1\">never closed", "kept ", &["x1"]);
        check("<recal<recalled id=\"a\">x</recalled>led id=\"b\">y</recalled>", "", &["a", "b"]);
        check("what was recalled before", "what was recalled before", &[]);
    }
}
