//! One attempt at one effect: everything of Cairn that touches the outside world goes through here.
//!
//! [`perform`] is handed what was decided and recorded (the [`Job`]) and what it may use (the
//! [`World`]); it gives back what happened, as a value. It decides nothing: no retry, no approval, no
//! second try after a lost reply. It writes nothing to the journal; the caller records the outcome.

pub mod child;
mod client;
mod launch;
mod outcome;
mod perform;
mod program;
mod recall;
mod redact;
mod schema;
mod secrets;

pub use client::{BODY_BYTES_MAX, CONNECT_TIMEOUT, Http, client};
pub use launch::{Launcher, OUTPUT_BYTES_MAX};
pub use outcome::{Artifact, Done, Failed, Fault};
pub use perform::{RESULT_BYTES_MAX, perform};
pub use recall::{RecallHit, RecallQuery, Recaller};
pub use secrets::{SECRET_BYTES_MIN, Secrets};

pub(crate) use client::{Reply, chain, guard_key, is_loopback, retry_after, send};
pub(crate) use launch::{Ended, Program};
pub(crate) use perform::{Attempt, typed};
pub(crate) use program::finish;
pub(crate) use schema::Schema;
pub(crate) use secrets::is_reference;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use cairn_store_layout::{
    Digest, MachineId,
    definition::{Agent, Connector},
    payload::EffectContent,
};
use jiff::Timestamp;

/// What an attempt may use. Cheap to share; one for the life of the process.
pub struct World {
    /// The store's root. Only what lies below its `files/` folder is read or written.
    pub root: PathBuf,
    /// The machine, into whose inbox events are put.
    pub machine: MachineId,
    /// As [`client`] makes it: no redirects, no proxy from the environment.
    pub http: Http,
    /// Resolves `secret://name`, and hides the values in everything that comes back.
    pub secrets: Secrets,
    /// What `memory.recall` asks.
    pub memory: Arc<dyn Recaller>,
    /// How programs are started.
    pub launcher: Launcher,
}

/// Who carries the effect out.
#[derive(Debug, Clone, PartialEq)]
pub enum Doer {
    /// An agent, for a request of kind `agent`.
    Agent(Agent),
    /// A connector, for a request of kind `call`. The built-in `file` and `memory` are connectors
    /// without a file.
    Connector(Connector),
    /// A program, for a request of kind `run`.
    Program,
}

/// One attempt, as recorded in its intent.
#[derive(Debug, Clone)]
pub struct Job {
    /// What is to be done: exactly what was recorded, and approved if a gate stood before it.
    pub effect: EffectContent,
    /// The workflow whose step it is.
    pub workflow: String,
    /// The idempotency key: the same for every attempt of this effect.
    pub key: Digest,
    /// Who does it.
    pub doer: Doer,
    /// The files of the pinned definition by path inside its folder: prompts, templates, schemas.
    pub files: Arc<BTreeMap<String, String>>,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// When the first intent of this effect was recorded. Dates in letters and passages are this
    /// moment, so that a repeat after a crash gives the same bytes.
    pub at: Timestamp,
}

impl Job {
    /// The text of a file of the definition that the request names.
    pub(crate) fn file(&self, path: &str) -> Result<&str, Fault> {
        self.files.get(path).map(String::as_str).ok_or_else(|| {
            let known: Vec<&str> = self.files.keys().map(String::as_str).collect();
            Fault::hard("no_file", format!("the definition has no file `{path}`; it has: {}", known.join(", ")))
        })
    }
}
