//! What is shown of an effect that is taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    GateId,
    event::{Body, Event, Usage},
    money::Usd,
    payload::EffectContent,
};

/// Where taking an effect back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoState {
    /// An attempt is under way.
    Running,
    /// A soft failure; the next attempt has its time.
    Retrying,
    /// Nobody knows whether it was taken back; a person is asked.
    Waiting,
    /// Taken back.
    Undone,
    /// Not taken back, for good.
    Failed,
}

/// An effect that is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoView {
    /// Where it stands.
    pub state: UndoState,
    /// What takes it back.
    pub effect: Option<EffectContent>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The open or last request to a person.
    pub gate: Option<GateId>,
    /// What all attempts cost, in US dollars, as decimal text.
    pub cost_usd: Option<String>,
    /// When this last changed.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
}

impl UndoView {
    fn spent(&mut self, usage: &Usage) {
        let Some(cost) = usage.cost_usd.as_deref().and_then(Usd::parse) else { return };
        let before = self.cost_usd.as_deref().and_then(Usd::parse).unwrap_or_default();
        self.cost_usd = Some([before, cost].into_iter().sum::<Usd>().to_string());
    }
}

/// Folds a fact about taking an effect back; gives what it says in a few words.
pub(super) fn apply(view: &mut Option<UndoView>, event: &Event) -> Option<String> {
    let now = view.get_or_insert_with(|| UndoView {
        state: UndoState::Running,
        effect: None,
        attempts: 0,
        gate: None,
        cost_usd: None,
        at: event.at,
    });
    now.at = event.at;
    let (state, note) = match &event.body {
        Body::UndoStarted(start) => {
            now.effect = Some(start.effect.clone());
            now.attempts = event.attempt.unwrap_or(1);
            (UndoState::Running, "is taken back".to_owned())
        }
        Body::UndoSucceeded(done) => {
            now.spent(&done.usage);
            (UndoState::Undone, "taken back".to_owned())
        }
        Body::UndoFailed(failed) => {
            now.spent(&failed.usage);
            match failed.retry_at {
                Some(at) => {
                    (UndoState::Retrying, format!("{}, taken back again {}", failed.message, crate::time::short(at)))
                }
                None => (UndoState::Failed, format!("not taken back: {}", failed.message)),
            }
        }
        Body::UndoUnknown(unknown) => {
            now.gate = Some(unknown.gate.clone());
            (UndoState::Waiting, format!("unknown whether it was taken back: {}", unknown.message))
        }
        Body::RequestWithdrawn(gone) => (UndoState::Failed, format!("not taken back: {}", gone.reason)),
        _ => return None,
    };
    now.state = state;
    Some(note)
}
