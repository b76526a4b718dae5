//! The one byte form of a JSON value: what is hashed, approved and compared.
//!
//! Object keys are sorted by their UTF-8 bytes, there is no white space, integers are written as
//! they are and other numbers in their shortest form. `LAYOUT.md` section "Canonical JSON".

use serde_json::Value;

use crate::Digest;

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
    fn keys_are_sorted_and_space_is_gone() {
        let value: Value = serde_json::from_str(r#"{ "b": [1, 2.50, "é"], "a": {"z":null,"y":true} }"#).expect("valid");
        assert_eq!(String::from_utf8_lossy(&bytes(&value)), r#"{"a":{"y":true,"z":null},"b":[1,2.5,"é"]}"#);
    }
}
