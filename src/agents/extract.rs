//! `extract` agents: find fields in a text by patterns. Linear time on any text.

use cairn_store_layout::definition::Extract;
use regex::Regex;
use serde_json::{Map, Value};

use crate::effects::Fault;

/// Each field's first match, trimmed, or null. The first group counts, or the whole match without groups.
pub(super) fn find(extract: &Extract, text: &str) -> Result<Value, Fault> {
    let mut found = Map::new();
    let mut missing = Vec::new();
    for (name, field) in &extract.fields {
        let pattern = Regex::new(&field.pattern)
            .map_err(|e| Fault::hard("bad_pattern", format!("the pattern of field `{name}` is not usable: {e}")))?;
        let value = pattern.captures(text).and_then(|groups| {
            let group = if groups.len() > 1 { groups.get(1) } else { groups.get(0) };
            group.map(|m| m.as_str().trim().to_owned())
        });
        if value.is_none() && field.required {
            missing.push(format!("`{name}`"));
        }
        found.insert(name.clone(), value.map_or(Value::Null, Value::String));
    }
    if missing.is_empty() {
        Ok(Value::Object(found))
    } else {
        // the text is what it is: another attempt finds nothing either, a person has to look at it
        Err(Fault::business("not_found", format!("the text does not hold {}", missing.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store_layout::{definition::ExtractField, event::FailureClass};
    use serde_json::json;

    fn fields(list: &[(&str, &str, bool)]) -> Extract {
        let field = |p: &str, required| ExtractField { pattern: p.to_owned(), required };
        Extract { fields: list.iter().map(|(n, p, r)| ((*n).to_owned(), field(p, *r))).collect() }
    }

    #[test]
    fn finds_groups_whole_matches_and_nothing() {
        let extract =
            fields(&[("invoice", r"INV-(\d+)", true), ("iban", r"DE\d{20}", false), ("due", r"(?m)^due:(.*)$", false)]);
        let got = find(&extract, "About INV-2043\ndue:  2026-11-01 \n").unwrap();
        assert_eq!(got, json!({"invoice": "2043", "iban": null, "due": "2026-11-01"}));
    }

    #[test]
    fn a_required_field_that_is_missing_is_for_a_person() {
        let Err(Fault::Failed(f)) = find(&fields(&[("a", "x(.)", true), ("b", "y", true)]), "zzz") else { panic!() };
        assert_eq!((f.class, f.message.as_str()), (FailureClass::Business, "the text does not hold `a`, `b`"));
    }

    #[test]
    fn a_bad_pattern_names_its_field() {
        let Err(Fault::Failed(f)) = find(&fields(&[("a", "(", false)]), "") else { panic!() };
        assert!(f.code == "bad_pattern" && f.message.contains("`a`"), "{f:?}");
    }
}
