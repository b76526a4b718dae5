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
    journal::{Whole, whole_entries},
    paths,
};

use super::{JournalError, Known, fail, guess, known::number, segments};
use crate::store::{disk, fsutil};

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
    pub(super) before: Option<(String, u64)>,
    /// The hash that the last damaged entry had.
    pub(super) until: String,
    /// Tells whether `end` is where the next entry begins, so that the lengths must add up to it.
    pub(super) exact: bool,
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
    let Proven { segments, done } = proven(root, known)?;
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

/// How many damaged entries [`mend`] would restore. Changes nothing.
///
/// # Errors
/// As [`mend`].
pub fn restorable(root: &Path, known: &Known) -> Result<u64, JournalError> {
    let done = proven(root, known)?.done;
    Ok(done.iter().map(|(stretch, _)| stretch.entries.1 - stretch.entries.0 + 1).sum())
}

struct Proven {
    /// As they should be.
    segments: Vec<Segment>,
    /// What was put right in them, each with its number of bytes.
    done: Vec<(Stretch, usize)>,
}

fn proven(root: &Path, known: &Known) -> Result<Proven, JournalError> {
    let mut segments = read(root)?;
    let mut done = Vec::new();
    for stretch in find(&segments, root)? {
        let lost = || damaged(root, stretch.segment, stretch.entries.0, stretch.offset);
        let index = segments.iter().position(|s| s.number == stretch.segment).ok_or_else(lost)?;
        let raw = &segments[index].bytes[stretch.offset..stretch.end];
        let (next, later) = around(&segments, stretch.entries);
        let text = guess::from_lines(&stretch, raw, known, next, &later);
        let text = text.or_else(|| guess::from_bytes(&stretch, raw)).ok_or_else(lost)?;
        let segment = &mut segments[index];
        segment.bytes[stretch.offset..stretch.end].fill(0);
        segment.bytes[stretch.offset..stretch.offset + text.len()].copy_from_slice(&text);
        segment.whole = whole_entries(&segment.bytes);
        done.push((stretch, text.len()));
    }
    Ok(Proven { segments, done })
}

pub(super) struct Segment {
    pub(super) number: u64,
    bytes: Vec<u8>,
    pub(super) whole: Vec<Whole>,
}

pub(super) fn read(root: &Path) -> Result<Vec<Segment>, JournalError> {
    let mut all = Vec::new();
    for number in segments::numbers(&root.join(paths::JOURNAL))? {
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
