//! Writes the objects of one group as one pack: a few large files instead of thousands of tiny
//! ones, a tenth of the disk, and two syncs for all of them.
//!
//! A tree or a growing file that follows an earlier version of itself in the same pack is written
//! as a delta. Deltas never reach outside the pack. The library builds the index from the finished
//! pack, unpacking every object on the way, so a pack that does not hold what it should is found
//! before it is published.

use std::{collections::HashMap, io::Write as _, path::PathBuf, sync::atomic::AtomicBool};

use gix::{
    ObjectId,
    objs::Kind,
    odb::memory::Storage,
    zlib::{Compression, stream::deflate},
};
use gix_pack::data::{
    EntryRange,
    output::{Count, Entry, bytes::FromEntriesIter, count::PackLocation, entry},
};

use super::{Repo, Result, error::During as _};
use crate::store::disk::{self, Temporary};

/// How many deltas may follow each other. Git allows 50, but a reader pays for every one, and the
/// folders at the end of the longest chains are those that the next commit reads first.
const CHAIN_MAX: u32 = 16;

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
        let entries = entries(&memory, batch).during("compress objects", &self.git_dir)?;
        if entries.is_empty() {
            return Ok(());
        }
        drop(memory);
        let ids: Vec<ObjectId> = entries.iter().map(|entry| entry.id).collect();
        let pack = encode(entries).during("write a pack", &self.git_dir)?;
        let (index, name) = index(&pack).during("index a pack", &self.git_dir)?;
        self.must_hold(&index, &ids)?;
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

    /// A delta that was built wrongly would unpack to another object, under another name.
    fn must_hold(&self, index: &[u8], ids: &[ObjectId]) -> Result<()> {
        let index = gix_pack::index::File::from_data(index, PathBuf::new(), gix::hash::Kind::Sha1)
            .during("read back a pack", &self.git_dir)?;
        match ids.iter().find(|id| index.lookup(id).is_none()) {
            None => Ok(()),
            Some(id) => Err(self.damaged(
                format!("the pack to be written does not hold {id}"),
                "Check the memory of this machine, then try again",
            )),
        }
    }
}

fn entries(memory: &Storage, batch: Batch) -> gix::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    // Position and length of the delta chain of each object that has been written.
    let mut written: HashMap<ObjectId, (usize, u32)> = HashMap::new();
    let commits = batch.commits.into_iter().map(|id| (id, None));
    for (id, earlier) in commits.chain(batch.contents) {
        let Some((kind, bytes)) = memory.get(&id) else { continue };
        if written.contains_key(&id) {
            continue;
        }
        let base = earlier.and_then(|base| Some((written.get(&base)?, memory.get(&base)?)));
        let delta = base
            .filter(|((_, chain), (base_kind, _))| *chain < CHAIN_MAX && base_kind == kind)
            .map(|((position, chain), (_, base))| (*position, *chain + 1, delta(base, bytes)))
            .filter(|(_, _, delta)| delta.len() < bytes.len() / 2);
        let (entry, chain) = match delta {
            Some((object_index, chain, delta)) => (deltified(id, object_index, &delta)?, chain),
            None => (whole(id, *kind, bytes)?, 0),
        };
        written.insert(id, (entries.len(), chain));
        entries.push(entry);
    }
    Ok(entries)
}

fn whole(id: ObjectId, kind: Kind, data: &[u8]) -> gix::Result<Entry> {
    let count = Count { id, entry_pack_location: PackLocation::NotLookedUp };
    let data = gix::objs::Data { kind, object_hash: gix::hash::Kind::Sha1, data };
    Entry::from_data(&count, &data, Compression::DEFAULT)
}

fn deltified(id: ObjectId, object_index: usize, delta: &[u8]) -> gix::Result<Entry> {
    use gix::error::ResultExt as _;
    let mut out = deflate::Write::new(Vec::with_capacity(delta.len() / 2), Compression::DEFAULT);
    out.write_all(delta).or_error()?;
    out.flush().or_error()?;
    Ok(Entry {
        id,
        kind: entry::Kind::DeltaRef { object_index },
        decompressed_size: delta.len(),
        compressed_data: out.into_inner(),
    })
}

fn encode(entries: Vec<Entry>) -> gix::Result<Vec<u8>> {
    let mut pack = Vec::new();
    let count = u32::try_from(entries.len()).map_err(|_| gix::error::message("a pack holds at most 2^32 objects"))?;
    let input = std::iter::once(Ok(entries));
    let version = gix_pack::data::Version::V2;
    FromEntriesIter::new(input, &mut pack, count, version, gix::hash::Kind::Sha1)
        .try_for_each(|written| written.map(drop))?;
    Ok(pack)
}

