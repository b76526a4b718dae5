//! What a change must be like before it may be recorded: bounds and names, nothing about what they mean.

use serde_json::{Value, json};

use super::{CHANGE_BYTES_MAX, Change, EntityChange, FIELD_BYTES_MAX};
use crate::canonical;

impl EntityChange {
    /// Says in a sentence why the change can not be recorded, if it can not.
    ///
    /// # Errors
    /// When it changes nothing, a field's name or an element is none, or its values are too large or too deep.
    pub fn check(&self) -> Result<(), String> {
        let Change::Fields { set, add, remove } = &self.change else { return Ok(()) };
        if set.is_empty() && add.is_empty() && remove.is_empty() {
            return Err(format!("nothing of {} is to be changed", self.entity));
        }
        let names = set.keys().chain(add.keys()).chain(remove.keys());
        if let Some(name) = names.into_iter().find(|name| !is_field_name(name)) {
            return Err(format!(
                "`{name}` can not name a field: use a letter, then up to {} letters, digits or _, in lower case",
                FIELD_BYTES_MAX - 1
            ));
        }
        for (name, elements) in add.iter().chain(remove) {
            if elements.iter().any(|element| element.is_null() || element.is_array()) {
                return Err(format!("an element of `{name}` is a text, a number, a bool or an object"));
            }
        }
        let values = json!({ "set": set, "add": add, "remove": remove });
        // a line is read back by whoever opens the store
        if set.values().chain(add.values().flatten()).any(canonical::is_too_deep) {
            return Err(format!("its values are nested more than {} levels deep", canonical::DEPTH_MAX));
        }
        let bytes = canonical::bytes(&values).len();
        if bytes > CHANGE_BYTES_MAX {
            return Err(format!("its values have {bytes} bytes; one change holds at most {CHANGE_BYTES_MAX}"));
        }
        Ok(())
    }

    /// The fields that it names, each once.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        fields_of(&self.change)
    }
}

/// The fields that a change names, in order, each once.
#[must_use]
pub fn fields_of(change: &Change) -> Vec<&str> {
    let Change::Fields { set, add, remove } = change else { return Vec::new() };
    let mut names: Vec<&str> = set.keys().chain(add.keys()).chain(remove.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Tells whether `name` may name a field: a letter, then up to 63 of `a-z 0-9 _`.
#[must_use]
pub fn is_field_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= FIELD_BYTES_MAX
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(plain)
}

/// A change in a few words: which fields, or which merge. Values are not repeated: they may be long or private.
#[must_use]
pub fn words(change: Option<&Change>) -> String {
    match change {
        Some(Change::Fields { set, add, remove }) => {
            let mut said = Vec::new();
            let list = |names: Vec<&String>| names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            let (cleared, given): (Vec<_>, Vec<_>) = set.iter().partition(|(_, value)| value.is_null());
            let groups: [(&str, Vec<&String>); 4] = [
                ("set", given.into_iter().map(|(name, _): (&String, &Value)| name).collect()),
                ("cleared", cleared.into_iter().map(|(name, _)| name).collect()),
                ("added to", add.keys().collect()),
                ("removed from", remove.keys().collect()),
            ];
            for (verb, names) in groups {
                if !names.is_empty() {
                    said.push(format!("{verb} {}", list(names)));
                }
            }
            said.join(", ")
        }
        Some(Change::Merged { into }) => format!("merged into {into}"),
        Some(Change::Split { merge }) => format!("took merge {} back", &merge[..merge.len().min(8)]),
        None => "changed something that this build does not know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntityId, passage::Source};

    fn change(set: Value, add: Value) -> EntityChange {
        EntityChange {
            id: "1".to_owned(),
            entity: EntityId::new("client/x").unwrap(),
            at: jiff::Timestamp::UNIX_EPOCH,
            source: Source::Person { person: "jo".to_owned() },
            change: Change::Fields {
                set: serde_json::from_value(set).unwrap(),
                add: serde_json::from_value(add).unwrap(),
                remove: Default::default(),
            },
            reason: None,
            expected_version: None,
        }
    }

    #[test]
    fn a_change_has_names_and_bounds() {
        assert_eq!(change(json!({"vat_id": "DE1"}), json!({"tags": ["a"]})).check(), Ok(()));
        for (set, add, said) in [
            (json!({}), json!({}), "nothing of client/x"),
            (json!({"Vat Id": 1}), json!({}), "`Vat Id` can not name"),
            (json!({}), json!({"tags": [null]}), "an element of `tags`"),
            (json!({"x": "y".repeat(CHANGE_BYTES_MAX)}), json!({}), "at most 65536"),
        ] {
            let why = change(set, add).check().unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn a_change_is_told_without_its_values() {
        let told = words(Some(&change(json!({"iban": "secret", "fax": null}), json!({"aliases": ["b"]})).change));
        assert_eq!(told, "set `iban`, cleared `fax`, added to `aliases`");
    }
}
