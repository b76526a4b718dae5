//! TOML into Rust types, with problems that a person can act on.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Position, Problem, nearest};

/// Reads `text` as a `T`; the first thing that does not fit becomes a problem with its place.
pub(super) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map(|span| Position::of(text, span.start));
        let message = error.message().trim().to_owned();
        match unknown_field(&message) {
            Some((name, known)) => {
                let problem = Problem::new(file, at, format!("unknown key `{name}`"));
                match nearest(&name, known.iter().map(String::as_str)) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint(format!("known keys here: {}", known.join(", "))),
                }
            }
            None => Problem::new(file, at, message),
        }
    })
}

/// Takes serde's sentence apart: "unknown field `sned`, expected one of `a`, `b`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((names.next()?, names.collect()))
}

/// A TOML value as the JSON value that the kernel works with; dates become text.
pub(super) fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(s) => Value::String(s.clone()),
        toml::Value::Integer(n) => Value::from(*n),
        toml::Value::Float(n) => serde_json::Number::from_f64(*n).map_or(Value::Null, Value::Number),
        toml::Value::Boolean(b) => Value::Bool(*b),
        toml::Value::Datetime(d) => Value::String(d.to_string()),
        toml::Value::Array(a) => Value::Array(a.iter().map(to_json).collect()),
        toml::Value::Table(t) => Value::Object(t.iter().map(|(k, v)| (k.clone(), to_json(v))).collect()),
    }
}
