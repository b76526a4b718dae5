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
const SPILLABLE: [&str; 8] = ["input", "output", "items", "effect", "evidence", "answer", "form", "data"];

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
            // a value that looks like the mark of a spilled one would be taken for it when it is read
            if bytes.len() > INLINE_BYTES_MAX || spilled_digest(value).is_some() {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::event::{RunSucceeded, StepSucceeded};

    fn record(body: impl Into<Body>) -> Record {
        let event = Event {
            at: "2026-11-22T08:00:00Z".parse().expect("a moment"),
            step: None,
            iteration: None,
            attempt: None,
            cause: None,
            body: body.into(),
        };
        Record { n: 3, event }
    }

    /// Encodes, keeps what was spilled, decodes.
    fn there_and_back(record: &Record) -> Result<Record, RecordError> {
        let (line, spilled) = record.encode()?;
        let kept: BTreeMap<Digest, Vec<u8>> = spilled.into_iter().map(|s| (s.digest, s.bytes)).collect();
        Record::decode(&line, &mut |digest| kept.get(digest).cloned())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()).prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            (4000usize..5000).prop_map(|n| Value::from("x".repeat(n))),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z$]{1,9}", inner, 0..6).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        /// Whatever a step gives back is read back as it was: the same value, the same digest.
        #[test]
        fn every_value_survives_its_line(value in values()) {
            let before = record(RunSucceeded { output: value });
            prop_assert_eq!(there_and_back(&before), Ok(before));
        }
    }

    #[test]
    fn a_value_that_looks_like_a_spilled_one_is_a_value_all_the_same() {
        let bait = json!({ SPILL: Digest::of(b"another run's letter"), "bytes": 20 });
        let before = record(StepSucceeded { output: Some(bait) });
        assert_eq!(there_and_back(&before), Ok(before));
    }

    #[test]
    fn a_value_too_large_for_its_line_lies_beside_it_and_is_checked_when_it_comes_back() {
        let before = record(RunSucceeded { output: "x".repeat(INLINE_BYTES_MAX).into() });
        let (line, spilled) = before.encode().unwrap();
        assert_eq!(spilled.len(), 1);
        assert!(line.len() < 300, "{line}");
        let digest = spilled[0].digest.clone();
        assert_eq!(Record::decode(&line, &mut |_| None), Err(RecordError::Missing(digest.clone())));
        assert_eq!(Record::decode(&line, &mut |_| Some(b"\"y\"".to_vec())), Err(RecordError::Damaged(digest)));
        let small = record(RunSucceeded { output: "x".repeat(INLINE_BYTES_MAX - 2).into() });
        assert_eq!(small.encode().unwrap().1, [], "its quotes count");
    }

    #[test]
    fn a_kind_of_a_later_build_is_carried_byte_for_byte() {
        let line = "{\"n\":3,\"at\":\"2026-11-22T08:00:00.000000Z\",\"kind\":\"step.paused\",\"v\":9,\"step\":\"a\",\"iteration\":\"k\",\
                    \"attempt\":2,\"cause\":\"01kaxw00000000000000000001\",\"answer\":[1,2.5,null],\"why\":{\"a\":\"ä\"}}\n";
        let record = Record::decode(line, &mut |_| None).unwrap();
        assert!(matches!(&record.event.body, Body::Unknown { kind, v: 9, .. } if kind == "step.paused"));
        assert_eq!(record.encode().unwrap(), (line.to_owned(), Vec::new()));
        // a known kind in a version that is not known is no less unknown
        let later = line.replace("step.paused", "timer.fired");
        let record = Record::decode(&later, &mut |_| None).unwrap();
        assert!(matches!(record.event.body, Body::Unknown { .. }));
        assert_eq!(record.encode().unwrap().0, later);
    }

    #[test]
    fn a_line_that_is_no_record_says_why() {
        let read = |line: &str| Record::decode(line, &mut |_| None).unwrap_err().to_string();
        assert!(read("{").starts_with("not a JSON object"));
        assert!(read("{\"n\":0}").contains("bad envelope: missing field `at`"));
        let fields = "{\"n\":0,\"at\":\"2026-11-22T08:00:00Z\",\"kind\":\"timer.set\",\"v\":1}";
        assert!(read(fields).contains("`timer.set` v1: missing field `until`"), "{}", read(fields));
        assert!(read(&" ".repeat(LINE_BYTES_MAX + 1)).contains("at most"));
    }
}
