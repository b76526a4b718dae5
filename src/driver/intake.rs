//! Taking commands out of the inbox: each exactly once, each with an answer.

use std::path::Path;

use cairn_kernel::Command as Ask;
use cairn_store_layout::{
    CommandId, RunId,
    command::{Command, Verb},
    entity::Change,
    event::CommandRefused,
    paths,
    proposal::Decision,
    text::brief,
};
use serde_json::Value;

use super::{Driver, DriverError, adopt::Patience, again::How, begin::Begin};
use crate::store::{disk, fsutil, inbox};

/// Why a command is refused.
pub(super) struct No {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) run: Option<RunId>,
}

impl Driver {
    /// Takes every command that waits for this machine, in the order they were written.
    pub(super) fn take_inbox(&mut self) -> Result<(), DriverError> {
        let mut adopted = false;
        let folder = paths::inbox(&self.machine);
        for entry in fsutil::list(&self.store.path(&folder))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if !inbox::is_name(&name) || self.taken.contains(&path) || !entry.file_type().is_ok_and(|t| t.is_file()) {
                continue;
            }
            let Some(bytes) = inbox::bytes(&entry.path())? else { continue };
            match inbox::read(&name, &bytes) {
                Ok(command) => {
                    // an edit that was saved before somebody asked for a run counts for it
                    if follows_latest(&command.verb) && !std::mem::replace(&mut adopted, true) {
                        self.adopt_definitions(Patience::Wait)?;
                    }
                    self.take(&path, command)?;
                }
                Err(why) => {
                    let no = No { code: "bad_command", message: why, run: None };
                    self.set_aside(&entry.path(), &name, &bytes)?;
                    self.refuse(&path, &name, "?", "?", no)?;
                }
            }
            cairn_kernel::seeded!(InboxEmptiedFirst: _ = fsutil::remove(&entry.path())?);
            self.taken.insert(path);
        }
        Ok(())
    }

    fn take(&mut self, path: &str, command: Command) -> Result<(), DriverError> {
        let Command { id, by, verb, .. } = command;
        let word = verb.word();
        let result = match verb {
            Verb::RunStart { workflow, input } => self.start_run(&id, &by, &workflow, &input)?,
            Verb::TriggerFire { workflow, trigger, data } => {
                let run = RunId::from(id.clone());
                match self.has_begun(&run) {
                    Some(known) => Ok(known),
                    None => self
                        .fire_by_hand(&id, &by, &workflow, &trigger, data)?
                        .map(Some)
                        .map_err(|(code, message)| No { code, message, run: None }),
                }
            }
            Verb::MemoryAdd(new) => self.add_passage(&by, new)?,
            Verb::MemoryForget { passage, reason } => self.forget_passage(&by, passage, reason)?,
            Verb::EntitySet(new) => self.change_entity(&id, &by, new)?,
            Verb::EntityMerge { entity, into, reason } => {
                self.join_entities(&id, &by, entity, Change::Merged { into }, reason)?
            }
            Verb::EntitySplit { entity, merge, reason } => {
                self.join_entities(&id, &by, entity, Change::Split { merge }, reason)?
            }
            Verb::EpisodeAdd(new) => self.add_episode(&id, &by, new)?,
            Verb::MemoryTidy {} => self.tidy_by_hand(&by)?.map(|()| None),
            Verb::ProposalAccept { proposal, digest, reason } => {
                self.decide_proposal(&by, &proposal, &digest, Decision::Accepted, reason)?
            }
            Verb::ProposalReject { proposal, digest, reason } => {
                self.decide_proposal(&by, &proposal, &digest, Decision::Rejected, reason)?
            }
            Verb::RunAdopt { run } => {
                if self.resume_adopted(&id, &by, &run)? || self.runs.get(&run).is_some_and(|r| r.state.has_taken(&id)) {
                    Ok(Some(run))
                } else if self.runs.contains_key(&run) {
                    let message = format!("run {} belongs to this machine already", run.short());
                    Err(No { code: "not_needed", message, run: Some(run) })
                } else {
                    self.hand_over(path, &id, &run, &Ask::Advance)?
                }
            }
            Verb::EventEmit { name, data, run } => {
                let taken = self.emit(&id, &by, name, data, run)?;
                taken.map(|()| None).map_err(|(code, message, run)| No { code, message, run })
            }
            Verb::RunCancel { run, reason, undo } => {
                // ending a fenced run needs no more than taking it over: nothing of it is carried out
                self.adopt_run(None, &by, &run)?;
                self.hand_over(path, &id, &run, &Ask::Cancel { by: by.clone(), reason, undo })?
            }
            Verb::RunResume { run } => self.resume_parked(path, &id, &by, &run)?,
            Verb::RunRetry { run, step, iteration } => {
                self.hand_over(path, &id, &run, &Ask::Retry { step, iteration })?
            }
            Verb::RunRerun { run, again, reuse } => {
                let how = if reuse { How::Rerun } else { How::Anew };
                self.run_again(path, &id, &by, &run, again, how)?
            }
            Verb::RunFork { run, again } => self.run_again(path, &id, &by, &run, again, How::Fork)?,
            Verb::RunMigrate { run, to } => self.move_run(path, &id, &by, &run, to.as_deref())?,
            Verb::GateApprove { run, gate, digest, reason } => {
                self.hand_over(path, &id, &run, &Ask::Approve { gate, digest, by: by.clone(), reason })?
            }
            Verb::GateDeny { run, gate, digest, reason } => {
                self.hand_over(path, &id, &run, &Ask::Deny { gate, digest, by: by.clone(), reason })?
            }
            Verb::GateEdit { run, gate, digest, input, reason } => {
                self.hand_over(path, &id, &run, &Ask::Edit { gate, digest, input, by: by.clone(), reason })?
            }
            Verb::AskAnswer { run, gate, digest, answer } => {
                self.hand_over(path, &id, &run, &Ask::Answer { gate, digest, answer, by: by.clone() })?
            }
        };
        match result {
            Ok(run) => {
                // a run with nothing to commit was told before: its file outlived a kill and goes at once
                let live = run.and_then(|run| self.runs.get_mut(&run)).filter(|live| live.is_ahead());
                live.map_or(&mut self.log.since, |live| &mut live.since).consumed.insert(path.to_owned());
            }
            Err(no) => self.refuse(path, id.as_str(), word, &by, no)?,
        }
        Ok(())
    }

    fn refuse(&mut self, path: &str, command: &str, verb: &str, by: &str, no: No) -> Result<(), DriverError> {
        tracing::warn!(command, verb, code = no.code, message = brief(&no.message, 300), "a command was refused");
        self.log.since.consumed.insert(path.to_owned());
        self.log_event(CommandRefused {
            command: command.to_owned(),
            verb: verb.to_owned(),
            by: brief(by, 200),
            run: no.run,
            code: no.code.to_owned(),
            message: brief(&no.message, 2_000),
        })
    }

    /// Keeps a file that is no command, so that nobody's words are lost. `bytes`: as much as was read.
    fn set_aside(&self, from: &Path, name: &str, bytes: &[u8]) -> Result<(), DriverError> {
        let digest = cairn_store_layout::Digest::of(bytes);
        let path = self.store.path(&format!("{}/inbox.{}.{name}", paths::QUARANTINE, digest.short()));
        fsutil::create_dirs(&self.store.path(paths::QUARANTINE))?;
        // a second name, because the file may be of any size
        match disk::link(from, &path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Ok(fsutil::write(&path, bytes)?),
            _ => Ok(fsutil::sync_dir(&self.store.path(paths::QUARANTINE))?),
        }
    }

    /// Hands a decision to the run it is about.
    pub(super) fn hand_over(
        &mut self,
        path: &str,
        id: &CommandId,
        run: &RunId,
        ask: &Ask,
    ) -> Result<Result<Option<RunId>, No>, DriverError> {
        let no = |code, message| Ok(Err(No { code, message, run: Some(run.clone()) }));
        if matches!(ask, Ask::Cancel { .. }) {
            self.take_parked(run);
        }
        if self.runs.contains_key(run) {
            return Ok(match self.ask(run, ask, Some(id.clone()))? {
                // taken before a crash: the fact is there, only the file was left
                Ok(()) | Err(cairn_kernel::Refusal::AlreadyTaken) => Ok(Some(run.clone())),
                Err(refusal) => Err(No { code: refusal.code(), message: refusal.to_string(), run: Some(run.clone()) }),
            });
        }
        let Some(text) = fsutil::read(&self.store.path(&paths::run(run)))? else {
            return no("no_such_run", format!("there is no run {run} in this store ({path})"));
        };
        if String::from_utf8_lossy(&text).contains(&format!("\"cause\":\"{id}\"")) {
            return Ok(Ok(None));
        }
        if self.fenced.contains_key(run) {
            return no("run_fenced", format!("run {} waits: {}", run.short(), super::fence::FENCED));
        }
        if let Some(parked) = self.parked.get(run) {
            return no("run_parked", format!("run {} can not be followed: {}", run.short(), parked.why));
        }
        if !super::recover::ends(&text) {
            return no(
                "not_here",
                format!("run {} belongs to another machine, which alone may change it", run.short()),
            );
        }
        no("run_over", format!("run {} has already ended", run.short()))
    }

    fn start_run(
        &mut self,
        id: &CommandId,
        by: &str,
        workflow: &str,
        input: &Value,
    ) -> Result<Result<Option<RunId>, No>, DriverError> {
        let run = RunId::from(id.clone());
        let no = |code, message| Ok(Err(No { code, message, run: None }));
        if let Some(known) = self.has_begun(&run) {
            return Ok(Ok(known));
        }
        let follows = match self.follow(workflow)? {
            Ok(follows) => follows,
            Err((code, message)) => return no(code, message),
        };
        let begin = Begin {
            run: run.clone(),
            follows,
            input: input.clone(),
            trigger: "manual".to_owned(),
            by: by.to_owned(),
            cause: Some(id.clone()),
            parent: None,
            origin: None,
            fired: None,
        };
        if let Err((code, message)) = self.begin_run(begin)? {
            return no(code, message);
        }
        Ok(Ok(Some(run)))
    }

    /// The run's id is the command's: a command read twice finds its run, `Some(None)` when that is over.
    fn has_begun(&self, run: &RunId) -> Option<Option<RunId>> {
        if self.runs.contains_key(run) {
            return Some(Some(run.clone()));
        }
        let exists = self.store.path(&paths::run(run)).exists();
        cairn_kernel::seeded!(StartedTwice: false, else exists).then_some(None)
    }
}

/// Tells whether a command asks for definitions as they stand now.
fn follows_latest(verb: &Verb) -> bool {
    match verb {
        Verb::RunStart { .. } | Verb::TriggerFire { .. } | Verb::RunMigrate { to: None, .. } => true,
        Verb::RunRerun { again, .. } | Verb::RunFork { again, .. } => again.latest,
        _ => false,
    }
}
