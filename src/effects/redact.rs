//! The last gate before anything is kept or shown: known secrets become `[secret:name]`.
//!
//! A secret is looked for as it is and in the forms that replies and error texts give it: base64 at
//! each of the three alignments, hex, percent-encoding, and JSON escapes, up to three levels.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine, engine::general_purpose};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// What a form encoder leaves as it is, beside letters and digits (RFC 3986, unreserved).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Finds all forms of all secrets in one pass.
pub(crate) struct Redactor {
    search: Option<AhoCorasick>,
    marks: Vec<String>,
}

impl Redactor {
    /// Prepares the search for `(name, value)` pairs.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = (String, &'a str)>) -> Self {
        let mut patterns = Vec::new();
        let mut marks = Vec::new();
        for (name, value) in secrets {
            for form in forms(value) {
                patterns.push(form);
                marks.push(format!("[secret:{name}]"));
            }
        }
        let search = (!patterns.is_empty()).then(|| {
            // leftmost-longest: the whole escaped form is replaced rather than a plain piece of it
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&patterns)
                .expect("the patterns come from an environment block, far below the limit of the automaton")
        });
        Self { search, marks }
    }

    /// Tells whether there is nothing to look for.
    pub(crate) fn is_idle(&self) -> bool {
        self.search.is_none()
    }

    pub(crate) fn text(&self, text: &str) -> String {
        match &self.search {
            Some(search) if search.is_match(text) => search.replace_all(text, &self.marks),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.search {
            Some(search) if search.is_match(bytes) => search.replace_all_bytes(bytes, &self.marks),
            _ => bytes.to_vec(),
        }
    }

    /// Redacts texts, names of fields, and numbers that spell a secret.
    pub(crate) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Number(number) => {
                let text = number.to_string();
                let hidden = self.text(&text);
                if hidden == text { Value::Number(number) } else { Value::String(hidden) }
            }
            Value::Array(items) => Value::Array(items.into_iter().map(|v| self.value(v)).collect()),
            Value::Object(map) => {
                Value::Object(map.into_iter().map(|(k, v)| (self.text(&k), self.value(v))).collect::<Map<_, _>>())
            }
            other => other,
        }
    }
}

fn forms(value: &str) -> BTreeSet<String> {
    let bytes = value.as_bytes();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let mut forms = BTreeSet::from([
        value.to_owned(),
        hex.to_ascii_uppercase(),
        hex,
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        utf8_percent_encode(value, UNRESERVED).to_string(),
        utf8_percent_encode(value, UNRESERVED).to_string().replace("%20", "+"),
    ]);
    // an error inside an error inside a reply: each level escapes once more
    let levels = std::iter::successors(Some(value.to_owned()), |inner| Some(escaped(inner)));
    forms.extend(levels.take(4));
    let lower: Vec<String> = forms.iter().filter(|f| f.contains('%')).map(|f| lower_escapes(f)).collect();
    forms.extend(lower);
    for engine in [&general_purpose::STANDARD_NO_PAD, &general_purpose::URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|phase| base64_core(engine, bytes, phase)));
    }
    forms
}

/// The characters that `bytes` gives in any base64 text in which it starts `phase` bytes into a group
/// of three; the characters at the edges, which depend on the neighbours, are left out.
fn base64_core(engine: &general_purpose::GeneralPurpose, bytes: &[u8], phase: usize) -> String {
    let mut padded = vec![0; phase];
    padded.extend_from_slice(bytes);
    let whole = engine.encode(&padded);
    let (first, last) = ((phase * 8).div_ceil(6), padded.len() * 8 / 6);
    whole[first..last].to_owned()
}

/// The text inside the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Percent-escapes with lower-case digits, as some servers write them.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    text.chars()
        .map(|c| {
            if c == '%' {
                left = 2;
                return c;
            }
            if left > 0 {
                left -= 1;
                return c.to_ascii_lowercase();
            }
            c
        })
        .collect()
}
