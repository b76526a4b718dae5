//! What this machine knows of triggers: which it trusts, what they started, what they have seen.
//!
//! Trust and what was seen lie outside the store, beside the machine's identity, so that a clone or a
//! pull never brings them along; what fired stands in the machine's log. Nothing here starts a run.

pub mod list;
pub mod past;
pub mod seen;
pub mod trust;

pub use list::{Listed, list};
pub use past::{Past, Pasts};
pub use seen::{FileMark, Seen};
pub use trust::{Desk, Trusted};
