//! Folds the history of one run into what is shown of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Ask, InboxItem, ItemKind, ItemState, RunItem, RunStatus, SlotState, SlotView, StepView, UndoState};
use crate::{
    GateId, MachineId, RunId, StepId,
    event::{
        AttemptFailed, AttemptSucceeded, Body, Event, Origin, Parent, PlannedStep, RunStarted, Then, UndoFailed,
        UndoSucceeded,
    },
    money::Usd,
    record::Record,
};

/// The most characters of a run's note in a list.
const NOTE_CHARS_MAX: usize = 160;

/// Everything that is shown of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// The git tree id it is pinned to.
    pub definition: String,
    /// Its input.
    pub input: Value,
    /// Who asked for it.
    pub by: String,
    /// The machine that owns it.
    pub machine: MachineId,
    /// The step that started it and waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// When it started.
    #[serde(with = "crate::time::at")]
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended; absent while it has not.
    pub end: Option<RunStatus>,
    /// What it gave back.
    pub output: Option<Value>,
    /// Why it failed or was canceled.
    pub message: Option<String>,
    /// Why it stops, from the moment on that nothing new begins.
    #[serde(default)]
    pub stopping: Option<String>,
    /// Its steps, in the order of the definition.
    pub steps: Vec<StepView>,
    /// Its requests to the operator, oldest first.
    pub requests: Vec<InboxItem>,
    /// Passages it remembered.
    pub remembered: u32,
    /// The run whose results it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What was spent under versions of the definition that it has left, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_before: Option<String>,
    /// Records folded so far; the next one has this number.
    pub records: u64,
}

impl RunView {
    /// Begins with the first record of a history; `None` when it is not a `run.started`.
    #[must_use]
    pub fn begin(record: &Record) -> Option<Self> {
        let Body::RunStarted(start) = &record.event.body else { return None };
        let RunStarted { run, workflow, definition, input, by, machine, steps, parent, origin, .. } = start.clone();
        let steps = steps.into_iter().map(todo).collect();
        Some(Self {
            run,
            workflow,
            definition,
            input,
            by,
            machine,
            parent,
            started: record.event.at,
            ended: None,
            end: None,
            output: None,
            message: None,
            stopping: None,
            steps,
            requests: Vec::new(),
            remembered: 0,
            origin,
            spent_before: None,
            records: 1,
        })
    }

