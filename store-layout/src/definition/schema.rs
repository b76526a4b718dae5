//! The published JSON Schema of `workflow.toml`, made from the types that read it.
//!
//! It says which keys there are and what type each has, so that an editor can complete and check as one
//! types. What needs the whole store to be told (agents, needs, expressions) is the compiler's.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::RawWorkflow;

/// The name of the schema of this format.
pub const SCHEMA_ID: &str = "urn:cairn:workflow:1";

/// The schema, JSON Schema 2020-12.
#[must_use]
pub fn workflow_schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RawWorkflow>();
    let mut schema = schema.to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("$id".to_owned(), SCHEMA_ID.into());
        map.insert("title".to_owned(), "workflow.toml of Cairn".into());
        map.insert("description".to_owned(), "One workflow: its input, its steps, and what starts it.".into());
    }
    schema
}
