//! Episodes: what happened with somebody and when, in the order of the calendar.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, entity::EntityId, passage::Source};

/// The longest text of one episode, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;

/// One line of `memory/episodes/<machine>/<month>.jsonl`: a mail, a call, a meeting, a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Derived from what happened, when and with whom, so that recording it twice keeps one: 26 hex digits.
    pub id: String,
    /// When it happened.
    #[serde(with = "crate::time::at")]
    pub at: Timestamp,
    /// When it was recorded.
    #[serde(with = "crate::time::at")]
    pub recorded_at: Timestamp,
    /// What kind of thing: `mail`, `call`, `meeting`, `note` ... free, chosen by the writer.
    pub kind: String,
    /// What happened, in words.
    pub text: String,
    /// With whom or about what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<EntityId>,
    /// Where it came from.
    pub source: Source,
    /// Where more of it is found: `file`, `message_id`, `url` ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
    /// Labels for filters and policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The longest kind, in bytes.
pub const KIND_BYTES_MAX: usize = 40;
/// How many entities, and how many references, one episode has at most.
pub const NAMED_MAX: usize = 32;

impl Episode {
    /// Says in a sentence why the episode can not be recorded, if it can not.
    ///
    /// # Errors
    /// When it has no text or kind, or more of something than fits.
    pub fn check(&self) -> Result<(), String> {
        if self.text.trim().is_empty() || self.text.len() > TEXT_BYTES_MAX {
            return Err(format!(
                "an episode has between 1 and {TEXT_BYTES_MAX} bytes of text, not {}",
                self.text.len()
            ));
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.kind.is_empty() || self.kind.len() > KIND_BYTES_MAX || !self.kind.bytes().all(plain) {
            return Err(format!(
                "`{}` can not be a kind: 1 to {KIND_BYTES_MAX} letters, digits or dashes, in lower case",
                self.kind.chars().take(KIND_BYTES_MAX).collect::<String>()
            ));
        }
        if self.entities.len() > NAMED_MAX || self.refs.len() > NAMED_MAX || self.labels.len() > NAMED_MAX {
            return Err(format!("an episode names at most {NAMED_MAX} entities, references and labels each"));
        }
        let texts = self.refs.iter().chain(&self.labels).flat_map(|(name, value)| [name, value]);
        if texts.into_iter().any(|text| text.len() > 1_000) {
            return Err("a reference or label of it has more than 1000 bytes".to_owned());
        }
        Ok(())
    }

    /// Derives an episode's id.
    #[must_use]
    pub fn derive_id(kind: &str, at: Timestamp, entities: &[EntityId], text: &str) -> String {
        let names: Vec<&str> = entities.iter().map(EntityId::as_str).collect();
        let at = crate::time::write(at);
        Digest::of(format!("episode\n{kind}\n{at}\n{}\n{text}", names.join(" ")).as_bytes()).as_str()[..26].to_owned()
    }
}
