//! Starting: what is durable becomes what is true again.
//!
//! A history is the bytes of its last commit followed by the journal's lines for it. The file in the
//! work tree is compared with that and mended when it differs, because it is never synced.

use std::collections::{BTreeMap, BTreeSet};

use cairn_kernel::{Command, Outcome, Outstanding, State};
use cairn_store_layout::{
    RunId,
    event::{Body, JournalRepaired},
    journal::Entry,
    paths,
    record::Record,
    view::RunView,
};

use super::{Driver, DriverError, live::Live, wake::Report};
use crate::store::{artifacts, definitions::Pins, fsutil, journal::Recovered};

impl Driver {
    pub(super) fn recover(&mut self, recovered: Recovered) -> Result<(), DriverError> {
        let mut by_file: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in recovered.entries {
            by_file.entry(entry.to.clone()).or_default().push(entry);
        }
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        for (path, entries) in &by_file {
            if path.starts_with("journal:") {
                continue;
            }
            let records = self.mend(path, entries)?;
            if let Some(run) = run_of(path) {
                runs.insert(run);
            } else {
                self.log.found(path, records);
                self.log_since(path, entries)?;
            }
        }
        runs.extend(self.unfinished()?);
        for run in runs {
            self.load(&run)?;
        }
        for repair in recovered.repairs {
            let told = format!("{} bytes of {} set aside in {}", repair.bytes, repair.segment, repair.kept);
            tracing::warn!("{told}");
            self.served.repaired.push(told);
            self.log_event(JournalRepaired {
                segment: repair.segment,
                offset: repair.offset,
                bytes: repair.bytes,
                kept: repair.kept,
            })?;
        }
        self.resume()
    }

    /// Makes the file at `path` what the last commit and the journal say; gives its number of records.
    fn mend(&mut self, path: &str, entries: &[Entry]) -> Result<u64, DriverError> {
        let mut text = self.committed_bytes(path)?;
        let mut count = text.iter().filter(|b| **b == b'\n').count() as u64;
        for entry in entries {
            let n = number(&entry.line).ok_or_else(|| DriverError::History {
                path: self.store.path(path),
                why: format!("entry {} of the journal is not a record", entry.n),
            })?;
            if n < count {
                continue;
            }
            if n > count {
                return Err(DriverError::Gap { path: self.store.path(path), n: count });
            }
            text.extend_from_slice(entry.line.as_bytes());
            text.push(b'\n');
            count += 1;
        }
        let file = self.store.path(path);
        if fsutil::read(&file)?.as_deref() != Some(text.as_slice()) {
            fsutil::write(&file, &text)?;
        }
        Ok(count)
    }

    fn committed_bytes(&self, path: &str) -> Result<Vec<u8>, DriverError> {
        Ok(match self.repo.blob_of(path, None)? {
            Some(blob) => self.repo.read_blob(&blob)?,
            None => Vec::new(),
        })
    }

    /// What the machine's log has not committed yet.
    fn log_since(&mut self, path: &str, entries: &[Entry]) -> Result<(), DriverError> {
        let committed = self.committed_bytes(path)?.iter().filter(|b| **b == b'\n').count() as u64;
        for entry in entries {
            let root = self.store.root().to_owned();
            let mut fetch = |digest: &cairn_store_layout::Digest| artifacts::get(&root, digest).ok().flatten();
            let Ok(record) = Record::decode(&entry.line, &mut fetch) else { continue };
            self.clock.after(record.event.at);
            if record.n < committed {
                continue;
            }
            self.log.since.paths.insert(path.to_owned());
            self.log.since.told.push(cairn_store_layout::view::describe(&record.event));
            if let Body::PassageAdded(added) = record.event.body {
                self.memory.remember(std::slice::from_ref(&added.passage));
                self.log.since.passages.push(added.passage);
            }
        }
        Ok(())
    }

