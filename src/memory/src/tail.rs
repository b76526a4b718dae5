//! Append-only files of all machines below one folder, read once and then only where they grew.
//!
//! Every layer of memory reads its truth through here, so that all treat a torn end, a foreign line and a
//! checkout of an older state alike.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

use cairn_store_layout::record::LINE_BYTES_MAX;

use crate::{
    error::{IoContext, Result},
    files,
};

/// How far the files of one folder have been read.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    read: BTreeMap<String, u64>,
    unreadable: usize,
}

/// What a look at the files brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// What was told before still holds; there may be more.
    Extended,
    /// A file shrank or vanished (a checkout, a revert): everything was told anew, from the first line.
    Anew,
}

impl Tail {
    /// Tells `take` every whole line that is new below `folder`, in the order of paths. `before` is called first when
    /// all is told anew. A line that `take` can not use is counted, and hides nothing else.
    ///
    /// # Errors
    /// When a file can not be read.
    pub(crate) fn look<T>(
        &mut self,
        root: &Path,
        folder: &str,
        to: &mut T,
        anew: impl FnOnce(&mut T),
        mut take: impl FnMut(&mut T, &str, &[u8]) -> Result<(), String>,
    ) -> Result<Looked> {
        let mut found = files::list(root, folder)?;
        found.retain(|path, _| path.ends_with(".jsonl"));
        let lost = self.read.iter().any(|(path, read)| found.get(path).is_none_or(|len| len < read));
        if lost {
            *self = Self::default();
            anew(to);
        }
        for (path, len) in found {
            let from = self.read.get(&path).copied().unwrap_or(0);
            if len > from {
                let upto = self.read_file(root, &path, from, &mut |line| take(to, &path, line))?;
                self.read.insert(path, upto);
            }
        }
        Ok(if lost { Looked::Anew } else { Looked::Extended })
    }

    /// Lines that nobody could use.
    pub(crate) fn unreadable(&self) -> usize {
        self.unreadable
    }

    fn read_file(
        &mut self,
        root: &Path,
        path: &str,
        from: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<u64> {
        let full = root.join(path);
        let mut file = File::open(&full).on("open", &full)?;
        file.seek(SeekFrom::Start(from)).on("read", &full)?;
        let mut file = BufReader::new(file);
        let (mut upto, mut line) = (from, Vec::new());
        loop {
            line.clear();
            let bytes = file.read_until(b'\n', &mut line).on("read", &full)?;
            // the end, or a line that is still being written and is read once it is whole
            let Some(whole) = line.strip_suffix(b"\n") else { return Ok(upto) };
            let taken = if whole.len() > LINE_BYTES_MAX {
                Err(format!("it has {} bytes, more than {LINE_BYTES_MAX}", whole.len()))
            } else {
                take(whole)
            };
            if let Err(why) = taken {
                self.unreadable += 1;
                tracing::warn!(path, byte = upto, why, "skipped a line of memory that can not be read");
            }
            upto += bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn lines_are_told_once_whole_and_all_again_when_a_file_shrank() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory/x/m1/2026-11.jsonl");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let (mut tail, mut told) = (Tail::default(), Vec::new());
        let look = |tail: &mut Tail, told: &mut Vec<String>| {
            let take = |told: &mut Vec<String>, _: &str, line: &[u8]| {
                let line = String::from_utf8(line.to_vec()).map_err(|e| e.to_string())?;
                told.push(line);
                Ok(())
            };
            tail.look(dir.path(), "memory/x", told, Vec::clear, take).unwrap()
        };
        fs::write(&file, "a\nb\nto").unwrap();
        assert_eq!(look(&mut tail, &mut told), Looked::Extended);
        assert_eq!(told, ["a", "b"]);
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"rn\n\xff\nc\n").unwrap();
        look(&mut tail, &mut told);
        assert_eq!((told.join(" "), tail.unreadable()), ("a b torn c".to_owned(), 1));
        fs::write(&file, "a\n").unwrap();
        assert_eq!(look(&mut tail, &mut told), Looked::Anew);
        assert_eq!((told.join(" "), tail.unreadable()), ("a".to_owned(), 0));
    }
}
