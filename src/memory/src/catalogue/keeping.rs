//! Columns on disk: taken up at the start, extended as passages come, merged in tiers.
//!
//! A segment is written once enough rows came, so that small stores write nothing. Segments of one
//! tier are merged when there are enough of them, so a row is written again a few times at the most,
//! whatever the number of rows. Failing to write costs time at the next start and nothing else.

use super::{Catalogue, PassageFile, rows_in};
use crate::columns::{Doubt, Kept, Reading, Segment};

/// So many rows that are not on disk are written.
const WRITE_ROWS: usize = 1024;
/// So many segments in memory are merged into one.
const SMALL_SEGMENTS: usize = 16;
/// So many neighbours of one tier are merged.
const FAN: usize = 8;
/// Larger segments are left as they are: merging them gains nothing any more.
const MERGE_ROWS_MAX: usize = 131_072;

/// What the named segments were made of. Segments that came later are not named, and are made again
/// from the lines behind these.
#[derive(Debug, Default)]
pub(super) struct Named {
    files: Vec<Reading>,
    unreadable: usize,
    /// How many segments, from the first on.
    segments: usize,
}

impl Catalogue {
    /// Takes up the columns that are kept, if they are of a beginning of every passage file.
    pub(super) fn take_up(&mut self) -> Result<(), Doubt> {
        let Some(kept) = Kept::read(&self.root)? else { return Ok(()) };
        for Reading { path, read, tail } in &kept.files {
            let mut file = PassageFile::new(path.clone(), &self.machine);
            (file.read, file.tail) = (*read, tail.clone());
            if !file.begins_as_read(&self.root).map_err(Doubt::of)? {
                return Err(Doubt(format!("{path} is not the file that was read")));
            }
            self.files.push(file);
        }
        self.unreadable = kept.unreadable;
        self.named = Named { files: kept.files, unreadable: kept.unreadable, segments: kept.segments.len() };
        for saved in kept.segments {
            self.push_segment(Segment::open(&self.root, saved)?);
        }
        self.link(0);
        Ok(())
    }

    /// Merges small segments in memory, and writes what is worth it.
    pub(super) fn keep(&mut self, embedder: &str) {
        self.keep_from(embedder, WRITE_ROWS);
    }

    fn keep_from(&mut self, embedder: &str, rows_min: usize) {
        if let Err(why) = self.try_keep(embedder, rows_min) {
            self.keeps_nothing = true;
            tracing::warn!(%why, "the columns of memory can not be written; the next start reads the passages again");
        }
    }

    /// Merges written segments in tiers. Rows keep their numbers.
    pub(crate) fn compact(&mut self, embedder: &str, dims: usize) {
        if let Err(why) = self.try_compact(embedder, dims) {
            tracing::warn!(%why, "the columns of memory were not merged");
        }
    }

    fn try_keep(&mut self, embedder: &str, rows_min: usize) -> Result<(), Doubt> {
        let saved = self.segments.iter().take_while(|s| s.saved().is_some()).count();
        let fresh: usize = self.segments[saved..self.met()].iter().map(|s| s.rows.len()).sum();
        if self.met() - saved > SMALL_SEGMENTS || (fresh >= WRITE_ROWS && self.met() - saved > 1) {
            self.merge_small(saved)?;
        }
        let lagging: Vec<usize> = (0..self.met()).filter(|n| lags(&self.segments[*n], embedder)).collect();
        let rows: usize = lagging.iter().map(|n| self.segments[*n].rows.len()).sum();
        if self.keeps_nothing || rows < rows_min {
            return Ok(());
        }
        for n in lagging {
            self.segments[n].save(&self.root, embedder)?;
        }
        let reading =
            |file: &PassageFile| Reading { path: file.path.clone(), read: file.read, tail: file.tail.clone() };
        self.named = Named {
            files: self.files.iter().map(reading).collect(),
            unreadable: self.unreadable,
            segments: self.met(),
        };
        self.name_kept()
    }