    /// Adds the next record.
    pub fn apply(&mut self, record: &Record) {
        self.records += 1;
        let event = &record.event;
        let at = event.at;
        match &event.body {
            Body::RunStarted(_) | Body::Unknown { .. } => {}
            Body::RunSucceeded(end) => {
                self.finish(RunStatus::Succeeded, at);
                self.output = Some(end.output.clone());
            }
            Body::RunFailed(end) => {
                self.finish(RunStatus::Failed, at);
                self.message = Some(end.message.clone());
            }
            Body::RunCanceled(end) => {
                self.finish(RunStatus::Canceled, at);
                let reason = end.reason.as_deref().map_or(String::new(), |r| format!(": {r}"));
                self.message = Some(format!("canceled by {}{reason}", end.by));
            }
            Body::RunAdopted(adopted) => {
                self.machine = adopted.machine.clone();
                let gates = self.requests.iter_mut().filter(|item| matches!(item.kind, ItemKind::Gate(_)));
                for item in gates.filter(|item| adopted.asks_again && item.is_open()) {
                    item.state = ItemState::Withdrawn { at };
                }
            }
            Body::RunStopping(stop) => self.stopping = Some(stop.message.clone()),
            Body::PassageRemembered(_) => self.remembered += 1,
            Body::RunMigrated(moved) => {
                self.spent_before = Some(self.cost().to_string());
                self.definition.clone_from(&moved.definition);
                self.steps = moved.steps.iter().cloned().map(todo).collect();
            }
            Body::GateOpened(_) | Body::AskOpened(_) | Body::AttemptUnknown(_) | Body::UndoUnknown(_) => {
                self.open_request(event);
                self.apply_to_step(event);
            }
            Body::AttemptFailed(AttemptFailed { then: Some(Then::Ask(_)), settled_by: None, .. }) => {
                self.open_request(event);
                self.apply_to_step(event);
            }
            Body::GateEdited(edit) => {
                if let Some(item) = self.request_mut(&edit.gate) {
                    item.proposed = item.proposed.take().or_else(|| item.effect.take());
                    item.effect = Some(edit.effect.clone());
                    item.digest = edit.digest.clone();
                }
                self.apply_to_step(event);
            }
            Body::GateApproved(d) => self.decide(&d.gate, ItemState::Approved { by: d.by.clone(), at }, event),
            Body::GateDenied(d) => {
                let state = ItemState::Denied { by: d.by.clone(), at, reason: d.reason.clone() };
                self.decide(&d.gate, state, event);
            }
            Body::GateExpired(d) => self.decide(&d.gate, ItemState::Expired { at }, event),
            Body::RequestWithdrawn(d) => self.decide(&d.gate, ItemState::Withdrawn { at }, event),
            Body::ProbeStarted(_) | Body::ProbeFailed(_) => {
                let gate = self.slot(event).and_then(|slot| slot.gate.clone());
                if let Some(item) = gate.and_then(|gate| self.request_mut(&gate)) {
                    item.evidence = Some(serde_json::json!({ "probe": super::describe(event) }));
                }
                self.apply_to_step(event);
            }
            Body::AskAnswered(d) => self.decide(&d.gate, ItemState::Answered { by: d.by.clone(), at }, event),
            Body::FailureDecided(d) => self.decide(&d.gate, ItemState::Answered { by: d.by.clone(), at }, event),
            Body::UndoSucceeded(UndoSucceeded { settled_by: Some(by), .. })
            | Body::UndoFailed(UndoFailed { settled_by: Some(by), .. }) => {
                let gate = self.slot(event).and_then(|slot| slot.undo.as_ref()?.gate.clone());
                if let Some(item) = gate.and_then(|gate| self.request_mut(&gate)) {
                    item.state = ItemState::Answered { by: by.clone(), at };
                }
                self.apply_to_step(event);
            }
            Body::AttemptSucceeded(AttemptSucceeded { settled_by: Some(by), .. })
            | Body::AttemptFailed(AttemptFailed { settled_by: Some(by), .. }) => {
                // the answer to "did it happen?" is the receipt itself
                let gate = self.slot(event).and_then(|slot| slot.gate.clone());
                if let Some(item) = gate.and_then(|gate| self.request_mut(&gate)) {
                    item.state = ItemState::Answered { by: by.clone(), at };
                }
                self.apply_to_step(event);
            }
            _ => self.apply_to_step(event),
        }
    }

    /// The line of the list of runs. `commit` is known to the caller alone.
    #[must_use]
    pub fn item(&self, commit: Option<String>) -> RunItem {
        RunItem {
            run: self.run.clone(),
            workflow: self.workflow.clone(),
            parent: self.parent.as_ref().map(|parent| parent.run.clone()),
            status: self.status(),
            started: self.started,
            ended: self.ended,
            steps_done: count(self.steps.iter().filter(|s| s.state().is_over())),
            steps: count(self.steps.iter()),
            requests: count(self.requests.iter().filter(|r| r.is_open())),
            cost_usd: self.cost().to_string(),
            commit,
            note: self.note().chars().take(NOTE_CHARS_MAX).collect(),
        }
    }

