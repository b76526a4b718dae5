//! Moments and lengths of time as the store writes them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in a definition, written like `30s`, `5m`, `2h 30m`, `5d`.
///
/// A day is 24 hours. The smallest unit is a millisecond; at most 3,650 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub SignedDuration);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(n: i64) -> Self {
        Self(SignedDuration::from_secs(n))
    }

    /// The same length for the standard library; a span is never negative.
    #[must_use]
    pub fn std(self) -> std::time::Duration {
        self.0.unsigned_abs()
    }

    /// Reads a span from text.
    ///
    /// # Errors
    /// When the text is not a length of time, is negative or exceeds ten years.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a length of time; write it like 30s, 5m, 2h 30m or 5d");
        let span: jiff::Span = text.trim().parse().map_err(|_| bad())?;
        let long = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        if long.is_negative() || long > SignedDuration::from_hours(24 * 3650) {
            return Err(format!("`{text}` is out of bounds; a length of time is between 0 and 3650d"));
        }
        Ok(Self(long))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:#}", self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A length of time: 30s, 5m, 2h 30m, 5d. A day is 24 hours.",
            "examples": ["30s", "5m", "2h 30m", "5d"],
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a length of time in quotes, like \"30s\", \"5m\" or \"5d\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).map_err(E::custom)
            }
        }
        d.deserialize_str(Visitor)
    }
}

/// Writes a moment the one way the store writes it: UTC, RFC 3339, microseconds.
#[must_use]
pub fn write(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Writes a moment for a list that knows no zone: UTC, minutes.
#[must_use]
pub fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Serde form of a moment, see [`write`].
pub mod at {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, de};

    /// Writes a moment with microseconds.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::write(*at))
    }

    /// Reads a moment.
    ///
    /// # Errors
    /// When the text is not an RFC 3339 moment.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Serde form of an optional moment.
pub(crate) mod option_at {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, de};

    #[allow(clippy::ref_option, reason = "serde decides the signature")]
    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => s.serialize_str(&super::write(*at)),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        match Option::<String>::deserialize(d)? {
            Some(text) => text.parse().map(Some).map_err(de::Error::custom),
            None => Ok(None),
        }
    }
}