    /// Merges the segments of what waits when there are too many.
    pub(super) fn merge_pending(&mut self) {
        if self.pending > SMALL_SEGMENTS {
            let met = self.met();
            match Segment::merge(&self.segments[met..]) {
                Ok(merged) => {
                    self.replace(met, self.segments.len(), merged);
                    self.pending = 1;
                }
                Err(why) => tracing::warn!(%why, "what was remembered stays in many parts, which is slower"),
            }
        }
    }

    /// Writes every segment of lines, however small: what an index on disk is made of must be found
    /// in the same rows by the next process.
    #[cfg(feature = "lance")]
    pub(crate) fn keep_all(&mut self, embedder: &str) {
        self.keep_from(embedder, 1);
    }

    /// Merges neighbours from number `start` on, as far as all or none have vectors, and not across the
    /// end of what an index answers for.
    fn merge_small(&mut self, mut start: usize) -> Result<(), Doubt> {
        while start < self.met() {
            let mut rows = self.segments[start].rows.len();
            let mut end = start + 1;
            while end < self.met()
                && self.bases[end] != self.indexed
                && alike(&self.segments[start], &self.segments[end])
            {
                rows += self.segments[end].rows.len();
                if rows > super::BUILD_ROWS {
                    break;
                }
                end += 1;
            }
            if end - start > 1 {
                let merged = Segment::merge(&self.segments[start..end])?;
                self.replace(start, end, merged);
            }
            start += 1;
        }
        Ok(())
    }

    fn try_compact(&mut self, embedder: &str, dims: usize) -> Result<(), Doubt> {
        if self.keeps_nothing {
            return Ok(());
        }
        let tier = |segment: &Segment| (segment.rows.len() / WRITE_ROWS).max(1).ilog(FAN);
        loop {
            let run = |from: usize| {
                let same = |n: &usize| {
                    let segment = &self.segments[*n];
                    segment.rows.len() < MERGE_ROWS_MAX
                        && tier(segment) == tier(&self.segments[from])
                        && (*n == from || self.bases[*n] != self.indexed)
                };
                from..from + (from..self.named.segments).take_while(same).count()
            };
            let Some(range) = (0..self.named.segments).map(run).find(|range| range.len() >= FAN) else {
                return Ok(());
            };
            for segment in &mut self.segments[range.clone()] {
                segment.load(&self.root, embedder, dims)?;
            }
            let mut merged = Segment::merge(&self.segments[range.clone()])?;
            merged.save(&self.root, embedder)?;
            self.named.segments -= range.len() - 1;
            self.replace(range.start, range.end, merged);
            self.name_kept()?;
        }
    }

    /// Puts one segment in the place of several.
    fn replace(&mut self, start: usize, end: usize, merged: Segment) {
        debug_assert_eq!(rows_in(&merged), self.segments[start..end].iter().map(rows_in).sum::<u32>());
        self.segments.splice(start..end, [merged]);
        self.bases.drain(start + 1..end);
    }

    fn name_kept(&self) -> Result<(), Doubt> {
        let segments = self.segments[..self.named.segments].iter().map_while(|s| s.saved().cloned()).collect();
        Kept::write(&self.root, self.named.files.clone(), self.named.unreadable, segments)
    }
}

/// Whether there is more in memory than on disk.
fn lags(segment: &Segment, embedder: &str) -> bool {
    let filed = segment.saved().and_then(|saved| saved.vectors.as_ref()).map(|v| v.embedder.as_str());
    segment.saved().is_none() || (segment.vectors().is_some() && filed != Some(embedder))
}

/// Whether both have vectors or neither has.
fn alike(a: &Segment, b: &Segment) -> bool {
    a.rows.len() == 0 || b.rows.len() == 0 || a.vectors().is_some() == b.vectors().is_some()
}
