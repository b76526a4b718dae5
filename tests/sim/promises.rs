//! What one machine's disk must keep to: everything that was shown stays, and what is over is committed.
//!
//! Fed after every event, also in the moment of a crash: what a person or a program could have read
//! by then counts as acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use cairn::store::git::{CommitHash, Repo, TreeId};
use cairn_store_layout::{CommandId, Digest, command::Verb, paths};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    family::{Families, birth},
    lab::Lab,
    machine::Machine,
    model::{Around, RunModel, Seen, text},
    shares::Shares,
    sights, signals,
    sink::Sink,
    workload::{FIRED, Meant},
};

/// How long a run that is over may be in no commit.
const COMMIT_WITHIN: Duration = Duration::from_secs(2);

/// What is known of one machine's store.
#[derive(Default)]
pub(crate) struct Promises {
    /// Whole lines of histories and logs that were there to be read.
    shown: BTreeMap<String, String>,
    pub(crate) runs: BTreeMap<String, RunModel>,
    families: Families,
    shares: Shares,
    heard: signals::Log,
    pub(crate) sights: sights::All,
    /// Histories that began since a kernel finished a turn.
    begun: Vec<String>,
    /// Histories whose parents were not shown yet.
    strays: BTreeSet<String>,
    /// How much of each history the newest commit holds.
    committed: BTreeMap<String, usize>,
    head: Option<CommitHash>,
    repo: Option<Repo>,
    starting: bool,
    /// When the turn began that is looked at.
    pub(crate) turned: Duration,
    /// Refused commands, with how often.
    pub(crate) refused: BTreeMap<String, u32>,
    pub(crate) events: u64,
    /// Events by their kinds.
    pub(crate) kinds: BTreeMap<String, u64>,
    pub(crate) commits: u64,
}

/// What the operator and the world did, for all machines.
pub(crate) struct World<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) asked: &'a BTreeMap<CommandId, Verb>,
    pub(crate) meant: &'a BTreeMap<u32, Rc<Meant>>,
    pub(crate) sink: &'a Sink,
}

impl Promises {
    /// Takes in what can be read now. D1: what could be read before must still be there.
    pub(crate) fn look(&mut self, machine: &Machine, world: &World<'_>) -> Result<(), String> {
        let fresh = world.lab.look(machine.number, |platter| {
            let mut fresh = Vec::new();
            let paths =
                ["store/runs", "store/log"].map(|folder| platter.seen_below(folder).collect::<Vec<_>>()).concat();
            for name in paths.into_iter().filter(|name| name.ends_with(".jsonl")) {
                let bytes = platter.seen(name).unwrap_or_default();
                let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                let path = name.trim_start_matches("store/");
                let shown = self.shown.get(path).map_or("", String::as_str);
                // shown lines can be behind while a kernel that starts mends what a crash left
                if whole > shown.len() {
                    if !bytes.starts_with(shown.as_bytes()) {
                        return Err(format!("D1: {path} no longer begins with what it held"));
                    }
                    let text = String::from_utf8_lossy(&bytes[shown.len()..whole]).into_owned();
                    fresh.push((path.to_owned(), text));
                }
            }
            Ok(fresh)
        })?;
        // a child's history is read in the light of its parent's, which a crash may have left behind
        let mut fresh = fresh;
        fresh.sort_by_key(|(_, text)| text.lines().next().is_some_and(|line| line.contains("\"parent\":{")));
        self.strays.clear();
        for (path, text) in fresh {
            if self.is_without_parent(&path, &text) {
                self.strays.insert(path);
                continue;
            }
            for line in text.lines() {
                self.line(&path, line, machine, world)?;
            }
            self.shown.entry(path).or_default().push_str(&text);
        }
        Ok(())
    }

    /// D1, D7 and D8, with a kernel that runs and has finished its turn.
    pub(crate) fn check(&mut self, machine: &Machine, world: &World<'_>) -> Result<(), String> {
        self.look(machine, world)?;
        self.starting = false;
        if let Some(stray) = self.strays.first() {
            return Err(format!("E1: {stray} names a parent that is not there"));
        }
        let lost = world.lab.look(machine.number, |platter| {
            self.shown.iter().find(|(path, text)| platter.seen(&format!("store/{path}")) != Some(text.as_bytes())).map(
                |(path, text)| {
                    let now = platter.seen(&format!("store/{path}")).map(|b| String::from_utf8_lossy(b).into_owned());
                    format!("D1: {path} held {} lines, now {:?}", text.lines().count(), now.map(|t| t.lines().count()))
                },
            )
        });
        if let Some(lost) = lost {
            return Err(lost);
        }
        self.commits(machine, world)?;
        self.families.check(&mut self.runs)?;
        let turns = self.runs.values_mut().flat_map(|run| std::mem::take(&mut run.turns)).collect();
        let begun = std::mem::take(&mut self.begun);
        // moments of two files can be compared as long as nobody has set the clock
        if world.lab.time.is_steady() {
            self.shares.take(turns)?;
            sights::check(&self.sights, &self.runs, &begun)?;
        }
        if let Some((run, idle)) = self.runs.values().find_map(|run| Some((&run.run, run.is_idle()?))) {
            return Err(format!("{idle} (run {run})"));
        }
        let now = world.lab.time.up();
        for (path, run) in &self.runs {
            let all = self.shown.get(path).map_or(0, String::len);
            let committed = self.committed.get(path).copied().unwrap_or(0);
            if let Some((end, at)) = &run.end
                && committed < all
                && now > *at + COMMIT_WITHIN
            {
                return Err(format!(
                    "D8: run {} has {end} and is not committed after {:?}",
                    run.run.short(),
                    now - *at
                ));
            }
        }
        Ok(())
    }

