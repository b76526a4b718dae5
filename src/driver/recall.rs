//! Lets the memory connector ask the memory crate.

use std::sync::Arc;

use cairn_memory::{AsOf, Memory, Past, Query};
use cairn_store_layout::{EntityId, entity::Entity, passage::Passage};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value};

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
                wanted.entities = query.entity.into_iter().collect();
                wanted.kinds = query.kind.into_iter().collect();
                wanted.labels = query.labels;
                wanted.as_of = query.as_of.map(Past::Time);
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
            let list = move || {
                // what was said of a name that was merged into this one is said of this one
                let one = EntityId::new(&*entity).ok().map(|id| memory.entity(&id, &at(as_of))).transpose()?.flatten();
                let names = one.map_or_else(|| vec![entity], |one| one.names().map(ToString::to_string).collect());
                let most = if as_of.is_some() { usize::MAX } else { limit };
                let mut found = Vec::new();
                for name in &names {
                    found.extend(memory.list(Some(name), most)?);
                }
                found.retain(|passage| as_of.is_none_or(|as_of| passage.recorded_at <= as_of));
                found.sort_by(|a, b| b.recorded_at.cmp(&a.recorded_at).then_with(|| a.id.cmp(&b.id)));
                found.truncate(limit);
                Ok::<_, cairn_memory::MemoryError>(found)
            };
            tokio::task::spawn_blocking(list).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
        })
    }

    fn fields(
        &self,
        entity: String,
        as_of: Option<Timestamp>,
    ) -> BoxFuture<'_, Result<Option<Map<String, Value>>, String>> {
        let memory = self.0.clone();
        Box::pin(async move {
            // a name that no entity can have has no fields
            let Ok(id) = EntityId::new(entity) else { return Ok(None) };
            let fold = move || memory.entity(&id, &at(as_of));
            let found = tokio::task::spawn_blocking(fold).await.map_err(|e| e.to_string())?;
            let values = |entity: Entity| entity.fields.into_iter().map(|(name, field)| (name, field.value)).collect();
            Ok(found.map_err(|e| e.to_string())?.map(values))
        })
    }
}

fn at(as_of: Option<Timestamp>) -> AsOf {
    as_of.map_or(AsOf::Now, AsOf::Time)
}
