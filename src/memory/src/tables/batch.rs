//! Columns in and out: the only place that builds or takes apart Arrow arrays.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use half::f16;

use crate::{embed::TextDigest, part::PartError};

/// A named column.
pub(super) type Column = (&'static str, ArrayRef);

/// A column of text, never null.
pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A column of text that may lack.
pub(super) fn maybe_texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// A column of vectors in half precision: half the bytes in git, and no hit changes place by it.
pub(super) fn vectors<'a>(values: impl Iterator<Item = &'a [f32]>, dims: usize) -> ArrayRef {
    let flat = Float16Array::from_iter_values(values.flatten().map(|x| f16::from_f32(*x)));
    Arc::new(FixedSizeListArray::new(item(), width(dims), Arc::new(flat), None))
}

/// A column of digests.
pub(super) fn digests<'a>(values: impl Iterator<Item = &'a TextDigest>) -> ArrayRef {
    let bytes: Vec<u8> = values.flat_map(|digest| digest.0).collect();
    let width = i32::try_from(size_of::<TextDigest>()).expect("a digest is small");
    Arc::new(FixedSizeBinaryArray::new(width, bytes.into(), None))
}

/// One vector, as the library wants a question.
pub(super) fn question(vector: &[f32]) -> Float16Array {
    Float16Array::from_iter_values(vector.iter().map(|x| f16::from_f32(*x)))
}

/// Columns of one length as a batch.
pub(super) fn batch(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), *name == "entity")).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
}

/// The same batch with notes in its description, which a table keeps from its first batch.
pub(super) fn with_notes<const N: usize>(
    batch: RecordBatch,
    notes: [(&str, &str); N],
) -> Result<RecordBatch, ArrowError> {
    let notes: HashMap<String, String> = notes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let schema = batch.schema().as_ref().clone().with_metadata(notes);
    batch.with_schema(Arc::new(schema))
}

/// The length of the vectors in a column of this type, if it holds vectors as we write them.
pub(super) fn vector_dims(kind: &DataType) -> Option<usize> {
    match kind {
        DataType::FixedSizeList(item, dims) if *item.data_type() == DataType::Float16 => usize::try_from(*dims).ok(),
        _ => None,
    }
}

/// The values of the column `digest`.
pub(super) fn digest_values(batch: &RecordBatch) -> Result<Vec<TextDigest>, PartError> {
    let wrong = || PartError("the table has no column `digest` of 16 bytes".to_owned());
    let column = batch.column_by_name("digest").and_then(|c| c.as_any().downcast_ref::<FixedSizeBinaryArray>());
    let column = column.ok_or_else(wrong)?;
    (0..column.len()).map(|i| column.value(i).try_into().map(TextDigest).map_err(|_| wrong())).collect()
}

/// The values of a text column.
pub(super) fn text_values<'a>(batch: &'a RecordBatch, name: &str) -> Result<Vec<&'a str>, PartError> {
    let column = batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<StringArray>());
    let column = column.ok_or_else(|| PartError(format!("the table has no text column `{name}`")))?;
    Ok((0..column.len()).map(|i| column.value(i)).collect())
}

/// The values of the column `vector`.
pub(super) fn vector_values(batch: &RecordBatch) -> Result<Vec<Vec<f32>>, PartError> {
    let wrong = || PartError("the table has no column `vector` of half precision".to_owned());
    let lists = batch.column_by_name("vector").and_then(|c| c.as_any().downcast_ref::<FixedSizeListArray>());
    let lists = lists.ok_or_else(wrong)?;
    let one = |i: usize| {
        let values = lists.value(i);
        let values = values.as_any().downcast_ref::<Float16Array>().ok_or_else(wrong)?;
        Ok(values.values().iter().map(|x| x.to_f32()).collect())
    };
    (0..lists.len()).map(one).collect()
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float16, true))
}

fn width(dims: usize) -> i32 {
    i32::try_from(dims).expect("an embedder has fewer than 2^31 dimensions")
}
