//! The one byte form of a JSON value: what is hashed, approved and compared.
//!
//! Object keys are sorted by their UTF-8 bytes, there is no white space, integers are written as
//! they are and other numbers in their shortest form. `LAYOUT.md` section "Canonical JSON".

use serde_json::Value;

use crate::Digest;

/// How deep lists and objects may lie inside each other in a value that is recorded. A line wraps
/// values in a few more levels, and readers of JSON (ours too) refuse more than 128.
pub const DEPTH_MAX: usize = 64;

/// Tells whether `value` is nested more than [`DEPTH_MAX`] levels deep.
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|v| deeper(v, left - 1)),
            Value::Object(map) => left == 0 || map.values().any(|v| deeper(v, left - 1)),
            _ => false,
        }
    }
    deeper(value, DEPTH_MAX)
}

/// Returns the canonical bytes of `value`.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    // serde_json keeps object keys in a BTreeMap (we never enable `preserve_order`), so its compact
    // form is the canonical one. The test below fails should a dependency switch the feature on.
    serde_json::to_vec(value).expect("a JSON value always has a JSON form")
}

/// Returns the digest of the canonical bytes of `value`.
#[must_use]
pub fn digest(value: &Value) -> Digest {
    Digest::of(&bytes(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_lists_and_objects() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| serde_json::json!({ "a": [inner] }));
        assert!(!is_too_deep(&nested(DEPTH_MAX / 2)));
        assert!(is_too_deep(&nested(DEPTH_MAX / 2 + 1)));
    }

    #[test]
    fn keys_are_sorted_and_space_is_gone() {
        let value: Value = serde_json::from_str(r#"{ "b": [1, 2.50, "é"], "a": {"z":null,"y":true} }"#).expect("valid");
        assert_eq!(String::from_utf8_lossy(&bytes(&value)), r#"{"a":{"y":true,"z":null},"b":[1,2.5,"é"]}"#);
    }
}
