//! Cairn's memory as the benchmark uses it: the one place that names its embedder.

use std::{collections::HashMap, path::Path, sync::Arc};

use cairn_memory::{EmbedError, Embedder, LocalEmbedder, Memory, Query, Settings};
use cairn_store_layout::{MachineId, passage::Passage};

use crate::broken::{During as _, Result};

/// How many hits every contestant is asked for when it is timed.
pub const HITS: usize = 10;
/// How many of Cairn's hits are looked at for the ranking by vectors alone: as many as each ranking is fused down
/// to anyhow, so that asking for more does not change what is proposed.
const DEEP: usize = 50;

/// Cairn's memory over a store, as the program opens it.
///
/// # Errors
/// When it can not be opened.
pub fn open(store: &Path, machine: &MachineId) -> Result<Memory> {
    Memory::open(store, machine).during("open the memory")
}

/// The same with another embedder.
///
/// # Errors
/// When it can not be opened.
pub fn open_with(store: &Path, machine: &MachineId, embedder: Arc<dyn Embedder>) -> Result<Memory> {
    Memory::open_with(store, machine, embedder, Settings::default()).during("open the memory")
}

/// The embedder that everything is measured with.
#[must_use]
pub fn embedder() -> Arc<dyn Embedder> {
    Arc::new(LocalEmbedder)
}

/// Asks and gives the ids of the hits, best first.
///
/// # Errors
/// When memory refuses.
pub fn ask(memory: &Memory, text: &str, limit: usize) -> Result<Vec<String>> {
    let recalled = memory.recall(&Query { limit, ..Query::new(text) }).during("recall")?;
    Ok(recalled.hits.into_iter().map(|hit| hit.passage.id).collect())
}

/// The ids of the `limit` best by vector alone, best first. Memory has no such question: a hit tells its place in
/// that ranking, and the first ten places are always among the fused hits that are asked for here.
///
/// # Errors
/// When memory refuses.
pub fn ask_by_vector(memory: &Memory, text: &str, limit: usize) -> Result<Vec<String>> {
    let recalled = memory.recall(&Query { limit: DEEP, ..Query::new(text) }).during("recall")?;
    let mut ranked: Vec<(u32, String)> =
        recalled.hits.into_iter().filter_map(|hit| Some((hit.why.vector_rank?, hit.passage.id))).collect();
    ranked.sort_unstable();
    Ok(ranked.into_iter().take_while(|(rank, _)| *rank as usize <= limit).map(|(_, id)| id).collect())
}

/// An embedder that knows the vectors of some texts beforehand, so that what else a call costs is seen alone.
pub struct Prepared {
    inner: Arc<dyn Embedder>,
    known: HashMap<String, Vec<f32>>,
}

impl Prepared {
    /// Knows the texts of `passages`, whose vectors these are.
    #[must_use]
    pub fn new(passages: &[Passage], vectors: &[Vec<f32>]) -> Self {
        let known = passages.iter().zip(vectors).map(|(passage, vector)| (passage.text.clone(), vector.clone()));
        Self { inner: embedder(), known: known.collect() }
    }
}

impl Embedder for Prepared {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn dims(&self) -> usize {
        self.inner.dims()
    }

    fn floor(&self) -> f32 {
        self.inner.floor()
    }

    fn embed(&self, texts: &[&str]) -> std::result::Result<Vec<Vec<f32>>, EmbedError> {
        let vector = |text: &&str| match self.known.get(*text) {
            Some(vector) => Ok(vector.clone()),
            None => self.inner.embed(&[text])?.pop().ok_or_else(|| EmbedError("no vector for a text".to_owned())),
        };
        texts.iter().map(vector).collect()
    }
}

/// An embedder that is never there: memory then goes by words alone.
pub struct Absent(Arc<dyn Embedder>);

impl Default for Absent {
    fn default() -> Self {
        Self(embedder())
    }
}

impl Embedder for Absent {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn dims(&self) -> usize {
        self.0.dims()
    }

    fn floor(&self) -> f32 {
        self.0.floor()
    }

    fn embed(&self, _texts: &[&str]) -> std::result::Result<Vec<Vec<f32>>, EmbedError> {
        Err(EmbedError("left out, to measure words alone".to_owned()))
    }
}
