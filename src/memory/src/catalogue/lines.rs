//! Passage files: which there are, their new lines, and single lines by their place.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use cairn_store_layout::{
    MachineId,
    passage::{Forgotten, Passage},
    paths,
    record::LINE_BYTES_MAX,
};

use super::{Catalogue, Row};
use crate::{
    columns::{Doubt, Place, name},
    error::{IoContext, Result},
};

/// So many bytes before the place where reading stopped must be what they were.
const TAIL_BYTES: u64 = 4096;

/// What a line says.
pub(super) enum Line {
    Passage(Box<Passage>),
    Forgotten(Forgotten),
}

/// One passage file, as far as it was read.
#[derive(Debug)]
pub(super) struct PassageFile {
    /// Relative to the root of the store.
    pub(super) path: String,
    /// Whether this machine writes it.
    pub(super) own: bool,
    pub(super) read: u64,
    /// Hash of the last bytes that were read.
    pub(super) tail: String,
}

impl PassageFile {
    /// A file of which nothing was read.
    pub(super) fn new(path: String, machine: &MachineId) -> Self {
        let own = path.split('/').rev().nth(1) == Some(machine.as_str());
        Self { path, own, read: 0, tail: name(b"") }
    }

    /// Tells whether the file begins with what was read of it, given its length now. Its bytes are
    /// looked at only when there are new ones.
    pub(super) fn still(&self, root: &Path, len: Option<u64>) -> Result<bool> {
        match len {
            None => Ok(false),
            Some(len) if len == self.read => Ok(true),
            Some(len) => Ok(len > self.read && self.begins_as_read(root)?),
        }
    }

    /// Tells whether the bytes before the end of what was read are those that were read.
    pub(super) fn begins_as_read(&self, root: &Path) -> Result<bool> {
        let path = root.join(&self.path);
        let read = File::open(&path).and_then(|file| tail(&file, self.read));
        match read {
            Err(e) if matches!(e.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::NotFound) => Ok(false),
            other => Ok(other.on("read", &path)? == self.tail),
        }
    }
}

/// The new lines of a file, whole ones only: one still being written is read once it is whole.
pub(super) struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    upto: u64,
    line: Vec<u8>,
}

/// A line or why it can not be read, and where it is.
pub(super) type Placed = (Result<Line, String>, Place);

impl Lines {
    pub(super) fn open(root: &Path, file: &PassageFile) -> Result<Self> {
        let path = root.join(&file.path);
        let mut open = File::open(&path).on("open", &path)?;
        open.seek(SeekFrom::Start(file.read)).on("read", &path)?;
        Ok(Self { file: BufReader::with_capacity(1 << 16, open), path, upto: file.read, line: Vec::new() })
    }

    /// The next line of the file, which the catalogue knows by this number.
    pub(super) fn next(&mut self, number: usize) -> Result<Option<Placed>> {
        self.line.clear();
        let bytes = self.file.read_until(b'\n', &mut self.line).on("read", &self.path)?;
        if self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let file = u32::try_from(number).expect("fewer than 2^32 files");
        // A line too long for its length to be kept is too long to be a passage, too.
        let place = Place { file, offset: self.upto, len: u32::try_from(bytes).unwrap_or(u32::MAX) };
        self.upto += bytes as u64;
        Ok(Some((read_line(&self.line), place)))
    }

    /// Where reading stopped, and the hash of the last bytes before.
    pub(super) fn end(self) -> Result<(u64, String)> {
        let tail = tail(self.file.get_ref(), self.upto).on("read", &self.path)?;
        Ok((self.upto, tail))
    }
}

/// Reads single passages by their rows; keeps the file it read last open.
pub(crate) struct Reader<'a> {
    catalogue: &'a Catalogue,
    open: Option<(u32, File)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, open: None }
    }

    /// As [`Catalogue::passage`].
    pub(crate) fn passage(&mut self, row: Row) -> Result<Passage, Doubt> {
        let (rows, i) = self.catalogue.at(row);
        let (place, id, recorded) = (rows.place(i), rows.id(i), rows.recorded(i));
        if place == Place::NONE {
            let waiting = self.catalogue.waiting.get(&(id.to_owned(), recorded));
            return waiting.cloned().ok_or_else(|| Doubt(format!("passage {id} waits no more")));
        }
        let passage: Passage = self.line(place)?;
        if passage.id != id || passage.recorded_at.as_microsecond() != recorded {
            return Err(Doubt(format!("the line of passage {id} holds another one")));
        }
        Ok(passage)
    }

    /// The line at a place that forgets a passage; `None` for one that was not met.
    pub(super) fn forgotten(&mut self, place: Place) -> Result<Option<Forgotten>, Doubt> {
        if place == Place::NONE { Ok(None) } else { self.line(place).map(Some) }
    }

    fn line<T: serde::de::DeserializeOwned>(&mut self, place: Place) -> Result<T, Doubt> {
        let known = self.catalogue.files.get(place.file as usize);
        let path = self.catalogue.root.join(&known.ok_or_else(|| Doubt("a line of no file".to_owned()))?.path);
        let told = |e: &dyn std::fmt::Display| Doubt(format!("{}: {e}", path.display()));
        if self.open.as_ref().is_none_or(|(number, _)| *number != place.file) {
            self.open = Some((place.file, File::open(&path).map_err(|e| told(&e))?));
        }
        let mut line = vec![0; place.len as usize];
        let (_, file) = self.open.as_ref().expect("opened above");
        file.read_exact_at(&mut line, place.offset).map_err(|e| told(&e))?;
        serde_json::from_slice(&line).map_err(|e| told(&e))
    }
}

/// The passage files with their lengths, by path relative to `root`. Symbolic links are not
/// followed: what git brought in must not lead out of the store.
pub(super) fn passage_files(root: &Path) -> Result<BTreeMap<String, u64>> {
    let mut out = BTreeMap::new();
    for machine in entries(&root.join(paths::PASSAGES))? {
        if !machine.is_dir {
            continue;
        }
        for month in entries(&root.join(paths::PASSAGES).join(&machine.name))? {
            if !month.is_dir && month.name.ends_with(".jsonl") {
                out.insert(format!("{}/{}/{}", paths::PASSAGES, machine.name, month.name), month.len);
            }
        }
    }
    Ok(out)
}

fn read_line(line: &[u8]) -> Result<Line, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {LINE_BYTES_MAX}", line.len()));
    }
    match serde_json::from_slice(line) {
        Ok(passage) => Ok(Line::Passage(Box::new(passage))),
        Err(why) => serde_json::from_slice(line).map(Line::Forgotten).map_err(|_| why.to_string()),
    }
}

/// Hash of the last bytes before byte `end`.
fn tail(file: &File, end: u64) -> std::io::Result<String> {
    let from = end.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(end - from).expect("at most 4096")];
    file.read_exact_at(&mut bytes, from)?;
    Ok(name(&bytes))
}

struct DirItem {
    name: String,
    is_dir: bool,
    len: u64,
}

/// The files and folders of a folder; none when it does not exist.
fn entries(dir: &Path) -> Result<Vec<DirItem>> {
    let listing = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.on("list", dir)?,
    };
    let mut out = Vec::new();
    for item in listing {
        let item = item.on("list", dir)?;
        // Not followed: `DirEntry::metadata` describes a link itself.
        let meta = item.metadata().on("examine", &item.path())?;
        if let (Ok(name), false) = (item.file_name().into_string(), meta.file_type().is_symlink()) {
            out.push(DirItem { name, is_dir: meta.is_dir(), len: meta.len() });
        }
    }
    Ok(out)
}
