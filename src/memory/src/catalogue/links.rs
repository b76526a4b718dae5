//! What passages say about each other: superseding, forgetting, and being recorded again.
//!
//! Most passages have no such link; rows that may have one are *touched*, and only these cost a look.

use std::collections::{HashMap, HashSet};

use super::{Bag, Catalogue, Row, rows_in};
use crate::{
    bm25::{WordCounts, bag},
    columns::{Doubt, Forget, Place, Rows},
};

/// Links by the id they lead to.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Rows that supersede a passage.
    superseded_by: HashMap<String, Vec<Row>>,
    forgets: HashMap<String, Vec<Forget>>,
    touched: Vec<bool>,
    /// Ids whose share of `extras` must be counted again.
    recount: HashSet<String>,
    /// The words of rows that repeat a passage.
    repeated: HashMap<String, Vec<Bag>>,
    extras: WordCounts,
}

impl Links {
    pub(super) fn is_touched(&self, row: Row) -> bool {
        self.touched.get(row as usize).copied().unwrap_or(false)
    }

    pub(super) fn superseding(&self, id: &str) -> &[Row] {
        self.superseded_by.get(id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn forgets_of(&self, id: &str) -> impl Iterator<Item = &Forget> {
        self.forgets.get(id).into_iter().flatten()
    }

    /// What rows that repeat a passage add to the statistics: a passage counts once.
    pub(super) fn extras(&self) -> &WordCounts {
        &self.extras
    }

    /// Drops the links of what waits: `rows`, which begin at `base`.
    pub(super) fn cut(&mut self, base: Row, rows: &Rows) {
        self.superseded_by.retain(|_, rows| {
            rows.retain(|row| *row < base);
            !rows.is_empty()
        });
        self.forgets.retain(|_, forgets| {
            forgets.retain(|forget| forget.place != Place::NONE);
            !forgets.is_empty()
        });
        self.touched.truncate(base as usize);
        self.recount.extend((0..rows.len()).filter(|i| rows.again(*i)).map(|i| rows.id(i).to_owned()));
    }

    fn touch(&mut self, row: Row) {
        let row = row as usize;
        if self.touched.len() <= row {
            self.touched.resize(row + 1, false);
        }
        self.touched[row] = true;
    }
}

impl Catalogue {
    /// Takes in the links of the segments from number `from` on.
    pub(super) fn link(&mut self, from: usize) {
        let (mut superseding, mut forgets, mut twice) = (Vec::new(), Vec::new(), HashSet::new());
        for (base, segment) in self.bases.iter().zip(&self.segments).skip(from) {
            for (i, row) in (*base..*base + rows_in(segment)).enumerate() {
                let id = segment.rows.id(i);
                if segment.rows.again(i) {
                    twice.insert(id.to_owned());
                }
                if !segment.rows.supersede_nothing() {
                    let others = segment.rows.supersedes(i).filter(|old| *old != id);
                    superseding.extend(others.map(|old| (old.to_owned(), row)));
                }
            }
            forgets.extend(segment.forgets.iter().cloned());
        }
        let mut touched = self.led_to(from);
        let new = superseding.iter().map(|(id, _)| id).chain(forgets.iter().map(|forget| &forget.id)).chain(&twice);
        for id in new.collect::<HashSet<&String>>() {
            touched.extend(self.rows_of(id));
        }
        touched.into_iter().for_each(|row| self.links.touch(row));
        for (id, row) in superseding {
            self.links.superseded_by.entry(id).or_default().push(row);
        }
        for forget in forgets {
            self.links.forgets.entry(forget.id.clone()).or_default().push(forget);
        }
        self.links.recount.extend(twice);
    }

    /// Rows of the segments from number `from` on to which a link leads that was there before.
    fn led_to(&self, from: usize) -> Vec<Row> {
        let links = &self.links;
        if links.superseded_by.is_empty() && links.forgets.is_empty() {
            return Vec::new();
        }
        let first = self.bases.get(from).copied().unwrap_or_else(|| self.len());
        let led = |id: &str| links.superseded_by.contains_key(id) || links.forgets.contains_key(id);
        (first..self.len()).filter(|row| led(self.id(*row))).collect()
    }

    /// Counts again what repeated passages add to the statistics.
    pub(crate) fn count_repeated(&mut self) -> Result<(), Doubt> {
        for id in std::mem::take(&mut self.links.recount) {
            let mut rows: Vec<Row> = self.rows_of(&id).collect();
            rows.sort_by(|a, b| self.age(*a).cmp(&self.age(*b)));
            let repeats = rows.get(1..).unwrap_or_default();
            let read = |row: &Row| self.passage(*row).map(|passage| bag(&passage.text));
            let bags: Vec<Bag> = repeats.iter().map(read).collect::<Result<_, _>>()?;
            let links = &mut self.links;
            links.repeated.remove(&id).unwrap_or_default().iter().for_each(|bag| links.extras.remove(bag));
            bags.iter().for_each(|bag| {
                links.extras.add(bag);
            });
            if !bags.is_empty() {
                links.repeated.insert(id, bags);
            }
        }
        Ok(())
    }

    /// Tells whether a passage is forgotten and was not recorded again since.
    pub(crate) fn is_forgotten(&self, id: &str) -> bool {
        let forgotten = self.links.forgets_of(id).map(|forget| forget.at).max();
        forgotten.is_some_and(|at| self.rows_of(id).all(|row| self.recorded(row) <= at))
    }
}
