//! Writes the objects of one group as one pack: a few large files instead of thousands of tiny
//! ones, a tenth of the disk, and two syncs for all of them.
//!
//! A tree or a growing file of which a later version is in the same pack is written as a delta of
//! that. Deltas never reach outside the pack.

use std::collections::HashMap;

use gix::{ObjectId, odb::memory::Storage};

use super::{
    Repo, Result,
    error::During as _,
    pack_bytes::{Finished, Offset, PackBytes},
};
use crate::store::disk::{self, Temporary};

/// How many deltas may follow each other, as in git's own packs: a reader pays for every one.
const CHAIN_MAX: u32 = 50;

/// The names of the objects to be packed, in order, each with the earlier version of itself.
#[derive(Debug, Default)]
pub(super) struct Batch {
    commits: Vec<ObjectId>,
    contents: Vec<(ObjectId, Option<ObjectId>)>,
}

impl Batch {
    pub(super) fn commit(&mut self, id: ObjectId) {
        self.commits.push(id);
    }

    /// Adds a tree or a blob. `earlier` is what its path held before.
    pub(super) fn content(&mut self, id: ObjectId, earlier: Option<ObjectId>) {
        self.contents.push((id, earlier));
    }
}

impl Repo {
    /// Writes those objects of the batch that are new, and makes them durable.
    ///
    /// `repo` holds them in memory; objects it does not hold are in the repository already.
    pub(super) fn store(&self, repo: &gix::Repository, batch: Batch) -> Result<()> {
        let memory = repo.objects.reset_object_memory().unwrap_or_default();
        let bytes = gathered(&memory, batch).during("compress objects", &self.git_dir)?;
        if bytes.is_empty() {
            return Ok(());
        }
        drop(memory);
        let Finished { pack, index, name } = bytes.finish().during("write a pack", &self.git_dir)?;
        let home = self.git_dir.join("objects").join("pack");
        // Both are on disk before either can be seen; readers find a pack by its index, so that
        // gets its name last.
        let files = [(self.durable(&pack)?, "pack"), (self.durable(&index)?, "idx")];
        for (file, end) in files {
            let target = home.join(format!("pack-{name}.{end}"));
            file.persist(&target).during("publish the pack", &target)?;
        }
        disk::sync_dir(&home).during("sync", &home)
    }

    /// Writes a file that is on disk, but has no name in the repository yet.
    fn durable(&self, bytes: &[u8]) -> Result<Temporary> {
        let scratch = self.scratch()?;
        let file = Temporary::new_in(&scratch, 0o444).during("create a file in", &scratch)?;
        file.file().write_at(bytes, 0).during("write", file.path())?;
        file.file().sync_all().during("sync", file.path())?;
        Ok(file)
    }
}

/// Compresses what is new. The newest version of a folder or file is whole, and each earlier one is what differs
/// from the one after it: the next commit begins with the newest, and to leave a name out takes fewer
/// bytes than to put it in.
fn gathered(memory: &Storage, batch: Batch) -> gix::Result<PackBytes> {
    let mut pack = PackBytes::new();
    for id in batch.commits {
        if let Some((kind, bytes)) = memory.get(&id) {
            pack.whole(id, *kind, bytes)?;
        }
    }
    let next: HashMap<ObjectId, ObjectId> =
        batch.contents.iter().filter_map(|(id, earlier)| Some(((*earlier)?, *id))).collect();
    // Place and length of the delta chain of each object that has been written.
    let mut written: HashMap<ObjectId, (Offset, u32)> = HashMap::new();
    for (id, _) in batch.contents.into_iter().rev() {
        let Some((kind, bytes)) = memory.get(&id) else { continue };
        if written.contains_key(&id) {
            continue;
        }
        let base = next.get(&id).and_then(|next| Some((*written.get(next)?, memory.get(next)?)));
        let mut place = None;
        if let Some(((at, chain), (_, base))) =
            base.filter(|((_, chain), (base_kind, _))| *chain < CHAIN_MAX && base_kind == kind)
        {
            place = pack.differing(id, at, base, bytes)?.map(|offset| (offset, chain + 1));
        }
        let place = match place {
            Some(place) => place,
            None => (pack.whole(id, *kind, bytes)?, 0),
        };
        written.insert(id, place);
    }
    Ok(pack)
}
