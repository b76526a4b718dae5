//! What a step says it needs to know about somebody, found as a fact or told as missing.
//!
//! A fact is a field of the entity, or a passage about the entity that says so of itself: by its label `topic`, or by
//! beginning with the words and a colon ("Payment terms: 45 days"). Nothing is concluded from likeness: what is close
//! to a fact is recalled as a quote, and what is not there is missing.

use cairn_store_layout::{passage::Passage, time};
use serde::Serialize;
use serde_json::{Map, Value};

/// One thing that was asked for and is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Fact {
    /// What was asked for.
    pub(super) need: String,
    /// What is known.
    pub(super) value: Value,
    /// Where it came from, in words.
    pub(super) source: String,
    /// The passage that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) passage: Option<String>,
    /// The day since when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
}

/// Finds each of `needs`; gives the facts and what is missing, both in the order of `needs`. `passages`: those about the
/// entity, the latest first.
pub(super) fn find(
    needs: &[String],
    entity: Option<&str>,
    fields: Option<&Map<String, Value>>,
    passages: &[Passage],
) -> (Vec<Fact>, Vec<String>) {
    let (mut facts, mut missing) = (Vec::new(), Vec::new());
    for need in needs {
        let name = field_name(need);
        let field = fields.and_then(|fields| fields.get(&name)).filter(|value| !is_nothing(value));
        let found = match field {
            Some(value) => Some(Fact {
                need: need.clone(),
                value: value.clone(),
                source: format!("{} field {name}", entity.unwrap_or_default()),
                passage: None,
                since: None,
            }),
            None => passages.iter().find_map(|passage| said(need, &name, passage)),
        };
        match found {
            Some(fact) => facts.push(fact),
            None => missing.push(need.clone()),
        }
    }
    (facts, missing)
}

/// What the passage says about it, if it says of itself that it does.
fn said(need: &str, name: &str, passage: &Passage) -> Option<Fact> {
    let text = passage.text.trim();
    let labelled = passage.labels.get("topic").is_some_and(|topic| field_name(topic) == *name);
    let headed = text.split_once(':').filter(|(head, _)| field_name(head) == *name).map(|(_, rest)| rest.trim());
    let value = match (headed.filter(|rest| !rest.is_empty()), labelled) {
        (Some(rest), _) => rest,
        (None, true) => text,
        (None, false) => return None,
    };
    Some(Fact {
        need: need.to_owned(),
        value: Value::from(value),
        source: passage.source.words(),
        passage: Some(passage.id.clone()),
        since: Some(time::write(passage.valid_from.unwrap_or(passage.recorded_at))[..10].to_owned()),
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// `Payment terms` is the field `payment_terms`.
fn field_name(words: &str) -> String {
    let mut name = String::new();
    for c in words.trim().chars() {
        match c.is_alphanumeric() {
            true => name.extend(c.to_lowercase()),
            false if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            false => {}
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

#[cfg(test)]
mod tests {
    use cairn_store_layout::passage::Source;
    use serde_json::json;

    use super::*;

    fn passage(text: &str) -> Passage {
        let source = Source::Person { person: "astrid".to_owned() };
        let at = "2026-11-20T08:00:00Z".parse().unwrap();
        Passage::new(at, source, "note".to_owned(), Some("client/a".to_owned()), text.to_owned())
    }

    fn needs(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn a_field_comes_first_then_what_says_of_itself_that_it_is_the_fact() {
        let fields = json!({ "payment_terms": "30 days", "phone": "" });
        let mut labelled = passage("Call before noon");
        labelled.labels.insert("topic".to_owned(), "phone".to_owned());
        let passages = [passage("Payment terms: 45 days"), labelled, passage("They talked about the address today")];
        let asked = needs(&["payment terms", "Phone", "address"]);
        let (facts, missing) = find(&asked, Some("client/a"), fields.as_object(), &passages);
        let told: Vec<_> = facts.iter().map(|f| (f.need.as_str(), f.value.as_str().unwrap())).collect();
        assert_eq!(told, [("payment terms", "30 days"), ("Phone", "Call before noon")]);
        assert_eq!(missing, ["address"]);
        let (facts, _) = find(&asked, Some("client/a"), None, &passages);
        assert_eq!((facts[0].value.as_str(), facts[0].since.as_deref()), (Some("45 days"), Some("2026-11-20")));
    }

    #[test]
    fn the_latest_says_what_holds_and_a_head_without_a_fact_says_nothing() {
        let passages = [passage("Terms:"), passage("Terms: 14 days"), passage("Terms: 30 days")];
        let (facts, _) = find(&needs(&["terms"]), None, None, &passages);
        assert_eq!(facts[0].value, "14 days");
    }
}
