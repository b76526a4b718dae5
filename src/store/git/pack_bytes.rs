//! The bytes of a pack and of its index, written in one pass over objects that are in memory.
//!
//! The library's own writer unpacks every object of the finished pack once more to index it, which
//! costs as much as making the commits. Everything an index says is known while the pack is written:
//! names, offsets and checksums. What could go wrong on the way is a delta, so each is applied once
//! and compared before it is taken; the rest is a fixed form (git's `gitformat-pack`, versions 2).

use gix::{
    ObjectId,
    error::ResultExt as _,
    objs::Kind,
    zlib::{
        Compression, Status,
        stream::deflate::{Compress, FlushCompress},
    },
};
use gix_pack::data::entry::Header;

use super::delta;

/// Offsets past this need another form of index; a group of commits is far from it.
const PACK_BYTES_MAX: usize = i32::MAX as usize;
const SHA1_BYTES: usize = 20;

/// A pack that grows, with what its index will say.
pub(super) struct PackBytes {
    pack: Vec<u8>,
    objects: Vec<Packed>,
    deflate: Compress,
}

struct Packed {
    id: ObjectId,
    offset: usize,
    crc: u32,
}

/// Where an object lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset(usize);

/// A finished pack.
pub(super) struct Finished {
    /// The pack's bytes.
    pub(super) pack: Vec<u8>,
    /// The index's bytes.
    pub(super) index: Vec<u8>,
    /// The hash that both files are named by.
    pub(super) name: ObjectId,
}

impl PackBytes {
    pub(super) fn new() -> Self {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend([0; 4]); // how many objects: known at the end
        Self { pack, objects: Vec::new(), deflate: Compress::new(Compression::DEFAULT) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Adds an object as it is.
    pub(super) fn whole(&mut self, id: ObjectId, kind: Kind, bytes: &[u8]) -> gix::Result<Offset> {
        let header = match kind {
            Kind::Commit => Header::Commit,
            Kind::Tree => Header::Tree,
            Kind::Blob => Header::Blob,
            Kind::Tag => Header::Tag,
        };
        self.add(id, header, bytes)
    }

    /// Adds an object as what differs from `base`, whose bytes lie at `at`, if that is less than half
    /// of it.
    pub(super) fn differing(
        &mut self,
        id: ObjectId,
        at: Offset,
        base: &[u8],
        bytes: &[u8],
    ) -> gix::Result<Option<Offset>> {
        let delta = delta::between(base, bytes);
        if delta.len() >= bytes.len() / 2 {
            return Ok(None);
        }
        if delta::apply(base, &delta).as_deref() != Some(bytes) {
            return Err(gix::error::message!("a delta of {id} does not give it back").into());
        }
        let base_distance = (self.pack.len() - at.0) as u64;
        self.add(id, Header::OfsDelta { base_distance }, &delta).map(Some)
    }

    fn add(&mut self, id: ObjectId, header: Header, bytes: &[u8]) -> gix::Result<Offset> {
        let offset = self.pack.len();
        header.write_to(bytes.len() as u64, &mut self.pack).or_error()?;
        self.compress(bytes)?;
        if self.pack.len() > PACK_BYTES_MAX {
            return Err(gix::error::message("a pack of more than 2 GiB").into());
        }
        let crc = crc32fast::hash(&self.pack[offset..]);
        self.objects.push(Packed { id, offset, crc });
        Ok(Offset(offset))
    }

    /// Appends `bytes` compressed. One compressor for all objects: making one costs more than most of them.
    fn compress(&mut self, bytes: &[u8]) -> gix::Result<()> {
        self.deflate.reset();
        let begin = self.pack.len();
        // what does not get smaller grows by a few bytes for each block of 16 KiB
        let mut room = bytes.len() + bytes.len() / 512 + 64;
        loop {
            let (read, written) = (self.deflate.total_in(), self.deflate.total_out());
            let (read, end) = (usize::try_from(read).unwrap_or(0), begin + usize::try_from(written).unwrap_or(0));
            self.pack.resize(end + room, 0);
            let status = self.deflate.compress(&bytes[read..], &mut self.pack[end..], FlushCompress::Finish)?;
            if status == Status::StreamEnd {
                self.pack.truncate(begin + usize::try_from(self.deflate.total_out()).unwrap_or(0));
                return Ok(());
            }
            room *= 2;
        }
    }

    /// Closes the pack and writes its index.
    pub(super) fn finish(mut self) -> gix::Result<Finished> {
        let count = u32::try_from(self.objects.len()).map_err(|_| gix::error::message("too many objects"))?;
        self.pack[8..12].copy_from_slice(&count.to_be_bytes());
        let name = seal(&mut self.pack)?;
        self.objects.sort_unstable_by_key(|packed| packed.id);
        let mut index = Vec::with_capacity(8 + 1024 + self.objects.len() * (SHA1_BYTES + 8) + 2 * SHA1_BYTES);
        index.extend(b"\xfftOc\0\0\0\x02");
        let mut up_to = 0u32;
        let mut rest = self.objects.iter().peekable();
        for first in 0..=u8::MAX {
            while rest.next_if(|packed| packed.id.first_byte() <= first).is_some() {
                up_to += 1;
            }
            index.extend(up_to.to_be_bytes());
        }
        index.extend(self.objects.iter().flat_map(|packed| packed.id.as_slice()));
        index.extend(self.objects.iter().flat_map(|packed| packed.crc.to_be_bytes()));
        index.extend(
            self.objects
                .iter()
                .flat_map(|packed| u32::try_from(packed.offset).expect("PACK_BYTES_MAX is below 2^31").to_be_bytes()),
        );
        index.extend(name.as_slice());
        seal(&mut index)?;
        Ok(Finished { pack: self.pack, index, name })
    }
}

/// Appends the hash of all bytes so far, and answers it.
fn seal(bytes: &mut Vec<u8>) -> gix::Result<ObjectId> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    let hash = hasher.try_finalize()?;
    bytes.extend_from_slice(hash.as_slice());
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn id(kind: Kind, bytes: &[u8]) -> ObjectId {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, bytes).unwrap()
    }

