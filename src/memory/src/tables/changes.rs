//! What a write changed on disk: named for the commit, and made durable before anyone commits it.
//!
//! Lance itself syncs nothing, so a commit could name files that a power cut leaves empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use crate::{
    Changes,
    error::{IoContext, Result},
};

/// What differs between two listings. Table files are named by content or number and never change
/// in place, but for a rebuild that starts numbering again: the length tells.
pub(crate) fn between(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    keep: fn(&str) -> bool,
) -> Changes {
    let added = after.iter().filter(|(path, len)| before.get(*path) != Some(len));
    let removed = before.keys().filter(|path| !after.contains_key(*path));
    Changes {
        added: added.map(|(path, _)| path.clone()).filter(|p| keep(p)).collect(),
        removed: removed.filter(|p| keep(p)).cloned().collect(),
    }
}

/// Makes what changed durable: the new files, and the folders that name new or lost ones.
pub(crate) fn sync(root: &Path, changes: &Changes) -> Result<()> {
    let mut dirs = BTreeSet::new();
    for path in &changes.added {
        let full = root.join(path);
        File::open(&full).and_then(|f| f.sync_all()).on("sync", &full)?;
    }
    for path in changes.added.iter().chain(&changes.removed) {
        let full = root.join(path);
        dirs.extend(full.ancestors().skip(1).take_while(|dir| dir.starts_with(root)).map(Path::to_owned));
    }
    // A folder that went with its last file is named no more by one that is still there.
    for dir in dirs.into_iter().filter(|dir| dir.exists()) {
        File::open(&dir).and_then(|f| f.sync_all()).on("sync", &dir)?;
    }
    Ok(())
}
