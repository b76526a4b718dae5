//! A run that is taken over after its past was lost: what a person was asked then is asked anew.
//!
//! Between the history that is known and the moment of taking over, its approvals may have been given and
//! used. So nothing that was approved then, and no answer to a question of then, lets an effect go.

use cairn_store_layout::{GateId, event::GateOpened, payload::EffectClass, text::brief};

use crate::{
    advance::Pass,
    expr::{ExprError, to_json},
    gates::About,
    plan::PlanStep,
    state::{Phase, Slot, State},
};

/// What the operator is told beside what the definition says.
const NOTE: &str = "Asked again because the run was adopted: whether this was approved and carried out before is not \
                    known here. Look at the other side first.";

impl State {
    /// Puts every effect that waits for its approval, or has it and has not begun, before its gate again.
    pub(crate) fn distrust(&mut self) {
        self.adopted += 1;
        for step in 0..self.steps.len() {
            if self.plan.steps[step].approve.is_none() {
                continue;
            }
            for index in 0..self.steps[step].slots.len() {
                let slot = &self.steps[step].slots[index];
                let once = slot.effect.as_ref().is_some_and(|effect| effect.class == EffectClass::Once);
                match &slot.phase {
                    Phase::Gated { gate, .. } => self.lapse(&gate.clone()),
                    Phase::Approved | Phase::Queued { approved: true } => {}
                    // it failed for sure, and what came after is not known
                    Phase::Retrying { .. } if once => {}
                    _ => continue,
                }
                self.count_out((step, index));
                let slot = &mut self.steps[step].slots[index];
                slot.phase = Phase::Reopening;
                (slot.placed, slot.lease) = (false, None);
                self.count_in((step, index));
            }
        }
    }

    fn lapse(&mut self, gate: &GateId) {
        if let Some(asked) = self.requests.get_mut(gate) {
            asked.how = Some("asked again, because the run was adopted".to_owned());
        }
    }
}

impl Pass<'_> {
    /// Opens the gate of an effect again: the same content, as edited, under another id.
    pub(crate) fn reopen(&mut self, step: usize, plan: &PlanStep, slot: &Slot) -> Result<(), ExprError> {
        let (Some(approve), Some(effect)) = (&plan.approve, slot.effect.clone()) else { return Ok(()) };
        let scope = self.scope(step, Some(slot)).value();
        let key = slot.key.as_deref();
        let about = About::Again { adopted: self.state.adopted, ordinal: effect.ordinal };
        let told = approve.why(&scope)?.map_or(String::new(), |why| format!("{why}\n\n"));
        let body = GateOpened {
            gate: about.gate(&self.state.run, &plan.id, key),
            digest: effect.digest(),
            class: plan.spec.class,
            summary: approve.summary(&scope)?.unwrap_or_else(|| effect.request.name()),
            effect,
            why: Some(brief(&format!("{told}{NOTE}"), 2_300)),
            evidence: approve.evidence.as_ref().map(|e| to_json(&e.eval(&scope)?)).transpose()?,
            expires: approve.expires.map(|span| self.ctx.now + span.0),
        };
        self.put(plan, key, None, body);
        Ok(())
    }
}
