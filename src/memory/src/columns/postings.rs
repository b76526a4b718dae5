//! Which words occur in which rows, and how often: what BM25 is counted from, exactly.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, UInt16Array, UInt32Array};

use super::{
    Doubt,
    rows::{column, list, typed},
};

/// The words of one segment: sorted stems, and for each the rows that hold it, ascending.
#[derive(Debug, Clone)]
pub(crate) struct Postings {
    pub(super) batch: RecordBatch,
    stems: StringArray,
    lists: ListArray,
    rows: UInt32Array,
    counts: UInt16Array,
}

impl Postings {
    pub(super) fn new(batch: RecordBatch) -> Result<Self, Doubt> {
        let lists: ListArray = column(&batch, "rows")?;
        let counted: ListArray = column(&batch, "counts")?;
        let (rows, counts): (UInt32Array, UInt16Array) =
            (typed(lists.values(), "rows")?, typed(counted.values(), "counts")?);
        if lists.value_offsets() != counted.value_offsets() {
            return Err(Doubt("rows and counts of words have different lengths".to_owned()));
        }
        Ok(Self { stems: column(&batch, "stem")?, lists, rows, counts, batch })
    }

    /// The rows that hold a stem, and how often each does.
    pub(crate) fn of(&self, stem: &str) -> (&[u32], &[u16]) {
        let (mut low, mut high) = (0, self.stems.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.stems.value(middle).cmp(stem) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.at(middle),
            }
        }
        (&[], &[])
    }

    fn at(&self, i: usize) -> (&[u32], &[u16]) {
        let offsets = self.lists.value_offsets();
        let range = offsets[i] as usize..offsets[i + 1] as usize;
        (&self.rows.values()[range.clone()], &self.counts.values()[range])
    }
}

/// Gathers words, row by row.
#[derive(Default)]
pub(super) struct PostingsBuilder {
    stems: HashMap<String, (Vec<u32>, Vec<u16>)>,
}

impl PostingsBuilder {
    pub(super) fn push(&mut self, row: u32, bag: HashMap<String, u16>) {
        for (stem, n) in bag {
            let (rows, counts) = self.stems.entry(stem).or_default();
            rows.push(row);
            counts.push(n);
        }
    }

    pub(super) fn finish(self) -> Result<Postings, Doubt> {
        let sorted: BTreeMap<String, _> = self.stems.into_iter().collect();
        columns(sorted.iter().map(|(stem, (rows, counts))| (stem.as_str(), [(0, rows.as_slice(), counts.as_slice())])))
    }
}

/// Joins the words of neighbouring segments; each comes with the number of rows before it.
pub(super) fn join(parts: &[(u32, &Postings)]) -> Result<Postings, Doubt> {
    let mut sorted: BTreeMap<&str, Vec<Part<'_>>> = BTreeMap::new();
    for (before, part) in parts {
        for (i, stem) in part.stems.iter().flatten().enumerate() {
            let (rows, counts) = part.at(i);
            sorted.entry(stem).or_default().push((*before, rows, counts));
        }
    }
    columns(sorted.into_iter())
}

/// How many rows come before, then rows and counts of one stem.
type Part<'a> = (u32, &'a [u32], &'a [u16]);

fn columns<'a, L>(sorted: impl Iterator<Item = (&'a str, L)>) -> Result<Postings, Doubt>
where
    L: IntoIterator<Item = Part<'a>>,
{
    let (mut stems, mut ends, mut rows, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (stem, lists) in sorted {
        stems.push(stem);
        for (before, list, n) in lists {
            rows.extend(list.iter().map(|row| before + row));
            counts.extend_from_slice(n);
        }
        ends.push(rows.len());
    }
    let batch = RecordBatch::try_from_iter([
        ("stem", Arc::new(StringArray::from_iter_values(stems)) as ArrayRef),
        ("rows", list(Arc::new(UInt32Array::from(rows)), &ends)?),
        ("counts", list(Arc::new(UInt16Array::from(counts)), &ends)?),
    ]);
    Postings::new(batch.map_err(Doubt::of)?)
}
