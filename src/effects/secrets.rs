//! Secrets by name. Values live in the environment of the process and nowhere in the store.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{Fault, redact::Redactor};

/// Secrets shorter than this, in bytes, are refused: they could not be told from ordinary text when
/// hiding them.
pub const SECRET_BYTES_MIN: usize = 6;

const SCHEME: &str = "secret://";
const PREFIX: &str = "CAIRN_SECRET_";

/// The secrets of this process. Neither shown nor stored: it has no `Debug` and no `Serialize`.
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    redactor: Redactor,
}

impl Secrets {
    /// Takes every variable `CAIRN_SECRET_<NAME>` of the environment, once.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))))
    }

    /// Takes the variables that hold secrets out of `vars`.
    #[must_use]
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let raw: BTreeMap<String, String> = vars
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let redactor = Redactor::new(
            raw.iter()
                .filter(|(_, value)| value.len() >= SECRET_BYTES_MIN)
                .map(|(name, value)| (name.to_ascii_lowercase().replace('_', "-"), value.as_str())),
        );
        let values = raw.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
        Self { values, redactor }
    }

    /// Resolves a reference `secret://name`.
    ///
    /// # Errors
    /// Hard: when it is not a reference, or the variable is missing or too short.
    pub fn resolve(&self, reference: &str) -> Result<&SecretString, Fault> {
        let name = reference.strip_prefix(SCHEME).filter(|n| is_name(n)).ok_or_else(|| {
            // the text is not repeated: it may be a key that somebody pasted here
            Fault::hard("no_secret", "expected a reference like `secret://name` (a-z, 0-9, -), not a value")
        })?;
        let suffix = name.to_ascii_uppercase().replace('-', "_");
        let value = self.values.get(&suffix).ok_or_else(|| {
            Fault::hard(
                "no_secret",
                format!(
                    "`{reference}` is not set: start the kernel with the variable {PREFIX}{suffix} in its environment"
                ),
            )
        })?;
        if secrecy::ExposeSecret::expose_secret(value).len() < SECRET_BYTES_MIN {
            return Err(Fault::hard(
                "no_secret",
                format!(
                    "the value of {PREFIX}{suffix} is shorter than {SECRET_BYTES_MIN} bytes, too short to be kept out of the store"
                ),
            ));
        }
        Ok(value)
    }

    /// Hides the values of all known secrets.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Hides the values of all known secrets in a text that is about to be stored or shown.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.redactor.text(text)
    }
}

/// Tells whether `text` is a reference to a secret.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with(SCHEME)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
