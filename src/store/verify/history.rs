//! One history against LAYOUT.md: its lines, their order, and every decision against its digest.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cairn_store_layout::{
    Digest, GateId, RunId, StepId,
    event::{ArtifactRef, Body, Event, Then},
    learned::Learned,
    paths,
    payload::EffectContent,
    record::{Record, RecordError},
};
use jiff::Timestamp;

use super::{Report, course::Course, learned};
use crate::store::artifacts;

/// Checks the bytes of the history at `path`. `may_be_torn`: its last line is being written, or the
/// journal can restore it.
pub(super) fn check(root: &Path, path: &str, bytes: &[u8], may_be_torn: bool, report: &mut Report) {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if whole < bytes.len() && !may_be_torn {
        let message = format!("{} bytes after the last line break are no record", bytes.len() - whole);
        report.add("torn_tail", path, None, message);
    }
    let mut checker = Checker { root, path, report, line: 0, state: State::default() };
    let mut fetch = |digest: &Digest| artifacts::get(root, digest).ok().flatten();
    for line in bytes[..whole].split_inclusive(|b| *b == b'\n') {
        checker.line += 1;
        let record = std::str::from_utf8(line)
            .map_err(|e| RecordError::Json(e.to_string()))
            .and_then(|line| Record::decode(line, &mut fetch));
        match record {
            Ok(record) => checker.record(&record),
            Err(why) => {
                let code = match why {
                    RecordError::Missing(_) => "missing_artifact",
                    RecordError::Damaged(_) => "damaged_artifact",
                    _ => "bad_record",
                };
                checker.finding(code, why.to_string());
            }
        }
    }
    if checker.line == 0 && !may_be_torn {
        checker.finding("empty_history", "there is no record in it");
    }
}

/// Checks the bytes of the machine's log at `path`: whole records, numbered without a gap.
pub(super) fn check_log(root: &Path, path: &str, bytes: &[u8], report: &mut Report) {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut fetch = |digest: &Digest| artifacts::get(root, digest).ok().flatten();
    for (index, line) in (0u64..).zip(bytes[..whole].split_inclusive(|b| *b == b'\n')) {
        let record = std::str::from_utf8(line)
            .map_err(|e| RecordError::Json(e.to_string()))
            .and_then(|line| Record::decode(line, &mut fetch));
        match record {
            Ok(record) if record.n == index => {
                report.checked.records += 1;
                report.learned.extend(Learned::of(&record.event.body).and_then(learned::id_of));
            }
            Ok(record) => {
                let message = format!("the record has number {}; {index} was expected", record.n);
                report.add("bad_number", path, Some(index + 1), message);
            }
            Err(why) => report.add("bad_record", path, Some(index + 1), why.to_string()),
        }
    }
}

/// The part of a run that decides what may come next.
#[derive(Default)]
pub(super) struct State {
    run: Option<RunId>,
    at: Option<Timestamp>,
    ended: bool,
    requests: BTreeMap<GateId, Request>,
    /// Slots that stand behind a gate: the digest that was approved, once it was.
    gated: BTreeMap<Slot, Option<Digest>>,
    /// The latest gate of each.
    gates: BTreeMap<Slot, GateId>,
    pub(super) attempts: BTreeMap<Slot, Attempt>,
    iterations: BTreeMap<StepId, BTreeSet<String>>,
    /// Slots that asked for their turn, and the run itself: whether it has come.
    pub(super) turns: BTreeMap<Slot, bool>,
    pub(super) course: Course,
    /// The request about the outcome of the last attempt that nobody knew the outcome of.
    unsettled: BTreeMap<Slot, GateId>,
}

pub(super) type Slot = (Option<StepId>, Option<String>);

struct Request {
    digest: Option<Digest>,
    open: bool,
}

pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) phase: Phase,
}

#[derive(PartialEq)]
pub(super) enum Phase {
    InFlight,
    Unknown,
    Over,
}

pub(super) struct Checker<'a> {
    root: &'a Path,
    path: &'a str,
    report: &'a mut Report,
    line: u64,
    pub(super) state: State,
}

