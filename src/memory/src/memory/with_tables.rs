//! The verbs that write tables: flush, rebuild, and finding the index of a large store.

use std::collections::{BTreeMap, HashMap, HashSet};

use cairn_store_layout::{passage::Passage, paths};
use jiff::{SignedDuration, Timestamp};

use super::{Inner, Memory, State, is_tracked};
use crate::{
    Changes, EmbedError, MemoryError, Past,
    catalogue::{Catalogue, Moment, Row, Standing},
    columns::Doubt,
    embed::{self, TextDigest},
    error::Result,
    files,
    part::Index as _,
    tables::{Projection, Tables, VectorRow, changes},
};

/// How many passages are embedded and written at once.
const BATCH: usize = 4096;

impl Memory {
    /// Writes the vectors of what this machine remembered into its table, makes them durable and
    /// returns the files to commit. Call it when [`Memory::flush_due`] says so and at a clean stop.
    /// A table that is damaged, or of another embedder, is written anew from the passages.
    ///
    /// # Errors
    /// When the passage files can not be read, the table not be written, or the embedder fails.
    /// Nothing is lost then, and what was remembered is still found.
    pub fn flush(&self) -> Result<Changes> {
        let mut inner = self.ready()?;
        let changes = self.write_vectors(&mut inner, &mut |_| {})?;
        (inner.waiting, inner.waiting_since) = (0, None);
        self.find_index(&mut inner);
        self.renew_index(&mut inner);
        let state = inner.state.as_mut().expect("made ready above");
        state.catalogue.compact(self.embedder.id(), self.embedder.dims());
        Ok(changes)
    }

