//! Files that a trigger has seen, and those that appeared since.
//!
//! A file is its path and its bytes: the same file under the same name is the same one, whatever its
//! times say. Times and lengths only save reading it again. Hidden files and links are passed over.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use cairn_store_layout::{Digest, paths};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{disk, fsutil};

/// A trigger that looks for more files than this sees no new ones.
pub const FILES_MAX: usize = 20_000;
/// A file above this is passed over: it would hold up the kernel while it is read.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// How deep folders are looked into.
const DEPTH_MAX: usize = 16;

/// What one trigger has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it goes by; another digest is another trigger under the same name.
    pub trigger: Digest,
    /// It counts from here: what was before is no concern of its.
    #[serde(with = "cairn_store_layout::time::at")]
    pub since: Timestamp,
    /// The files, by path below `files/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileMark>,
}

/// A file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// When it was written, in microseconds, by the file system's clock.
    pub modified: i64,
    /// Its length.
    pub bytes: u64,
    /// What is in it.
    pub content: Digest,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its path below `files/`.
    pub path: String,
    modified: i64,
    bytes: u64,
    /// How long ago it was written; `None` when that lies in the future.
    age: Option<Duration>,
}

/// A file that a trigger has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appeared {
    /// Its path below `files/`.
    pub path: String,
    /// What is in it.
    pub mark: FileMark,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// New files that nobody has written to for a moment, by path.
    pub appeared: Vec<Appeared>,
    /// Something is still being written: look again after so long.
    pub again: Option<Duration>,
    /// Whether marks changed although nothing appeared.
    pub changed: bool,
}

impl Seen {
    /// Compares the files that are there with those that were seen. Files younger than `settled` are left
    /// for later. What appeared is not marked: see [`Seen::mark`].
    pub fn look(&mut self, root: &Path, present: &[Present], settled: Duration) -> Found {
        let mut found = Found::default();
        for file in present {
            let known = self.files.get(&file.path);
            if known.is_some_and(|mark| mark.modified == file.modified && mark.bytes == file.bytes) {
                continue;
            }
            if let Some(rest) = file.age.and_then(|age| settled.checked_sub(age)).filter(|rest| !rest.is_zero()) {
                found.again = Some(found.again.map_or(rest, |again: Duration| again.min(rest)));
                continue;
            }
            // gone or unreadable by now: the next look sees what became of it
            let Some(content) = content(&root.join(paths::FILES).join(&file.path)) else { continue };
            let mark = FileMark { modified: file.modified, bytes: file.bytes, content };
            if known.is_some_and(|known| known.content == mark.content) {
                self.mark(file.path.clone(), mark);
                found.changed = true;
            } else {
                found.appeared.push(Appeared { path: file.path.clone(), mark });
            }
        }
        found
    }

    /// Takes note of a file.
    pub fn mark(&mut self, path: String, mark: FileMark) {
        self.files.insert(path, mark);
    }

    /// Forgets files that are gone, once there are too many marks: one that comes back is new then.
    pub fn prune(&mut self, present: &[Present]) {
        if self.files.len() > FILES_MAX {
            self.files.retain(|path, _| present.iter().any(|file| file.path == *path));
        }
    }
}

