//! Typed fields: the input of a workflow and the form of an `ask`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a field holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Any text.
    #[default]
    Text,
    /// A number.
    Number,
    /// Yes or no.
    Bool,
    /// A calendar day, `2026-11-22`.
    Date,
    /// Any JSON value.
    Json,
}

impl FieldType {
    /// What a value must be, in words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Date => "a day like 2026-11-22",
            Self::Json => "JSON",
        }
    }
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in expressions.
    pub name: String,
    /// What it holds.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// What a person should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value when none is given. Without it the field must be given, unless `optional`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// May be left out (null then).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The only values allowed, when not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

impl Field {
    /// Checks one value.
    ///
    /// # Errors
    /// A sentence for the person who gave the value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self.kind {
            FieldType::Text => value.is_string(),
            FieldType::Number => value.is_number(),
            FieldType::Bool => value.is_boolean(),
            FieldType::Date => value.as_str().is_some_and(|s| s.parse::<jiff::civil::Date>().is_ok()),
            FieldType::Json => true,
        };
        if !fits {
            return Err(format!("`{}` must be {}, not {value}", self.name, self.kind.word()));
        }
        if !self.choices.is_empty() && !value.as_str().is_some_and(|s| self.choices.iter().any(|c| c == s)) {
            return Err(format!("`{}` must be one of {}, not {value}", self.name, self.choices.join(", ")));
        }
        Ok(())
    }

    /// Reads the value a person typed for this field.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn read(&self, typed: &str) -> Result<Value, String> {
        let value = match self.kind {
            FieldType::Text | FieldType::Date => Value::String(typed.to_owned()),
            FieldType::Bool => match typed.to_ascii_lowercase().as_str() {
                "y" | "yes" | "true" => Value::Bool(true),
                "n" | "no" | "false" => Value::Bool(false),
                _ => return Err(format!("`{}` must be true or false, not `{typed}`", self.name)),
            },
            FieldType::Number | FieldType::Json => serde_json::from_str(typed)
                .map_err(|_| format!("`{}` must be {}, not `{typed}`", self.name, self.kind.word()))?,
        };
        self.check(&value).map(|()| value)
    }
}

/// Checks `given` against `fields` and fills in defaults.
///
/// # Errors
/// Every field that is missing, unknown or does not fit, as sentences for a person.
pub fn fill(fields: &[Field], given: &Value) -> Result<Value, Vec<String>> {
    let empty = Map::new();
    let given = match given {
        Value::Object(map) => map,
        Value::Null => &empty,
        other => return Err(vec![format!("expected an object of fields, not {other}")]),
    };
    let mut out = Map::new();
    let mut wrong = Vec::new();
    for field in fields {
        match given.get(&field.name).filter(|v| !v.is_null()).or(field.default.as_ref()) {
            Some(Value::String(text)) if text.trim().is_empty() && !field.optional && field.kind == FieldType::Text => {
                wrong.push(format!("`{}` must not be empty", field.name));
            }
            Some(value) => match field.check(value) {
                Ok(()) => drop(out.insert(field.name.clone(), value.clone())),
                Err(why) => wrong.push(why),
            },
            None if field.optional => drop(out.insert(field.name.clone(), Value::Null)),
            None if !field.choices.is_empty() => {
                wrong.push(format!("`{}` is missing; it must be one of {}", field.name, field.choices.join(", ")));
            }
            None => wrong.push(format!("`{}` is missing; it must be {}", field.name, field.kind.word())),
        }
    }
    for name in given.keys() {
        if !fields.iter().any(|f| f.name == *name) {
            let hint = super::nearest(name, fields.iter().map(|f| f.name.as_str()))
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            wrong.push(format!("there is no field `{name}`{hint}"));
        }
    }
    if wrong.is_empty() { Ok(Value::Object(out)) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields() -> Vec<Field> {
        serde_json::from_value(json!([
            {"name": "client"},
            {"name": "as_of", "type": "date", "default": "2026-11-22"},
            {"name": "tone", "choices": ["warm", "firm"], "optional": true},
        ]))
        .expect("fields")
    }

    #[test]
    fn defaults_are_filled_and_faults_are_all_told() {
        assert_eq!(
            fill(&fields(), &json!({"client": "Brandt"})),
            Ok(json!({"client": "Brandt", "as_of": "2026-11-22", "tone": null}))
        );
        let wrong = fill(&fields(), &json!({"clent": "x", "as_of": "soon", "tone": "rude"})).unwrap_err();
        assert_eq!(
            wrong,
            [
                "`client` is missing; it must be text",
                "`as_of` must be a day like 2026-11-22, not \"soon\"",
                "`tone` must be one of warm, firm, not \"rude\"",
                "there is no field `clent`; did you mean `client`?",
            ]
        );
    }
}
