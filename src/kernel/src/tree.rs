//! A value of a definition whose texts may be expressions, read once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::expr::{ExprError, Template, Value, from_json};

/// A value with expressions in it.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    /// No expression anywhere inside.
    Fixed(Value),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<Tree>),
    /// An object.
    Map(BTreeMap<String, Tree>),
}

impl Tree {
    /// Reads a value.
    pub(crate) fn parse(json: &Json) -> Result<Self, ExprError> {
        Ok(match json {
            Json::String(text) => match Template::parse(text)? {
                Template::Plain(text) => Self::Fixed(Value::from(text)),
                template => Self::Text(template),
            },
            Json::Array(items) => Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Json::Object(map) => {
                Self::Map(map.iter().map(|(k, v)| Ok((k.clone(), Self::parse(v)?))).collect::<Result<_, ExprError>>()?)
            }
            other => Self::Fixed(from_json(other)),
        })
    }

    /// The value in `scope`.
    pub(crate) fn eval(&self, scope: &Value) -> Result<Value, ExprError> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => template.eval(scope)?,
            Self::List(items) => items.iter().map(|t| t.eval(scope)).collect::<Result<Vec<_>, _>>()?.into(),
            Self::Map(map) => {
                let pairs = map.iter().map(|(k, t)| Ok((k.clone(), t.eval(scope)?)));
                Value::from(pairs.collect::<Result<BTreeMap<_, _>, ExprError>>()?)
            }
        })
    }

    /// Tells whether it is a value as it stands: no expression anywhere inside.
    pub(crate) fn is_fixed(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Text(_) => false,
            Self::List(items) => items.iter().all(Self::is_fixed),
            Self::Map(map) => map.values().all(Self::is_fixed),
        }
    }

    /// The names it takes from its scope, dotted as far as they are known.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Fixed(_) => BTreeSet::new(),
            Self::Text(template) => template.names(),
            Self::List(items) => items.iter().flat_map(Self::names).collect(),
            Self::Map(map) => map.values().flat_map(Self::names).collect(),
        }
    }
}
