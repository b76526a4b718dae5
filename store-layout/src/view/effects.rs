//! The effect ledger of a run: what was asked of the world, and what is known of it.
//!
//! Folded from the history alone: an intent makes an entry, its receipt closes it. What nobody knows stays open
//! until a probe or a person has said what happened.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Digest, GateId, RunId, StepId,
    event::{Body, Event},
    payload::{EffectClass, EffectContent, Purpose},
    record::Record,
};

/// Where an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Its intent is recorded, its reply is awaited.
    InFlight,
    /// It was not done; the next attempt has its time.
    Retrying,
    /// It was done.
    Done,
    /// It was not done, or its result was of no use.
    Failed,
    /// Nobody knows.
    Unknown,
    /// Its run ended before it came back; it only looked, so nothing hangs on it.
    Left,
}

impl EffectState {
    /// The word for lists.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InFlight => "in flight",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "UNKNOWN",
            Self::Left => "left",
        }
    }
}

/// One entry: an effect under its idempotency key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectView {
    /// The idempotency key: one for every attempt.
    pub key: Digest,
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// The step.
    pub step: StepId,
    /// The iteration.
    pub iteration: Option<String>,
    /// What it is for: what the step does, or taking it back.
    pub purpose: Purpose,
    /// How it may be repeated.
    pub class: EffectClass,
    /// What was asked for, in a word or two.
    pub what: String,
    /// Digest of the content that was last sent.
    pub digest: Digest,
    /// When the first intent was recorded.
    #[serde(with = "crate::time::at")]
    pub intent: Timestamp,
    /// How many attempts there were.
    pub attempts: u32,
    /// Where it stands.
    pub state: EffectState,
    /// When that was recorded, once it came back.
    pub receipt: Option<Timestamp>,
    /// Why it failed, or why nobody knows.
    pub message: Option<String>,
    /// Who or what said what happened, after nobody knew.
    pub settled_by: Option<String>,
    /// The run whose answer was taken instead of asking.
    pub cached_from: Option<RunId>,
    /// The request that settles it, while nobody knows.
    pub gate: Option<GateId>,
    /// What became of looking whether it happened.
    pub probe: Option<String>,
}

/// Folds the history of one run into its entries, in the order of their intents.
#[must_use]
pub fn effects<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<EffectView> {
    let mut ledger = Ledger::default();
    records.into_iter().for_each(|record| ledger.take(&record.event));
    ledger.entries
}

type Place = (Option<StepId>, Option<String>, bool);

#[derive(Default)]
struct Ledger {
    workflow: String,
    entries: Vec<EffectView>,
    by_key: BTreeMap<Digest, usize>,
    /// The entry that is under way, or was last, at each place: of the step, and of taking it back.
    last: BTreeMap<Place, usize>,
}

impl Ledger {
    fn take(&mut self, event: &Event) {
        match &event.body {
            Body::RunStarted(start) => self.workflow.clone_from(&start.workflow),
            Body::AttemptStarted(start) => self.intent(event, &start.key, &start.effect, false),
            Body::UndoStarted(start) => self.intent(event, &start.key, &start.effect, true),
            Body::AttemptSucceeded(done) => {
                let (by, from) = (done.settled_by.clone(), done.cached_from.clone());
                self.receipt(event, false, EffectState::Done, None, by, from);
            }
            Body::UndoSucceeded(done) => {
                self.receipt(event, true, EffectState::Done, None, done.settled_by.clone(), None);
            }
            Body::AttemptFailed(failed) => {
                let state = if failed.retry_at.is_some() { EffectState::Retrying } else { EffectState::Failed };
                let message = format!("{}: {}", failed.code, failed.message);
                self.receipt(event, false, state, Some(message), failed.settled_by.clone(), None);
            }
            Body::UndoFailed(failed) => {
                let state = if failed.retry_at.is_some() { EffectState::Retrying } else { EffectState::Failed };
                let message = format!("{}: {}", failed.code, failed.message);
                self.receipt(event, true, state, Some(message), failed.settled_by.clone(), None);
            }
            Body::AttemptUnknown(unknown) => self.unknown(event, false, &unknown.gate, &unknown.message),
            Body::UndoUnknown(unknown) => self.unknown(event, true, &unknown.gate, &unknown.message),
            Body::RequestWithdrawn(gone) => {
                // nobody will be asked any more; what is not known stays so
                for entry in self.entries.iter_mut().filter(|entry| entry.gate.as_ref() == Some(&gone.gate)) {
                    entry.gate = None;
                }
            }
            Body::ProbeStarted(_) | Body::ProbeFailed(_) => {
                if let Some(entry) = self.entry(event, false) {
                    entry.probe = Some(super::describe(event));
                }
            }
            Body::RunSucceeded(_) | Body::RunFailed(_) | Body::RunCanceled(_) => {
                let open = |entry: &&mut EffectView| entry.state == EffectState::InFlight;
                self.entries.iter_mut().filter(open).for_each(|entry| entry.state = EffectState::Left);
            }
            _ => {}
        }
    }

