//! Views: what screens and lists show, folded from histories.
//!
//! Everything here is derived and can be thrown away. The interface and the command line read the
//! same values, so that neither can show what the other can not.

mod describe;
mod effects;
mod fold;
mod fold_slot;
mod inbox;
mod learns;
mod run;
mod snapshot;
mod undo;

pub use describe::{describe, kind_word};
pub use effects::{EffectState, EffectView, effects};
pub use fold::RunView;
pub use inbox::{Ask, InboxItem, ItemKind, ItemState, decide_form, settle_form};
pub use run::{AttemptView, RunItem, RunStatus, SlotState, SlotView, StepView};
pub use snapshot::{Firing, Health, KernelHealth, MemoryUse, Snapshot, TriggerItem};
pub use undo::{UndoState, UndoView};
