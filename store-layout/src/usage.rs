//! Which memories a step was given: what makes them worth keeping, and what an answer rests on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::passage::Source;

/// One line of `memory/usage/<machine>/<month>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// When.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// The step that was given them.
    pub source: Source,
    /// Ids of passages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<String>,
    /// Ids of knowledge, such as `rules/late-fees`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knowledge: Vec<String>,
}
