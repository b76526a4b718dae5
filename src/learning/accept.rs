//! Rules by which proposals are accepted without asking.

use cairn_store_layout::{
    definition::{MEMORY_POLICY as POLICY, MemoryPolicy},
    proposal::Proposal,
};
use serde_json::{Value, json};

pub(crate) use crate::store::knowledge::policy;

/// The name of the first rule that accepts a proposal of a step of `workflow`. `entity` holds the fields, as they
/// stand, of the entity that it would change.
///
/// # Errors
/// When the expression of a rule has no value; nothing is accepted then.
pub(crate) fn rule<'a>(
    policy: &'a MemoryPolicy,
    proposal: &Proposal,
    workflow: Option<&str>,
    entity: &Value,
) -> Result<Option<&'a str>, String> {
    for rule in &policy.accept {
        if !rule.is_about(&proposal.proposed, workflow) {
            continue;
        }
        let Some(when) = &rule.when else { return Ok(Some(&rule.name)) };
        let scope = json!({
            "proposed": proposal.proposed, "why": proposal.why, "evidence": proposal.evidence, "entity": entity,
        });
        let holds = cairn_kernel::expr::holds(when, &scope)
            .map_err(|why| format!("rule `{}` of {POLICY} can not decide: {why}", rule.name))?;
        if holds {
            return Ok(Some(&rule.name));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use cairn_store_layout::{passage::Source, proposal::Proposed};
    use jiff::Timestamp;

    use super::*;

    fn proposal(field: &str, value: &str) -> Proposal {
        let change = json!({
            "proposes": "entity", "id": "0", "entity": "client/brandt", "at": "2026-11-22T08:00:00.000000Z",
            "source": {"person": "jo"}, "change": "fields", "set": {field: value},
        });
        let proposed: Proposed = serde_json::from_value(change).unwrap();
        let source = Source::Person { person: "jo".to_owned() };
        Proposal::new(Timestamp::UNIX_EPOCH, source, proposed, "their mail".to_owned(), None)
    }

    #[test]
    fn the_first_rule_that_fits_accepts_and_what_fits_none_waits() {
        let text = "[[accept]]\nname = \"new-phone\"\nproposes = [\"entity\"]\nfields = [\"phone\"]\nwhen = \"{{ 'phone' not in entity }}\"\n";
        let policy = MemoryPolicy::parse(POLICY, text).unwrap();
        let decide = |field, entity| rule(&policy, &proposal(field, "1"), None, &entity).unwrap();
        assert_eq!(decide("phone", json!({})), Some("new-phone"));
        assert_eq!(decide("phone", json!({"phone": "2"})), None, "never over what is known");
        assert_eq!(decide("iban", json!({})), None);
    }

    #[test]
    fn a_rule_without_a_value_accepts_nothing_and_says_so() {
        let text = "[[accept]]\nname = \"odd\"\nproposes = [\"entity\"]\nwhen = \"{{ nobody.knows }}\"\n";
        let policy = MemoryPolicy::parse(POLICY, text).unwrap();
        let told = rule(&policy, &proposal("phone", "1"), None, &json!({})).unwrap_err();
        assert!(told.contains("rule `odd` of policies/memory.toml"), "{told}");
    }

    #[test]
    fn without_a_file_nothing_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(policy(dir.path()), Ok(MemoryPolicy::default()));
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        std::fs::write(dir.path().join(POLICY), "[[accpet]]\n").unwrap();
        assert!(policy(dir.path()).unwrap_err().to_string().contains("did you mean `accept`?"));
    }
}