    /// Runs of this machine whose history does not end.
    fn unfinished(&self) -> Result<Vec<RunId>, DriverError> {
        let mut found = Vec::new();
        let mut folders = vec![self.store.path(paths::RUNS)];
        while let Some(folder) = folders.pop() {
            for entry in fsutil::list(&folder)? {
                let path = entry.path();
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    folders.push(path);
                    continue;
                }
                let run = path.file_stem().and_then(|s| s.to_str()).and_then(|s| RunId::new(s).ok());
                let Some(run) = run else { continue };
                let text = fsutil::read(&path)?.unwrap_or_default();
                if !ends(&text) {
                    found.push(run);
                }
            }
        }
        Ok(found)
    }

    /// Folds a run's history; one that can not be followed is left alone and told about.
    fn load(&mut self, run: &RunId) -> Result<(), DriverError> {
        let path = paths::run(run);
        let file = self.store.path(&path);
        let text = fsutil::read(&file)?.unwrap_or_default();
        let fault = |why: String| DriverError::History { path: file.clone(), why };
        let text = String::from_utf8(text).map_err(|e| fault(e.to_string()))?;
        let mut live: Option<Live> = None;
        for (n, line) in text.lines().enumerate() {
            let mut spilled = Vec::new();
            let root = self.store.root().to_owned();
            let mut fetch = |digest: &cairn_store_layout::Digest| {
                spilled.push(paths::artifact(digest));
                artifacts::get(&root, digest).ok().flatten()
            };
            let record = Record::decode(line, &mut fetch).map_err(|e| fault(format!("line {}: {e}", n + 1)))?;
            if record.n != n as u64 {
                return Err(DriverError::Gap { path: file.clone(), n: n as u64 });
            }
            self.clock.after(record.event.at);
            if let Some(live) = &mut live {
                live.replay(&record, spilled);
                continue;
            }
            let Body::RunStarted(start) = &record.event.body else {
                return Err(fault("it does not begin with run.started".to_owned()));
            };
            if start.machine != self.machine {
                return Ok(());
            }
            let pins = Pins { definition: start.definition.clone(), files: start.pins.clone() };
            let pinned = match self.pinned(&start.workflow, &pins) {
                Ok(pinned) => pinned,
                Err(error) => {
                    tracing::error!(%run, %error, "the run waits: its definition can not be loaded");
                    return Ok(());
                }
            };
            let state = State::begin(pinned.plan.clone(), start, record.event.at);
            let Some(view) = RunView::begin(&record) else { return Ok(()) };
            let mut begun = Live::new(state, pinned, view);
            begun.committed = self.committed_bytes(&path)?.iter().filter(|b| **b == b'\n').count() as u64;
            if let Some(cause) = &record.event.cause {
                // the command file may have outlived its commit
                self.runs_caused(cause, &mut begun);
            }
            if begun.committed == 0 {
                begun.since.paths.extend(spilled);
                begun.note(&record.event);
            }
            live = Some(begun);
        }
        if let Some(live) = live
            && (live.state.end().is_none() || live.is_ahead())
        {
            self.memory.remember(&live.since.passages);
            self.runs.insert(run.clone(), live);
        }
        Ok(())
    }

    fn runs_caused(&mut self, cause: &cairn_store_layout::CommandId, live: &mut Live) {
        let path = paths::command(&self.machine, cause);
        if self.store.path(&path).exists() {
            live.since.consumed.insert(path);
        }
    }

    /// Goes on where the world was left: what may be repeated is, what may not is a question.
    fn resume(&mut self) -> Result<(), DriverError> {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            let Some(live) = self.runs.get(&run) else { continue };
            for outstanding in cairn_kernel::outstanding(&live.state) {
                match outstanding {
                    Outstanding::Again(perform) => self.dispatch(perform),
                    Outstanding::Lost(p) => {
                        let message = "the kernel stopped while it was under way; it may have happened".to_owned();
                        let outcome = Outcome::Unknown { message };
                        let (step, iteration, attempt) = (p.step, p.iteration, p.attempt);
                        self.report(Report { run: run.clone(), step, iteration, attempt, outcome })?;
                    }
                }
            }
            drop(self.ask(&run, &Command::Advance, None)?);
        }
        Ok(())
    }
}

fn run_of(path: &str) -> Option<RunId> {
    path.strip_prefix("runs/")?.rsplit('/').next()?.strip_suffix(".jsonl").and_then(|id| RunId::new(id).ok())
}

/// The record number of a line, without reading all of it.
fn number(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("{\"n\":")?;
    digits.split(',').next()?.parse().ok()
}

/// Tells whether a history's last line is an end.
fn ends(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let last = text.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let last = String::from_utf8_lossy(last);
    ["run.succeeded", "run.failed", "run.canceled"].iter().any(|end| last.contains(&format!("\"kind\":\"{end}\"")))
}
