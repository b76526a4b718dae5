//! Embedders that are asked over a network, and which of all embedders a store uses.
//!
//! `policies/memory.toml` says what is wanted; `.cairn/index/embedder.json` says what served last. If
//! they differ, the last one goes on answering until [`cairn_memory::Memory::work`] has made all
//! vectors anew. An embedder that can not be made (its policy can not be read) is said in the log, and the one before it, or the local one, serves: memory answers always.

mod answer;
mod remote;

use std::{path::Path, sync::Arc};

use cairn_memory::{CachedEmbedder, Change, Embedder, LocalEmbedder, Memory, MemoryError, ServingRecord, Settings};
use cairn_store_layout::{MachineId, definition::EmbedderPolicy};

pub use remote::Remote;

use crate::store::knowledge::policy;

/// Opens the memory of a store with the embedder that serves it, on the way to the one its policy
/// wants.
///
/// # Errors
/// As [`Memory::open`].
pub fn open_memory(root: &Path, machine: &MachineId) -> Result<Memory, MemoryError> {
    let wanted = policy(root).map(|policy| policy.embedder).map_err(|problem| problem.to_string());
    let served = ServingRecord::read(root);
    let before = |record: &ServingRecord| {
        let policy = serde_json::from_value(record.settings.clone()).map_err(|e| e.to_string());
        let made = policy.map(|policy: EmbedderPolicy| made(root, &policy));
        made.map_err(|why| tracing::warn!(why, embedder = record.id, "the embedder that served last can not be made"))
    };
    let open = |embedder| Memory::open_with(root, machine, embedder, Settings::default());
    let (wanted, policy) = match wanted.map(|policy| (made(root, &policy), policy)) {
        Ok(wanted) => wanted,
        Err(why) => {
            tracing::warn!(why, "the embedder that is wanted can not be used; the one before it serves");
            let embedder = served.as_ref().and_then(|record| before(record).ok());
            return open(embedder.unwrap_or_else(|| Arc::new(LocalEmbedder)));
        }
    };
    match served {
        Some(record) if record.id == wanted.id() => open(wanted),
        None if !wanted.costs() => open(wanted),
        served => {
            let serving = served.as_ref().and_then(|record| before(record).ok());
            let settings = serde_json::to_value(&policy).unwrap_or_default();
            let record = ServingRecord { id: wanted.id().to_owned(), settings };
            let memory = open(serving.unwrap_or_else(|| Arc::new(LocalEmbedder)))?;
            Ok(memory.changing(Change { to: wanted, record }))
        }
    }
}

/// Makes an embedder. Nothing is asked of it yet.
fn made(root: &Path, policy: &EmbedderPolicy) -> Arc<dyn Embedder> {
    let cached = |embedder: Arc<dyn Embedder>| Arc::new(CachedEmbedder::new(root, embedder)) as Arc<dyn Embedder>;
    match policy {
        EmbedderPolicy::Local => Arc::new(LocalEmbedder),
        EmbedderPolicy::OpenAi(remote) => cached(Arc::new(Remote::openai(remote.clone()))),
        EmbedderPolicy::Ollama(remote) => cached(Arc::new(Remote::ollama(remote.clone()))),
    }
}
