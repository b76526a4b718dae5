//! Tables on disk, through Lance. Nothing of Lance or Arrow leaves this folder.
//!
//! Every function here blocks and may fail; what fails is derived, so callers rebuild or do without.

mod batch;
pub(crate) mod changes;
mod projection;
mod runtime;
mod stored;
mod tiers;
mod vectors;

use std::collections::HashMap;

pub(crate) use projection::Projection;
pub(crate) use vectors::VectorRow;

use crate::{embed::TextDigest, part::PartError};
use runtime::Runtime;

/// Access to tables: made when a table is first needed, because it starts threads.
pub(crate) struct Tables {
    runtime: std::sync::Arc<Runtime>,
    /// The passages in this machine's vector table with the digests of their texts, once read.
    pub(crate) flushed: Option<HashMap<String, TextDigest>>,
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
