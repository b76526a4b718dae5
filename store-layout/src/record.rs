//! One event as one line of a file, and back.
//!
//! The envelope comes first and in this order: `n at kind v step iteration attempt cause`; then the
//! fields of the kind. Values over [`INLINE_BYTES_MAX`] are spilled: the line holds
//! `{"$artifact": HASH, "bytes": N}` and the value lies in `artifacts/`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    CommandId, Digest, StepId, canonical,
    event::{Body, Event},
};

/// The longest line, its line break included.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The largest value (its canonical bytes) that stays in the line.
pub const INLINE_BYTES_MAX: usize = 4096;
/// The key that marks a spilled value.
const SPILL: &str = "$artifact";
/// The fields that hold free values and may be spilled.
const SPILLABLE: [&str; 7] = ["input", "output", "items", "effect", "evidence", "answer", "form"];

/// An event with its place in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position in its file, counted from 0, without gaps.
    pub n: u64,
    /// The event.
    pub event: Event,
}

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// The envelope lacks a field or has one of another type.
    #[error("bad envelope: {0}")]
    Envelope(String),
    /// A known kind with fields that do not fit.
    #[error("`{kind}` v{v}: {why}")]
    Fields {
        /// The kind.
        kind: String,
        /// Its version.
        v: u32,
        /// What does not fit.
        why: String,
    },
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("the line has {0} bytes; at most {LINE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A spilled value that can not be found.
    #[error("artifact {0} is missing")]
    Missing(Digest),
    /// A spilled value whose bytes do not match its name.
    #[error("artifact {0} does not match its name")]
    Damaged(Digest),
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    n: u64,
    #[serde(with = "crate::time::at")]
    at: Timestamp,
    kind: String,
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<StepId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iteration: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<CommandId>,
}

/// A value that did not fit into its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spilled {
    /// Name of the artifact.
    pub digest: Digest,
    /// Its bytes: canonical JSON.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Writes the record as one line with its line break, and the values that must be stored first.
    ///
    /// # Errors
    /// When the line would exceed [`LINE_BYTES_MAX`] even so.
    pub fn encode(&self) -> Result<(String, Vec<Spilled>), RecordError> {
        let (kind, v) = self.event.body.kind();
        let envelope = Envelope {
            n: self.n,
            at: self.event.at,
            kind: kind.to_owned(),
            v,
            step: self.event.step.clone(),
            iteration: self.event.iteration.clone(),
            attempt: self.event.attempt,
            cause: self.event.cause.clone(),
        };
        let mut fields = self.event.body.to_fields().map_err(|e| RecordError::Json(e.to_string()))?;
        let mut spilled = Vec::new();
        for name in SPILLABLE {
            let Some(value) = fields.get_mut(name) else { continue };
            let bytes = canonical::bytes(value);
            if bytes.len() > INLINE_BYTES_MAX {
                let digest = Digest::of(&bytes);
                *value = json!({ SPILL: digest, "bytes": bytes.len() });
                spilled.push(Spilled { digest, bytes });
            }
        }
        let mut line = serde_json::to_string(&envelope).map_err(|e| RecordError::Json(e.to_string()))?;
        if !fields.is_empty() {
            let own = serde_json::to_string(&fields).map_err(|e| RecordError::Json(e.to_string()))?;
            line.pop();
            line.push(',');
            line.push_str(&own[1..]);
        }
        line.push('\n');
        if line.len() > LINE_BYTES_MAX {
            return Err(RecordError::TooLong(line.len()));
        }
        Ok((line, spilled))
    }

    /// Reads a line. `fetch` gives the bytes of a spilled value, or `None` when it has none.
    ///
    /// # Errors
    /// When the line is not a record, see [`RecordError`].
    pub fn decode(line: &str, fetch: &mut dyn FnMut(&Digest) -> Option<Vec<u8>>) -> Result<Self, RecordError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(RecordError::TooLong(line.len()));
        }
        let mut fields: Map<String, Value> =
            serde_json::from_str(line).map_err(|e| RecordError::Json(e.to_string()))?;
        let mut head = Map::new();
        for name in ["n", "at", "kind", "v", "step", "iteration", "attempt", "cause"] {
            if let Some(value) = fields.remove(name) {
                head.insert(name.to_owned(), value);
            }
        }
        let envelope: Envelope =
            serde_json::from_value(Value::Object(head)).map_err(|e| RecordError::Envelope(e.to_string()))?;
        for name in SPILLABLE {
            if let Some(value) = fields.get_mut(name)
                && let Some(digest) = spilled_digest(value)
            {
                let bytes = fetch(&digest).ok_or_else(|| RecordError::Missing(digest.clone()))?;
                if Digest::of(&bytes) != digest {
                    return Err(RecordError::Damaged(digest));
                }
                *value = serde_json::from_slice(&bytes).map_err(|_| RecordError::Damaged(digest))?;
            }
        }
        let body = Body::from_fields(&envelope.kind, envelope.v, fields).map_err(|e| RecordError::Fields {
            kind: envelope.kind.clone(),
            v: envelope.v,
            why: e.to_string(),
        })?;
        Ok(Self {
            n: envelope.n,
            event: Event {
                at: envelope.at,
                step: envelope.step,
                iteration: envelope.iteration,
                attempt: envelope.attempt,
                cause: envelope.cause,
                body,
            },
        })
    }
}

fn spilled_digest(value: &Value) -> Option<Digest> {
    let map = value.as_object()?;
    if map.len() != 2 || !map.contains_key("bytes") {
        return None;
    }
    Digest::new(map.get(SPILL)?.as_str()?).ok()
}
