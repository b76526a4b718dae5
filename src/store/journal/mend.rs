//! Damage to entries that were acknowledged, undone where it can be proven.
//!
//! The entry behind a damaged stretch names the hash of the last entry within it, so a guess can be
//! checked to the last byte. Guesses are the lines of histories and logs ([`Known`]), and a single
//! damaged entry with each of its bytes changed. What can not be proven is not touched: the start is
//! refused then. A segment is replaced whole or not at all, after a copy of it is in quarantine.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::{
    Digest,
    journal::{Entry, ORIGIN, Whole, whole_entries},
    paths,
};

use super::{JournalError, Known, fail, known::number, segments};
use crate::store::{disk, fsutil};

/// Guesses that one stretch is worth.
const GUESSES_MAX: usize = 400_000;
/// Guesses that are followed at each place, the likeliest first.
const BRANCHES: usize = 6;
/// The longest damaged entry whose every byte is tried.
const TRIED_BYTES_MAX: usize = 4096;

/// A stretch of damaged entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The segment's number.
    pub segment: u64,
    /// Where it begins in the segment.
    pub offset: usize,
    /// Where it ends: the next whole entry of this segment, or the end of its bytes.
    pub end: usize,
    /// The sequence numbers of the first and last damaged entry.
    pub entries: (u64, u64),
    /// Hash and `syn` of the entry before, if there is one.
    before: Option<(String, u64)>,
    /// The hash that the last damaged entry had.
    until: String,
    /// Tells whether `end` is where the next entry begins, so that the lengths must add up to it.
    exact: bool,
}

/// Entries that were damaged and are whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The segment, from the store's root.
    pub segment: String,
    /// Where the damage began.
    pub offset: u64,
    /// Bytes that were written anew.
    pub bytes: u64,
    /// How many entries they are.
    pub entries: u64,
    /// Where the segment lies as it was found, from the store's root.
    pub kept: String,
}

/// The damage in the journal of the store at `root`, oldest first; empty when every acknowledged
/// entry is whole.
///
/// # Errors
/// When the disk refuses, or [`JournalError::Damaged`] when the damage has no bounds: a segment is
/// missing, or nothing tells which entry came first.
pub fn stretches(root: &Path) -> Result<Vec<Stretch>, JournalError> {
    find(&read(root)?, root)
}

/// The files that a repair should look at first: those that the journal itself still names.
///
/// # Errors
/// When the disk refuses.
pub fn named(root: &Path) -> Result<BTreeSet<String>, JournalError> {
    let mut files = BTreeSet::new();
    for segment in read(root)? {
        files.extend(segment.whole.into_iter().map(|w| w.entry.to));
        for line in String::from_utf8_lossy(&segment.bytes).split("\"to\":\"").skip(1) {
            files.extend(line.split_once('"').map(|(path, _)| path.to_owned()));
        }
    }
    files.retain(|path| path.ends_with(".jsonl") && paths::is_inside(path));
    Ok(files)
}

/// Restores every damaged entry, or changes nothing.
///
/// # Errors
/// [`JournalError::Damaged`] naming the first entry that can not be proven, or when the disk refuses.
pub fn mend(root: &Path, known: &Known) -> Result<Vec<Mended>, JournalError> {
    let mut segments = read(root)?;
    let stretches = find(&segments, root)?;
    let mut done = Vec::new();
    for stretch in &stretches {
        let lost = || damaged(root, stretch.segment, stretch.entries.0, stretch.offset);
        let index = segments.iter().position(|s| s.number == stretch.segment).ok_or_else(lost)?;
        let raw = &segments[index].bytes[stretch.offset..stretch.end];
        let (next, later) = around(&segments, stretch.entries);
        let text = guessed(stretch, raw, known, next, &later).or_else(|| tried(stretch, raw)).ok_or_else(lost)?;
        let segment = &mut segments[index];
        segment.bytes[stretch.offset..stretch.end].fill(0);
        segment.bytes[stretch.offset..stretch.offset + text.len()].copy_from_slice(&text);
        segment.whole = whole_entries(&segment.bytes);
        done.push((stretch, text.len()));
    }
    let mut mended = Vec::new();
    for segment in &segments {
        let parts: Vec<_> = done.iter().filter(|(stretch, _)| stretch.segment == segment.number).collect();
        if parts.is_empty() {
            continue;
        }
        let relative = paths::segment(segment.number);
        let path = root.join(&relative);
        let found = disk::read(&path).map_err(|e| fail("read", &path, e))?;
        let name = relative.rsplit('/').next().unwrap_or(&relative);
        let kept = format!("{}/{name}.damaged.{}", paths::QUARANTINE, Digest::of(&found).short());
        fsutil::write(&root.join(&kept), &found).map_err(|e| fail("keep a copy of", &path, e.source))?;
        fsutil::write(&path, &segment.bytes).map_err(|e| fail("mend", &path, e.source))?;
        mended.extend(parts.into_iter().map(|(stretch, bytes)| Mended {
            segment: relative.clone(),
            offset: stretch.offset as u64,
            bytes: *bytes as u64,
            entries: stretch.entries.1 - stretch.entries.0 + 1,
            kept: kept.clone(),
        }));
    }
    Ok(mended)
}

