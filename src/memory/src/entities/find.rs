//! Which entities are looked for: by kind, by fields, by words.

use cairn_store_layout::entity::Entity;
use serde_json::{Map, Value};

/// A question for entities. All that is named must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only those whose fields have these values; a set has a value when it holds it, null stands for no value.
    pub fields: Map<String, Value>,
    /// Only those in whose names or texts every one of these words occurs, in any case.
    pub text: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl Default for Find {
    fn default() -> Self {
        Self { kind: None, fields: Map::new(), text: None, limit: usize::MAX }
    }
}

impl Find {
    pub(super) fn admits(&self, entity: &Entity) -> bool {
        self.fields.iter().all(|(name, wanted)| match entity.fields.get(name).map(|field| &field.value) {
            None => wanted.is_null(),
            Some(Value::Array(elements)) if !wanted.is_array() => elements.contains(wanted),
            Some(value) => value == wanted,
        }) && self.text.as_deref().is_none_or(|text| holds(entity, text))
    }
}

fn holds(entity: &Entity, text: &str) -> bool {
    let mut hay = String::new();
    for name in entity.names() {
        hay.push_str(name.as_str());
        hay.push('\n');
    }
    for field in entity.fields.values() {
        texts(&field.value, &mut hay);
    }
    let hay = hay.to_lowercase();
    text.to_lowercase().split_whitespace().all(|word| hay.contains(word))
}

fn texts(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, out)),
        Value::Object(map) => map.values().for_each(|value| texts(value, out)),
        Value::Number(number) => {
            out.push_str(&number.to_string());
            out.push('\n');
        }
        Value::Bool(_) | Value::Null => {}
    }
}
