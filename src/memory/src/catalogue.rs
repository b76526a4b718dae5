//! Every passage the store knows, read from the truth: the lines of `memory/passages/<machine>/`.
//!
//! What is known of the passages is kept in columns, in memory and in `.cairn/index/columns/`; their
//! texts stay in the files and are read when somebody wants one. A fresh process takes up the columns
//! and reads only what was appended since, after comparing the length and the last bytes of each
//! file with those that were read. This module ranks nothing. Lines that can not be read are skipped
//! with a warning and counted; they never hide their neighbours.

mod embedding;
mod keeping;
mod lines;
mod links;
mod moment;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use cairn_store_layout::{
    MachineId,
    passage::{Forgotten, Passage},
};

use crate::{
    bm25::Statistics,
    columns::{Builder, Doubt, Forget, NewRow, Place, Rows, Segment},
    error::Result,
};
use keeping::Named;
use lines::{Line, PassageFile};
use links::Links;

#[cfg(any(test, not(feature = "lance")))]
pub(crate) use embedding::StoredVectors;
pub(crate) use moment::{Moment, Standing};

/// The place of a passage in the catalogue. Valid until the catalogue is read anew.
pub(crate) type Row = u32;

/// The most rows of a segment that is built at once: what building it holds in memory.
const BUILD_ROWS: usize = 32_768;

/// What a look at the files brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// Rows of lines keep their numbers; there may be more of them.
    Extended,
    /// A file shrank, vanished or holds other bytes (a checkout, a revert): all rows are numbered anew.
    Replaced,
}

/// The passages, in the order in which their lines were met; then those whose lines were not met yet.
#[derive(Debug)]
pub(crate) struct Catalogue {
    root: PathBuf,
    machine: MachineId,
    files: Vec<PassageFile>,
    segments: Vec<Segment>,
    /// The first row of each segment.
    bases: Vec<Row>,
    links: Links,
    /// Learned in this process and not met in a file, by id and time.
    waiting: BTreeMap<(String, i64), Passage>,
    waiting_forgets: BTreeMap<(String, i64), Forgotten>,
    /// How many segments, the last ones, are of what waits.
    pending: usize,
    /// What waits and is in none of them yet.
    fresh: Vec<(String, i64)>,
    /// Whether they hold what waits no more, or lack what was forgotten.
    stale: bool,
    unreadable: usize,
    /// Rows below this are answered by an index: their segments are neither searched nor merged with others.
    indexed: Row,
    /// Who made the vectors in memory.
    embedder: Option<String>,
    /// What the columns on disk are of.
    named: Named,
    /// Set when columns could not be written, so that it is tried and told once.
    keeps_nothing: bool,
}

impl Catalogue {
    /// Takes up the columns that are kept, or none if there is any doubt about them, and reads every
    /// passage file under `root` up to its end.
    pub(crate) fn load(root: &Path, machine: &MachineId) -> Result<Self> {
        let mut catalogue = Self::empty(root, machine);
        // Twice, because another process may have merged files between the name and the look.
        if catalogue.take_up().is_err() {
            catalogue = Self::empty(root, machine);
            if let Err(why) = catalogue.take_up() {
                tracing::warn!(%why, "the columns of memory can not be used; they are made anew from the passages");
                catalogue = Self::empty(root, machine);
            }
        }
        catalogue.refresh()?;
        Ok(catalogue)
    }

    fn empty(root: &Path, machine: &MachineId) -> Self {
        Self {
            root: root.to_owned(),
            machine: machine.clone(),
            files: Vec::new(),
            segments: Vec::new(),
            bases: Vec::new(),
            links: Links::default(),
            waiting: BTreeMap::new(),
            waiting_forgets: BTreeMap::new(),
            pending: 0,
            fresh: Vec::new(),
            stale: false,
            unreadable: 0,
            indexed: 0,
            embedder: None,
            named: Named::default(),
            keeps_nothing: false,
        }
    }