    /// The library unpacks everything, follows every delta and compares names and checksums.
    #[test]
    fn the_library_finds_in_it_what_was_put_in() {
        let mut pack = PackBytes::new();
        let first: Vec<u8> = (0..5_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let grown = [&first[..], b"and a line"].concat();
        let at = pack.whole(id(Kind::Blob, &first), Kind::Blob, &first).unwrap();
        let grown_id = id(Kind::Blob, &grown);
        assert!(pack.differing(grown_id, at, &first, &grown).unwrap().is_some());
        assert_eq!(pack.differing(grown_id, at, b"all other", b"quite different").unwrap(), None, "no gain, no delta");
        let mut names = vec![id(Kind::Blob, &first), grown_id];
        for n in 0..300u32 {
            let text = format!("{n}\n").repeat(n as usize);
            names.push(id(Kind::Blob, text.as_bytes()));
            pack.whole(names[names.len() - 1], Kind::Blob, text.as_bytes()).unwrap();
        }
        let Finished { pack, index, name } = pack.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join(format!("pack-{name}"));
        std::fs::write(base.with_extension("pack"), &pack).unwrap();
        std::fs::write(base.with_extension("idx"), &index).unwrap();
        let bundle = gix_pack::Bundle::at(base.with_extension("idx"), gix::hash::Kind::Sha1).unwrap();
        assert_eq!(bundle.index.num_objects() as usize, names.len());
        for name in &names {
            assert!(bundle.index.lookup(name).is_some(), "{name}");
        }
        bundle
            .verify_integrity(&mut gix::progress::Discard, &AtomicBool::new(false), Default::default())
            .unwrap_or_else(|e| panic!("{e:?}"));
    }
}
