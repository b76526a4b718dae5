//! `memory/vectors/<machine>.lance`: the tracked table of one machine's vectors.
//!
//! Columns `id`, `digest` (of the text the vector was made of, so that a vector never stands for
//! another wording and no text is kept twice), `vector` (half precision). The embedder is named
//! once, in the table's own description. The table has no index, because a manifest that names an
//! index needs its files in git; and one version, because git keeps the others.
//!
//! **What stays on disk after any call**: the newest manifest and the files it names. Whatever an
//! interrupted call left beside them is unused by definition, since nobody else writes this table.
//! Lance checks the structure of a file, not its bits: `git fsck` does that for what is committed.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::ArrowError;
use futures::TryStreamExt;
use lance::dataset::{
    Dataset, WriteMode, WriteParams, cleanup::CleanupPolicyBuilder, optimize::compact_files_with_planner,
};

use super::{
    Tables,
    batch::{batch, digest_values, digests, text_values, texts, vector_dims, vector_values, vectors, with_notes},
    tiers::{self, Merge},
};
use crate::{embed::TextDigest, part::PartError};

/// The key of the table's description that names the embedder.
const EMBEDDER: &str = "cairn.embedder";
/// The key that names the shape of the table, and the shape.
const FORMAT: (&str, &str) = ("cairn.format", "2");
/// A fragment with fewer rows to drop than this is not rewritten for them.
const DEAD_MIN: usize = 16;

/// One row to be appended.
pub(crate) struct VectorRow<'a> {
    /// The passage's id.
    pub(crate) id: &'a str,
    /// Of the text that the vector was made of.
    pub(crate) digest: TextDigest,
    /// The vector.
    pub(crate) values: &'a [f32],
}

impl Tables {
    /// Returns the passages in the table at `dir`, each with the digest of its text.
    ///
    /// Fails when the table is damaged, or was written by another embedder or in another shape.
    pub(crate) fn vector_ids(&self, dir: &Path, embedder: &str) -> Result<HashMap<String, TextDigest>, PartError> {
        let mut out = HashMap::new();
        let mut rows = 0;
        for batch in &self.read_columns(dir, &["id", "digest"], embedder)? {
            rows += batch.num_rows();
            let ids = text_values(batch, "id")?.into_iter().map(str::to_owned);
            out.extend(ids.zip(digest_values(batch)?));
        }
        if out.len() != rows {
            return Err(PartError(format!("it has {rows} rows for {} passages", out.len())));
        }
        Ok(out)
    }

    /// Returns the vectors that `embedder` made, by the text that each was made of.
    pub(crate) fn read_vectors(&self, dir: &Path, embedder: &str) -> Result<HashMap<TextDigest, Vec<f32>>, PartError> {
        let mut out = HashMap::new();
        for batch in &self.read_columns(dir, &["digest", "vector"], embedder)? {
            out.extend(digest_values(batch)?.into_iter().zip(vector_values(batch)?));
        }
        Ok(out)
    }

