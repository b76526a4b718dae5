//! Every passage the store knows, read from the truth: `memory/passages/<machine>/<month>.jsonl`.
//!
//! It also knows which passages hold at a moment. It ranks nothing and writes nothing. Lines that
//! can not be read are skipped with a warning and counted; they never hide their neighbours.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use cairn_store_layout::{MachineId, passage::Passage, paths, record::LINE_BYTES_MAX};
use jiff::Timestamp;

use crate::error::{IoContext, Result};

/// The place of a passage in the catalogue. Valid until the catalogue is read anew.
pub(crate) type Row = u32;

/// The moment a question is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// What must hold, holds at this time.
    at: Timestamp,
    /// What was recorded later is not known. Absent: everything is known, also what a clock of
    /// another machine dates into our future.
    known: Option<Timestamp>,
}

impl Moment {
    /// A past moment as it was then, or now with all that is known.
    pub(crate) fn new(as_of: Option<Timestamp>, now: Timestamp) -> Self {
        Self { at: as_of.unwrap_or(now), known: as_of }
    }

    fn knows(self, passage: &Passage) -> bool {
        self.known.is_none_or(|known| passage.recorded_at <= known)
            && passage.valid_from.is_none_or(|from| from <= self.at)
    }
}

/// What a look at the files brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// Rows keep their numbers; there may be more of them.
    Extended,
    /// A file shrank or vanished (a checkout, a revert): all rows are numbered anew.
    Replaced,
}

#[derive(Debug)]
struct Entry {
    passage: Passage,
    own: bool,
}

/// The passages, in the order they were met.
#[derive(Debug)]
pub(crate) struct Catalogue {
    root: PathBuf,
    machine: MachineId,
    entries: Vec<Entry>,
    by_id: HashMap<String, Row>,
    superseded_by: HashMap<String, Vec<Row>>,
    /// How far each file has been read, by its path relative to the root.
    read: BTreeMap<String, u64>,
    /// Remembered in this process and not met in a file yet.
    unseen: BTreeMap<String, Passage>,
    unreadable: usize,
}

impl Catalogue {
    /// Reads every passage file under `root`.
    pub(crate) fn load(root: &Path, machine: &MachineId) -> Result<Self> {
        let mut catalogue = Self {
            root: root.to_owned(),
            machine: machine.clone(),
            entries: Vec::new(),
            by_id: HashMap::new(),
            superseded_by: HashMap::new(),
            read: BTreeMap::new(),
            unseen: BTreeMap::new(),
            unreadable: 0,
        };
        catalogue.refresh()?;
        Ok(catalogue)
    }

    /// Reads what was appended since the last look, or everything when a file lost bytes.
    pub(crate) fn refresh(&mut self) -> Result<Refreshed> {
        let files = passage_files(&self.root)?;
        let lost = self.read.iter().any(|(path, read)| files.get(path).is_none_or(|len| len < read));
        if lost {
            self.entries.clear();
            self.by_id.clear();
            self.superseded_by.clear();
            self.read.clear();
            self.unreadable = 0;
        }
        for (path, len) in files {
            let from = self.read.get(&path).copied().unwrap_or(0);
            if len > from {
                let upto = self.read_file(&path, from)?;
                self.read.insert(path, upto);
            }
        }
        if !lost {
            return Ok(Refreshed::Extended);
        }
        for passage in self.unseen.values().cloned().collect::<Vec<_>>() {
            self.insert(passage, true);
        }
        Ok(Refreshed::Replaced)
    }

    /// Takes in a passage of this machine before its line is met. Returns whether it is new.
    pub(crate) fn remember(&mut self, passage: &Passage) -> bool {
        let new = self.insert(passage.clone(), true);
        if new {
            self.unseen.insert(passage.id.clone(), passage.clone());
        }
        new
    }

    /// Returns what was remembered here and not met in a file.
    pub(crate) fn into_unseen(self) -> Vec<Passage> {
        self.unseen.into_values().collect()
    }

    /// The number of passages; rows are below it.
    pub(crate) fn len(&self) -> Row {
        Row::try_from(self.entries.len()).expect("memory holds fewer than 2^32 passages")
    }

    /// Lines that are no passage.
    pub(crate) fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// How many files were read.
    pub(crate) fn files(&self) -> usize {
        self.read.len()
    }

    pub(crate) fn passage(&self, row: Row) -> &Passage {
        &self.entries[row as usize].passage
    }

    pub(crate) fn row(&self, id: &str) -> Option<Row> {
        self.by_id.get(id).copied()
    }

    /// The rows of the passages that this machine recorded.
    pub(crate) fn own_rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.len()).filter(|row| self.entries[*row as usize].own)
    }

    /// Tells whether a passage is known at the moment, valid then, and superseded by nothing that is
    /// itself known and has begun to hold.
    pub(crate) fn holds(&self, row: Row, moment: Moment) -> bool {
        let passage = self.passage(row);
        moment.knows(passage)
            && passage.valid_to.is_none_or(|to| moment.at < to)
            && !self
                .superseded_by
                .get(&passage.id)
                .is_some_and(|rows| rows.iter().any(|by| *by != row && moment.knows(self.passage(*by))))
    }

    fn insert(&mut self, passage: Passage, own: bool) -> bool {
        if self.by_id.contains_key(&passage.id) {
            return false;
        }
        let row = self.len();
        for id in &passage.supersedes {
            self.superseded_by.entry(id.clone()).or_default().push(row);
        }
        self.by_id.insert(passage.id.clone(), row);
        self.entries.push(Entry { passage, own });
        true
    }

    /// Reads the whole lines of a file from byte `from` on and returns where the next look begins.
    fn read_file(&mut self, path: &str, from: u64) -> Result<u64> {
        let full = self.root.join(path);
        let own = path.split('/').rev().nth(1) == Some(self.machine.as_str());
        let mut file = File::open(&full).on("open", &full)?;
        file.seek(SeekFrom::Start(from)).on("read", &full)?;
        let mut file = BufReader::new(file);
        let (mut upto, mut line) = (from, Vec::new());
        loop {
            line.clear();
            let bytes = file.read_until(b'\n', &mut line).on("read", &full)?;
            if line.last() != Some(&b'\n') {
                // The end, or a line still being written: it is read once it is whole.
                return Ok(upto);
            }
            match read_line(&line) {
                Ok(passage) => {
                    self.unseen.remove(&passage.id);
                    self.insert(passage, own);
                }
                Err(why) => {
                    self.unreadable += 1;
                    tracing::warn!(path, byte = upto, why, "skipped a line that is no passage");
                }
            }
            upto += bytes as u64;
        }
    }
}

fn read_line(line: &[u8]) -> Result<Passage, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {LINE_BYTES_MAX}", line.len()));
    }
    serde_json::from_slice(line).map_err(|e| e.to_string())
}

/// The passage files with their lengths, by path relative to `root`. Symbolic links are not
/// followed: what git brought in must not lead out of the store.
fn passage_files(root: &Path) -> Result<BTreeMap<String, u64>> {
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
