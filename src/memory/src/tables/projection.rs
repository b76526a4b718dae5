//! `.cairn/index/passages/`: one table over the passages of all machines, with a full text index.
//!
//! For stores too large for an exact scan. It holds the first rows of the catalogue, whole segments of
//! them, with a full text index and an IVF_RQ index of the vectors. It only *proposes*: candidates come
//! from Lance, scores from the code and the statistics that the scan uses. `index.json` beside the table
//! holds those statistics and says which lines the table was made of; if these are not the first
//! rows of the catalogue any more, the projection is built anew. It is swapped in as a whole folder,
//! so a half-built one is never met.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use cairn_store_layout::{passage::Passage, paths};
use futures::TryStreamExt;
use lance::dataset::{Dataset, WriteMode, scanner::Scanner};
use lance::index::{DatasetIndexExt, vector::VectorIndexParams};
use lance_index::{
    IndexType,
    scalar::{FullTextSearchQuery, InvertedIndexParams},
};
use lance_linalg::distance::MetricType;
use serde::{Deserialize, Serialize};

use super::{
    Tables,
    batch::{batch, maybe_texts, question, text_values, texts, vector_values, vectors},
    runtime::Runtime,
    vectors::{uri, write},
};
use crate::{
    Embedder,
    bm25::{Statistics, WordCounts, bag, counted},
    catalogue::{Catalogue, Row},
    embed::{self, TextDigest, Vector},
    files,
    part::{Ask, Index, Part, PartError, Proposal},
    words,
};

/// The shape of the table and of `index.json`.
const FORMAT: u32 = 2;
/// Passages in one fragment of the table.
const BATCH: usize = 4096;
/// How many candidates are fetched for each place of a ranking. Lance ranks words by the same
/// formula in single precision and rounded lengths, so neighbours may be swapped; a passage that
/// belongs into the ranking is not four times as far down.
const MARGIN: usize = 4;
/// Below so many vectors every one is compared: an index of fewer has nothing to divide.
const INDEXED_MIN: usize = 4096;
/// Vectors in one partition of the index, as measured (decision record 0008).
const PARTITION_ROWS: usize = 4096;
/// How many partitions are looked into at least, and of how many one is.
const PROBES_MIN: usize = 16;
const PROBES_OF: usize = 4;
/// How many times more candidates are compared in full than are asked for: an index entry has one bit a number.
const REFINE: u32 = 4;

/// What `index.json` holds.
#[derive(Serialize, Deserialize)]
struct Card {
    format: u32,
    embedder: String,
    words: String,
    /// How many rows of the catalogue, from the first on.
    rows: Row,
    /// Which lines these are of, see [`Catalogue::digest`].
    digest: String,
    counts: WordCounts,
}

/// The part of the corpus that is on disk.
pub(crate) struct Projection {
    runtime: Arc<Runtime>,
    table: Dataset,
    counts: WordCounts,
    rows: Row,
}

impl Projection {
    /// Opens the projection, if it is one of the first rows of `catalogue` by this embedder.
    pub(crate) fn open(
        tables: &Tables,
        root: &Path,
        catalogue: &Catalogue,
        embedder: &dyn Embedder,
    ) -> Result<Self, PartError> {
        let dir = dir(root);
        let bytes = fs::read(dir.join("index.json")).map_err(|e| PartError(format!("index.json: {e}")))?;
        let card: Card = serde_json::from_slice(&bytes).map_err(|e| PartError(format!("index.json: {e}")))?;
        if card.format != FORMAT || card.embedder != embedder.id() || card.words != words::RULE {
            return Err(PartError("it was made by another embedder or another version".to_owned()));
        }
        if card.rows > catalogue.stored() || catalogue.digest(card.rows).as_ref() != Some(&card.digest) {
            return Err(PartError("it holds other passages".to_owned()));
        }
        let uri = uri(&dir.join("table.lance"))?;
        let (table, count) = tables.runtime.wait(async move {
            let table = Dataset::open(&uri).await?;
            let count = table.count_rows(None).await?;
            Ok((table, count))
        })?;
        if count != card.rows as usize {
            return Err(PartError(format!("it has {count} rows, not {}", card.rows)));
        }
        Ok(Self { runtime: Arc::clone(&tables.runtime), table, counts: card.counts, rows: card.rows })
    }

