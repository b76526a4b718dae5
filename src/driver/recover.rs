//! Starting: what is durable becomes what is true again.
//!
//! A history is the bytes of its last commit followed by the journal's lines for it. The file in the
//! work tree is compared with that and mended when it differs, because it is never synced.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use cairn_kernel::{Command, Outcome, Outstanding};
use cairn_store_layout::{
    Digest, RunId,
    event::{Body, Event, JournalRepaired, RunParked},
    journal::Entry,
    learned::Learned,
    paths,
    record::{LINE_BYTES_MAX, Record},
    view::RunView,
};

use super::{Driver, DriverError, Parked, live::Live, wake::Report};
use crate::store::{
    artifacts::{self, Keep},
    disk,
    fsutil::{self, At as _},
    journal::Recovered,
    unfinished::Unfinished,
};

/// A start that had to look at more histories than this spares the next one from it.
const LOOKED_MAX: usize = 1_000;

impl Driver {
    pub(super) fn recover(&mut self, recovered: Recovered) -> Result<(), DriverError> {
        let mut by_file: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in recovered.entries {
            by_file.entry(entry.to.clone()).or_default().push(entry);
        }
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        let our_log = paths::log_dir(&self.machine);
        let retired_logs: Vec<String> = self.retired.iter().map(|r| paths::log_dir(&r.machine)).collect();
        for (path, entries) in &by_file {
            if let Some(run) = run_of(path) {
                runs.insert(run);
            } else if path.starts_with(&our_log) {
                let mended = self.mend(path, entries)?;
                self.log.found(path, mended.records);
                self.log_since(path, entries)?;
            } else if retired_logs.iter().any(|log| path.starts_with(log)) {
                self.mend(path, entries)?;
                self.log_since(path, entries)?;
            }
            // anything else is a note of the journal itself, or came with a copy of another machine's store
        }
        self.elsewhere = self.unfinished(&runs)?;
        runs.extend(self.elsewhere.iter().cloned());
        let learned = [paths::PASSAGES, paths::EPISODES, paths::PROPOSALS, paths::USAGE];
        let learned = learned.iter().map(|folder| format!("{folder}/{}", self.machine));
        self.sweep(&std::iter::once(our_log).chain(learned).collect::<Vec<_>>())?;
        // a folder an entity: only a kill leaves anything there
        if self.lock.is_after_kill() {
            self.sweep(&self.entity_folders()?)?;
        }
        for run in runs {
            let path = paths::run(&run);
            self.take_up(&run, by_file.get(&path).map_or(&[], Vec::as_slice))?;
        }
        self.elsewhere.retain(|run| !self.runs.contains_key(run));
        for repair in recovered.repairs {
            let told = format!("{} bytes of {} set aside in {}", repair.bytes, repair.segment, repair.kept);
            tracing::warn!("{told}");
            self.served.repaired.push(told);
            self.log_event(JournalRepaired {
                segment: repair.segment,
                offset: repair.offset,
                bytes: repair.bytes,
                kept: repair.kept,
                restored: None,
            })?;
        }
        for mended in recovered.mended {
            let told = format!(
                "{} damaged entries of {} at offset {} restored byte for byte; the segment as it was found is {}",
                mended.entries, mended.segment, mended.offset, mended.kept
            );
            tracing::warn!("{told}");
            self.served.repaired.push(told);
            self.log_event(JournalRepaired {
                segment: mended.segment,
                offset: mended.offset,
                bytes: mended.bytes,
                kept: mended.kept,
                restored: Some(mended.entries),
            })?;
        }
        self.log.entry = self.log.is_ahead().then_some(1);
        if self.all_kept() {
            self.kept = self.journal.last();
        }
        self.fence_off()?;
        self.recover_rates(&by_file);
        self.recover_triggers(&by_file)?;
        self.arm_triggers()?;
        if self.stopping { Ok(()) } else { self.resume() }
    }

