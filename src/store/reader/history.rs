//! Reading one history, while its kernel may be writing it.

use std::path::{Path, PathBuf};

use cairn_store_layout::{
    RunId, paths,
    record::{Record, RecordError},
    view::RunView,
};

use crate::store::{
    artifacts,
    fsutil::{self, FsError},
};

/// A history as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its records, in order, with spilled values filled in.
    pub records: Vec<Record>,
    /// Bytes after the last line break: a record that is being written, or was when power failed.
    pub torn_bytes: usize,
}

/// Why a history can not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A line is not a record.
    #[error("{}, line {line}: {why}", path.display())]
    Line {
        /// The file, from the store's root.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: RecordError,
    },
    /// The lines are records, but not one history.
    #[error("{}, line {line}: {why}", path.display())]
    Order {
        /// The file, from the store's root.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What does not fit.
        why: String,
    },
    /// There is not a whole record in it yet.
    #[error("{}: there is no whole record in it", path.display())]
    Empty {
        /// The file, from the store's root.
        path: PathBuf,
    },
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Reads the history of `run`; `None` when there is none.
///
/// # Errors
/// When it can not be read up to its last line break.
pub fn read(root: &Path, run: &RunId) -> Result<Option<History>, Unreadable> {
    let path = paths::run(run);
    match fsutil::read(&root.join(&path))? {
        Some(bytes) => parse(root, &path, &bytes).map(Some),
        None => Ok(None),
    }
}

/// Reads the records of `run` before the first one that can not be read; `None` when there are none.
#[must_use]
pub fn read_prefix(root: &Path, run: &RunId) -> Option<History> {
    let path = paths::run(run);
    let mut bytes = fsutil::read(&root.join(&path)).ok()??;
    loop {
        match parse(root, &path, &bytes) {
            Ok(history) => return (!history.records.is_empty()).then_some(history),
            Err(Unreadable::Line { line, .. } | Unreadable::Order { line, .. }) => {
                let good: usize = bytes.split_inclusive(|b| *b == b'\n').take(line - 1).map(<[u8]>::len).sum();
                bytes.truncate(good);
            }
            Err(_) => return None,
        }
    }
}

/// Reads the bytes of the history at `path` (from the store's root), fetching spilled values.
///
/// # Errors
/// When they can not be read up to the last line break.
pub fn parse(root: &Path, path: &str, bytes: &[u8]) -> Result<History, Unreadable> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut fetch = |digest: &_| artifacts::get(root, digest).ok().flatten();
    let mut records = Vec::new();
    for (index, line) in bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate() {
        let record = std::str::from_utf8(line)
            .map_err(|e| RecordError::Json(e.to_string()))
            .and_then(|line| Record::decode(line, &mut fetch))
            .map_err(|why| Unreadable::Line { path: path.into(), line: index + 1, why })?;
        if record.n != index as u64 {
            let why = format!("the record has number {}; {index} was expected", record.n);
            return Err(Unreadable::Order { path: path.into(), line: index + 1, why });
        }
        records.push(record);
    }
    Ok(History { records, torn_bytes: bytes.len() - whole })
}

impl History {
    /// Folds the history into what is shown of the run.
    ///
    /// # Errors
    /// When it has no record, or does not begin with `run.started`.
    pub fn fold(&self, path: &str) -> Result<RunView, Unreadable> {
        let Some(first) = self.records.first() else { return Err(Unreadable::Empty { path: path.into() }) };
        let Some(mut view) = RunView::begin(first) else {
            let why = format!("the first record is `{}`, not `run.started`", first.event.body.kind().0);
            return Err(Unreadable::Order { path: path.into(), line: 1, why });
        };
        self.records[1..].iter().for_each(|record| view.apply(record));
        Ok(view)
    }
}
