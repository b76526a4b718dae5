//! Typed kinds: `knowledge/kinds/<kind>.json` is a JSON Schema of what the fields of such an entity come to.
//!
//! A kind without a schema is free. What a change would lead to is checked before it is made; what two machines
//! or a merge led to is only reported, because it is a fact already.

use std::path::Path;

use cairn_store_layout::entity::Entity;

use crate::{
    effects::{Fault, Schema},
    store::fsutil,
};

/// The folder of the schemas.
pub(crate) const FOLDER: &str = "knowledge/kinds";

/// Holds an entity against the schema of its kind, as that lies in the store now.
///
/// # Errors
/// Class hard: `schema` when a field does not fit, with the field and the rule; `bad_schema` when the schema is
/// none. Soft when its file can not be read.
pub(crate) fn check(root: &Path, entity: &Entity) -> Result<(), Fault> {
    let file = format!("{FOLDER}/{}.json", entity.id.kind());
    let bytes = fsutil::read(&root.join(&file)).map_err(|e| Fault::soft("io", e.to_string()))?;
    let Some(bytes) = bytes else { return Ok(()) };
    let text = String::from_utf8(bytes).map_err(|_| Fault::hard("bad_schema", format!("{file} is no text")))?;
    let schema = Schema::parse(&file, &text)?;
    schema.check(&entity.values()).map_err(|why| {
        let message = format!("{} would not fit {}: {why}; nothing was changed", entity.id, schema.name());
        Fault::hard("schema", message)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cairn_store_layout::{EntityId, entity::Field};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn entity(fields: Value) -> Entity {
        let at = Timestamp::UNIX_EPOCH;
        let id = EntityId::new("client/x").unwrap();
        let field = |value: Value| Field { value, since: at, change: "1".into(), of: id.clone(), elements: vec![] };
        let Value::Object(fields) = fields else { panic!("an object") };
        let fields: BTreeMap<String, Field> = fields.into_iter().map(|(name, value)| (name, field(value))).collect();
        Entity { id, version: 1, merged: Vec::new(), created: at, updated: at, fields }
    }

    #[test]
    fn a_kind_with_a_schema_is_held_to_it_and_one_without_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(dir.path(), &entity(json!({"terms": "soon"}))), Ok(()));
        std::fs::create_dir_all(dir.path().join(FOLDER)).unwrap();
        let file = dir.path().join("knowledge/kinds/client.json");
        std::fs::write(&file, r#"{"properties": {"terms": {"type": "integer"}}}"#).unwrap();
        assert_eq!(check(dir.path(), &entity(json!({"terms": 14}))), Ok(()));
        let Err(fault) = check(dir.path(), &entity(json!({"terms": "soon"}))) else { panic!("a failure") };
        assert!(fault.message().contains("at /terms") && fault.message().contains("integer"), "{fault:?}");
        std::fs::write(&file, "{").unwrap();
        let Err(fault) = check(dir.path(), &entity(json!({}))) else { panic!("a failure") };
        assert!(fault.message().contains("knowledge/kinds/client.json:1"), "{fault:?}");
    }
}
