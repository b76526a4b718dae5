//! `store.toml` and `machines/<machine>.toml`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{MachineId, StoreId};

/// The format this build reads and writes. A store with a higher number is opened by no verb.
pub const FORMAT: u32 = 2;

/// The content of `store.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCard {
    /// Format of the store, see [`FORMAT`].
    pub format: u32,
    /// Names the store for ever, in every clone.
    pub id: StoreId,
    /// When the store was made.
    #[serde(with = "crate::time::at")]
    pub created: Timestamp,
    /// Defaults for every definition.
    #[serde(default)]
    pub defaults: Defaults,
}

/// Defaults that a definition may override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// How many effects may be under way at once in the whole kernel.
    pub max_parallel: u32,
    /// How long an attempt may take when its step says nothing.
    pub timeout: crate::time::Span,
    /// The calling code of phone numbers that name no country, digits alone: `49`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calling_code: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { max_parallel: 16, timeout: crate::time::Span::seconds(120), calling_code: None }
    }
}

/// The content of `machines/<machine>.toml`, for people and other machines to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineCard {
    /// The machine's id, the name of the file.
    pub id: MachineId,
    /// What people call it: its host name when it joined.
    pub name: String,
    /// When it joined.
    #[serde(with = "crate::time::at")]
    pub joined: Timestamp,
}