    fn intent(&mut self, event: &Event, key: &Digest, effect: &EffectContent, undo: bool) {
        let index = *self.by_key.entry(key.clone()).or_insert(self.entries.len());
        if index == self.entries.len() {
            self.entries.push(EffectView {
                key: key.clone(),
                run: effect.run.clone(),
                workflow: self.workflow.clone(),
                step: effect.step.clone(),
                iteration: effect.iteration.clone(),
                purpose: effect.purpose,
                class: effect.class,
                what: effect.request.name(),
                digest: effect.digest(),
                intent: event.at,
                attempts: 0,
                state: EffectState::InFlight,
                receipt: None,
                message: None,
                settled_by: None,
                cached_from: None,
                gate: None,
                probe: None,
            });
        }
        let entry = &mut self.entries[index];
        entry.attempts += 1;
        entry.digest = effect.digest();
        (entry.state, entry.receipt, entry.message, entry.probe) = (EffectState::InFlight, None, None, None);
        self.last.insert((event.step.clone(), event.iteration.clone(), undo), index);
    }

    fn receipt(
        &mut self,
        event: &Event,
        undo: bool,
        state: EffectState,
        message: Option<String>,
        settled_by: Option<String>,
        cached_from: Option<RunId>,
    ) {
        let Some(entry) = self.entry(event, undo) else { return };
        (entry.state, entry.receipt, entry.message) = (state, Some(event.at), message);
        (entry.settled_by, entry.cached_from, entry.gate) = (settled_by, cached_from, None);
    }

    fn unknown(&mut self, event: &Event, undo: bool, gate: &GateId, message: &str) {
        let Some(entry) = self.entry(event, undo) else { return };
        (entry.state, entry.receipt) = (EffectState::Unknown, None);
        (entry.gate, entry.message) = (Some(gate.clone()), Some(message.to_owned()));
    }

    fn entry(&mut self, event: &Event, undo: bool) -> Option<&mut EffectView> {
        let index = *self.last.get(&(event.step.clone(), event.iteration.clone(), undo))?;
        self.entries.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFECT: &str = r#""effect":{"class":"once","definition":"d","request":{"argv":["pay"],"kind":"run"},"run":"01kaxw00000000000000000000","step":"pay"}"#;

    fn fold(lines: &[String]) -> Vec<EffectView> {
        let records = lines.iter().enumerate().map(|(n, line)| {
            let line = format!("{{\"n\":{n},\"at\":\"2026-11-22T08:00:0{n}Z\",\"step\":\"pay\",\"attempt\":1,{line}}}");
            Record::decode(&line, &mut |_| None).unwrap_or_else(|e| panic!("{e}: {line}"))
        });
        effects(&records.collect::<Vec<_>>())
    }

    #[test]
    fn an_entry_has_its_intent_and_is_open_until_somebody_knows() {
        let key = "0".repeat(64);
        let start = format!("\"kind\":\"attempt.started\",\"v\":1,\"key\":\"{key}\",\"digest\":\"{key}\",{EFFECT}");
        let unknown =
            "\"kind\":\"attempt.unknown\",\"v\":1,\"gate\":\"0123456789ab\",\"message\":\"no reply\"".to_owned();
        let probe = "\"kind\":\"probe.failed\",\"v\":1,\"message\":\"down\"".to_owned();
        let not_done = "\"kind\":\"attempt.failed\",\"v\":1,\"class\":\"soft\",\"code\":\"not_done\",\"message\":\"no\",\"retry_at\":\"2026-11-22T08:00:09Z\",\"settled_by\":\"jo\"".to_owned();
        let done = "\"kind\":\"attempt.succeeded\",\"v\":1,\"output\":null".to_owned();
        let open = fold(&[start.clone(), unknown.clone(), probe.clone()]);
        assert_eq!((open.len(), open[0].state, open[0].attempts), (1, EffectState::Unknown, 1));
        assert_eq!(open[0].gate.as_ref().map(GateId::as_str), Some("0123456789ab"));
        assert!(open[0].probe.as_deref().is_some_and(|p| p.contains("down")) && open[0].receipt.is_none());
        let closed = fold(&[start.clone(), unknown, probe, not_done, start, done]);
        assert_eq!((closed.len(), closed[0].state, closed[0].attempts), (1, EffectState::Done, 2));
        assert_eq!(closed[0].intent.to_string(), "2026-11-22T08:00:00Z");
        assert!(closed[0].receipt.is_some() && closed[0].gate.is_none() && closed[0].probe.is_none());
    }
}