struct Segment {
    number: u64,
    bytes: Vec<u8>,
    whole: Vec<Whole>,
}

fn read(root: &Path) -> Result<Vec<Segment>, JournalError> {
    let mut all = Vec::new();
    for number in segments(&root.join(paths::JOURNAL))? {
        let path = root.join(paths::segment(number));
        let bytes = disk::read(&path).map_err(|e| fail("read", &path, e))?;
        all.push(Segment { number, whole: whole_entries(&bytes), bytes });
    }
    Ok(all)
}

fn damaged(root: &Path, segment: u64, n: u64, offset: usize) -> JournalError {
    JournalError::Damaged { path: root.join(paths::segment(segment)), n, offset }
}

/// Where the bytes of a segment end and the zeros begin.
fn lit(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
}

fn find(segments: &[Segment], root: &Path) -> Result<Vec<Stretch>, JournalError> {
    let mut found = Vec::new();
    // the highest number that each entry and those behind it knew durable
    let mut all: Vec<(usize, &Whole)> =
        segments.iter().enumerate().flat_map(|(i, s)| s.whole.iter().map(move |w| (i, w))).collect();
    // a whole entry that stands before its time is a leftover, not part of the chain
    let mut highest = 0;
    all.retain(|(_, w)| {
        let follows = w.entry.n > highest;
        highest = highest.max(w.entry.n);
        follows
    });
    let durable = all.iter().map(|(_, w)| w.entry.syn).max().unwrap_or(0);
    let mut before: Option<(usize, &Whole)> = None;
    for (index, w) in all {
        let segment = &segments[index];
        let stretch = |index: usize, offset, end, first, exact| Stretch {
            segment: segments[index].number,
            offset,
            end,
            entries: (first, w.entry.n - 1),
            before: before.map(|(_, b)| (b.hash.clone(), b.entry.syn)),
            until: w.entry.p.clone(),
            exact,
        };
        match before {
            None if index == 0 && w.offset == 0 => {}
            None => {
                let oldest = &segments[0];
                let first = Some(&oldest.bytes[..w.offset]).filter(|_| index == 0);
                let first = first.and_then(|raw| first_number(oldest.number, raw, w.entry.n));
                let first = first.ok_or_else(|| damaged(root, oldest.number, w.entry.n.saturating_sub(1), 0))?;
                found.push(stretch(index, 0, w.offset, first, true));
            }
            Some((_, b)) if w.entry.n == b.entry.n + 1 && w.entry.p == b.hash => {}
            Some((_, b)) if b.entry.n >= durable => break, // a torn tail: nobody relied on it
            Some((at, b)) => {
                let first = b.entry.n + 1;
                let end = b.offset + b.len;
                let rest = &segments[at].bytes[end..];
                if first == w.entry.n {
                    return Err(damaged(root, segment.number, first, w.offset));
                }
                if at == index {
                    found.push(stretch(at, end, w.offset, first, true));
                } else if segments[index].number != segments[at].number + 1 {
                    return Err(damaged(root, segments[at].number, first, end));
                } else if lit(rest) == 0 {
                    found.push(stretch(index, 0, w.offset, first, true));
                } else if w.offset == 0 {
                    found.push(stretch(at, end, segments[at].bytes.len(), first, false));
                } else {
                    return Err(damaged(root, segments[at].number, first, end));
                }
            }
        }
        before = Some((index, w));
    }
    Ok(found)
}

/// The number of the oldest entry, whose bytes `raw` up to entry `next` are damaged. The first segment
/// begins at 1; a later one at any number, which the bytes may still say; else their lines are counted.
fn first_number(segment: u64, raw: &[u8], next: u64) -> Option<u64> {
    let said = number(&String::from_utf8_lossy(&raw[..raw.len().min(64)]));
    let lines = raw.iter().filter(|b| **b == b'\n').count().max(1) as u64;
    let first = if segment == 1 { Some(1) } else { said.or(next.checked_sub(lines)) };
    first.filter(|n| (1..next).contains(n))
}

/// For each file the record that followed the last one before the stretch, and the first one after it.
fn around(segments: &[Segment], (first, last): (u64, u64)) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut next, mut later) = (BTreeMap::new(), BTreeMap::new());
    for entry in segments.iter().flat_map(|s| &s.whole).map(|w| &w.entry) {
        let Some(n) = number(&entry.line) else { continue };
        if entry.n < first {
            next.insert(entry.to.clone(), n + 1);
        } else if entry.n > last {
            later.entry(entry.to.clone()).or_insert(n);
        }
    }
    (next, later)
}

/// Puts known lines into the stretch until the chain closes.
fn guessed(
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
        let notes = super::NOTES.iter().map(|note| (super::NOTE_TO, *note));
        for (to, line) in self.known.candidates(&self.next, self.later).chain(notes) {
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

/// A single damaged entry, by changing each of its bytes: whatever it was, its hash is known.
fn tried(stretch: &Stretch, raw: &[u8]) -> Option<Vec<u8>> {
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
