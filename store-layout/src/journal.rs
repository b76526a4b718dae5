//! The journal: one line for every fact of every run that is not yet at rest in a commit.
//!
//! Lines form a chain: each names the hash of the one before it and, in `syn`, the last line that
//! was known durable when it was written. With that, a torn tail (never acknowledged) can be told
//! from damage to something that was (`LAYOUT.md`, "Journal"). Pure: bytes in, findings out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The largest segment.
pub const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// The longest journal line: a record's line, quoted, with the chain around it.
pub const LINE_BYTES_MAX: usize = 4 * crate::record::LINE_BYTES_MAX;
/// The hash that the first line of a new journal follows.
pub const ORIGIN: &str = "00000000000000000000000000000000";

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Sequence number, counted from 1 over all segments.
    pub n: u64,
    /// Hash of the entry before it, or [`ORIGIN`].
    pub p: String,
    /// The highest sequence number known durable when it was written.
    pub syn: u64,
    /// The file that the line belongs to, from the store's root; `journal:` for notes of the journal itself.
    pub to: String,
    /// The line without its line break.
    pub line: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    n: u64,
    p: Cow<'a, str>,
    syn: u64,
    to: Cow<'a, str>,
    line: Cow<'a, str>,
}

impl Entry {
    /// Writes the entry as one line with its line break, and its hash.
    #[must_use]
    pub fn encode(&self) -> (String, String) {
        let mut text = Vec::new();
        let hash = encode(&mut text, (self.n, &self.p), self.syn, &self.to, &self.line);
        (String::from_utf8(text).expect("JSON is UTF-8"), hash)
    }

    /// Reads a line (without its line break) and checks its hash, byte for byte.
    fn decode(line: &[u8]) -> Option<(Self, String)> {
        // ,"h":"<32 hex>"}
        let cut = line.len().checked_sub(32 + 8)?;
        let (body, tail) = line.split_at(cut);
        let hash = hash(body);
        if tail != format!(",\"h\":\"{hash}\"}}").as_bytes() {
            return None;
        }
        let wire: Wire<'_> = serde_json::from_slice(&[body, b"}"].concat()).ok()?;
        let (p, to, line_of) = (wire.p.into_owned(), wire.to.into_owned(), wire.line.into_owned());
        let entry = Self { n: wire.n, p, syn: wire.syn, to, line: line_of };
        // the compared bytes are the canonical ones, so that no other spelling passes
        (entry.encode().0.as_bytes().strip_suffix(b"\n") == Some(line)).then_some((entry, hash))
    }
}

/// Appends the entry `n`, which follows the one with the hash `p`, to `out` as one line with its line
/// break, and answers its hash. The other fields are those of [`Entry`].
pub fn encode(out: &mut Vec<u8>, (n, p): (u64, &str), syn: u64, to: &str, line: &str) -> String {
    let start = out.len();
    let wire = Wire { n, p: p.into(), syn, to: to.into(), line: line.into() };
    serde_json::to_writer(&mut *out, &wire).expect("an entry holds only numbers and text, and memory takes any of it");
    out.pop();
    let hash = hash(&out[start..]);
    for part in [",\"h\":\"", &hash, "\"}\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    hash
}

fn hash(bytes: &[u8]) -> String {
    let mut hex = Digest::of(bytes).to_string();
    hex.truncate(32);
    hex
}

/// What a segment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The entries that can be trusted, in order.
    pub entries: Vec<Entry>,
    /// Where the trusted bytes end.
    pub end: usize,
    /// The hash of the last trusted entry, else the one the scan began with.
    pub last_hash: String,
    /// What follows the trusted bytes.
    pub tail: Tail,
}

/// What follows the trusted bytes of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tail {
    /// Nothing but the zeros of preallocation.
    #[default]
    Clean,
    /// Bytes that were never acknowledged: a write that a crash cut short.
    Torn {
        /// How many bytes up to the zeros or the end.
        bytes: usize,
    },
    /// An entry that was acknowledged is damaged: a later one says that it was durable.
    Damaged {
        /// The sequence number of the first damaged entry.
        n: u64,
        /// Its offset in the segment.
        offset: usize,
    },
}

/// Reads a segment that follows an entry `after` (sequence number and hash); `None` takes whatever the first entry says.
#[must_use]
pub fn scan(bytes: &[u8], after: Option<(u64, &str)>) -> Scan {
    let mut scan = Scan { last_hash: after.map_or(ORIGIN, |(_, h)| h).to_owned(), ..Scan::default() };
    let mut expected = after.map(|(n, h)| (n + 1, h.to_owned()));
    loop {
        let rest = &bytes[scan.end..];
        if rest.iter().all(|b| *b == 0) {
            return scan;
        }
        let line = rest.iter().position(|b| *b == b'\n').map(|len| &rest[..len]);
        let entry = line
            .and_then(Entry::decode)
            .filter(|(entry, _)| expected.as_ref().is_none_or(|(n, p)| entry.n == *n && entry.p == *p));
        let Some((entry, hash)) = entry else {
            let n = expected.map_or(1, |(n, _)| n);
            scan.tail = tail(rest, n, scan.end);
            return scan;
        };
        scan.end += line.map_or(0, <[u8]>::len) + 1;
        expected = Some((entry.n + 1, hash.clone()));
        scan.last_hash = hash;
        scan.entries.push(entry);
    }
}