    /// Takes up a run of this machine. One that can not be followed is parked: the others go on.
    fn take_up(&mut self, run: &RunId, entries: &[Entry]) -> Result<(), DriverError> {
        let path = paths::run(run);
        let ours =
            |owner: &str| owner == self.machine.as_str() || self.retired.iter().any(|r| r.machine.as_str() == owner);
        // read once: a lookup in git costs more than all else that is done for a run here
        let committed = self.committed_bytes(&path)?;
        if self.owner(&path, &committed, entries)?.is_some_and(|owner| !ours(&owner)) {
            return Ok(());
        }
        let mended = self.mend_onto(&path, committed, entries)?;
        match self.load_onto(run, mended.committed) {
            Ok(()) => Ok(()),
            Err(error @ (DriverError::History { .. } | DriverError::Gap { .. })) => {
                self.park(run, &error.to_string(), mended.records > mended.committed, None)
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves a run alone until somebody has looked at it. `ahead`: only the journal has all of it.
    /// `read`: the run, if it is only that this build would have decided otherwise.
    fn park(&mut self, run: &RunId, why: &str, ahead: bool, read: Option<Box<Live>>) -> Result<(), DriverError> {
        tracing::error!(%run, why, "the run can not be followed; it waits, the others go on");
        self.served.parked.push(format!("{run}: {why}"));
        self.parked.insert(run.clone(), Parked { why: why.to_owned(), ahead, entry: None, read });
        if self.is_told(run)? {
            return Ok(());
        }
        self.log_event(RunParked { run: run.clone(), message: why.chars().take(2_000).collect() })
    }

    /// Tells whether this month's log says already that the run is parked: once a month is enough.
    pub(super) fn is_told(&mut self, run: &RunId) -> Result<bool, DriverError> {
        let log = self.store.path(&paths::log(&self.machine, self.clock.now()));
        let text = fsutil::read(&log)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().any(|line| line.contains("\"kind\":\"run.parked\"") && line.contains(run.as_str())))
    }

    /// The machine that a history says it belongs to: the last one that adopted it, else the one that began it.
    fn owner(&self, path: &str, committed: &[u8], entries: &[Entry]) -> Result<Option<String>, DriverError> {
        let mut text = Cow::Borrowed(committed);
        if text.is_empty() && entries.is_empty() {
            text = Cow::Owned(fsutil::read(&self.store.path(path))?.unwrap_or_default());
        }
        let committed = text.split(|b| *b == b'\n').map(Cow::Borrowed);
        let journaled = entries.iter().map(|e| Cow::Borrowed(e.line.as_bytes()));
        let lines: Vec<Cow<'_, [u8]>> = committed.chain(journaled).collect();
        let adopted = lines.iter().rev().find(|line| kind(&String::from_utf8_lossy(line)) == Some("run.adopted"));
        let telling = adopted.or_else(|| lines.iter().find(|line| !line.is_empty()));
        let telling: Option<serde_json::Value> = telling.and_then(|line| serde_json::from_slice(line).ok());
        Ok(telling.and_then(|line| Some(line.get("machine")?.as_str()?.to_owned())))
    }

    /// Makes the file at `path` what the last commit and the journal say.
    pub(super) fn mend(&mut self, path: &str, entries: &[Entry]) -> Result<Mended, DriverError> {
        let committed = self.committed_bytes(path)?;
        self.mend_onto(path, committed, entries)
    }

    fn mend_onto(&mut self, path: &str, committed: Vec<u8>, entries: &[Entry]) -> Result<Mended, DriverError> {
        let mut text = committed;
        let committed = lines_of(&text);
        let mut records = committed;
        for entry in entries {
            let n = number(&entry.line).ok_or_else(|| DriverError::History {
                path: self.store.path(path),
                why: format!("entry {} of the journal is not a record", entry.n),
            })?;
            if n < records {
                continue;
            }
            if n > records {
                return Err(DriverError::Gap { path: self.store.path(path), n: records });
            }
            text.extend_from_slice(entry.line.as_bytes());
            text.push(b'\n');
            records += 1;
        }
        let file = self.store.path(path);
        let found = fsutil::read(&file)?.unwrap_or_default();
        // with nothing in the journal a file that goes on after its commit is all there is of what came later
        let sound = if entries.is_empty() { found.starts_with(&text) } else { found == text };
        if !sound {
            tracing::warn!(path, "the file differed from its commit and the journal; it was mended");
            fsutil::write(&file, &text)?;
        }
        Ok(Mended { records: if sound { lines_of(&found) } else { records }, committed })
    }

    fn committed_bytes(&self, path: &str) -> Result<Vec<u8>, DriverError> {
        Ok(match self.repo.blob_of(path, None)? {
            Some(blob) => self.repo.read_blob(&blob)?,
            None => Vec::new(),
        })
    }

    /// A spilled value; one that is missing or damaged in the work tree is brought back from its commit.
    pub(super) fn payload(&self, digest: &Digest) -> Option<Vec<u8>> {
        let root = self.store.root();
        if let Ok(Some(bytes)) = artifacts::get(root, digest) {
            return Some(bytes);
        }
        let bytes = self.committed_bytes(&paths::artifact(digest)).ok().filter(|bytes| Digest::of(bytes) == *digest)?;
        if let Err(error) = artifacts::put(root, &bytes, Keep::Durable) {
            tracing::warn!(%error, "a payload was read from its commit and could not be put back");
        }
        Some(bytes)
    }

    /// What the machine's log has not committed yet.
    fn log_since(&mut self, path: &str, entries: &[Entry]) -> Result<(), DriverError> {
        let committed = lines_of(&self.committed_bytes(path)?);
        for entry in entries {
            let Ok(record) = Record::decode(&entry.line, &mut |digest| self.payload(digest)) else { continue };
            self.clock.after(record.event.at);
            match &record.event.body {
                Body::CommandRefused(refused) => self.answered_before(&refused.command),
                Body::EventReceived(event) => {
                    self.answered_before(event.event.as_str());
                    self.events.again.push((event.clone(), record.event.at));
                }
                _ => {}
            }
            if record.n < committed {
                continue;
            }
            self.log.since.paths.insert(path.to_owned());
            self.log.since.told.push(cairn_store_layout::view::describe(&record.event));
            if let Some(learned) = Learned::of(&record.event.body) {
                self.memory.learn(std::slice::from_ref(&learned));
                self.log.since.learned.push(learned);
            }
        }
        Ok(())
    }

    /// The log has an answer to it: a file that is still there must not get another one.
    fn answered_before(&mut self, command: &str) {
        let inbox = paths::inbox(&self.machine);
        for path in [format!("{inbox}/{command}.json"), format!("{inbox}/{command}")] {
            if std::fs::symlink_metadata(self.store.path(&path)).is_ok_and(|m| m.is_file()) {
                self.log.since.consumed.insert(path.clone());
                self.taken.insert(path);
            }
        }
    }

    /// Removes what was being written when a kernel died, from folders that only a kernel writes to.
    fn sweep(&self, folders: &[String]) -> Result<(), DriverError> {
        for folder in folders {
            for entry in fsutil::list(&self.store.path(folder))? {
                if entry.file_name().to_str().is_some_and(fsutil::is_temporary) {
                    fsutil::remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// The folders of all entities, from the store's root.
    fn entity_folders(&self) -> Result<Vec<String>, DriverError> {
        let mut folders = Vec::new();
        for kind in fsutil::list(&self.store.path(paths::ENTITIES))? {
            if !kind.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            let named = fsutil::list(&kind.path())?;
            for entity in named.into_iter().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
                let (kind, name) = (kind.file_name(), entity.file_name());
                if let (Some(kind), Some(name)) = (kind.to_str(), name.to_str()) {
                    folders.push(format!("{}/{kind}/{name}", paths::ENTITIES));
                }
            }
        }
        Ok(folders)
    }

    /// Runs, of any machine, whose history does not end.
    ///
    /// `journaled`: runs that the journal tells of; a power cut may have taken their files, which come back later.
    fn unfinished(&self, journaled: &BTreeSet<RunId>) -> Result<BTreeSet<RunId>, DriverError> {
        let found = match self.unfinished_since()? {
            Some((found, looked)) if looked <= LOOKED_MAX => return Ok(found),
            Some((found, _)) => found,
            None => self.unfinished_of_all()?,
        };
        let root = self.store.root();
        disk::sync_fs(root).at("sync", root)?;
        // the journal goes one day, and what is kept here may then be all that names them
        self.keep_unfinished(found.union(journaled).cloned().collect());
        Ok(found)
    }

    /// The same from what was kept, and what changed since, with the number of histories that were looked at;
    /// `None` when that can not be relied upon.
    fn unfinished_since(&self) -> Result<Option<(BTreeSet<RunId>, usize)>, DriverError> {
        let Some((kept, commit)) = Unfinished::read(self.store.root(), self.journal.last()) else { return Ok(None) };
        let Some(changed) = self.repo.changed_since(&commit, paths::RUNS)? else { return Ok(None) };
        let (mut found, mut looked) = (BTreeSet::new(), 0);
        let mut folders = BTreeSet::new();
        for run in kept.runs.into_iter().chain(changed.iter().filter_map(|path| run_of(path))) {
            let path = self.store.path(&paths::run(&run));
            looked += 1;
            // a history that was removed comes back from its commit
            if !path.is_file() || !ends(&disk::read_with(&path, || tail(&path)).at("read", &path)?) {
                found.insert(run);
            }
            folders.extend(path.parent().map(Path::to_path_buf));
        }
        for folder in folders {
            for entry in fsutil::list(&folder)? {
                if entry.file_name().to_str().is_some_and(fsutil::is_temporary) {
                    fsutil::remove(&entry.path())?;
                }
            }
        }
        Ok(Some((found, looked)))
    }

    /// Keeps which runs are unfinished, for the next start. The file system has been synced since the
    /// commits that are known: no history that is left out may be torn by a power cut.
    pub(super) fn keep_unfinished(&self, runs: BTreeSet<RunId>) {
        let Some(commit) = self.known else { return };
        let kept = Unfinished::new(commit, self.journal.last(), runs);
        // derived: its troubles stop nobody
        if let Err(error) = kept.write(self.store.root()) {
            tracing::warn!(%error, "which runs are unfinished could not be kept; the next start looks at all of them");
        }
    }

    fn unfinished_of_all(&self) -> Result<BTreeSet<RunId>, DriverError> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.store.path(paths::RUNS)];
        while let Some(folder) = folders.pop() {
            for entry in fsutil::list(&folder)? {
                let path = entry.path();
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    folders.push(path);
                    continue;
                }
                // we hold the lock: whoever was writing it is dead
                if entry.file_name().to_str().is_some_and(fsutil::is_temporary) {
                    fsutil::remove(&path)?;
                    continue;
                }
                let run = path.file_stem().and_then(|s| s.to_str()).and_then(|s| RunId::new(s).ok());
                let Some(run) = run else { continue };
                if !ends(&disk::read_with(&path, || tail(&path)).at("read", &path)?) {
                    found.insert(run);
                }
            }
        }
        Ok(found)
    }

    /// Folds a run's history. A run that this build would have taken elsewhere is parked: nothing is guessed.
    pub(super) fn load(&mut self, run: &RunId) -> Result<(), DriverError> {
        let committed = self.committed_records(&paths::run(run))?;
        self.load_onto(run, committed)
    }

    /// How many records of a file are in a commit.
    pub(super) fn committed_records(&self, path: &str) -> Result<u64, DriverError> {
        Ok(lines_of(&self.committed_bytes(path)?))
    }

    /// The same for a history of which so many records are in a commit.
    fn load_onto(&mut self, run: &RunId, committed: u64) -> Result<(), DriverError> {
        let path = paths::run(run);
        let file = self.store.path(&path);
        let text = fsutil::read(&file)?.unwrap_or_default();
        let fault = |why: String| DriverError::History { path: file.clone(), why };
        let text = String::from_utf8(text).map_err(|e| fault(e.to_string()))?;
        let mut live: Option<Live> = None;
        let mut events: Vec<Event> = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let mut spilled = Vec::new();
            let mut fetch = |digest: &Digest| {
                spilled.push(paths::artifact(digest));
                self.payload(digest)
            };
            let record = Record::decode(line, &mut fetch).map_err(|e| fault(format!("line {}: {e}", n + 1)))?;
            if record.n != n as u64 {
                return Err(DriverError::Gap { path: file.clone(), n: n as u64 });
            }
            self.clock.after(record.event.at);
            if let Some(live) = &mut live {
                if let Body::RunMigrated(moved) = &record.event.body {
                    self.follow_move(live, &events, moved).map_err(|error| fault(error.to_string()))?;
                }
                live.replay(&record, spilled);
                events.push(record.event);
                continue;
            }
            events.push(record.event.clone());
            let (state, pinned) = self.begin_again(&events).map_err(|error| fault(error.to_string()))?;
            if let Body::RunStarted(start) = &record.event.body {
                self.triggers.started(start);
            }
            let Some(view) = RunView::begin(&record) else { return Ok(()) };
            let mut begun = Live::new(state, pinned, view);
            begun.committed = committed;
            if begun.committed == 0 {
                begun.since.paths.extend(spilled);
                begun.note(&record.event);
            }
            live = Some(begun);
        }
        let Some(mut live) = live.filter(|live| live.state.end().is_none() || live.is_ahead()) else { return Ok(()) };
        live.bytes = text.len() as u64;
        // which entries hold what is in no commit is not asked for each run: all are kept until it is in one
        live.entry = live.is_ahead().then_some(1);
        self.memory.learn(&live.since.learned);
        match self.difference(&live, &events) {
            Some(why) => self.park(run, &why, live.is_ahead(), Some(Box::new(live))),
            None => {
                self.runs.insert(run.clone(), live);
                Ok(())
            }
        }
    }

    /// Goes on where the world was left: what may be repeated is, what may not is a question.
    fn resume(&mut self) -> Result<(), DriverError> {
        self.taken_up = true;
        self.take_up_rates()?;
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            self.resume_run(&run)?;
            drop(self.ask(&run, &Command::Advance, None)?);
        }
        self.offer_again()?;
        self.take_up_families()
    }

