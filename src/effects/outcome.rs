//! How an attempt ends: done, failed in one of three ways, or nobody knows.

use std::time::Duration;

use cairn_store_layout::{
    event::{FailureClass, FileWritten, Usage},
    learned::Learned,
};
use serde_json::Value;

/// The effect was carried out and its result is usable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// What it gave back.
    pub output: Value,
    /// What it used up.
    pub usage: Usage,
    /// Payloads to keep beside the history.
    pub artifacts: Vec<Artifact>,
    /// Files it wrote into the store; already on disk and synced.
    pub files: Vec<FileWritten>,
    /// What is to be learned, complete: recorded together with the receipt, so that there is never one without
    /// the other. Moments are the job's; those of entities are given by the loop.
    pub learned: Vec<Learned>,
}

impl Done {
    /// An effect that gave back `output` and left nothing else behind.
    #[must_use]
    pub fn of(output: Value) -> Self {
        Self { output, ..Self::default() }
    }
}

/// A payload to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is to the attempt: `request`, `reply`, `stdout`, `stderr`.
    pub name: String,
    /// Its bytes, without secrets.
    pub bytes: Vec<u8>,
}

/// The attempt did not give a usable result.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It was not done, or what came back is not usable.
    Failed(Box<Failed>),
    /// It may have been done: a request that must leave at most once got no clear reply.
    Unknown {
        /// Why nobody knows, for the person who settles it.
        message: String,
    },
}

/// A failure with what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// How it is to be treated.
    pub class: FailureClass,
    /// Short code, such as `timeout`, `http_429`, `schema`.
    pub code: String,
    /// What went wrong, for a person.
    pub message: String,
    /// What it used up all the same.
    pub usage: Usage,
    /// Payloads to keep beside the history.
    pub artifacts: Vec<Artifact>,
    /// The other side asked not to be called again before this much time has passed.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A failure that may pass if tried again.
    #[must_use]
    pub fn soft(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::failed(FailureClass::Soft, code, message)
    }

    /// A failure that will not pass by itself.
    #[must_use]
    pub fn hard(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::failed(FailureClass::Hard, code, message)
    }

    /// The world said no for a reason of its own.
    #[must_use]
    pub fn business(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::failed(FailureClass::Business, code, message)
    }

    /// A failure of `class`.
    #[must_use]
    pub fn failed(class: FailureClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failed {
            class,
            code: code.into(),
            message: message.into(),
            usage: Usage::default(),
            artifacts: Vec::new(),
            retry_after: None,
        }))
    }

    /// Adds the pause that the other side asked for.
    #[must_use]
    pub fn after(mut self, pause: Option<Duration>) -> Self {
        if let Self::Failed(failed) = &mut self {
            failed.retry_after = pause;
        }
        self
    }

    /// The sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Failed(failed) => &failed.message,
            Self::Unknown { message } => message,
        }
    }
}
