//! JSON Schemas of a definition. References to other documents are refused: a schema is one file.

use serde_json::Value;

use super::Fault;

/// A compiled schema.
pub(crate) struct Schema {
    name: String,
    source: Value,
    compiled: jsonschema::Validator,
}

impl Schema {
    /// Compiles the text of the file `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let source = serde_json::from_str(text)
            .map_err(|e| Fault::hard("bad_schema", format!("{name}:{}:{}: {e}", e.line(), e.column())))?;
        Self::of(name, source)
    }

    /// Compiles a schema that is already a value; `name` is for messages.
    pub(crate) fn of(name: &str, source: Value) -> Result<Self, Fault> {
        // formats are promises here: a letter to something that is no address should not pass
        let compiled = jsonschema::options()
            .should_validate_formats(true)
            .build(&source)
            .map_err(|e| Fault::hard("bad_schema", format!("{name} is not a usable JSON Schema: {e}")))?;
        Ok(Self { name: name.to_owned(), source, compiled })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn source(&self) -> &Value {
        &self.source
    }

    /// Says in a sentence what does not fit; the first three places are enough for a person or a model.
    /// Values are not repeated: they may be long, and they may be private.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let said: Vec<String> = self
            .compiled
            .iter_errors(value)
            .take(3)
            .map(|error| {
                let path = error.instance_path().to_string();
                let place = if path.is_empty() { "the value".to_owned() } else { path };
                format!("at {place}: {}", error.masked_with("it"))
            })
            .collect();
        if said.is_empty() { Ok(()) } else { Err(said.join("; ")) }
    }
}