    /// Builds the projection of every line met by `catalogue`, with the vectors that machines' tables
    /// hold and new ones where none does. `progress` is told how many passages are done.
    pub(crate) fn build(
        tables: &Tables,
        root: &Path,
        catalogue: &Catalogue,
        embedder: &dyn Embedder,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, PartError> {
        let building = root.join(paths::INDEX).join(format!("building-{}", std::process::id()));
        files::remove_dir(&building).map_err(said)?;
        fs::create_dir_all(&building).map_err(said)?;
        let built = build_in(&building, tables, root, catalogue, embedder, progress);
        let swapped = built.and_then(|()| {
            files::remove_dir(&dir(root)).map_err(said)?;
            fs::rename(&building, dir(root)).map_err(said)
        });
        if let Err(why) = swapped {
            let _ = files::remove_dir(&building);
            return Err(why);
        }
        Self::open(tables, root, catalogue, embedder)
    }

    /// Fetches candidates, best first and ever more of them, until `depth` are admitted or there
    /// are no more. `scan` asks for the best `n`; `keep` scores a batch of candidates and tells
    /// whether a worse one could still matter.
    fn fetch(
        &self,
        ask: &Ask<'_>,
        scan: impl Fn(&mut Scanner, usize) -> lance::Result<()>,
        mut keep: impl FnMut(&RecordBatch) -> Result<(usize, bool), PartError>,
    ) -> Result<(), PartError> {
        let mut n = ask.depth * MARGIN;
        loop {
            let mut scanner = self.table.scan();
            if let Some(filter) = filter(ask) {
                scanner.filter(&filter).map_err(|e| super::told(&e))?.prefilter(true);
            }
            scan(&mut scanner, n).map_err(|e| super::told(&e))?;
            let batches: Vec<RecordBatch> =
                self.runtime.wait(async move { scanner.try_into_stream().await?.try_collect().await })?;
            let fetched: usize = batches.iter().map(RecordBatch::num_rows).sum();
            let (mut admitted, mut worse_may_matter) = (0, true);
            for batch in &batches {
                let (kept, more) = keep(batch)?;
                admitted += kept;
                worse_may_matter &= more;
            }
            if admitted >= ask.depth || fetched < n || n >= self.rows as usize || !worse_may_matter {
                return Ok(());
            }
            n *= MARGIN;
        }
    }

    fn by_words(&self, ask: &Ask<'_>) -> Result<Vec<(Row, f64)>, PartError> {
        let terms = ask.bm25.stems.join(" ");
        let mut found: HashMap<Row, f64> = HashMap::new();
        let scan = |scanner: &mut Scanner, n: usize| {
            let query = FullTextSearchQuery::new(terms.clone()).with_column("words".to_owned())?;
            scanner.full_text_search(query.limit(i64::try_from(n).ok()))?.project(&["row", "words"])?;
            Ok(())
        };
        self.fetch(ask, scan, |batch| {
            let mut admitted = 0;
            for (row, stems) in self.row_numbers(batch)?.into_iter().zip(text_values(batch, "words")?) {
                if ask.filter.admits(row) {
                    admitted += 1;
                    let bag = || counted(stems.split(' ').map(str::to_owned).collect());
                    found.entry(row).or_insert_with(|| ask.bm25.score(&bag()));
                }
            }
            Ok((admitted, true))
        })?;
        Ok(ask.cut(found.into_iter().filter(|(_, score)| *score > 0.0).collect()))
    }

    fn by_vector(&self, ask: &Ask<'_>, asked: &Vector) -> Result<Vec<(Row, f32)>, PartError> {
        let mut found: HashMap<Row, f32> = HashMap::new();
        let partitions = partitions(self.rows as usize);
        let scan = |scanner: &mut Scanner, n: usize| {
            scanner.nearest("vector", &question(asked.values()), n)?.distance_metric(MetricType::Cosine);
            scanner.nprobes(PROBES_MIN.max(partitions.div_ceil(PROBES_OF))).refine(REFINE);
            scanner.project(&["row", "vector"])?;
            Ok(())
        };
        self.fetch(ask, scan, |batch| {
            let (mut admitted, mut all_near) = (0, true);
            for (row, stored) in self.row_numbers(batch)?.into_iter().zip(vector_values(batch)?) {
                let near = asked.cosine(&Vector::stored(&stored));
                all_near &= near > ask.floor;
                if near > ask.floor && ask.filter.admits(row) {
                    admitted += 1;
                    found.insert(row, near);
                }
            }
            Ok((admitted, all_near))
        })?;
        Ok(ask.cut(found.into_iter().collect()))
    }

    fn row_numbers(&self, batch: &RecordBatch) -> Result<Vec<Row>, PartError> {
        let column = batch.column_by_name("row").and_then(|c| c.as_any().downcast_ref::<UInt32Array>());
        let rows = column.ok_or_else(|| PartError("the table has no column `row`".to_owned()))?.values();
        if rows.iter().any(|row| *row >= self.rows) {
            return Err(PartError("the table holds rows that it should not".to_owned()));
        }
        Ok(rows.to_vec())
    }
}

impl Index for Projection {
    fn rows(&self) -> Row {
        self.rows
    }
}

impl Part for Projection {
    fn statistics(&self, stems: &[String]) -> Statistics {
        self.counts.of(stems)
    }

    fn propose(&self, ask: &Ask<'_>) -> Result<Proposal, PartError> {
        let vector = ask.vector.map_or(Ok(Vec::new()), |asked| self.by_vector(ask, asked))?;
        Ok(Proposal { text: self.by_words(ask)?, vector })
    }

