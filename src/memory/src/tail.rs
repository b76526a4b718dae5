//! Append-only files of all machines below one folder, read once and then only where they grew.
//!
//! Layers that are folded from whole folders (proposals, usage) read their truth through here, and through the one
//! reader of lines, so that a torn end, a foreign line and a checkout of an older state are treated alike.

use std::{collections::BTreeMap, path::Path};

use crate::{error::Result, files, lines};

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
        let mut unusable = 0;
        let (upto, skipped) = lines::read(root, path, from, &mut |path, end, line| {
            if let Err(why) = take(line) {
                unusable += 1;
                tracing::warn!(path, byte = end, why, "skipped a line of memory that can not be read");
            }
        })?;
        self.unreadable += unusable + skipped;
        Ok(upto)
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
