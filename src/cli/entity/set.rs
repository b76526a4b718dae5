//! `cairn entity set`.

use std::collections::BTreeMap;

use cairn_store_layout::{
    command::{NewChange, Verb},
    entity::check::is_field_name,
};
use clap::Args;
use serde_json::{Map, Value};

use super::{Context, Failure, Outcome, asked, exit, id};

/// Change fields of an entity, or begin a new one. `field=` takes a field away.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn entity set client/brandt name='Brandt GmbH' payment_terms_days=30\n  cairn entity set client/brandt --add aliases='Brandt KG' --reason 'old letterhead'\n  cairn entity set client/brandt status=active --expect 4"
)]
pub struct Set {
    /// The entity, such as client/brandt
    entity: String,
    /// New values: JSON, or a text as it is
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Put a value into a set, such as aliases
    #[arg(long, value_name = "FIELD=VALUE")]
    add: Vec<String>,
    /// Take a value out of a set
    #[arg(long, value_name = "FIELD=VALUE")]
    remove: Vec<String>,
    /// Only if this version stands; 0: only if it is new
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
    /// Why
    #[arg(short = 'm', long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    now: asked::Now,
}

impl Set {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let entity = id(&self.entity)?;
        let mut set = Map::new();
        for field in &self.fields {
            let (name, value) = split(field)?;
            set.insert(name, if value.is_empty() { Value::Null } else { typed(value) });
        }
        let change = NewChange {
            entity: entity.clone(),
            set,
            add: lists(&self.add)?,
            remove: lists(&self.remove)?,
            expected_version: self.expect,
            reason: self.reason.clone(),
        };
        if change.set.is_empty() && change.add.is_empty() && change.remove.is_empty() {
            return Err(Failure::usage("there is nothing to change").fix("cairn entity set ID FIELD=VALUE"));
        }
        let store = context.store()?;
        let (command, state) = asked::ask(context, &store, Verb::EntitySet(change), self.now)?;
        context.screen.document(&asked::document(&command, &state));
        context.screen.say(format!("{entity}: {}", state.words()));
        Ok(exit::OK)
    }
}

/// A value as typed: JSON where it is JSON, else a text.
pub(super) fn typed(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => Value::String(text.to_owned()),
    }
}

fn split(field: &str) -> Result<(String, &str), Failure> {
    let (name, value) = field.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`{field}` is not FIELD=VALUE")).fix("put it in quotes when the value has blanks")
    })?;
    if !is_field_name(name) {
        return Err(Failure::usage(format!("`{name}` can not name a field"))
            .fix("use a letter, then letters, digits or _, in lower case"));
    }
    Ok((name.to_owned(), value))
}

fn lists(fields: &[String]) -> Result<BTreeMap<String, Vec<Value>>, Failure> {
    let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for field in fields {
        let (name, value) = split(field)?;
        match typed(value) {
            Value::Array(values) => lists.entry(name).or_default().extend(values),
            value => lists.entry(name).or_default().push(value),
        }
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_or_the_text_as_typed() {
        for (text, value) in [
            ("30", json!(30)),
            ("\"30\"", json!("30")),
            ("Brandt GmbH", json!("Brandt GmbH")),
            ("true", json!(true)),
            ("[1", json!("[1")),
            ("+49 30 1", json!("+49 30 1")),
        ] {
            assert_eq!(typed(text), value);
        }
        assert_eq!(lists(&["a=x".into(), "a=[\"y\",2]".into()]).unwrap()["a"], [json!("x"), json!("y"), json!(2)]);
        assert!(split("Name=x").is_err() && split("name").is_err());
    }
}