/// The files below `files/` whose path `fits`, sorted; `Err` with a sentence when there are too many.
///
/// # Errors
/// More than [`FILES_MAX`] fit.
pub fn present(root: &Path, pattern: &str, fits: &dyn Fn(&str) -> bool) -> Result<Vec<Present>, String> {
    let mut found = Vec::new();
    let mut folders = vec![fixed_part(pattern)];
    let now = SystemTime::now();
    while let Some(folder) = folders.pop() {
        let entries = fsutil::list(&root.join(paths::FILES).join(&folder)).unwrap_or_default();
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !fsutil::is_temporary(name)) else { continue };
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            // never through a link, never a hidden part
            let Ok(meta) = entry.metadata() else { continue };
            if !paths::is_inside(&path) {
                continue;
            }
            if meta.is_dir() && path.split('/').count() < DEPTH_MAX {
                folders.push(path);
            } else if meta.is_file() && fits(&path) && meta.len() <= FILE_BYTES_MAX {
                let written = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let modified = Timestamp::try_from(written).map_or(0, Timestamp::as_microsecond);
                found.push(Present { path, modified, bytes: meta.len(), age: now.duration_since(written).ok() });
            }
        }
        if found.len() > FILES_MAX {
            return Err(format!("more than {FILES_MAX} files fit `{pattern}`; move those that are done with"));
        }
    }
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The folder above the first part of a pattern that is not plain text.
fn fixed_part(pattern: &str) -> String {
    let mut parts: Vec<&str> =
        pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect();
    if parts.len() == pattern.split('/').count() {
        parts.pop();
    }
    parts.join("/")
}

fn content(path: &Path) -> Option<Digest> {
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => drop(hasher.update(&buffer[..n])),
            }
        }
        Ok::<_, std::io::Error>(hasher.finalize().to_hex().to_string())
    };
    let hex = disk::read_with(path, read).ok()?;
    Digest::new(hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        dir: tempfile::TempDir,
        seen: Seen,
    }

    impl Lab {
        fn new() -> Self {
            let seen = Seen { trigger: Digest::of(b"t"), since: Timestamp::UNIX_EPOCH, files: BTreeMap::new() };
            Self { dir: tempfile::tempdir().unwrap(), seen }
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join("files").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        /// Looks, and marks what appeared.
        fn look(&mut self, settled: Duration) -> Vec<String> {
            let files = present(self.dir.path(), "mails/*", &|path| path.starts_with("mails/")).unwrap();
            let found = self.seen.look(self.dir.path(), &files, settled);
            for file in &found.appeared {
                self.seen.mark(file.path.clone(), file.mark.clone());
            }
            found.appeared.into_iter().map(|file| file.path).collect()
        }
    }

    #[test]
    fn a_file_is_its_path_and_its_bytes() {
        let mut lab = Lab::new();
        lab.write("mails/a", "one");
        lab.write("mails/.hidden", "no");
        lab.write("other/a", "no");
        assert_eq!(lab.look(Duration::ZERO), ["mails/a"]);
        assert_eq!(lab.look(Duration::ZERO), [""; 0]);
        // touched: other times, the same bytes
        let file = std::fs::File::options().write(true).open(lab.dir.path().join("files/mails/a")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
        assert_eq!(lab.look(Duration::ZERO), [""; 0]);
        lab.write("mails/a", "two");
        lab.write("mails/b", "one");
        assert_eq!(lab.look(Duration::ZERO), ["mails/a", "mails/b"]);
        std::fs::remove_file(lab.dir.path().join("files/mails/b")).unwrap();
        assert_eq!(lab.look(Duration::ZERO), [""; 0]);
        lab.write("mails/b", "one");
        assert_eq!(lab.look(Duration::ZERO), [""; 0], "it came back as it was");
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        let mut lab = Lab::new();
        lab.write("mails/a", "half");
        assert_eq!(lab.look(Duration::from_secs(3600)), [""; 0]);
        let files = present(lab.dir.path(), "mails/*", &|_| true).unwrap();
        assert!(lab.seen.look(lab.dir.path(), &files, Duration::from_secs(3600)).again.is_some());
        assert_eq!(lab.look(Duration::ZERO), ["mails/a"]);
    }

    #[test]
    fn only_the_fixed_part_of_a_pattern_is_walked() {
        for (pattern, fixed) in
            [("mails/*.eml", "mails"), ("a/b/c.txt", "a/b"), ("*.txt", ""), ("a/*/b", "a"), ("x", "")]
        {
            assert_eq!(fixed_part(pattern), fixed, "{pattern}");
        }
    }
}
