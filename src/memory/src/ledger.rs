//! Everything that memory ever learned, line by line: what policies and the audit look at.
//!
//! Recall needs what holds now and needs it fast; here every line counts, also one that can not be read, so
//! the files are read anew at every look and nothing is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

use cairn_store_layout::{
    MachineId,
    entity::EntityChange,
    episode::Episode,
    learned::Learned,
    passage::{Forgotten, Passage},
    paths,
    proposal::{Decided, Proposal},
    record::LINE_BYTES_MAX,
    usage::Used,
};
use jiff::Timestamp;

use crate::{
    Usage,
    error::{IoContext, Result},
};

/// What memory learned.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    passages: BTreeMap<String, Passage>,
    /// When each was recorded last.
    recorded: BTreeMap<String, Timestamp>,
    forgotten: BTreeMap<String, Forgotten>,
    /// How often which memories were given to steps.
    pub usage: Usage,
    /// Changes of entities with the machine that made each.
    pub changes: Vec<(MachineId, EntityChange)>,
    /// Lines that are no facts.
    pub unreadable: Vec<Unreadable>,
}

/// A line that says nothing that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file, from the store's root.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// A passage that is not forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The passage.
    pub passage: &'a Passage,
    /// Since when another passage stands in for it.
    pub superseded: Option<Timestamp>,
}

impl Ledger {
    /// Reads every file of memory below `root`.
    ///
    /// # Errors
    /// When a folder or file can not be read. Lines that say nothing are told in [`Ledger::unreadable`].
    pub fn read(root: &Path) -> Result<Self> {
        let mut ledger = Self::default();
        for folder in [paths::PASSAGES, paths::EPISODES, paths::PROPOSALS, paths::USAGE, paths::ENTITIES] {
            for path in files(root, folder)? {
                ledger.read_file(root, folder, &path)?;
            }
        }
        Ok(ledger)
    }

    /// Takes in what is recorded and stands in no file yet.
    pub fn take(&mut self, machine: &MachineId, learned: &Learned) {
        match learned {
            Learned::Passage(passage) => self.passage(passage.clone()),
            Learned::Forgotten(forgotten) => self.forget(forgotten.clone()),
            Learned::Entity(change) => self.changes.push((machine.clone(), change.clone())),
            Learned::Used(used) => drop(self.usage.count(used)),
            Learned::Episode(_) | Learned::Proposal(_) | Learned::Decided(_) => {}
        }
    }

    /// The passages that are not forgotten, by id.
    pub fn kept(&self) -> impl Iterator<Item = Kept<'_>> {
        let mut by: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for passage in self.passages.values().filter(|p| !self.is_forgotten(p)) {
            for id in passage.supersedes.iter().filter(|id| **id != passage.id) {
                let since = by.entry(id).or_insert(passage.recorded_at);
                *since = (*since).min(passage.recorded_at);
            }
        }
        let kept = self.passages.values().filter(|p| !self.is_forgotten(p));
        kept.map(move |passage| Kept { passage, superseded: by.get(passage.id.as_str()).copied() })
    }

    /// Tells whether a passage of this id was ever recorded.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.passages.contains_key(id)
    }

    /// The entities that somebody named: by a change, or by a passage.
    #[must_use]
    pub fn entities(&self) -> BTreeSet<&str> {
        let changed = self.changes.iter().map(|(_, change)| change.entity.as_str());
        changed.chain(self.passages.values().filter_map(|p| p.entity.as_deref())).collect()
    }

    /// One that was recorded again later than it was forgotten is back.
    fn is_forgotten(&self, passage: &Passage) -> bool {
        let last = self.recorded.get(&passage.id).copied().unwrap_or(passage.recorded_at);
        self.forgotten.get(&passage.id).is_some_and(|forgotten| last <= forgotten.at)
    }

    /// Of two records of one passage the earlier says where it came from, the later that it is there.
    fn passage(&mut self, passage: Passage) {
        let last = self.recorded.entry(passage.id.clone()).or_insert(passage.recorded_at);
        *last = (*last).max(passage.recorded_at);
        match self.passages.get_mut(&passage.id) {
            Some(known) if known.recorded_at <= passage.recorded_at => {}
            Some(known) => *known = passage,
            None => drop(self.passages.insert(passage.id.clone(), passage)),
        }
    }

    fn forget(&mut self, forgotten: Forgotten) {
        let known = self.forgotten.entry(forgotten.forgets.clone()).or_insert_with(|| forgotten.clone());
        if known.at < forgotten.at {
            *known = forgotten;
        }
    }

    fn read_file(&mut self, root: &Path, folder: &str, path: &str) -> Result<()> {
        let full = root.join(path);
        let file = fs::File::open(&full).on("open", &full)?;
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        for n in 1.. {
            line.clear();
            let bytes = file.read_until(b'\n', &mut line).on("read", &full)?;
            // the end, or a line that is still being written
            if bytes == 0 || line.last() != Some(&b'\n') {
                break;
            }
            if let Err(why) = self.read_line(folder, path, &line) {
                self.unreadable.push(Unreadable { path: path.to_owned(), line: n, why });
            }
        }
        Ok(())
    }

    fn read_line(&mut self, folder: &str, path: &str, line: &[u8]) -> std::result::Result<(), String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("it has {} bytes, more than {LINE_BYTES_MAX}", line.len()));
        }
        fn read<T: serde::de::DeserializeOwned>(line: &[u8]) -> std::result::Result<T, String> {
            serde_json::from_slice(line).map_err(|e| e.to_string())
        }
        match folder {
            paths::PASSAGES => match read::<Forgotten>(line) {
                Ok(forgotten) => self.forget(forgotten),
                Err(_) => self.passage(read(line)?),
            },
            paths::USAGE => drop(self.usage.count(&read::<Used>(line)?)),
            paths::EPISODES => drop(read::<Episode>(line)?),
            paths::PROPOSALS => {
                read::<Proposal>(line).map(drop).or_else(|why| read::<Decided>(line).map(drop).map_err(|_| why))?;
            }
            _ => {
                let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".jsonl");
                let machine = MachineId::new(name).map_err(|e| e.to_string())?;
                self.changes.push((machine, read(line)?));
            }
        }
        Ok(())
    }
}

/// The `.jsonl` files below a folder, sorted. Links are not followed: what git brought in must not lead out.
fn files(root: &Path, folder: &str) -> Result<Vec<String>> {
    let dir = root.join(folder);
    let listing = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.on("list", &dir)?,
    };
    let mut found = Vec::new();
    for item in listing {
        let item = item.on("list", &dir)?;
        let kind = item.file_type().on("examine", &item.path())?;
        let Ok(name) = item.file_name().into_string() else { continue };
        let path = format!("{folder}/{name}");
        if kind.is_dir() {
            found.extend(files(root, &path)?);
        } else if kind.is_file() && name.ends_with(".jsonl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
