//! Entities: the customers, invoices and contracts that the business is about, as append-only changes.
//!
//! An entity is never stored as such. Every machine appends its changes to a file of its own; what holds is
//! folded from the changes of all machines, in one order that is the same everywhere.

pub mod check;
mod facts;
mod fold;
mod id;
mod line;

pub use facts::{AHEAD_MAX, Facts, Standing};
pub use fold::{Entity, Entry, Field};
pub use id::EntityId;
pub use line::Line;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, passage::Source};

/// The longest name of a field, in bytes.
pub const FIELD_BYTES_MAX: usize = 64;
/// The field that holds other names under which an entity is known; it is always a set.
pub const ALIASES: &str = "aliases";
/// The largest canonical bytes of all values of one change.
pub const CHANGE_BYTES_MAX: usize = 64 * 1024;

/// One line of `entities/<kind>/<name>/<machine>.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityChange {
    /// Names the change: 26 hex digits, see [`EntityChange::derive_id`]. A change that is met twice counts once.
    pub id: String,
    /// The entity.
    pub entity: EntityId,
    /// When, by a hybrid clock: later than every change of the entity that the writer had seen.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// Who changed it.
    pub source: Source,
    /// What changed.
    #[serde(flatten)]
    pub change: Change,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version that the writer had read, when the change is only right for that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Fields get values. Fields that are not named stay as they are.
    Fields {
        /// New values; null takes a field away. The later change wins.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        set: Map<String, Value>,
        /// Values that join a field that is a set, such as `aliases`; additions of two machines both stay.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        add: BTreeMap<String, Vec<Value>>,
        /// Values that leave such a field.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        remove: BTreeMap<String, Vec<Value>>,
    },
    /// The entity turned out to be another one: from here on both names mean `into`.
    Merged {
        /// The entity that stays.
        into: EntityId,
    },
    /// A merge was a mistake: it counts as never made.
    Split {
        /// The id of the change that merged.
        merge: String,
    },
}

impl EntityChange {
    /// The id of a change: of the `ordinal`th change that one cause (an effect's key, a command) brings.
    #[must_use]
    pub fn derive_id(cause: &str, ordinal: usize) -> String {
        Digest::of(format!("entity-change\n{cause}\n{ordinal}").as_bytes()).as_str()[..26].to_owned()
    }
}