    /// Where the run stands.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        if let Some(end) = self.end {
            return end;
        }
        let any = |state| self.steps.iter().flat_map(|s| &s.slots).any(|s| s.state == state);
        let undo = |state| {
            let all = self.steps.iter().flat_map(|s| &s.slots).filter_map(|s| s.undo.as_ref());
            all.clone().any(|undo| undo.state == state)
        };
        let works = any(SlotState::Running) || any(SlotState::Retrying) || any(SlotState::Queued);
        let undoes = undo(UndoState::Running) || undo(UndoState::Retrying);
        let waits = any(SlotState::Waiting) || any(SlotState::Timer) || undo(UndoState::Waiting);
        if waits && !works && !undoes { RunStatus::Waiting } else { RunStatus::Running }
    }

    /// What the run cost so far.
    #[must_use]
    pub fn cost(&self) -> Usd {
        let before = self.spent_before.as_deref().and_then(Usd::parse).unwrap_or_default();
        self.steps.iter().map(StepView::cost).sum::<Usd>() + before
    }

    /// The step called `id`.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&StepView> {
        self.steps.iter().find(|s| s.id == *id)
    }

    fn note(&self) -> String {
        if let Some(message) = &self.message {
            return message.clone();
        }
        if self.end.is_some() {
            return String::new();
        }
        let open: Vec<&InboxItem> = self.requests.iter().filter(|r| r.is_open()).collect();
        match open.as_slice() {
            [] => {}
            [one] => return format!("{} {}", if one.ask.is_some() { "answer" } else { "approve" }, one.id.short()),
            [first, ..] => return format!("{} requests, first {}", open.len(), first.id.short()),
        }
        if let Some(why) = &self.stopping {
            return format!("stops: {why}");
        }
        for step in &self.steps {
            for slot in &step.slots {
                match slot.state {
                    SlotState::Retrying | SlotState::Timer | SlotState::Queued => {
                        return format!("{} {}", step.id, slot.note.as_deref().unwrap_or_default());
                    }
                    SlotState::Running => {
                        let child = slot.child().map_or(String::new(), |child| format!(": run {}", child.short()));
                        return format!("{}{child}", step.id);
                    }
                    _ => {}
                }
            }
        }
        String::new()
    }

    fn finish(&mut self, status: RunStatus, at: Timestamp) {
        self.end = Some(status);
        self.ended = Some(at);
    }

    fn request_mut(&mut self, gate: &GateId) -> Option<&mut InboxItem> {
        self.requests.iter_mut().find(|r| r.id == *gate)
    }

    fn decide(&mut self, gate: &GateId, state: ItemState, event: &Event) {
        if let Some(item) = self.request_mut(gate) {
            item.state = state;
        }
        self.apply_to_step(event);
    }

    fn open_request(&mut self, event: &Event) {
        let Some(step) = &event.step else { return };
        let index = self.steps.iter().position(|s| s.id == *step).unwrap_or(0);
        let mut item = InboxItem {
            id: GateId::derive(&self.run, step, None, 0),
            run: Some(self.run.clone()),
            workflow: self.workflow.clone(),
            step: Some(step.clone()),
            iteration: event.iteration.clone(),
            position: (u32::try_from(index + 1).unwrap_or(u32::MAX), count(self.steps.iter())),
            kind: ItemKind::Ask,
            digest: crate::Digest::of(b""),
            summary: String::new(),
            why: None,
            evidence: None,
            effect: None,
            proposed: None,
            learns: None,
            ask: None,
            opened: event.at,
            expires: None,
            state: ItemState::Waiting,
        };
        match &event.body {
            Body::GateOpened(gate) => {
                item.id = gate.gate.clone();
                item.kind = ItemKind::Gate(gate.class);
                item.digest = gate.digest.clone();
                item.summary = gate.summary.clone();
                item.why = gate.why.clone();
                item.evidence = gate.evidence.clone();
                item.effect = Some(gate.effect.clone());
                item.expires = gate.expires;
            }
            Body::AskOpened(ask) => {
                item.id = ask.gate.clone();
                item.digest = ask.digest.clone();
                item.summary = ask.prompt.lines().next().unwrap_or_default().to_owned();
                item.ask = Some(Ask { prompt: ask.prompt.clone(), form: ask.form.clone() });
            }
            Body::AttemptUnknown(unknown) => {
                let effect = self.slot(event).and_then(|s| s.effect.clone());
                item.id = unknown.gate.clone();
                item.kind = ItemKind::Settle;
                item.digest = digest_of(effect.as_ref());
                item.summary = match &effect {
                    Some(effect) => format!("Did {} happen? {}", effect.request.name(), unknown.message),
                    None => unknown.message.clone(),
                };
                item.ask = Some(Ask { prompt: unknown.message.clone(), form: crate::view::inbox::settle_form() });
                item.effect = effect;
            }
            Body::UndoUnknown(unknown) => {
                let effect = self.slot(event).and_then(|s| s.undo.as_ref()?.effect.clone());
                item.id = unknown.gate.clone();
                item.kind = ItemKind::Settle;
                item.digest = digest_of(effect.as_ref());
                let what = effect.as_ref().map_or_else(|| "it".to_owned(), |effect| effect.request.name());
                item.summary = format!("Was it taken back? Did {what} happen? {}", unknown.message);
                item.ask = Some(Ask { prompt: unknown.message.clone(), form: crate::view::inbox::settle_form() });
                item.effect = effect;
            }
            Body::AttemptFailed(AttemptFailed { then: Some(Then::Ask(gate)), message, .. }) => {
                let effect = self.slot(event).and_then(|s| s.effect.clone());
                item.id = gate.clone();
                item.kind = ItemKind::Decide;
                item.digest = digest_of(effect.as_ref());
                let what = effect.as_ref().map_or_else(|| "it".to_owned(), |effect| effect.request.name());
                item.summary = crate::text::brief(&format!("{what} failed: {message}"), 300);
                item.ask = Some(Ask { prompt: message.clone(), form: crate::view::inbox::decide_form() });
                item.effect = effect;
            }
            _ => return,
        }
        self.requests.push(item);
    }

    fn slot(&self, event: &Event) -> Option<&SlotView> {
        let step = self.steps.iter().find(|s| Some(&s.id) == event.step.as_ref())?;
        step.slots.iter().find(|s| s.iteration == event.iteration)
    }

    fn apply_to_step(&mut self, event: &Event) {
        let Some(step) = self.steps.iter_mut().find(|s| Some(&s.id) == event.step.as_ref()) else { return };
        if let Body::StepExpanded(list) = &event.body {
            step.expanded = true;
            step.slots = list.items.iter().map(|i| SlotView::new(Some(i.key.clone()), Some(i.item.clone()))).collect();
            return;
        }
        // the end of a `for_each` step as a whole
        if step.expanded && event.iteration.is_none() {
            let (end, note) = match &event.body {
                Body::StepSucceeded(_) => (SlotState::Done, None),
                Body::StepFailed(f) => (SlotState::Failed, Some(f.message.clone())),
                Body::StepSkipped(s) => (SlotState::Skipped, Some(s.reason.clone())),
                _ => return,
            };
            // a list that is cut short takes what it had not begun with it
            for slot in step.slots.iter_mut().filter(|slot| !slot.state.is_over()) {
                slot.state = SlotState::Skipped;
                slot.note.clone_from(&note);
                slot.ended = Some(event.at);
            }
            step.end = Some(end);
            step.note = note;
            return;
        }
        let index = match step.slots.iter().position(|s| s.iteration == event.iteration) {
            Some(index) => index,
            None => {
                step.slots.push(SlotView::new(event.iteration.clone(), None));
                step.slots.len() - 1
            }
        };
        let slot = &mut step.slots[index];
        let of_undo = match &event.body {
            Body::UndoStarted(_) | Body::UndoSucceeded(_) | Body::UndoFailed(_) | Body::UndoUnknown(_) => true,
            Body::RequestWithdrawn(gone) => {
                slot.undo.as_ref().is_some_and(|undo| undo.gate.as_ref() == Some(&gone.gate))
            }
            _ => false,
        };
        if of_undo {
            // what it did stays done, whatever becomes of taking it back
            slot.note = super::undo::apply(&mut slot.undo, event).or(slot.note.take());
        } else {
            slot.apply(event);
        }
    }
}

