//! Lets the memory connector ask the memory crate.

use std::sync::Arc;

use cairn_memory::{Memory, Query};
use cairn_store_layout::passage::Passage;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::effects::{RecallHit, RecallQuery, Recaller};

/// The memory of this store.
pub(super) struct StoreMemory(pub(super) Arc<Memory>);

impl Recaller for StoreMemory {
    fn layers(&self) -> Option<Arc<Memory>> {
        Some(self.0.clone())
    }

    fn recall(&self, query: RecallQuery) -> BoxFuture<'_, Result<Vec<RecallHit>, String>> {
        let memory = self.0.clone();
        Box::pin(async move {
            let search = move || {
                let mut wanted = Query::new(query.query);
                wanted.entity = query.entity;
                wanted.kind = query.kind;
                wanted.labels = query.labels;
                wanted.as_of = query.as_of;
                wanted.limit = query.limit;
                memory.recall(&wanted)
            };
            let found = tokio::task::spawn_blocking(search).await.map_err(|e| e.to_string())?;
            let hits = found.map_err(|e| e.to_string())?.hits;
            Ok(hits
                .into_iter()
                .map(|hit| RecallHit {
                    why: hit.why.words(),
                    id: hit.passage.id,
                    text: hit.passage.text,
                    kind: hit.passage.kind,
                    entity: hit.passage.entity,
                    labels: hit.passage.labels,
                    recorded_at: cairn_store_layout::time::write(hit.passage.recorded_at),
                    source: hit.passage.source.words(),
                })
                .collect())
        })
    }

    fn about(
        &self,
        entity: String,
        as_of: Option<Timestamp>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Passage>, String>> {
        let memory = self.0.clone();
        Box::pin(async move {
            let list = move || memory.list(Some(&entity), if as_of.is_some() { usize::MAX } else { limit });
            let found = tokio::task::spawn_blocking(list).await.map_err(|e| e.to_string())?;
            let known = |passage: &Passage| as_of.is_none_or(|as_of| passage.recorded_at <= as_of);
            Ok(found.map_err(|e| e.to_string())?.into_iter().filter(known).take(limit).collect())
        })
    }
}
