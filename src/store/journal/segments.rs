//! Segments as files: which there are, what they hold, how one is made, and where a torn tail goes.

use std::{collections::VecDeque, io, path::Path};

use cairn_store_layout::{
    journal::{Entry, Tail, scan},
    paths,
};

use super::{JournalError, Repair, fail};
use crate::store::{
    disk::{self, DiskFile},
    fsutil,
};

/// What the segments hold.
pub(super) struct Look {
    pub(super) entries: Vec<Entry>,
    /// Number and hash of the last entry.
    pub(super) after: Option<(u64, String)>,
    /// The last entry of each segment before the newest.
    pub(super) closed: VecDeque<u64>,
    /// Where the trusted bytes of the newest segment end.
    pub(super) end: usize,
    /// What follows them if it is no entry, and in which segment.
    pub(super) torn: Option<(String, Vec<u8>)>,
}

/// Reads all of them, oldest first.
pub(super) fn look(root: &Path, numbers: &[u64]) -> Result<Look, JournalError> {
    let mut all = Look { entries: Vec::new(), after: None, closed: VecDeque::new(), end: 0, torn: None };
    for (position, number) in numbers.iter().enumerate() {
        let relative = paths::segment(*number);
        let path = root.join(&relative);
        let bytes = disk::read(&path).map_err(|e| fail("read", &path, e))?;
        let seen = scan(&bytes, all.after.as_ref().map(|(n, h)| (*n, h.as_str())));
        all.end = seen.end;
        match seen.tail {
            Tail::Clean => {}
            Tail::Damaged { n, offset } => return Err(JournalError::Damaged { path, n, offset }),
            // only the newest segment can have been under way when the machine stopped
            Tail::Torn { .. } if position + 1 < numbers.len() => {
                let n = seen.entries.last().map_or(all.after.as_ref().map_or(1, |(n, _)| n + 1), |e| e.n + 1);
                return Err(JournalError::Damaged { path, n, offset: seen.end });
            }
            Tail::Torn { bytes: torn } => all.torn = Some((relative, bytes[seen.end..seen.end + torn].to_vec())),
        }
        if let Some(last) = seen.entries.last() {
            all.after = Some((last.n, seen.last_hash.clone()));
        }
        all.entries.extend(seen.entries);
        if position + 1 < numbers.len() {
            all.closed.push_back(all.after.as_ref().map_or(0, |(n, _)| *n));
        }
    }
    Ok(all)
}

/// The numbers of the segments, oldest first.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let mut numbers = Vec::new();
    for entry in disk::list(dir).map_err(|e| fail("list", dir, e))? {
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".jsonl")).and_then(|n| n.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment of zeros, durable with its name before anything is written into it.
pub(super) fn create(root: &Path, number: u64, size: usize) -> Result<DiskFile, JournalError> {
    let path = root.join(paths::segment(number));
    let make = || -> io::Result<DiskFile> {
        let file = DiskFile::create_new(&path, 0o666)?;
        // real zeros, not a hole: the first write into a hole would change metadata
        let zeros = vec![0; 1 << 16];
        let mut at = 0;
        while at < size {
            let len = zeros.len().min(size - at);
            file.write_at(&zeros[..len], at as u64)?;
            at += len;
        }
        file.sync_all()?;
        disk::sync_dir(&root.join(paths::JOURNAL))?;
        Ok(file)
    };
    make().map_err(|e| {
        // a half-made segment would only be in the way of the next try
        let _ = disk::unlink(&path);
        fail("make", &path, e)
    })
}

/// Copies a torn tail into the quarantine, then overwrites it with zeros.
pub(super) fn set_aside(root: &Path, segment: &str, offset: usize, tail: &[u8]) -> Result<Repair, JournalError> {
    let name = segment.rsplit('/').next().unwrap_or(segment);
    let kept = format!("{}/{name}.{offset}.{}", paths::QUARANTINE, tail.len());
    let target = root.join(&kept);
    let path = root.join(segment);
    fsutil::write(&target, tail).map_err(|e| fail("set aside a torn tail of", &path, io::Error::other(e)))?;
    let clear = || -> io::Result<()> {
        let file = DiskFile::open(&path, false)?;
        file.write_at(&vec![0; tail.len()], offset as u64)?;
        file.sync_data()
    };
    clear().map_err(|e| fail("clear a torn tail of", &path, e))?;
    Ok(Repair { segment: segment.to_owned(), offset: offset as u64, bytes: tail.len() as u64, kept })
}