impl Checker<'_> {
    pub(super) fn finding(&mut self, code: &'static str, message: impl Into<String>) {
        self.report.add(code, self.path, Some(self.line), message);
    }

    fn record(&mut self, record: &Record) {
        self.report.checked.records += 1;
        if record.n + 1 != self.line {
            self.finding("bad_number", format!("the record has number {}; {} was expected", record.n, self.line - 1));
        }
        let event = &record.event;
        self.report.learned.extend(Learned::of(&event.body).and_then(learned::id_of));
        if self.state.at.is_some_and(|before| event.at < before) {
            self.finding("bad_time", "it is earlier than the record before it");
        }
        self.state.at = Some(event.at);
        if self.state.ended {
            self.finding("after_end", format!("`{}` after the run had ended", event.body.kind().0));
        }
        if (self.line == 1) != matches!(event.body, Body::RunStarted(_)) {
            self.finding("bad_order", format!("`{}` can not be record {}", event.body.kind().0, record.n));
        }
        if let (Some(step), Some(iteration)) = (&event.step, &event.iteration)
            && self.state.iterations.get(step).is_none_or(|known| !known.contains(iteration))
        {
            self.finding("bad_order", format!("iteration `{iteration}` of `{step}` was never listed"));
        }
        if let Some((code, message)) = self.state.course.follow(event) {
            self.finding(code, message);
        }
        self.body(event);
    }

    fn body(&mut self, event: &Event) {
        let slot = (event.step.clone(), event.iteration.clone());
        match &event.body {
            Body::RunStarted(start) => {
                if paths::run(&start.run) != self.path {
                    self.finding("wrong_file", format!("this is the history of run {}", start.run));
                }
                self.state.run = Some(start.run.clone());
                self.state.course.begin(start);
            }
            Body::RunSucceeded(_) | Body::RunFailed(_) | Body::RunCanceled(_) => self.state.ended = true,
            Body::StepExpanded(list) => {
                if let Some(step) = &event.step {
                    let keys: BTreeSet<String> = list.items.iter().map(|i| i.key.clone()).collect();
                    if keys.len() != list.items.len() {
                        self.finding("bad_order", "two iterations have one key");
                    }
                    self.state.iterations.insert(step.clone(), keys);
                }
            }
            Body::GateOpened(gate) => {
                self.digest(&gate.digest, &gate.effect.digest(), "the effect that it shows");
                let request = Request { digest: Some(gate.digest.clone()), open: true };
                if self.state.requests.insert(gate.gate.clone(), request).is_some() {
                    self.finding("bad_order", format!("gate {} is opened twice", gate.gate));
                }
                self.state.gates.insert(slot.clone(), gate.gate.clone());
                self.state.gated.insert(slot, None);
            }
            Body::GateEdited(edit) => {
                self.digest(&edit.digest, &edit.effect.digest(), "the effect as edited");
                self.decided(&edit.gate, Some(&edit.before), false);
                if let Some(request) = self.state.requests.get_mut(&edit.gate) {
                    request.digest = Some(edit.digest.clone());
                }
            }
            Body::GateApproved(decision) => {
                self.report.checked.decisions += 1;
                self.decided(&decision.gate, Some(&decision.digest), true);
                self.state.gated.insert(slot, Some(decision.digest.clone()));
            }
            Body::GateDenied(decision) => {
                self.report.checked.decisions += 1;
                self.decided(&decision.gate, Some(&decision.digest), true);
            }
            Body::GateExpired(lapsed) => self.decided(&lapsed.gate, None, true),
            Body::RequestWithdrawn(gone) => self.decided(&gone.gate, None, true),
            Body::AskOpened(ask) => {
                let request = Request { digest: Some(ask.digest.clone()), open: true };
                if self.state.requests.insert(ask.gate.clone(), request).is_some() {
                    self.finding("bad_order", format!("request {} is opened twice", ask.gate));
                }
            }
            Body::AskAnswered(answer) => {
                self.report.checked.decisions += 1;
                self.decided(&answer.gate, None, true);
            }
            Body::AttemptStarted(start) => {
                self.in_turn(&slot);
                self.started(event, &slot, start);
            }
            Body::LeaseAsked(asked) => self.turn_asked(slot, asked),
            Body::LeaseGranted(_) => self.turn_granted(slot),
            Body::ProbeStarted(probe) => self.probed(event, &slot, Some(&probe.effect)),
            Body::ProbeFailed(_) => self.probed(event, &slot, None),
            Body::AttemptSucceeded(done) => {
                self.outcome(event, &slot, Phase::Over);
                self.settled(&slot, done.settled_by.is_some());
                self.artifacts(&done.artifacts);
            }
            Body::AttemptFailed(failed) => {
                self.outcome(event, &slot, Phase::Over);
                self.settled(&slot, failed.settled_by.is_some());
                self.artifacts(&failed.artifacts);
                if let Some(Then::Ask(gate)) = &failed.then {
                    self.asked(gate, None);
                }
            }
            Body::FailureDecided(decision) => {
                self.report.checked.decisions += 1;
                self.decided(&decision.gate, None, true);
            }
            Body::AttemptUnknown(unknown) => {
                self.outcome(event, &slot, Phase::Unknown);
                self.state.requests.insert(unknown.gate.clone(), Request { digest: None, open: true });
                self.state.unsettled.insert(slot, unknown.gate.clone());
            }
            Body::UndoStarted(start) => {
                self.digest(&start.digest, &start.effect.digest(), "the effect that takes it back");
                if start.key != start.effect.key() {
                    self.finding("wrong_key", "the idempotency key is not the one of this effect");
                }
                self.belongs(event, &start.effect);
            }
            Body::UndoSucceeded(done) => self.artifacts(&done.artifacts),
            Body::UndoFailed(failed) => self.artifacts(&failed.artifacts),
            Body::UndoUnknown(unknown) => self.asked(&unknown.gate, None),
            Body::RunAdopted(adopted) if adopted.asks_again => self.distrusted(),
            // everything begins again under the new plan, but the numbers of requests
            Body::RunMigrated(_) => {
                let open = self.state.requests.values().any(|request| request.open);
                let busy = self.state.attempts.values().any(|attempt| attempt.phase != Phase::Over);
                if open || busy {
                    self.finding("bad_order", "the run moved while something was under way or asked");
                }
                self.state.gated.clear();
                self.state.attempts.clear();
                self.state.iterations.clear();
                // what had its turn asks for it again; the run itself keeps it
                self.state.turns.retain(|(step, _), _| step.is_none());
            }
            Body::AttemptReused(_) => {
                // an earlier round may have been done by this run itself
                let busy = self.state.attempts.get(&slot).is_some_and(|attempt| attempt.phase != Phase::Over);
                if busy || self.state.gated.get(&slot) == Some(&None) {
                    self.finding("bad_order", "a result is taken over where an effect was begun or asked for");
                }
            }
            Body::StepSucceeded(_)
            | Body::StepFailed(_)
            | Body::StepSkipped(_)
            | Body::TimerSet(_)
            | Body::TimerFired(_)
            | Body::PassageRemembered(_)
            | Body::PassageForgotten(_)
            | Body::EntityChanged(_)
            | Body::EpisodeRecorded(_)
            | Body::ProposalMade(_)
            | Body::ProposalDecided(_)
            | Body::MemoryUsed(_)
            | Body::RunStopping(_)
            | Body::SignalReceived(_)
            | Body::SignalTaken(_)
            | Body::WaitOpened(_)
            | Body::StepRepeated(_)
            | Body::RunAdopted(_)
            | Body::Unknown { .. } => {}
            Body::CommandRefused(_)
            | Body::PassageAdded(_)
            | Body::JournalRepaired(_)
            | Body::RunParked(_)
            | Body::RunFollowed(_)
            | Body::EventReceived(_)
            | Body::TriggerFired(_)
            | Body::MachineRetired(_)
            | Body::BranchRestored(_) => {
                self.finding("wrong_file", format!("`{}` belongs into a machine's log", event.body.kind().0));
            }
        }
    }

    /// An effect leaves only as itself, under its own key, after the attempt before it was over, and
    /// behind a gate only as exactly what was approved.
    fn started(&mut self, event: &Event, slot: &Slot, start: &cairn_store_layout::event::AttemptStarted) {
        self.digest(&start.digest, &start.effect.digest(), "the effect that was carried out");
        if start.key != start.effect.key() {
            self.finding("wrong_key", "the idempotency key is not the one of this effect");
        }
        self.belongs(event, &start.effect);
        match self.state.gated.get(slot) {
            Some(None) => self.finding("not_approved", "the effect was carried out although its gate was not approved"),
            Some(Some(approved)) if *approved != start.digest => {
                let message =
                    format!("digest {} was approved, {} was carried out", approved.short(), start.digest.short());
                self.finding("not_approved", message);
            }
            _ => {}
        }
        let number = event.attempt.unwrap_or(0);
        let before = self.state.attempts.get(slot).map_or(0, |a| a.number);
        if self.state.attempts.get(slot).is_some_and(|a| a.phase != Phase::Over) {
            self.finding("bad_order", format!("attempt {number} begins before attempt {before} is over"));
        }
        if number != before + 1 {
            self.finding("bad_order", format!("attempt {number} follows attempt {before}"));
        }
        self.state.attempts.insert(slot.clone(), Attempt { number, phase: Phase::InFlight });
    }

    /// What was approved and not used counts no longer, and what waits is asked again.
    fn distrusted(&mut self) {
        let State { gated, gates, attempts, requests, .. } = &mut self.state;
        for (slot, approved) in gated.iter_mut() {
            if let Some(request) = gates.get(slot).and_then(|gate| requests.get_mut(gate)) {
                request.open = false;
            }
            if !attempts.contains_key(slot) {
                *approved = None;
            }
        }
    }

    /// The question what became of an attempt is answered by its outcome.
    fn settled(&mut self, slot: &Slot, settled: bool) {
        let request = self.state.unsettled.get(slot).and_then(|gate| self.state.requests.get_mut(gate));
        if let Some(request) = request.filter(|_| settled) {
            request.open = false;
        }
    }

    fn belongs(&mut self, event: &Event, effect: &EffectContent) {
        let elsewhere = self.state.run.as_ref().is_some_and(|run| effect.run != *run)
            || Some(&effect.step) != event.step.as_ref()
            || effect.iteration != event.iteration;
        if elsewhere {
            self.finding("wrong_effect", "the effect belongs to another run, step or iteration");
        }
    }

    fn asked(&mut self, gate: &GateId, digest: Option<Digest>) {
        if self.state.requests.insert(gate.clone(), Request { digest, open: true }).is_some() {
            self.finding("bad_order", format!("request {gate} is opened twice"));
        }
    }

    fn outcome(&mut self, event: &Event, slot: &Slot, phase: Phase) {
        let legal = match self.state.attempts.get(slot) {
            Some(attempt) if Some(attempt.number) == event.attempt => match attempt.phase {
                Phase::InFlight => true,
                // a person told what became of it
                Phase::Unknown => phase == Phase::Over,
                Phase::Over => false,
            },
            _ => false,
        };
        if !legal {
            let message = format!("`{}` of an attempt that is not in flight", event.body.kind().0);
            self.finding("bad_order", message);
        }
        if let Some(attempt) = self.state.attempts.get_mut(slot) {
            attempt.phase = phase;
        }
    }

    /// A decision must meet an open request, and name the digest that was shown last.
    fn decided(&mut self, gate: &GateId, digest: Option<&Digest>, closes: bool) {
        let message = match self.state.requests.get_mut(gate) {
            None => Some(("bad_order", format!("request {gate} was never opened"))),
            Some(request) if !request.open => Some(("bad_order", format!("request {gate} was decided before"))),
            Some(request) => {
                request.open = !closes;
                match (&request.digest, digest) {
                    (Some(shown), Some(named)) if shown != named => {
                        let message =
                            format!("digest {} was shown, the decision names {}", shown.short(), named.short());
                        Some(("wrong_digest", message))
                    }
                    _ => None,
                }
            }
        };
        if let Some((code, message)) = message {
            self.finding(code, message);
        }
    }

    fn digest(&mut self, named: &Digest, real: &Digest, of: &str) {
        if named != real {
            self.finding("wrong_digest", format!("digest {} is not that of {of} ({})", named.short(), real.short()));
        }
    }

    fn artifacts(&mut self, all: &[ArtifactRef]) {
        for artifact in all {
            match artifacts::get(self.root, &artifact.digest) {
                Ok(Some(bytes)) if bytes.len() as u64 == artifact.bytes => {}
                Ok(Some(bytes)) => {
                    let message =
                        format!("artifact `{}` has {} bytes, not {}", artifact.name, bytes.len(), artifact.bytes);
                    self.finding("wrong_artifact", message);
                }
                Ok(None) => {
                    let message = format!("artifact `{}` ({}) is missing or damaged", artifact.name, artifact.digest);
                    self.finding("missing_artifact", message);
                }
                Err(e) => self.finding("unreadable", e.to_string()),
            }
        }
    }
}