fn digest_of(effect: Option<&crate::payload::EffectContent>) -> crate::Digest {
    effect.map_or_else(|| crate::Digest::of(b""), crate::payload::EffectContent::digest)
}

/// A step that was not reached.
fn todo(step: PlannedStep) -> StepView {
    let PlannedStep { id, does, what, needs, finally } = step;
    StepView { id, does, what, needs, finally, expanded: false, slots: Vec::new(), end: None, note: None }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(lines: &[&str]) -> RunView {
        let head = [
            "\"run\":\"01kaxw00000000000000000000\",\"workflow\":\"w\",\"definition\":\"d\",\"pins\":{},\"input\":{}",
            "\"trigger\":\"manual\",\"by\":\"jo\",\"machine\":\"mabcdefghi\",\"steps\":[{\"id\":\"send\",\"does\":\"call\"}]",
        ];
        let start = format!("\"kind\":\"run.started\",\"v\":1,{},{}", head[0], head[1]);
        let mut view: Option<RunView> = None;
        for (n, line) in std::iter::once(start.as_str()).chain(lines.iter().copied()).enumerate() {
            let line = format!("{{\"n\":{n},\"at\":\"2026-11-22T08:00:00Z\",{line}}}");
            let record = Record::decode(&line, &mut |_| None).unwrap_or_else(|e| panic!("{e}: {line}"));
            match &mut view {
                Some(view) => view.apply(&record),
                None => view = RunView::begin(&record),
            }
        }
        view.expect("a start")
    }

    #[test]
    fn a_failure_that_is_asked_about_leaves_the_inbox_when_it_is_decided() {
        let failed = "\"kind\":\"attempt.failed\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"class\":\"business\",\"code\":\"no\",\
                      \"message\":\"declined\",\"then\":{\"ask\":\"0123456789ab\"}";
        let decided = |what: &str| {
            format!(
                "\"kind\":\"failure.decided\",\"v\":1,\"step\":\"send\",\"gate\":\"0123456789ab\",\"decision\":\"{what}\",\"by\":\"jo\""
            )
        };
        let view = fold(&[failed]);
        assert_eq!((view.status(), view.requests[0].kind), (RunStatus::Waiting, ItemKind::Decide));
        assert_eq!(view.requests[0].summary, "it failed: declined");
        for (what, state) in [
            ("retry", SlotState::Todo),
            ("skip", SlotState::Skipped),
            ("output", SlotState::Done),
            ("fail", SlotState::Failed),
        ] {
            let view = fold(&[failed, &decided(what)]);
            assert_eq!((view.steps[0].slots[0].state, view.requests[0].is_open()), (state, false), "{what}");
        }
    }

    #[test]
    fn taking_back_is_shown_beside_what_was_done() {
        let done = "\"kind\":\"attempt.succeeded\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"output\":null";
        let unknown = "\"kind\":\"undo.unknown\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"gate\":\"0123456789ab\",\"message\":\"?\"";
        let undone =
            "\"kind\":\"undo.succeeded\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"output\":null,\"settled_by\":\"jo\"";
        let failed = "\"kind\":\"undo.failed\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"class\":\"hard\",\"code\":\"x\",\"message\":\"too late\"";
        let view = fold(&[done, unknown]);
        assert_eq!((view.status(), view.requests[0].kind), (RunStatus::Waiting, ItemKind::Settle));
        let view = fold(&[done, unknown, undone]);
        let slot = &view.steps[0].slots[0];
        assert_eq!((slot.state, slot.note.as_deref()), (SlotState::Done, Some("taken back")));
        assert_eq!(slot.undo.as_ref().map(|u| u.state), Some(UndoState::Undone));
        assert!(!view.requests[0].is_open());
        let view = fold(&[done, failed]);
        assert_eq!(view.steps[0].slots[0].note.as_deref(), Some("not taken back: too late"));
    }

    #[test]
    fn a_settled_outcome_leaves_the_inbox() {
        let unknown = "\"kind\":\"attempt.unknown\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"gate\":\"0123456789ab\",\"message\":\"?\"";
        let done = "\"kind\":\"attempt.succeeded\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"output\":null,\"settled_by\":\"jo\"";
        let again = "\"kind\":\"attempt.failed\",\"v\":1,\"step\":\"send\",\"attempt\":1,\"class\":\"soft\",\"code\":\"not_done\",\
                     \"message\":\"no\",\"retry_at\":\"2026-11-22T08:00:00Z\",\"settled_by\":\"jo\"";
        let view = fold(&[unknown]);
        assert_eq!((view.status(), view.requests[0].is_open()), (RunStatus::Waiting, true));
        for answer in [done, again] {
            let view = fold(&[unknown, answer]);
            assert!(matches!(&view.requests[0].state, ItemState::Answered { by, .. } if by == "jo"), "{answer}");
            assert_eq!(view.item(None).requests, 0);
        }
    }
}