    /// Whole lines that were there to be read, and the newest commit.
    pub(crate) fn known(&self) -> (&BTreeMap<String, String>, Option<&CommitHash>) {
        (&self.shown, self.head.as_ref())
    }

    /// What can be said once everything is over.
    pub(crate) fn end(&self) -> Result<(), String> {
        signals::reached(&self.heard, &self.runs)?;
        sights::end(&self.sights, &self.heard, &self.runs)
    }

    /// E7: a kernel has just looked at the clock, and nothing of the version that is committed is late.
    pub(crate) fn on_time(&mut self, machine: &Machine, world: &World<'_>, now: Timestamp) -> Result<(), String> {
        let repo = self.repo(machine)?;
        let path = format!("{}/workflow.toml", paths::workflow_dir(FIRED));
        let Some(blob) = repo.blob_of(&path, None).map_err(|e| e.to_string())? else { return Ok(()) };
        let text = repo.read_blob(&blob).map_err(|e| e.to_string())?;
        let Some(meant) = meant_by(&String::from_utf8_lossy(&text), world) else { return Ok(()) };
        let late = meant.triggers.iter().find_map(|trigger| self.sights.get(&trigger.id)?.is_late(now));
        late.map_or(Ok(()), Err)
    }

    /// A kernel starts on what a crash left: the repository is looked at anew.
    pub(crate) fn restarted(&mut self) {
        self.repo = None;
        self.starting = true;
    }

    /// Everything a command may have become: `false` while there is no answer.
    pub(crate) fn is_answered(&self, id: &CommandId) -> Result<bool, String> {
        let as_run = self.runs.values().filter(|run| run.run.as_str() == id.as_str()).count();
        let as_cause = self.runs.values().filter(|run| run.causes.iter().any(|c| c == id.as_str())).count();
        let as_refusal = self.refused.get(id.as_str()).copied().unwrap_or(0) as usize;
        let as_event = usize::from(self.heard.contains_key(id));
        // the first record of a run names the command, too
        match as_run.max(as_cause) + as_refusal + as_event {
            0 => Ok(false),
            1 => Ok(true),
            n => Err(format!("E10: command {id} was answered {n} times")),
        }
    }

    fn line(&mut self, path: &str, line: &str, machine: &Machine, world: &World<'_>) -> Result<(), String> {
        self.events += 1;
        let line: Value = serde_json::from_str(line).map_err(|e| format!("D5: a line of {path} is no record: {e}"))?;
        *self.kinds.entry(text(&line, "kind").to_owned()).or_default() += 1;
        // what a kernel finds when it starts may have been recorded by the one before
        let life = if self.starting { 0 } else { machine.life };
        let up = world.lab.time.up();
        let seen = Seen { up, since: self.turned.min(up), life };
        let around = Around { asked: world.asked, sink: world.sink, seen, stopping: false, undoes: false };
        if path.starts_with("log/") {
            match text(&line, "kind") {
                "command.refused" => *self.refused.entry(text(&line, "command").to_owned()).or_default() += 1,
                "trigger.fired" => {
                    let mut triggers = world.meant.values().flat_map(|meant| &meant.triggers);
                    let trigger = triggers.find(|trigger| trigger.id == text(&line, "trigger"));
                    sights::note(&mut self.sights, &line, trigger.ok_or("E3: a trigger that was never written")?)?;
                }
                "event.received" => signals::hear(&mut self.heard, &line)?,
                _ => {}
            }
            return Ok(());
        }
        if let Some(run) = self.runs.get_mut(path) {
            let mut intents = machine.intents.borrow_mut();
            intents.note(&line, path);
            return run.line(&line, &around);
        }
        let begins = text(&line, "kind") == "run.started";
        if !begins {
            return Err(format!("D7: {path} begins with {}", line["kind"]));
        }
        let meant = self.meant(&line, machine, world)?;
        let parent = birth(&line).and_then(|birth| self.runs.values().find(|run| run.run.as_str() == birth.0));
        let run = RunModel::begin(&line, meant, &around, parent)?;
        if paths::run(&run.run) != path {
            return Err(format!("the history of {} lies at {path}", run.run));
        }
        self.begun.push(path.to_owned());
        self.runs.insert(path.to_owned(), run);
        Ok(())
    }

