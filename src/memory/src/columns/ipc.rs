//! One record batch as the bytes of an Arrow IPC file, and back without a copy.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{
    Block,
    convert::fb_to_schema,
    reader::{FileDecoder, read_footer_length},
    root_as_footer,
    writer::FileWriter,
};
use arrow_schema::ArrowError;

use super::Doubt;

/// The footer's length and the magic number, at the end of every file.
const TRAILER: usize = 10;

/// Writes a batch as a file of its own.
pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut out = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut writer = FileWriter::try_new(&mut out, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(out)
}

/// Reads the batch of a file, whose columns then share its bytes.
///
/// Call it with bytes whose hash was compared: lengths in them are believed.
pub(super) fn decode(bytes: &Buffer) -> Result<RecordBatch, Doubt> {
    let cut = || Doubt("a file of columns ends too early".to_owned());
    let end = bytes.len().checked_sub(TRAILER).ok_or_else(cut)?;
    let trailer = bytes[end..].try_into().map_err(|_| cut())?;
    let start = end.checked_sub(read_footer_length(trailer).map_err(Doubt::of)?).ok_or_else(cut)?;
    let footer = root_as_footer(&bytes[start..end]).map_err(Doubt::of)?;
    let schema = fb_to_schema(footer.schema().ok_or_else(cut)?);
    let mut decoder = FileDecoder::new(schema.into(), footer.version());
    for block in footer.dictionaries().iter().flatten() {
        decoder.read_dictionary(block, &body(bytes, block).ok_or_else(cut)?).map_err(Doubt::of)?;
    }
    let block = footer.recordBatches().filter(|blocks| blocks.len() == 1).map(|blocks| *blocks.get(0));
    let block = block.ok_or_else(cut)?;
    let batch = decoder.read_record_batch(&block, &body(bytes, &block).ok_or_else(cut)?).map_err(Doubt::of)?;
    batch.ok_or_else(cut)
}

fn body(bytes: &Buffer, block: &Block) -> Option<Buffer> {
    let from = usize::try_from(block.offset()).ok()?;
    let len = usize::try_from(block.bodyLength()).ok()?.checked_add(usize::try_from(block.metaDataLength()).ok()?)?;
    (from.checked_add(len)? <= bytes.len()).then(|| bytes.slice_with_length(from, len))
}
