//! Tables on disk, through Lance. Nothing of Lance or Arrow leaves this folder.
//!
//! Every function here blocks and may fail; what fails is derived, so callers rebuild or do without.

mod batch;
pub(crate) mod changes;
mod projection;
mod runtime;
mod vectors;

use std::collections::HashSet;

pub(crate) use projection::Projection;

use crate::part::PartError;
use runtime::Runtime;

/// Access to tables: made when a table is first needed, because it starts threads.
pub(crate) struct Tables {
    runtime: std::sync::Arc<Runtime>,
    /// The ids in this machine's vector table, once read.
    pub(crate) flushed: Option<HashSet<String>>,
}

impl Tables {
    /// Returns the tables in `slot`, starting them if need be.
    pub(crate) fn started(slot: &mut Option<Self>) -> Result<&mut Self, PartError> {
        if slot.is_none() {
            *slot = Some(Self { runtime: std::sync::Arc::new(Runtime::start()?), flushed: None });
        }
        Ok(slot.as_mut().expect("filled above"))
    }
}

/// Messages of Lance name a line of its own source after the reason; operators need the reason.
fn told(error: &lance::Error) -> PartError {
    let text = error.to_string();
    PartError(text.lines().next().unwrap_or_default().split(", /").next().unwrap_or_default().to_owned())
}