    /// Begins what waited for the end of a pause.
    pub(super) fn go_on(&mut self) -> Result<(), DriverError> {
        if !self.taken_up {
            return self.resume();
        }
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            drop(self.ask(&run, &Command::Advance, None)?);
        }
        Ok(())
    }

    pub(super) fn resume_run(&mut self, run: &RunId) -> Result<(), DriverError> {
        self.take_up_turns(run);
        let Some(live) = self.runs.get(run) else { return Ok(()) };
        for outstanding in cairn_kernel::outstanding(&live.state) {
            match outstanding {
                Outstanding::Again(perform) => self.dispatch(perform)?,
                Outstanding::Child(child) => self.child(&child)?,
                Outstanding::Lost(p) => {
                    let message = "the kernel stopped while it was under way; it may have happened".to_owned();
                    let outcome = Outcome::Unknown { message };
                    let (step, iteration, attempt, purpose) = (p.step, p.iteration, p.attempt, p.effect.purpose);
                    self.answer(Report { run: run.clone(), step, iteration, attempt, purpose, outcome })?;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn run_of(path: &str) -> Option<RunId> {
    path.strip_prefix("runs/")?.rsplit('/').next()?.strip_suffix(".jsonl").and_then(|id| RunId::new(id).ok())
}

/// The record number of a line, without reading all of it.
fn number(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("{\"n\":")?;
    digits.split(',').next()?.parse().ok()
}

/// What a file holds, in records.
pub(super) struct Mended {
    pub(super) records: u64,
    committed: u64,
}

fn lines_of(text: &[u8]) -> u64 {
    text.iter().filter(|b| **b == b'\n').count() as u64
}

/// The end of a file, with at least its last line: old histories are many, and only their ends matter.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let len = file.metadata()?.len();
    for most in [8 << 10, 2 * LINE_BYTES_MAX as u64] {
        file.seek(SeekFrom::Start(len.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        if len <= most || bytes.strip_suffix(b"\n").unwrap_or(&bytes).contains(&b'\n') {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

/// Tells whether a history's last line is an end.
pub(super) fn ends(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let last = String::from_utf8_lossy(text.rsplit(|b| *b == b'\n').next().unwrap_or_default());
    matches!(kind(&last), Some("run.succeeded" | "run.failed" | "run.canceled"))
}

/// The kind of a record's line; it comes before any value that could look like one.
fn kind(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("\"kind\":\"")?;
    rest.split_once('"').map(|(kind, _)| kind)
}
