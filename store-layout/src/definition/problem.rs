//! What is wrong with a definition, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a text file, both counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Position {
    /// The place of byte `offset` in `text`.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: small(line), column: small(column) }
    }
}

/// One thing that keeps a definition from being used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, from the store's root.
    pub file: String,
    /// Where in the file, if it is about a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    #[must_use]
    pub fn new(file: impl Into<String>, at: Option<Position>, message: impl Into<String>) -> Self {
        Self { file: file.into(), at, message: message.into(), hint: None }
    }

    /// A `what` that does not exist, with the nearest of the `known` ones, or all of them.
    #[must_use]
    pub fn unknown(file: &str, at: Option<Position>, what: &str, name: &str, known: &[&str]) -> Self {
        let problem = Self::new(file, at, format!("there is no {what} `{name}`"));
        match nearest(name, known.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("known: {}", known.join(", "))),
        }
    }

    /// A key that a definition of kind `kind` has no use for, which would otherwise be ignored in silence.
    ///
    /// `keys` lists each key with whether it is given and the kinds it belongs to.
    #[must_use]
    pub fn misplaced(file: &str, at: Option<Position>, kind: &str, keys: &[(&str, bool, &[&str])]) -> Option<Self> {
        let (key, _, homes) = keys.iter().find(|(_, given, homes)| *given && !homes.contains(&kind))?;
        let message = format!("`{key}` belongs to kind {}; this is of kind `{kind}`", homes.join(", "));
        Some(Self::new(file, at, message).hint(format!("set kind = \"{}\", or remove `{key}`", homes[0])))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(at) = self.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// The name among `known` that `name` was probably meant to be.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