    /// Reads what was appended since the last look, or everything when a file is not what it was.
    pub(crate) fn refresh(&mut self) -> Result<Refreshed> {
        let found = lines::passage_files(&self.root)?;
        let mut lost = false;
        for file in &self.files {
            lost |= !file.still(&self.root, found.get(&file.path).copied())?;
        }
        if lost {
            self.start_again();
        }
        for (path, len) in found {
            let number = match self.files.iter().position(|file| file.path == path) {
                Some(number) => number,
                None => {
                    self.files.push(PassageFile::new(path, &self.machine));
                    self.files.len() - 1
                }
            };
            if len > self.files[number].read {
                self.read_file(number)?;
            }
        }
        self.renew_pending();
        Ok(if lost { Refreshed::Replaced } else { Refreshed::Extended })
    }

    /// Takes in a passage of this machine before its line is met. Returns whether that changes
    /// anything: one that is known and not forgotten is left as it is.
    pub(crate) fn remember(&mut self, passage: &Passage) -> bool {
        let all = |id: &str| (id.to_owned(), i64::MIN)..=(id.to_owned(), i64::MAX);
        let waiting = self.waiting.range(all(&passage.id)).map(|((_, at), _)| *at);
        let latest = self.rows_of(&passage.id).map(|row| self.recorded(row)).chain(waiting).max();
        let waiting = self.waiting_forgets.range(all(&passage.id)).map(|((_, at), _)| *at);
        let forgotten = self.links.forgets_of(&passage.id).map(|forget| forget.at).chain(waiting).max();
        if latest.is_some() && latest > forgotten {
            return false;
        }
        let key = (passage.id.clone(), passage.recorded_at.as_microsecond());
        self.fresh.push(key.clone());
        self.waiting.insert(key, passage.clone());
        true
    }

    /// Takes in that a passage is forgotten, before the line that says so is met.
    pub(crate) fn forget(&mut self, forgotten: &Forgotten) {
        let key = (forgotten.forgets.clone(), forgotten.at.as_microsecond());
        if !self.links.forgets_of(&key.0).any(|forget| forget.at == key.1) {
            self.waiting_forgets.insert(key, forgotten.clone());
            self.stale = true; // rare enough to make all that waits anew
        }
    }

    /// Returns what was learned here and not met in a file.
    pub(crate) fn into_waiting(self) -> (Vec<Passage>, Vec<Forgotten>) {
        (self.waiting.into_values().collect(), self.waiting_forgets.into_values().collect())
    }

    /// Forgets everything derived and reads the passages again. With `in_memory`, nothing derived is
    /// written from here on.
    pub(crate) fn rebuild(&mut self, in_memory: bool) -> Result<()> {
        self.start_again();
        self.keeps_nothing = in_memory;
        self.refresh()?;
        Ok(())
    }

    /// The number of rows; some may be of one passage.
    pub(crate) fn len(&self) -> Row {
        self.bases.last().map_or(0, |base| base + rows_in(self.segments.last().expect("one base a segment")))
    }

    /// The number of passages.
    pub(crate) fn passages(&self) -> usize {
        self.len() as usize - self.links.extras().passages as usize
    }

    /// The number of rows whose lines were met: these keep their numbers.
    #[cfg(feature = "lance")]
    pub(crate) fn stored(&self) -> Row {
        self.bases.get(self.met()).copied().unwrap_or_else(|| self.len())
    }

    /// A hash of what the first `rows` rows are and where their lines are, if there are so many that end a segment.
    #[cfg(feature = "lance")]
    pub(crate) fn digest(&self, rows: Row) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        for (_, segment) in self.segments().take_while(|(base, _)| *base < rows) {
            for i in 0..segment.rows.len() {
                let place = segment.rows.place(i);
                let path = self.files.get(place.file as usize).map_or("", |file| file.path.as_str());
                // Lengths first, so that no two lists of fields have the same bytes.
                for text in [segment.rows.id(i), path] {
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
                hasher.update(&place.offset.to_le_bytes());
            }
        }
        let ends = self.segments().any(|(base, segment)| base + rows_in(segment) == rows);
        ends.then(|| hasher.finalize().to_hex().to_string())
    }