/// Unpacks every object to learn its name. Answers the index and the name of the pack.
fn index(pack: &[u8]) -> gix::Result<(Vec<u8>, ObjectId)> {
    use gix_pack::data::input::{BytesToEntriesIter, EntryDataMode, Mode};
    fn entry<'a>(range: EntryRange, pack: &'a &[u8]) -> Option<&'a [u8]> {
        pack.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }
    let sha1 = gix::hash::Kind::Sha1;
    let mut entries = BytesToEntriesIter::new_from_header(pack, Mode::Verify, EntryDataMode::Crc32, sha1)?;
    let mut index = Vec::new();
    let written = gix_pack::index::write_data_iter_to_stream(
        gix_pack::index::Version::V2,
        || Ok((entry, pack)),
        &mut entries,
        Some(1),
        &mut gix::progress::Discard,
        &mut index,
        &AtomicBool::new(false),
        sha1,
        None,
        gix_pack::data::Version::V2,
    )?;
    Ok((index, written.data_hash))
}

/// A git delta made of the common head, the new middle and the common tail: exact for an entry put
/// into a folder and for lines added to a file, which is all that happens here.
fn delta(base: &[u8], new: &[u8]) -> Vec<u8> {
    let head = base.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = base.len().min(new.len()) - head;
    let tail = base.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut out = Vec::new();
    size(base.len(), &mut out);
    size(new.len(), &mut out);
    copy(0, head, &mut out);
    for chunk in new[head..new.len() - tail].chunks(127) {
        out.push(chunk.len() as u8);
        out.extend_from_slice(chunk);
    }
    copy(base.len() - tail, tail, &mut out);
    out
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn size(mut n: usize, out: &mut Vec<u8>) {
    while n > 0x7f {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Copy instructions: a mask of the bytes that follow, then those of offset and length that are not
/// zero. The base is at most 4 GiB, because files are bounded far below.
fn copy(mut offset: usize, mut len: usize, out: &mut Vec<u8>) {
    while len > 0 {
        let step = len.min(0xffff);
        let mask_at = out.len();
        out.push(0x80);
        let bytes = (offset as u32).to_le_bytes().into_iter().chain((step as u16).to_le_bytes());
        for (bit, byte) in bytes.enumerate() {
            if byte != 0 {
                out.push(byte);
                out[mask_at] |= 1 << bit;
            }
        }
        offset += step;
        len -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::delta;

    /// Applies a delta the way git documents it, written apart from the encoder.
    fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut next = || {
            at += 1;
            delta.get(at - 1).copied()
        };
        let mut size = || {
            let (mut n, mut shift) = (0usize, 0);
            loop {
                let byte = next().expect("a size");
                n |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return n;
                }
            }
        };
        assert_eq!(size(), base.len());
        let expected = size();
        let mut out = Vec::new();
        while let Some(op) = next() {
            assert_ne!(op, 0, "reserved");
            if op & 0x80 == 0 {
                out.extend((0..op).map(|_| next().expect("literal")));
                continue;
            }
            let (mut offset, mut len) = (0usize, 0usize);
            for bit in 0..7 {
                if op & (1 << bit) != 0 {
                    let byte = usize::from(next().expect("operand"));
                    if bit < 4 { offset |= byte << (8 * bit) } else { len |= byte << (8 * (bit - 4)) }
                }
            }
            let len = if len == 0 { 0x10000 } else { len };
            out.extend_from_slice(&base[offset..offset + len]);
        }
        assert_eq!(out.len(), expected);
        out
    }

    #[test]
    fn deltas_restore_what_they_encode() {
        let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let mut cut = long.clone();
        cut.splice(1000..70_000, *b"a line in the middle");
        let grown = [&long[..], &[7; 1000]].concat();
        let cases: [(&[u8], &[u8]); 8] = [
            (b"", b""),
            (b"", b"new"),
            (b"gone", b""),
            (b"same", b"same"),
            (b"aaaa", b"aaaaaa"),
            (b"abcabc", b"abc"),
            (&long, &cut),
            (&long, &grown),
        ];
        for (base, new) in cases {
            assert_eq!(apply(base, &delta(base, new)), new, "{} -> {} bytes", base.len(), new.len());
        }
        assert!(delta(&long, &grown).len() < 1200, "an appended file must cost only what was appended");
    }
}