/// An entry that can be read by itself, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Where it begins in the segment.
    pub offset: usize,
    /// How many bytes it has, with its line break.
    pub len: usize,
    /// The entry.
    pub entry: Entry,
    /// Its hash.
    pub hash: String,
}

/// Every whole entry of a segment, also behind damage. Whether they follow each other is not looked at.
#[must_use]
pub fn whole_entries(bytes: &[u8]) -> Vec<Whole> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n");
        // damage may have eaten a line break, so a line may begin within another
        let starts = text.into_iter().flat_map(|text| (0..text.len()).filter(|i| text[*i..].starts_with(HEAD)));
        let whole = starts.filter_map(|i| Some((i, Entry::decode(&line[i..line.len() - 1])?))).next();
        found.extend(whole.map(|(i, (entry, hash))| Whole { offset: at + i, len: line.len() - i, entry, hash }));
        at += line.len();
    }
    found
}

/// How every entry begins.
const HEAD: &[u8] = b"{\"n\":";

/// Torn or damaged: is there any whole later entry that knew entry `n` to be durable?
fn tail(rest: &[u8], n: u64, offset: usize) -> Tail {
    let known = rest.split(|b| *b == b'\n').filter_map(|line| {
        // a torn write may leave garbage before a whole line, so look for the line's own start too
        let start = line.windows(HEAD.len()).position(|w| w == HEAD)?;
        Entry::decode(&line[start..])
    });
    if known.into_iter().any(|(entry, _)| entry.syn >= n) {
        return Tail::Damaged { n, offset };
    }
    let bytes = rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    Tail::Torn { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A segment of entries written in groups: `syn` is the last entry of the group before.
    fn segment(groups: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut n, mut p, mut syn) = (Vec::new(), Vec::new(), 0, ORIGIN.to_owned(), 0);
        for group in groups {
            for _ in 0..*group {
                n += 1;
                let entry = Entry {
                    n,
                    p: p.clone(),
                    syn,
                    to: "runs/x.jsonl".to_owned(),
                    line: format!("{{\"n\":{n},\"t\":\"ä\"}}"),
                };
                let (text, hash) = entry.encode();
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
                p = hash;
            }
            syn = n;
        }
        (bytes, ends)
    }

    #[test]
    fn the_form_of_a_line_is_frozen() {
        let entry =
            Entry { n: 7, p: ORIGIN.to_owned(), syn: 6, to: "runs/a.jsonl".to_owned(), line: "{\"n\":0}".to_owned() };
        assert_eq!(
            entry.encode().0,
            "{\"n\":7,\"p\":\"00000000000000000000000000000000\",\"syn\":6,\"to\":\"runs/a.jsonl\",\"line\":\"{\\\"n\\\":0}\",\"h\":\"febcdff3c7e220e6ebfe42eb9f10c18d\"}\n"
        );
    }

    #[test]
    fn preallocated_zeros_are_a_clean_end() {
        let (mut bytes, _) = segment(&[2, 3]);
        bytes.resize(bytes.len() + 4096, 0);
        let scan = scan(&bytes, None);
        assert_eq!((scan.entries.len(), scan.tail), (5, Tail::Clean));
    }

    #[test]
    fn whole_entries_are_found_behind_damage_and_within_a_line_that_lost_its_end() {
        let (mut bytes, ends) = segment(&[3, 2, 4]);
        bytes[ends[3] - 1] = b'#';
        bytes[ends[0] + 20] ^= 1;
        bytes.resize(bytes.len() + 512, 0);
        let found = whole_entries(&bytes);
        assert_eq!(found.iter().map(|w| w.entry.n).collect::<Vec<_>>(), [1, 3, 5, 6, 7, 8, 9]);
        assert!(found.iter().all(|w| bytes[w.offset..w.offset + w.len] == *w.entry.encode().0.as_bytes()));
    }

    proptest! {
        /// A cut anywhere in the last group is a torn tail; whole entries before it are kept.
        #[test]
        fn a_cut_in_the_last_group_is_torn(cut in 0usize..10_000, zeros in 0usize..100) {
            let (bytes, ends) = segment(&[3, 2, 4]);
            let from = ends[4];
            let cut = from + cut % (bytes.len() - from);
            let mut image = bytes[..cut].to_vec();
            image.resize(cut + zeros, 0);
            let scan = scan(&image, None);
            let whole = ends.iter().filter(|e| **e <= cut).count();
            prop_assert_eq!(scan.entries.len(), whole);
            prop_assert!(!matches!(scan.tail, Tail::Damaged { .. }), "{:?}", scan.tail);
        }

        /// Any flipped bit in a group that a later one knew durable is damage, never a torn tail.
        #[test]
        fn a_flipped_bit_in_an_acknowledged_entry_is_damage(at in 0usize..10_000, bit in 0u8..8) {
            let (mut bytes, ends) = segment(&[3, 2, 4]);
            let at = at % ends[4];
            bytes[at] ^= 1 << bit;
            let scan = scan(&bytes, None);
            prop_assert!(matches!(scan.tail, Tail::Damaged { .. }), "{:?}", scan.tail);
        }
    }
}
