//! Which embedder answers, and the one change of it that a process can see.
//!
//! A changed model does not silence memory: the old embedder answers until the new one has a vector
//! for every passage, then they change places once and for all. So that a restart does not forget
//! which of them was serving, `.cairn/index/embedder.json` says it. The file is derived like all
//! beside it: without it the configured embedder is taken up as if it were a change from nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use cairn_store_layout::paths;
use serde::{Deserialize, Serialize};

use super::Embedder;
use crate::error::{IoContext, Result};

/// What `.cairn/index/embedder.json` says: how to make the embedder that serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServingRecord {
    /// The id of the embedder.
    pub id: String,
    /// The settings it was made from, as their owner writes them. Memory keeps them and does not
    /// look inside; they hold references to secrets, never a secret.
    pub settings: serde_json::Value,
}

impl ServingRecord {
    /// Reads what served last; `None` when nobody knows.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        let bytes = fs::read(path(root)).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(record) => Some(record),
            Err(why) => {
                tracing::warn!(%why, "embedder.json can not be read; the configured embedder is taken up anew");
                None
            }
        }
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let path = path(root);
        let dir = path.parent().expect("a file in a folder");
        fs::create_dir_all(dir).on("create", dir)?;
        let new = path.with_extension("json.new");
        let bytes = serde_json::to_vec(self).expect("a record of JSON values is JSON");
        let written = File::create(&new).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
        written.on("write", &new)?;
        fs::rename(&new, &path).on("write", &path)
    }
}

/// The embedder that answers now.
pub(crate) struct Serving {
    first: Arc<dyn Embedder>,
    /// Set once: the embedder that took over.
    second: OnceLock<Arc<dyn Embedder>>,
}

impl Serving {
    pub(crate) fn new(embedder: Arc<dyn Embedder>) -> Self {
        Self { first: embedder, second: OnceLock::new() }
    }

    /// From here on the other one answers. Only the first change counts.
    pub(crate) fn change_to(&self, other: Arc<dyn Embedder>) {
        drop(self.second.set(other));
    }
}

impl Deref for Serving {
    type Target = Arc<dyn Embedder>;

    fn deref(&self) -> &Self::Target {
        self.second.get().unwrap_or(&self.first)
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(paths::INDEX).join("embedder.json")
}