    fn is_without_parent(&self, path: &str, text: &str) -> bool {
        if self.runs.contains_key(path) || path.starts_with("log/") {
            return false;
        }
        let first = text.lines().next().and_then(|line| serde_json::from_str(line).ok());
        let birth = first.as_ref().and_then(birth);
        birth.is_some_and(|birth| !self.runs.values().any(|run| run.run.as_str() == birth.0))
    }

    /// E3: what the pin of a run names, as it was written.
    fn meant(&mut self, line: &Value, machine: &Machine, world: &World<'_>) -> Result<Rc<Meant>, String> {
        let tree: TreeId = text(line, "definition").parse().map_err(|e| format!("E3: {e}"))?;
        let limits = cairn::store::git::ReadLimits { files_max: 50, bytes_max: 1 << 20 };
        let files = self.repo(machine)?.read_tree_files(&tree, limits).map_err(|e| format!("E3: {e}"))?;
        let definition = files.get("workflow.toml").ok_or("E3: the pin holds no definition")?;
        let definition = String::from_utf8_lossy(definition);
        meant_by(&definition, world).ok_or_else(|| format!("E3: {definition} was never written"))
    }

    /// D7: each history in each commit goes on from the one before, as far as it was shown. D8: nothing
    /// that was committed is left out of what comes later.
    fn commits(&mut self, machine: &Machine, world: &World<'_>) -> Result<(), String> {
        let name = |platter: &crate::shared::platter::Platter| {
            platter.seen("store/.git/refs/heads/main").map(|b| String::from_utf8_lossy(b).trim().to_owned())
        };
        let head = world.lab.look(machine.number, name).ok_or("D8: the branch is gone")?;
        if self.head.is_some_and(|known| known.to_string() == head) {
            return Ok(());
        }
        let before = self.head;
        let repo = self.repo(machine)?;
        let now = repo.head(before.as_ref()).map_err(|e| format!("D8: {e}"))?.ok_or("D8: there is no commit")?;
        let mut new = repo.log(before.as_ref(), 1_000).map_err(|e| format!("D8: {e}"))?;
        new.reverse();
        let mut committed = Vec::new();
        for entry in &new {
            let Some(run) = entry.trailer("Run") else { continue };
            let path = self.runs.iter().find(|(_, r)| r.run.as_str() == run).map(|(path, _)| path.clone());
            let path = path.ok_or_else(|| format!("D7: a commit of run {run}, which was never shown"))?;
            let blob = repo.blob_of(&path, Some(&entry.commit)).map_err(|e| e.to_string())?;
            let blob = blob.ok_or_else(|| format!("D7: commit {} of run {run} has no history", entry.commit))?;
            let bytes = repo.read_blob(&blob).map_err(|e| e.to_string())?;
            for digest in spilled(&bytes[self.committed.get(&path).copied().unwrap_or(0).min(bytes.len())..]) {
                let found = repo.blob_of(&paths::artifact(&digest), Some(&entry.commit)).map_err(|e| e.to_string())?;
                found
                    .ok_or_else(|| format!("D1: commit {} leaves the artifact {} out", entry.commit, digest.short()))?;
            }
            committed.push((path, bytes));
        }
        self.commits += new.len() as u64;
        for (path, bytes) in committed {
            let shown = self.shown.get(&path).map_or("", String::as_str);
            let before = self.committed.get(&path).copied().unwrap_or(0);
            if bytes.len() < before || !shown.as_bytes().starts_with(&bytes) {
                return Err(format!("D7: a commit of {path} does not go on from the one before"));
            }
            self.committed.insert(path, bytes.len());
        }
        self.head = Some(now.commit);
        Ok(())
    }

    fn repo(&mut self, machine: &Machine) -> Result<Repo, String> {
        if self.repo.is_none() {
            self.repo = Some(Repo::open(machine.store.root()).map_err(|e| e.to_string())?);
        }
        Ok(self.repo.clone().expect("just opened"))
    }
}

/// The version that a definition says it is.
fn meant_by(definition: &str, world: &World<'_>) -> Option<Rc<Meant>> {
    let version = definition.split_once("version ").and_then(|(_, rest)| rest.split('"').next()?.parse::<u32>().ok());
    world.meant.get(&version?).cloned()
}

/// The artifacts that lines name in place of a value.
fn spilled(lines: &[u8]) -> Vec<Digest> {
    let text = String::from_utf8_lossy(lines);
    text.split("{\"$artifact\":\"").skip(1).filter_map(|rest| Digest::new(rest.get(..64)?).ok()).collect()
}