    /// Appends rows to the table at `dir`, which is made if there is none.
    ///
    /// All vectors have one length.
    pub(crate) fn append_vectors(&self, dir: &Path, rows: &[VectorRow<'_>], embedder: &str) -> Result<(), PartError> {
        let dims = rows.first().map_or(0, |row| row.values.len());
        let rows = batch(vec![
            ("id", texts(rows.iter().map(|row| row.id))),
            ("digest", digests(rows.iter().map(|row| &row.digest))),
            ("vector", vectors(rows.iter().map(|row| row.values), dims)),
        ])
        .and_then(|rows| with_notes(rows, [(EMBEDDER, embedder), FORMAT]));
        let mode = if dir.exists() { WriteMode::Append } else { WriteMode::Create };
        let uri = uri(dir)?;
        self.runtime.wait(async move { write(rows, &uri, mode).await.map(drop) })
    }

    /// Brings the table at `dir` to its resting form: merges fragments by tiers, drops the `dead`
    /// rows of what is rewritten anyway or is to a quarter dead, and leaves one version.
    ///
    /// Returns the ids that are gone.
    pub(crate) fn settle_vectors(
        &self,
        dir: &Path,
        dead: HashSet<String>,
        dims: usize,
    ) -> Result<Vec<String>, PartError> {
        let address = uri(dir)?;
        let gone = self.runtime.wait(async move {
            let mut table = Dataset::open(&address).await?;
            let sizes: Vec<(u64, usize)> =
                table.fragments().iter().map(|f| (f.id, f.num_rows().unwrap_or_default())).collect();
            let mut merges = tiers::merges(&sizes, tiers::rows_max(dims));
            let mut gone = Vec::new();
            if !dead.is_empty() {
                let found = dead_rows(&table, &dead).await?;
                let merged: HashSet<u64> = merges.iter().flatten().copied().collect();
                for (id, rows) in sizes {
                    let Some(found) = found.get(&id) else { continue };
                    if merged.contains(&id) || (found.len() >= DEAD_MIN && found.len() * 4 >= rows) {
                        gone.extend(found.iter().cloned());
                        if !merged.contains(&id) {
                            merges.push(vec![id]);
                        }
                    }
                }
                if !gone.is_empty() {
                    let ids: Vec<String> = gone.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
                    table.delete(&format!("id IN ({})", ids.join(","))).await?;
                }
            }
            if !merges.is_empty() {
                compact_files_with_planner(&mut table, None, &Merge(merges)).await?;
            }
            let policy = CleanupPolicyBuilder::default().retain_n_versions(&table, 1).await?.delete_unverified(true);
            table.cleanup_with_policy(policy.build()).await?;
            Ok(gone)
        })?;
        // Records of past writes, for writers that race each other; there is one writer, and git keeps the past.
        crate::files::remove_dir(&dir.join("_transactions")).map_err(|e| PartError(e.to_string()))?;
        Ok(gone)
    }

    fn read_columns(
        &self,
        dir: &Path,
        columns: &'static [&str],
        embedder: &str,
    ) -> Result<Vec<RecordBatch>, PartError> {
        let uri = uri(dir)?;
        let (notes, kind, batches) = self.runtime.wait(async move {
            let table = Dataset::open(&uri).await?;
            let notes = table.schema().metadata.clone();
            let kind = table.schema().field("vector").map(|field| field.data_type());
            let mut scan = table.scan();
            scan.project(columns)?;
            let batches: Vec<RecordBatch> = scan.try_into_stream().await?.try_collect().await?;
            Ok((notes, kind, batches))
        })?;
        if notes.get(FORMAT.0).map(String::as_str) != Some(FORMAT.1) {
            return Err(PartError("it has the shape of another version".to_owned()));
        }
        match notes.get(EMBEDDER) {
            Some(by) if by == embedder => {}
            by => {
                let by = by.map_or("nobody", String::as_str);
                return Err(PartError(format!("it holds vectors of `{by}`, not of `{embedder}`")));
            }
        }
        if kind.as_ref().and_then(vector_dims).is_none() {
            return Err(PartError("its vectors are not numbers of half precision".to_owned()));
        }
        Ok(batches)
    }
}

/// The rows of each fragment that are to go.
async fn dead_rows(table: &Dataset, dead: &HashSet<String>) -> lance::Result<HashMap<u64, Vec<String>>> {
    let mut out: HashMap<u64, Vec<String>> = HashMap::new();
    for fragment in table.fragments().iter() {
        let mut scan = table.scan();
        scan.with_fragments(vec![fragment.clone()]).project(&["id"])?;
        let batches: Vec<RecordBatch> = scan.try_into_stream().await?.try_collect().await?;
        for batch in &batches {
            let ids = text_values(batch, "id").map_err(|e| lance::Error::internal(e.0))?;
            let found: Vec<String> = ids.into_iter().filter(|id| dead.contains(*id)).map(str::to_owned).collect();
            if !found.is_empty() {
                out.entry(fragment.id).or_default().extend(found);
            }
        }
    }
    Ok(out)
}

/// Writes one batch.
pub(super) async fn write(rows: Result<RecordBatch, ArrowError>, uri: &str, mode: WriteMode) -> lance::Result<Dataset> {
    let rows = rows?;
    let schema = rows.schema();
    let params = WriteParams { mode, ..WriteParams::default() };
    Dataset::write(RecordBatchIterator::new([Ok(rows)], schema), uri, Some(params)).await
}

/// A table's address. Lance takes text only.
pub(super) fn uri(dir: &Path) -> Result<String, PartError> {
    dir.to_str().map(str::to_owned).ok_or_else(|| PartError("the store's path is not UTF-8".to_owned()))
}
