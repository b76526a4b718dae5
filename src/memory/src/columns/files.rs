//! `.cairn/index/columns/`: segments as Arrow IPC files, and `kept.json` that names them.
//!
//! A file's name is the hash of its bytes, so a file that is not what its name says is noticed when
//! it is read, and two processes that write the same write the same file. `kept.json` begins with
//! its own hash and is replaced whole. Exact vectors are the exception: they are read a few at a
//! time, and each has its hash among the columns. Nothing is synced: what a power cut leaves behind
//! is noticed like any other damage.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use arrow_array::{FixedSizeListArray, Float16Array, RecordBatch};
use arrow_buffer::{Buffer, MutableBuffer};
use cairn_store_layout::paths;
use serde::{Deserialize, Serialize};

use super::{
    Doubt, ipc,
    rows::{column, typed},
};
use crate::words;

/// The shape of `kept.json` and of the columns.
const FORMAT: u32 = 1;
const KEPT: &str = "kept.json";
/// A file that nothing names may be one that another process is about to name, for so long.
const STRAY: Duration = Duration::from_secs(600);

/// What `kept.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    format: u32,
    /// The rule by which texts were split into words.
    words: String,
    /// The passage files, in the order of the numbers that rows call them by.
    pub(crate) files: Vec<Reading>,
    /// Lines that were no passage.
    pub(crate) unreadable: usize,
    pub(crate) segments: Vec<Saved>,
}

/// How far a passage file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) path: String,
    pub(crate) read: u64,
    /// Hash of the last bytes that were read.
    pub(crate) tail: String,
}

/// The files of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) rows: String,
    pub(crate) words: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forgets: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vectors: Option<VectorFiles>,
}

/// The files of a segment's vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VectorFiles {
    /// Who made them.
    pub(crate) embedder: String,
    pub(crate) dims: usize,
    pub(crate) near: String,
    pub(crate) exact: String,
    /// Where the numbers begin in `exact`.
    pub(crate) data: u64,
}

impl Saved {
    fn names(&self) -> impl Iterator<Item = &String> {
        let vectors = self.vectors.iter().flat_map(|v| [&v.near, &v.exact]);
        [&self.rows, &self.words].into_iter().chain(&self.forgets).chain(vectors)
    }
}

impl Kept {
    /// Reads what is kept; `None` when nothing is.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, Doubt> {
        let text = match fs::read_to_string(dir(root).join(KEPT)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Doubt::of)?,
        };
        let (hash, body) = text.split_once('\n').ok_or_else(|| Doubt(format!("{KEPT} is cut")))?;
        if hash != name(body.as_bytes()) {
            return Err(Doubt(format!("{KEPT} was damaged")));
        }
        let kept: Self = serde_json::from_str(body).map_err(Doubt::of)?;
        if kept.format != FORMAT || kept.words != words::RULE {
            return Err(Doubt("it was made by another version".to_owned()));
        }
        Ok(Some(kept))
    }

    /// Names what is kept from now on, and removes what nothing names any more.
    pub(crate) fn write(
        root: &Path,
        files: Vec<Reading>,
        unreadable: usize,
        segments: Vec<Saved>,
    ) -> Result<(), Doubt> {
        let before = Self::read(root).ok().flatten();
        let now = Self { format: FORMAT, words: words::RULE.to_owned(), files, unreadable, segments };
        let body = serde_json::to_string(&now).map_err(Doubt::of)?;
        replace(&dir(root), KEPT, format!("{}\n{body}", name(body.as_bytes())).as_bytes())?;
        let named: HashSet<&String> = now.segments.iter().flat_map(Saved::names).collect();
        let old: HashSet<&String> = before.iter().flat_map(|kept| &kept.segments).flat_map(Saved::names).collect();
        for item in fs::read_dir(dir(root)).map_err(Doubt::of)?.flatten() {
            let name = item.file_name().to_string_lossy().into_owned();
            let aged = || {
                let written = item.metadata().and_then(|meta| meta.modified());
                written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STRAY))
            };
            if name != KEPT && !named.contains(&name) && (old.contains(&name) || aged()) {
                // Left behind, it costs space and nothing else.
                let _ = fs::remove_file(item.path());
            }
        }
        Ok(())
    }
}

/// Writes a batch and returns the name of its file.
pub(super) fn write(root: &Path, batch: &RecordBatch) -> Result<String, Doubt> {
    write_bytes(root, &ipc::encode(batch).map_err(Doubt::of)?)
}

/// Writes exact vectors and returns the name of their file and where its numbers begin.
pub(super) fn write_exact(root: &Path, batch: &RecordBatch) -> Result<(String, u64), Doubt> {
    let bytes = Buffer::from_vec(ipc::encode(batch).map_err(Doubt::of)?);
    let lists: FixedSizeListArray = column(&ipc::decode(&bytes)?, "vector")?;
    let values: Float16Array = typed(lists.values(), "vector")?;
    // The column shares the file's bytes, so its place among them is its place in the file.
    let data = (values.values().inner().as_ptr() as usize)
        .checked_sub(bytes.as_ptr() as usize)
        .filter(|data| data + values.len() * 2 <= bytes.len())
        .ok_or_else(|| Doubt("the numbers of a file of vectors lie outside of it".to_owned()))?;
    Ok((write_bytes(root, &bytes)?, data as u64))
}

fn write_bytes(root: &Path, bytes: &[u8]) -> Result<String, Doubt> {
    let name = format!("{}.arrow", name(bytes));
    replace(&dir(root), &name, bytes)?;
    Ok(name)
}

/// Reads a batch whose file is what its name says.
pub(super) fn read(root: &Path, file: &str) -> Result<RecordBatch, Doubt> {
    let mut open = self::open(root, file)?;
    let len = open.metadata().map_err(Doubt::of)?.len();
    let mut bytes = MutableBuffer::from_len_zeroed(usize::try_from(len).map_err(Doubt::of)?);
    open.read_exact(bytes.as_slice_mut()).map_err(Doubt::of)?;
    if file.strip_suffix(".arrow") != Some(name(bytes.as_slice()).as_str()) {
        return Err(Doubt(format!("{file} was damaged")));
    }
    ipc::decode(&bytes.into())
}

/// Opens a file of columns.
pub(super) fn open(root: &Path, file: &str) -> Result<File, Doubt> {
    File::open(dir(root).join(file)).map_err(|e| Doubt(format!("{file}: {e}")))
}

/// The folder.
fn dir(root: &Path) -> PathBuf {
    root.join(paths::INDEX).join("columns")
}

fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Doubt> {
    fs::create_dir_all(dir).map_err(Doubt::of)?;
    let new = dir.join(format!("{name}.{}.new", std::process::id()));
    let done = fs::write(&new, bytes).and_then(|()| fs::rename(&new, dir.join(name)));
    done.map_err(|e| {
        let _ = fs::remove_file(&new);
        Doubt(format!("could not write {}: {e}", dir.join(name).display()))
    })
}

/// What bytes are called by: the head of their hash.
pub(crate) fn name(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..32].to_owned()
}