    /// Lines that are no passage.
    pub(crate) fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// How many files were read.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// Segments with the first row of each.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (Row, &Segment)> {
        self.bases.iter().copied().zip(&self.segments)
    }

    /// The segment that holds a row, by its number, and the row's place in it.
    pub(crate) fn locate(&self, row: Row) -> (usize, usize) {
        let segment = self.bases.partition_point(|base| *base <= row) - 1;
        (segment, (row - self.bases[segment]) as usize)
    }

    /// The rows of a segment, by its number.
    pub(crate) fn rows(&self, segment: usize) -> &Rows {
        &self.segments[segment].rows
    }

    pub(crate) fn id(&self, row: Row) -> &str {
        let (rows, i) = self.at(row);
        rows.id(i)
    }

    pub(crate) fn recorded(&self, row: Row) -> i64 {
        let (rows, i) = self.at(row);
        rows.recorded(i)
    }

    /// All rows of a passage, in order.
    pub(crate) fn rows_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = Row> + 'a {
        self.segments().flat_map(move |(base, segment)| segment.rows.with_id(id).map(move |i| base + row_number(i)))
    }

    /// The row that speaks for a passage now: the earliest that counts, or the earliest of all if it is forgotten.
    pub(crate) fn row(&self, id: &str) -> Option<Row> {
        let forgotten = self.links.forgets_of(id).map(|forget| forget.at).max().unwrap_or(i64::MIN);
        let first = |after| {
            self.rows_of(id).filter(|row| self.recorded(*row) > after).min_by(|a, b| self.age(*a).cmp(&self.age(*b)))
        };
        first(forgotten).or_else(|| first(i64::MIN))
    }

    /// The ids that begin so, in order, each once.
    pub(crate) fn ids_with_prefix(&self, head: &str) -> Vec<String> {
        let all = self.segments.iter().flat_map(|s| s.rows.with_prefix(head).map(|i| s.rows.id(i).to_owned()));
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The rows of the passages that this machine recorded, the first of each.
    pub(crate) fn own_rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).filter(|row| {
            let (rows, i) = self.at(*row);
            self.is_own(rows.place(i)) && (!rows.again(i) || self.is_first_own(*row))
        })
    }

    /// The passage of a row, from its line.
    ///
    /// Fails when the line is not there any more: then everything is to be read again.
    pub(crate) fn passage(&self, row: Row) -> Result<Passage, Doubt> {
        self.reader().passage(row)
    }

    /// The texts of rows.
    pub(crate) fn texts(&self, rows: std::ops::Range<Row>) -> Result<Vec<String>, Doubt> {
        let mut reader = self.reader();
        rows.map(|row| reader.passage(row).map(|passage| passage.text)).collect()
    }

    /// Reads passages one after another.
    pub(crate) fn reader(&self) -> lines::Reader<'_> {
        lines::Reader::new(self)
    }

    /// What BM25 needs to know of the rows in segments from `first` on.
    pub(crate) fn statistics(&self, first: Row, stems: &[String]) -> Statistics {
        let mut sum = Statistics::none(stems.len());
        for (_, segment) in self.segments().filter(|(base, segment)| base + rows_in(segment) > first) {
            sum.passages += segment.rows.len() as u64;
            sum.words += segment.rows.words;
            for (with, stem) in sum.with.iter_mut().zip(stems) {
                *with += segment.postings().of(stem).0.len() as u64;
            }
        }
        sum
    }

    /// What of all statistics is of passages that are counted already.
    pub(crate) fn counted_twice(&self, stems: &[String]) -> Statistics {
        self.links.extras().of(stems)
    }

    /// What an index answers for from now on.
    #[cfg(feature = "lance")]
    pub(crate) fn set_indexed(&mut self, rows: Row) {
        self.indexed = rows;
    }

    fn at(&self, row: Row) -> (&Rows, usize) {
        let (segment, i) = self.locate(row);
        (&self.segments[segment].rows, i)
    }

    /// Orders the rows of one passage: the earlier recorded first, then by where the line is.
    fn age(&self, row: Row) -> (i64, &str, u64) {
        let (rows, i) = self.at(row);
        let place = rows.place(i);
        // A line that was not met yet comes after all that were.
        let path = self.files.get(place.file as usize).map_or("\u{10ffff}", |file| file.path.as_str());
        (rows.recorded(i), path, place.offset)
    }

    fn is_own(&self, place: Place) -> bool {
        self.files.get(place.file as usize).is_none_or(|file| file.own)
    }

    fn is_first_own(&self, row: Row) -> bool {
        let own = |row: &Row| {
            let (rows, i) = self.at(*row);
            self.is_own(rows.place(i))
        };
        self.rows_of(self.id(row)).find(own) == Some(row)
    }

    fn start_again(&mut self) {
        let root = std::mem::take(&mut self.root);
        let new = Self::empty(&root, &self.machine);
        let old = std::mem::replace(self, new);
        self.waiting = old.waiting;
        self.waiting_forgets = old.waiting_forgets;
        self.keeps_nothing = old.keeps_nothing;
        self.stale = true; // nothing of what waits is in a segment
    }

    fn read_file(&mut self, number: usize) -> Result<()> {
        let mut reading = lines::Lines::open(&self.root, &self.files[number])?;
        let mut builder = Builder::default();
        let own = self.files[number].own;
        while let Some((line, place)) = reading.next(number)? {
            // What waits is the last segment; rows of lines go before it.
            self.drop_pending();
            match line {
                Ok(Line::Passage(passage)) => {
                    if own {
                        self.waiting.remove(&(passage.id.clone(), passage.recorded_at.as_microsecond()));
                    }
                    let again = builder.has(&passage.id) || self.rows_of(&passage.id).next().is_some();
                    builder.push(&NewRow { passage: &passage, place, again });
                }
                Ok(Line::Forgotten(forgotten)) => {
                    let at = forgotten.at.as_microsecond();
                    if own {
                        self.waiting_forgets.remove(&(forgotten.forgets.clone(), at));
                    }
                    builder.forget(Forget { id: forgotten.forgets, at, place });
                }
                Err(why) => {
                    self.unreadable += 1;
                    tracing::warn!(
                        path = self.files[number].path,
                        byte = place.offset,
                        why,
                        "skipped a line that is no passage"
                    );
                }
            }
            if builder.len() >= BUILD_ROWS {
                self.push(std::mem::take(&mut builder));
            }
        }
        self.push(builder);
        (self.files[number].read, self.files[number].tail) = reading.end()?;
        Ok(())
    }

    /// Brings the segments of what waits up to it.
    fn renew_pending(&mut self) {
        if self.stale {
            self.drop_pending();
            self.fresh = self.waiting.keys().cloned().collect();
        }
        let mut builder = Builder::default();
        for key in std::mem::take(&mut self.fresh) {
            let Some(passage) = self.waiting.get(&key) else { continue };
            let again = builder.has(&passage.id) || self.rows_of(&passage.id).next().is_some();
            builder.push(&NewRow { passage, place: Place::NONE, again });
        }
        if std::mem::take(&mut self.stale) {
            for (id, at) in self.waiting_forgets.keys() {
                builder.forget(Forget { id: id.clone(), at: *at, place: Place::NONE });
            }
        }
        self.pending += usize::from(!builder.is_empty());
        self.push(builder);
        self.merge_pending();
    }

    fn drop_pending(&mut self) {
        while self.pending > 0 {
            let waited = self.segments.pop().expect("pending are segments");
            let base = self.bases.pop().expect("one base a segment");
            self.links.cut(base, &waited.rows);
            self.pending -= 1;
        }
        self.stale = !self.waiting.is_empty() || !self.waiting_forgets.is_empty();
    }

    /// How many segments are of lines.
    fn met(&self) -> usize {
        self.segments.len() - self.pending
    }

    fn push(&mut self, builder: Builder) {
        if builder.is_empty() {
            return;
        }
        let segment = builder.finish().expect("columns of one length and of the types named beside them");
        self.push_segment(segment);
        let from = self.segments.len() - 1;
        self.link(from);
    }

    fn push_segment(&mut self, segment: Segment) {
        self.bases.push(self.len());
        self.segments.push(segment);
    }
}

fn rows_in(segment: &Segment) -> Row {
    row_number(segment.rows.len())
}

fn row_number(i: usize) -> Row {
    Row::try_from(i).expect("memory holds fewer than 2^32 passages")
}

/// The words of a text, counted.
pub(super) type Bag = HashMap<String, u16>;
