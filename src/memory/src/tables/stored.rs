//! The vectors that all machines' tables hold, so that what one machine paid for serves the others.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use cairn_store_layout::paths;

use super::Tables;
use crate::embed::TextDigest;

impl Tables {
    /// Reads the vectors by `embedder` of every table under `root`, by text. A table that can not
    /// be used is done without: it is another embedder's, or its owner writes it anew.
    pub(crate) fn stored_vectors(&self, root: &Path, embedder: &str) -> HashMap<TextDigest, Vec<f32>> {
        let mut out = HashMap::new();
        let Ok(listing) = fs::read_dir(root.join(paths::VECTORS)) else { return out };
        // A link is no folder here: what git brought in must not lead out of the store.
        let folders = listing.flatten().filter(|item| item.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut dirs: Vec<PathBuf> = folders.map(|item| item.path()).collect();
        dirs.sort();
        for dir in dirs {
            match self.read_vectors(&dir, embedder) {
                Ok(vectors) => out.extend(vectors),
                Err(why) => tracing::warn!(table = %dir.display(), %why, "a vector table is not used"),
            }
        }
        out
    }
}
