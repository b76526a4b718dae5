//! Turns and probes in a history: nothing begins before its turn, and only what is lost is looked for.

use cairn_store_layout::{
    event::{Event, LeaseAsked},
    payload::{EffectClass, EffectContent, Purpose},
};

use super::history::{Checker, Phase, Slot};

impl Checker<'_> {
    pub(super) fn turn_asked(&mut self, slot: Slot, asked: &LeaseAsked) {
        if asked.concurrency.is_none() && asked.rate.is_none() {
            self.finding("bad_order", "a turn is asked for, and nothing to wait for is named");
        }
        // a share goes with a failure; whoever is tried again after it asks again
        let over = self.state.attempts.get(&slot).is_some_and(|attempt| attempt.phase == Phase::Over);
        if self.state.turns.insert(slot, false).is_some_and(|granted| !granted || !over) {
            self.finding("bad_order", "a turn is asked for twice");
        }
    }

    pub(super) fn turn_granted(&mut self, slot: Slot) {
        if self.state.turns.insert(slot, true) != Some(false) {
            self.finding("bad_order", "a turn has come that nobody waits for");
        }
    }

    /// An attempt begins: its turn, and that of its run, must have come. A run that stops before its turn does what
    /// `finally` says without.
    pub(super) fn in_turn(&mut self, slot: &Slot) {
        let waits = |waits: &Slot| self.state.turns.get(waits) == Some(&false);
        if waits(slot) || waits(&(None, None)) && !self.state.course.stops() {
            self.finding("out_of_turn", "an attempt begins before its turn has come");
        }
    }

    /// A probe is sent (`effect`) or came back without an answer: the attempt must be unknown.
    pub(super) fn probed(&mut self, event: &Event, slot: &Slot, effect: Option<&EffectContent>) {
        let lost = self
            .state
            .attempts
            .get(slot)
            .is_some_and(|attempt| Some(attempt.number) == event.attempt && attempt.phase == Phase::Unknown);
        if !lost {
            self.finding("bad_order", format!("`{}` of an attempt whose outcome is known", event.body.kind().0));
        }
        if effect.is_some_and(|effect| effect.purpose != Purpose::Probe || effect.class != EffectClass::Read) {
            self.finding("wrong_effect", "what is sent as a probe does not only look");
        }
    }
}
