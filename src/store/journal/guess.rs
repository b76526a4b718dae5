//! Guessing what a damaged stretch of the journal held, and proving it by the chain.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    Digest,
    journal::{Entry, ORIGIN},
};

use super::{Known, Stretch, known::number};

/// Guesses that one stretch is worth.
const GUESSES_MAX: usize = 400_000;
/// Guesses that are followed at each place, the likeliest first.
const BRANCHES: usize = 6;
/// The longest damaged entry whose every byte is tried.
const TRIED_BYTES_MAX: usize = 4096;

/// Puts known lines into the stretch until the chain closes.
pub(super) fn from_lines(
    stretch: &Stretch,
    raw: &[u8],
    known: &Known,
    next: BTreeMap<String, u64>,
    later: &BTreeMap<String, u64>,
) -> Option<Vec<u8>> {
    let (hash, syn) = match &stretch.before {
        Some((hash, syn)) => (hash.clone(), *syn),
        None => (first_hash(stretch, raw)?, stretch.entries.0 - 1),
    };
    let mut search = Search { stretch, raw, known, later, left: GUESSES_MAX, text: Vec::new(), next };
    search.follow(stretch.entries.0, &hash, syn).then_some(search.text)
}

/// A single damaged entry, by changing each of its bytes: whatever it was, its hash is known.
pub(super) fn from_bytes(stretch: &Stretch, raw: &[u8]) -> Option<Vec<u8>> {
    let tail = format!(",\"h\":\"{}\"}}\n", stretch.until);
    let body_len = raw.len().checked_sub(tail.len())?;
    if !stretch.exact || stretch.entries.0 != stretch.entries.1 || body_len > TRIED_BYTES_MAX {
        return None;
    }
    let mut body = raw[..body_len].to_vec();
    let fits = |body: &[u8]| Digest::of(body).as_str()[..stretch.until.len()] == stretch.until;
    let found = fits(&body)
        || (0..body.len()).any(|at| {
            let was = body[at];
            let found = (0..=u8::MAX).any(|byte| {
                body[at] = byte;
                fits(&body)
            });
            if !found {
                body[at] = was;
            }
            found
        });
    body.extend_from_slice(tail.as_bytes());
    found.then_some(body)
}

/// What the first damaged entry says it follows: the oldest entry of a journal may follow anything.
fn first_hash(stretch: &Stretch, raw: &[u8]) -> Option<String> {
    if stretch.entries.0 == 1 {
        return Some(ORIGIN.to_owned());
    }
    let text = String::from_utf8_lossy(raw);
    let hash = text.split_once("\"p\":\"")?.1.split('"').next()?.to_owned();
    (hash.len() == ORIGIN.len()).then_some(hash)
}

struct Search<'a> {
    stretch: &'a Stretch,
    raw: &'a [u8],
    known: &'a Known,
    later: &'a BTreeMap<String, u64>,
    left: usize,
    text: Vec<u8>,
    next: BTreeMap<String, u64>,
}

struct Guess {
    to: String,
    text: String,
    hash: String,
    syn: u64,
    record: Option<u64>,
    /// How many bytes it shares with what is on the disk, and how many are not zeros there.
    alike: (usize, usize),
}

impl Search<'_> {
    /// Depth first from entry `n`, which follows `p`; `syn` is that of the entry before.
    fn follow(&mut self, n: u64, p: &str, syn: u64) -> bool {
        if n > self.stretch.entries.1 {
            return p == self.stretch.until && (!self.stretch.exact || self.text.len() == self.raw.len());
        }
        let mut guesses = self.guesses(n, p, syn);
        let last = n == self.stretch.entries.1;
        guesses.retain(|g| !last || g.hash == self.stretch.until);
        guesses.sort_by_key(|g| std::cmp::Reverse(g.alike.0 * 1_000 / g.alike.1.max(1)));
        for guess in guesses.into_iter().take(BRANCHES) {
            let (len, before) = (self.text.len(), guess.record.and_then(|_| self.next.get(&guess.to).copied()));
            self.text.extend_from_slice(guess.text.as_bytes());
            if let Some(record) = guess.record {
                self.next.insert(guess.to.clone(), record + 1);
            }
            if self.follow(n + 1, &guess.hash, guess.syn) {
                return true;
            }
            self.text.truncate(len);
            match before {
                Some(record) => self.next.insert(guess.to, record),
                None => self.next.remove(&guess.to),
            };
        }
        false
    }

    fn guesses(&mut self, n: u64, p: &str, syn: u64) -> Vec<Guess> {
        let at = self.text.len();
        let mut guesses = Vec::new();
        for (to, line) in self.known.candidates(&self.next, self.later) {
            // it was written with the entry before, or began a group of its own
            for syn in BTreeSet::from([syn, n - 1]) {
                if self.left == 0 {
                    return guesses;
                }
                self.left -= 1;
                let entry = Entry { n, p: p.to_owned(), syn, to: to.to_owned(), line: line.to_owned() };
                let (text, hash) = entry.encode();
                let Some(there) = self.raw.get(at..at + text.len()) else { continue };
                let alike = there.iter().zip(text.as_bytes()).filter(|(a, b)| a == b).count();
                let could = there.iter().filter(|b| **b != 0).count();
                let record = number(line);
                guesses.push(Guess { to: entry.to, text, hash, syn, record, alike: (alike, could) });
            }
        }
        guesses
    }
}