    /// Drops everything derived and makes it again from the passages. Answers are the same after
    /// it. `progress` is told how many passages of how many are done.
    ///
    /// # Errors
    /// As [`Memory::flush`].
    pub fn rebuild(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<Changes> {
        let mut inner = self.ready()?;
        let before = files::list(&self.root, &paths::vectors(&self.machine))?;
        files::remove_dir(&self.root.join(paths::vectors(&self.machine)))?;
        if let Some(tables) = &mut inner.tables {
            tables.flushed = None;
        }
        let state = inner.state.as_mut().expect("made ready above");
        self.start_again(state, false)?;
        let own = state.catalogue.own_rows().count();
        let all = state.catalogue.len() as usize;
        let total = own + all;
        progress(0, total);
        self.write_vectors(&mut inner, &mut |done| progress(done, total))?;
        (inner.waiting, inner.waiting_since) = (0, None);
        self.set_index(&mut inner, true, &mut |done| progress(own + done, total));
        // A failing embedder is told by the next recall; words are ready either way.
        let prepared = self.prepare(&mut inner, &mut |done| progress(own + done, total));
        prepared.map_err(|why| MemoryError::Unsteady { why: why.0 })?;
        progress(total, total);
        self.since(&rewritten(before))
    }

    /// Opens the index of a store too large to scan, building it if need be; once.
    pub(super) fn find_index(&self, inner: &mut Inner) {
        let tried = std::mem::replace(&mut inner.state.as_mut().expect("called with the files read").index_tried, true);
        if !tried {
            self.set_index(inner, false, &mut |_| {});
        }
    }

    /// Makes all passages ready to be searched that the index does not answer for.
    pub(super) fn prepare(
        &self,
        inner: &mut Inner,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<EmbedError>, Doubt> {
        let Inner { tables, state, .. } = inner;
        let catalogue = &mut state.as_mut().expect("called with the files read").catalogue;
        let mut stored = || {
            let started = if self.root.join(paths::VECTORS).exists() { Tables::started(tables).ok() } else { None };
            started.map_or_else(HashMap::new, |tables| tables.stored_vectors(&self.root, self.embedder.id()))
        };
        catalogue.prepare(self.embedder.as_ref(), &mut stored, progress)
    }

    /// How many of this machine's passages are in its table.
    pub(super) fn flushed(&self, inner: &mut Inner) -> usize {
        let Inner { tables, state, .. } = inner;
        let catalogue = &state.as_ref().expect("called with the files read").catalogue;
        match self.flushed_ids(tables) {
            Ok(ids) => catalogue.own_rows().filter(|row| ids.contains_key(catalogue.id(*row))).count(),
            // A damaged table counts as none; the next flush writes it anew.
            Err(_) => 0,
        }
    }

    /// Opens the index or, if there is no good one or it is to be `anew`, builds it.
    fn set_index(&self, inner: &mut Inner, anew: bool, progress: &mut dyn FnMut(usize)) {
        let Inner { tables, state, .. } = inner;
        let State { catalogue, index, index_tried } = state.as_mut().expect("called with the files read");
        *index_tried = true;
        *index = None;
        catalogue.set_indexed(0);
        if catalogue.len() as usize <= self.settings.scan_max {
            return;
        }
        let embedder = self.embedder.as_ref();
        let found = Tables::started(tables).and_then(|tables| {
            if !anew && self.root.join(paths::INDEX).join("passages").exists() {
                match Projection::open(tables, &self.root, catalogue, embedder) {
                    Ok(projection) => return Ok(projection),
                    Err(why) => tracing::warn!(%why, "the index of memory can not be used; it is rebuilt"),
                }
            }
            catalogue.keep_all(embedder.id());
            Projection::build(tables, &self.root, catalogue, embedder, progress)
        });
        match found {
            Ok(projection) => {
                // What the index holds need not come into memory.
                catalogue.set_indexed(projection.rows());
                *index = Some(Box::new(projection));
            }
            Err(why) => tracing::warn!(%why, "memory has no index; every passage is scanned, which is slower"),
        }
    }

    /// Builds the index when the store has outgrown the scan, or the scanned rest has outgrown it.
    /// A rest may be a quarter of the index, so that building is paid for by growth.
    fn renew_index(&self, inner: &mut Inner) {
        let state = inner.state.as_mut().expect("called with the files read");
        let indexed = state.index.as_ref().map_or(0, |index| index.rows() as usize);
        let rest = state.catalogue.len() as usize - indexed;
        if rest > self.settings.scan_max.max(indexed / 4) {
            self.set_index(inner, true, &mut |_| {});
        }
    }

    fn write_vectors(&self, inner: &mut Inner, progress: &mut dyn FnMut(usize)) -> Result<Changes> {
        let Inner { tables, state, .. } = inner;
        let catalogue = &state.as_ref().expect("called with the files read").catalogue;
        let before = files::list(&self.root, &paths::vectors(&self.machine))?;
        let own = self.to_be_kept(catalogue);
        if own.is_empty() && before.is_empty() {
            return Ok(Changes::default());
        }
        match self.flushed_ids(tables).and_then(|ids| self.bring_up(tables, catalogue, &own, ids, progress)) {
            Ok(()) => return self.since(&before),
            Err(Failed::Embedder(error)) => return Err(error),
            Err(Failed::Table(why)) => {
                tracing::warn!(why, table = paths::vectors(&self.machine), "writing the vector table anew");
            }
        }
        files::remove_dir(&self.root.join(paths::vectors(&self.machine)))?;
        if let Some(tables) = tables {
            tables.flushed = None;
        }
        match self.bring_up(tables, catalogue, &own, HashMap::new(), progress) {
            Ok(()) => self.since(&rewritten(before)),
            Err(Failed::Embedder(error)) => Err(error),
            Err(Failed::Table(why)) => {
                Err(MemoryError::Table { path: self.root.join(paths::vectors(&self.machine)), why })
            }
        }
    }

    /// The rows of this machine that belong into its table: all but those that have not held for long.
    fn to_be_kept(&self, catalogue: &Catalogue) -> Vec<Row> {
        let now = Timestamp::now();
        let then = now.checked_sub(SignedDuration::try_from(self.settings.retire_age).unwrap_or(SignedDuration::MAX));
        let then = then.unwrap_or(Timestamp::MIN);
        let moment = Moment::new(Some(&Past::Time(then)), now, catalogue);
        let retired = |row: Row| {
            use Standing::{Forgotten, Over, SpokenFor, Superseded};
            matches!(catalogue.standing(row, &moment), Forgotten(_) | Over(_) | SpokenFor | Superseded(_))
        };
        catalogue.own_rows().filter(|row| !retired(*row)).collect()
    }

    /// The passages in this machine's table, read once a process.
    fn flushed_ids(&self, tables: &mut Option<Tables>) -> Result<HashMap<String, TextDigest>, Failed> {
        let dir = self.root.join(paths::vectors(&self.machine));
        if !dir.exists() {
            return Ok(HashMap::new());
        }
        if let Some(ids) = tables.as_ref().and_then(|t| t.flushed.as_ref()) {
            return Ok(ids.clone());
        }
        let tables = Tables::started(tables)?;
        let ids = tables.vector_ids(&dir, self.embedder.id())?;
        tables.flushed = Some(ids.clone());
        Ok(ids)
    }

    /// Brings this machine's table, which holds `flushed`, to what `own` is: appends what lacks, as
    /// far as vectors are at hand, and drops what is too much as that becomes cheap.
    fn bring_up(
        &self,
        tables: &mut Option<Tables>,
        catalogue: &Catalogue,
        own: &[Row],
        flushed: HashMap<String, TextDigest>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), Failed> {
        let mut dead: HashSet<String> = flushed.keys().cloned().collect();
        let mut missing: Vec<(Row, TextDigest)> = Vec::new();
        let mut reader = catalogue.reader();
        for row in own {
            let passage = reader.passage(*row)?;
            let digest = TextDigest::of(&passage.text);
            match flushed.get(&passage.id) {
                Some(known) if *known == digest => drop(dead.remove(&passage.id)),
                Some(_) => return Err(Failed::Table(format!("it holds {} in another wording", passage.id))),
                None => missing.push((*row, digest)),
            }
        }
        let dir = self.root.join(paths::vectors(&self.machine));
        if missing.is_empty() && dead.is_empty() && self.is_settled() {
            return Ok(());
        }
        let tables = Tables::started(tables)?;
        tables.flushed = Some(flushed);
        let mut done = 0;
        for chunk in missing.chunks(BATCH) {
            let passages: Vec<Passage> =
                chunk.iter().map(|(row, _)| reader.passage(*row)).collect::<Result<_, Doubt>>()?;
            let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
            let values = embed::checked_at_hand(self.embedder.as_ref(), &texts)
                .map_err(|source| Failed::Embedder(MemoryError::Embed { id: self.embedder.id().to_owned(), source }))?;
            let rows: Vec<VectorRow<'_>> = chunk
                .iter()
                .zip(&values)
                .filter_map(|((row, digest), values)| {
                    let values = values.as_deref()?;
                    Some(VectorRow { id: catalogue.id(*row), digest: *digest, values })
                })
                .collect();
            if !rows.is_empty() {
                tables.append_vectors(&dir, &rows, self.embedder.id())?;
                // At once: a failure in a later batch must not make these rows be appended again.
                let known = tables.flushed.get_or_insert_default();
                known.extend(rows.iter().map(|row| (row.id.to_owned(), row.digest)));
            }
            done += chunk.len();
            progress(done);
        }
        if dir.exists() {
            let gone: HashSet<String> = tables.settle_vectors(&dir, dead, self.embedder.dims())?.into_iter().collect();
            let known = tables.flushed.get_or_insert_default();
            known.retain(|id, _| !gone.contains(id));
        }
        Ok(())
    }

    /// Tells whether the table holds one version: a kill between a write and its end leaves two.
    fn is_settled(&self) -> bool {
        let files = self.vector_files().unwrap_or_default();
        files.iter().filter(|path| path.ends_with(".manifest")).count() <= 1
    }

    /// Makes what changed in the table since `before` durable, and names it.
    fn since(&self, before: &BTreeMap<String, u64>) -> Result<Changes> {
        let after = files::list(&self.root, &paths::vectors(&self.machine))?;
        let changed = changes::between(before, &after, is_tracked);
        changes::sync(&self.root, &changed)?;
        Ok(changed)
    }
}

/// Why vectors were not written: the table can be made anew, the embedder must be asked later.
enum Failed {
    Embedder(MemoryError),
    Table(String),
}

impl From<crate::part::PartError> for Failed {
    fn from(error: crate::part::PartError) -> Self {
        Self::Table(error.0)
    }
}

impl From<Doubt> for Failed {
    fn from(doubt: Doubt) -> Self {
        Self::Table(doubt.0)
    }
}

/// A listing that no file of today equals: numbering starts again in a table made anew, so a file
/// may have its old name and length and yet other bytes.
fn rewritten(before: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    before.into_keys().map(|path| (path, u64::MAX)).collect()
}
