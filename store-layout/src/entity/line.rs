//! One line of an entity's file, with what this build does not understand of it.
//!
//! A store may hold lines of a newer build. They are never dropped: a line of an unknown change counts and is
//! shown, only its meaning is missing. A line that does not even say whom it is about is refused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Change, EntityChange, EntityId};
use crate::passage::Source;

/// A change as a line says it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Names the change.
    pub id: String,
    /// The entity.
    pub entity: EntityId,
    /// When, by a hybrid clock.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// Who changed it; absent where this build can not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What changed; absent where this build can not tell.
    #[serde(flatten)]
    pub change: Option<Change>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version that the writer had read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    /// Fields that this build does not know.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub more: Map<String, Value>,
}

/// What every line says, of whatever build.
#[derive(Deserialize)]
struct Head {
    id: String,
    entity: EntityId,
    #[serde(with = "crate::time::at")]
    at: Timestamp,
}

const COMMON: [&str; 7] = ["id", "entity", "at", "source", "change", "reason", "expected_version"];

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no JSON object, or does not say which change of which entity it is, and when.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let known = serde_json::from_value::<EntityChange>(value.clone());
        let head: Head = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
        let Value::Object(mut more) = value else { return Err("it is no object".to_owned()) };
        let Ok(change) = known else {
            for key in ["id", "entity", "at"] {
                more.remove(key);
            }
            let Head { id, entity, at } = head;
            return Ok(Self { id, entity, at, source: None, change: None, reason: None, expected_version: None, more });
        };
        let own: &[&str] = match change.change {
            Change::Fields { .. } => &["set", "add", "remove"],
            Change::Merged { .. } => &["into"],
            Change::Split { .. } => &["merge"],
        };
        more.retain(|key, _| !COMMON.contains(&key.as_str()) && !own.contains(&key.as_str()));
        Ok(Self { more, ..Self::from(change) })
    }
}

impl From<EntityChange> for Line {
    fn from(change: EntityChange) -> Self {
        let EntityChange { id, entity, at, source, change, reason, expected_version } = change;
        Self { id, entity, at, source: Some(source), change: Some(change), reason, expected_version, more: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_build_wrote_is_carried() {
        let text = br#"{"id":"ab","entity":"client/x","at":"2026-11-22T08:00:00.000000Z","source":{"person":"jo"},"change":"fields","set":{"a":1},"sure":0.5}"#;
        let line = Line::read(text).unwrap();
        assert_eq!(line.more.get("sure"), Some(&serde_json::json!(0.5)));
        assert!(matches!(line.change, Some(Change::Fields { .. })));

        let text = br#"{"id":"ab","entity":"client/x","at":"2026-11-22T08:00:00.000000Z","source":{"person":"jo"},"change":"sealed","by":"law"}"#;
        let line = Line::read(text).unwrap();
        assert_eq!(line.change, None);
        assert_eq!(serde_json::to_value(&line).unwrap()["more"]["by"], "law");

        for bad in [&b"[]"[..], b"{}", br#"{"id":"a","entity":"x","at":"2026-11-22T08:00:00Z"}"#] {
            assert!(Line::read(bad).is_err());
        }
    }
}
