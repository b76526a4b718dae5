//! `[[accept]]`: which proposals are learned without asking.

use serde::Deserialize;

use crate::proposal::{Proposed, ProposedKind};

/// One rule by which proposals are accepted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptRule {
    /// Named in the event of everything that it accepts.
    pub name: String,
    /// What it accepts; absent: nothing, so that a rule always says what it is about.
    pub proposes: Vec<ProposedKind>,
    /// Only what steps of these workflows propose; absent: of any.
    #[serde(default)]
    pub workflows: Vec<String>,
    /// Only what is about these entities: ids, or `client/*`; absent: about any, and about none.
    #[serde(default)]
    pub entities: Vec<String>,
    /// Only changes of these fields of an entity; absent: of any.
    #[serde(default)]
    pub fields: Vec<String>,
    /// An expression over `proposed`, `why`, `evidence` and `entity` (the fields as they stand); only what makes it true.
    pub when: Option<String>,
}

impl AcceptRule {
    /// Tells whether the rule is about such a proposal of a step of `workflow`, as far as that can be told without its
    /// expression.
    #[must_use]
    pub fn is_about(&self, proposed: &Proposed, workflow: Option<&str>) -> bool {
        let about = proposed.about();
        let entity = self.entities.is_empty() || about.iter().any(|id| self.entities.iter().any(|p| matches(p, id)));
        let fields = self.fields.is_empty()
            || proposed.fields().is_some_and(|named| named.iter().all(|field| self.fields.iter().any(|f| f == field)));
        let workflow = self.workflows.is_empty() || self.workflows.iter().any(|w| Some(w.as_str()) == workflow);
        self.proposes.contains(&proposed.kind()) && entity && fields && workflow
    }
}

/// Tells whether an entity is meant by a pattern: its id, or `kind/*`.
#[must_use]
pub fn matches(pattern: &str, entity: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(head) => entity.starts_with(head),
        None => pattern == entity,
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryPolicy;
    use super::*;

    const RULE: &str = "[[accept]]\nname = \"own\"\nproposes = [\"entity\"]\nentities = [\"client/*\"]\nfields = [\"phone\"]\nworkflows = [\"intake\"]\n";

    fn change(entity: &str, field: &str) -> Proposed {
        let change = serde_json::json!({
            "proposes": "entity", "id": "0", "entity": entity, "at": "2026-11-22T08:00:00.000000Z",
            "source": {"person": "jo"}, "change": "fields", "set": {field: "x"},
        });
        serde_json::from_value(change).expect("a change")
    }

    #[test]
    fn a_rule_is_about_what_it_names() {
        let policy = MemoryPolicy::parse("policies/memory.toml", RULE).unwrap();
        let rule = &policy.accept[0];
        assert!(rule.is_about(&change("client/brandt", "phone"), Some("intake")));
        assert!(!rule.is_about(&change("client/brandt", "iban"), Some("intake")), "another field");
        assert!(!rule.is_about(&change("invoice/1", "phone"), Some("intake")), "another kind");
        assert!(!rule.is_about(&change("client/brandt", "phone"), None), "by hand");
    }

    #[test]
    fn a_rule_that_can_not_be_read_says_where() {
        let told = |text: String| MemoryPolicy::parse("policies/memory.toml", &text).unwrap_err().to_string();
        assert!(told(RULE.replace("fields", "feilds")).contains("policies/memory.toml:5:1: unknown key `feilds`"));
        assert!(told(RULE.replace("entity", "entitty")).contains(":3:"));
        assert!(told(format!("{RULE}{RULE}")).contains("two rules are called `own`"));
    }
}