    fn vectors(&self, rows: &[Row]) -> Result<Vec<(Row, Vector)>, PartError> {
        let own: Vec<String> = rows.iter().filter(|row| **row < self.rows).map(Row::to_string).collect();
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let mut scanner = self.table.scan();
        let wanted = format!("row IN ({})", own.join(", "));
        scanner.filter(&wanted).and_then(|s| s.project(&["row", "vector"])).map_err(|e| super::told(&e))?;
        let batches: Vec<RecordBatch> =
            self.runtime.wait(async move { scanner.try_into_stream().await?.try_collect().await })?;
        let mut out = Vec::new();
        for batch in &batches {
            let stored = vector_values(batch)?.into_iter().map(|values| Vector::stored(&values));
            out.extend(self.row_numbers(batch)?.into_iter().zip(stored));
        }
        Ok(out)
    }
}

fn build_in(
    building: &Path,
    tables: &Tables,
    root: &Path,
    catalogue: &Catalogue,
    embedder: &dyn Embedder,
    progress: &mut dyn FnMut(usize),
) -> Result<(), PartError> {
    let stored = tables.stored_vectors(root, embedder.id());
    let rows = catalogue.stored();
    let all: Vec<Row> = (0..rows).collect();
    let mut reader = catalogue.reader();
    let mut counts = WordCounts::default();
    let table = uri(&building.join("table.lance"))?;
    for (n, rows) in all.chunks(BATCH).enumerate() {
        let passages: Vec<Passage> = rows.iter().map(|row| reader.passage(*row)).collect::<Result<_, _>>()?;
        let stems: Vec<String> = passages.iter().map(|p| words::stems(&p.text).join(" ")).collect();
        for passage in &passages {
            counts.add(&bag(&passage.text));
        }
        let values = vectors_of(&passages, &stored, embedder)?;
        let columns = batch(vec![
            ("row", numbers(rows)),
            ("words", texts(stems.iter().map(String::as_str))),
            ("entity", maybe_texts(passages.iter().map(|p| p.entity.as_deref()))),
            ("kind", texts(passages.iter().map(|p| p.kind.as_str()))),
            ("vector", vectors(values.iter().map(Vec::as_slice), embedder.dims())),
        ]);
        let mode = if n == 0 { WriteMode::Create } else { WriteMode::Append };
        let table = table.clone();
        tables.runtime.wait(async move { write(columns, &table, mode).await.map(drop) })?;
        progress(n * BATCH + rows.len());
    }
    tables.runtime.wait(async move {
        // The column holds our stems already: Lance is to split at spaces and change nothing.
        let params = InvertedIndexParams::default()
            .base_tokenizer("whitespace".to_owned())
            .lower_case(false)
            .stem(false)
            .remove_stop_words(false)
            .ascii_folding(false)
            .max_token_length(None)
            .with_position(false);
        let mut table = Dataset::open(&table).await?;
        table.create_index(&["words"], IndexType::Inverted, Some("words".to_owned()), &params, true).await?;
        if rows as usize >= INDEXED_MIN {
            let params = VectorIndexParams::ivf_rq(partitions(rows as usize), 1, MetricType::Cosine);
            table.create_index(&["vector"], IndexType::Vector, Some("vector".to_owned()), &params, true).await?;
        }
        Ok(())
    })?;
    let card = Card {
        format: FORMAT,
        embedder: embedder.id().to_owned(),
        words: words::RULE.to_owned(),
        rows,
        digest: catalogue.digest(rows).ok_or_else(|| PartError("lines end within a segment".to_owned()))?,
        counts,
    };
    fs::write(building.join("index.json"), serde_json::to_vec(&card).map_err(said)?).map_err(said)
}

fn vectors_of(
    passages: &[Passage],
    stored: &HashMap<TextDigest, Vec<f32>>,
    embedder: &dyn Embedder,
) -> Result<Vec<Vec<f32>>, PartError> {
    let known = |p: &Passage| stored.get(&TextDigest::of(&p.text)).cloned();
    let missing: Vec<&str> = passages.iter().filter(|p| known(p).is_none()).map(|p| p.text.as_str()).collect();
    let mut new = embed::checked(embedder, &missing).map_err(|e| PartError(e.0))?.into_iter();
    Ok(passages.iter().map(|p| known(p).unwrap_or_else(|| new.next().expect("one for each missing text"))).collect())
}

/// The filters that the table can apply before it ranks. Time is applied after.
fn filter(ask: &Ask<'_>) -> Option<String> {
    let equal = |column: &str, value: &str| format!("{column} = '{}'", value.replace('\'', "''"));
    let any = |column: &str, values: &[String]| {
        let all: Vec<String> = values.iter().map(|value| equal(column, value)).collect();
        (!all.is_empty()).then(|| format!("({})", all.join(" OR ")))
    };
    let query = ask.filter.query;
    let both: Vec<String> = any("entity", &query.entities).into_iter().chain(any("kind", &query.kinds)).collect();
    (!both.is_empty()).then(|| both.join(" AND "))
}

/// Into how many partitions so many vectors are divided.
fn partitions(rows: usize) -> usize {
    (rows / PARTITION_ROWS).max(1)
}

fn numbers(rows: &[Row]) -> ArrayRef {
    Arc::new(UInt32Array::from(rows.to_vec()))
}

fn dir(root: &Path) -> PathBuf {
    root.join(paths::INDEX).join("passages")
}

fn said(error: impl std::fmt::Display) -> PartError {
    PartError(error.to_string())
}
