//! How an entity is named.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::IdError;

/// Names one entity, such as `client/brandt-gmbh`: its kind and its name, which are two folders.
///
/// The kind is a letter and up to 31 of `a-z 0-9 -`; the name a letter or digit and up to 79 of
/// `a-z 0-9 - _`. Nothing else can be part of a path, so a text from outside is turned into
/// such a name (the expression filter `slug` does) or refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId {
    text: String,
    slash: usize,
}

impl EntityId {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// When it is not a kind, a slash and a name.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let why = match text.split_once('/') {
            Some((kind, name)) if is_kind(kind) && is_name(name) => {
                let slash = kind.len();
                return Ok(Self { text, slash });
            }
            Some((kind, _)) if is_kind(kind) => "the name is a letter or digit, then up to 79 of a-z 0-9 - _",
            Some(_) => "the kind is a letter, then up to 31 of a-z 0-9 -",
            None => "it is written kind/name, such as client/brandt-gmbh",
        };
        Err(IdError { text, what: "entity id", why })
    }

    /// What it is: `client`, `invoice`, `contract`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[..self.slash]
    }

    /// Its name within its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_kind(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 32 && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && text.bytes().all(plain)
}

fn is_name(text: &str) -> bool {
    let start = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let plain = |b: u8| start(b) || b == b'-' || b == b'_';
    text.len() <= 80 && text.bytes().next().is_some_and(start) && text.bytes().all(plain)
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityId({})", self.text)
    }
}

impl FromStr for EntityId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(d)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_two_plain_path_parts() {
        for good in ["client/brandt-gmbh", "invoice/2041", "c/0", "legal-entity/a_b"] {
            let id = EntityId::new(good).unwrap();
            assert_eq!(format!("{}/{}", id.kind(), id.name()), good);
        }
        for bad in [
            "client",
            "client/",
            "/x",
            "client/../x",
            "client/.hidden",
            "Client/x",
            "client/a b",
            "c/a/b",
            "c/é",
            "c/-x",
        ] {
            assert!(EntityId::new(bad).is_err(), "{bad}");
        }
        assert!(EntityId::new(format!("c/{}", "x".repeat(81))).is_err());
    }
}
