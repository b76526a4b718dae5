//! Why the measuring broke off: what was tried, and the words of whoever refused.

use std::fmt::Display;

/// The measuring broke off. Only throw-away files were touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub struct Broken {
    doing: String,
    why: String,
}

impl Broken {
    /// Something could not be done.
    pub fn new(doing: impl Into<String>, why: impl Display) -> Self {
        Self { doing: doing.into(), why: why.to_string() }
    }
}

/// What may break off.
pub type Result<T> = std::result::Result<T, Broken>;

/// Says what was tried when an error comes from elsewhere.
pub trait During<T> {
    /// Turns any error into [`Broken`] `doing` this, a verb with its object.
    ///
    /// # Errors
    /// Whenever there was one.
    fn during(self, doing: &str) -> Result<T>;
}

impl<T, E: Display> During<T> for std::result::Result<T, E> {
    fn during(self, doing: &str) -> Result<T> {
        self.map_err(|why| Broken::new(doing, why))
    }
}
