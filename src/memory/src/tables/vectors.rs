//! `memory/vectors/<machine>.lance`: the tracked table of one machine's vectors.
//!
//! Columns `id`, `text`, `vector` (half precision), `embedder`. It has no index, because a manifest
//! that names an index needs its files in git; and one version, because git keeps the others.
//! Lance checks the structure of a file, not its bits: `git fsck` does that for what is committed.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::ArrowError;
use cairn_store_layout::passage::Passage;
use futures::TryStreamExt;
use lance::dataset::{Dataset, WriteMode, WriteParams, cleanup::CleanupPolicyBuilder};

use super::{
    Tables,
    batch::{batch, text_values, texts, vector_type, vector_values, vectors},
};
use crate::part::PartError;

impl Tables {
    /// Returns the ids in the table at `dir`.
    ///
    /// Fails when the table is damaged, or was written by another embedder.
    pub(crate) fn vector_ids(&self, dir: &Path, embedder: &str, dims: usize) -> Result<HashSet<String>, PartError> {
        let batches = self.read_columns(dir, &["id", "embedder"], dims)?;
        let mut ids = HashSet::new();
        for batch in &batches {
            if let Some(other) = text_values(batch, "embedder")?.into_iter().find(|by| *by != embedder) {
                return Err(PartError(format!("it holds vectors of `{other}`, not of `{embedder}`")));
            }
            ids.extend(text_values(batch, "id")?.into_iter().map(str::to_owned));
        }
        Ok(ids)
    }

    /// Returns the vectors that `embedder` made, by id, with the text that each was made of.
    pub(super) fn read_vectors(
        &self,
        dir: &Path,
        embedder: &str,
        dims: usize,
    ) -> Result<HashMap<String, (String, Vec<f32>)>, PartError> {
        let mut out = HashMap::new();
        for batch in &self.read_columns(dir, &["id", "text", "vector", "embedder"], dims)? {
            let columns = text_values(batch, "id")?.into_iter().zip(text_values(batch, "text")?);
            let rows = columns.zip(text_values(batch, "embedder")?).zip(vector_values(batch)?);
            for (((id, text), by), vector) in rows {
                if by == embedder {
                    out.insert(id.to_owned(), (text.to_owned(), vector));
                }
            }
        }
        Ok(out)
    }

    /// Appends rows to the table at `dir`, which is made if there is none, and drops its older versions.
    pub(crate) fn append_vectors(
        &self,
        dir: &Path,
        passages: &[&Passage],
        values: &[Vec<f32>],
        embedder: &str,
        dims: usize,
    ) -> Result<(), PartError> {
        let rows = batch(vec![
            ("id", texts(passages.iter().map(|p| p.id.as_str()))),
            ("text", texts(passages.iter().map(|p| p.text.as_str()))),
            ("vector", vectors(values.iter().map(Vec::as_slice), dims)),
            ("embedder", texts(passages.iter().map(|_| embedder))),
        ]);
        let mode = if dir.exists() { WriteMode::Append } else { WriteMode::Create };
        let uri = uri(dir)?;
        self.runtime.wait(async move {
            let table = write(rows, &uri, mode).await?;
            // Nobody else writes this table, so files that no version names are ours and unused.
            let policy = CleanupPolicyBuilder::default().retain_n_versions(&table, 1).await?.delete_unverified(true);
            table.cleanup_with_policy(policy.build()).await?;
            Ok(())
        })
    }

    fn read_columns(&self, dir: &Path, columns: &'static [&str], dims: usize) -> Result<Vec<RecordBatch>, PartError> {
        let uri = uri(dir)?;
        let (kind, batches) = self.runtime.wait(async move {
            let table = Dataset::open(&uri).await?;
            let kind = table.schema().field("vector").map(|field| field.data_type());
            let mut scan = table.scan();
            scan.project(columns)?;
            let batches: Vec<RecordBatch> = scan.try_into_stream().await?.try_collect().await?;
            Ok((kind, batches))
        })?;
        if kind != Some(vector_type(dims)) {
            return Err(PartError(format!("its vectors are not {dims} numbers of half precision")));
        }
        Ok(batches)
    }
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
