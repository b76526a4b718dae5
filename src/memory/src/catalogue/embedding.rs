//! Making rows ready to be searched: words and vectors in memory, read or made.

use std::collections::HashMap;

use super::{Catalogue, Row, rows_in};
use crate::{
    EmbedError,
    columns::{Doubt, Segment},
    embed::{self, Embedder, TextDigest},
};

/// How many texts go to the embedder at once.
const BATCH: usize = 64;
/// From so many missing vectors on, those that vector tables hold are looked up.
const STORED_MIN: usize = 1024;
/// From so many texts on, two threads share the embedding.
const SHARED_MIN: usize = 2048;

/// Vectors from elsewhere, by the text each was made of.
pub(crate) type StoredVectors = HashMap<TextDigest, Vec<f32>>;

impl Catalogue {
    /// Makes all rows that no index answers for ready to be searched. Returns why vectors are
    /// missing, if the embedder failed; words are complete anyway. `stored` finds vectors that need not
    /// be made; `progress` is told how many rows were given vectors.
    pub(crate) fn prepare(
        &mut self,
        embedder: &dyn Embedder,
        stored: &mut dyn FnMut() -> StoredVectors,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<EmbedError>, Doubt> {
        self.count_repeated()?;
        let (id, dims) = (embedder.id(), embedder.dims());
        if self.embedder.as_deref() != Some(id) {
            self.segments.iter_mut().for_each(Segment::drop_vectors);
            self.embedder = Some(id.to_owned());
        }
        let wanted = |base: Row, segment: &Segment| base + rows_in(segment) > self.indexed;
        for (base, segment) in self.bases.iter().zip(&mut self.segments) {
            if wanted(*base, segment) {
                segment.load(&self.root, id, dims)?;
            }
        }
        let lacking = self.segments().filter(|(base, segment)| wanted(*base, segment) && lacks(segment));
        let missing: usize = lacking.map(|(_, segment)| segment.rows.len()).sum();
        let stored = if missing >= STORED_MIN { stored() } else { StoredVectors::new() };
        let (mut done, mut failed, mut from) = (0, None, 0);
        // Keeping one segment may merge those before it, so the next one is looked for each time.
        while let Some(n) = self.next_lacking(from) {
            let made = self.vectors_of(n, embedder, &stored, &mut |rows| progress(done + rows))?;
            done += self.segments[n].rows.len();
            from = self.bases[n] + rows_in(&self.segments[n]);
            match made {
                Ok(vectors) => self.segments[n].set_vectors(&vectors, embedder.dims())?,
                Err(error) => failed = Some(error),
            }
            if failed.is_none() && self.segments[n].rows.len() >= STORED_MIN {
                self.keep(id);
            }
        }
        self.keep(id);
        Ok(failed)
    }

    /// The first segment from row `from` on that lacks its vectors.
    fn next_lacking(&self, from: Row) -> Option<usize> {
        let from = from.max(self.indexed);
        let wanted = |n: &usize| self.bases[*n] + rows_in(&self.segments[*n]) > from;
        (0..self.segments.len()).find(|n| wanted(n) && lacks(&self.segments[*n]))
    }

    fn vectors_of(
        &self,
        segment: usize,
        embedder: &dyn Embedder,
        stored: &StoredVectors,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Result<Vec<Vec<f32>>, EmbedError>, Doubt> {
        let first = self.bases[segment];
        let rows: Vec<Row> = (first..first + rows_in(&self.segments[segment])).collect();
        let mut reader = self.reader();
        if embedder.costs()
            && let (BATCH.., Some(last)) = (rows.len(), rows.last())
        {
            // Vectors are asked for in the order of rows: without the last one, reading all is idle.
            let text = reader.passage(*last)?.text;
            let at_hand = embed::checked_at_hand(embedder, &[&text]);
            if !stored.contains_key(&TextDigest::of(&text)) && !matches!(at_hand.as_deref(), Ok([Some(_)])) {
                return Ok(Err(at_hand.err().unwrap_or_else(still_to_be_made)));
            }
        }
        let mut out: Vec<Vec<f32>> = Vec::with_capacity(rows.len());
        for rows in rows.chunks(SHARED_MIN * 2) {
            let texts: Vec<String> =
                rows.iter().map(|row| reader.passage(*row).map(|p| p.text)).collect::<Result<_, _>>()?;
            let known = |text: &String| stored.get(&TextDigest::of(text)).cloned();
            let vectors: Vec<Option<Vec<f32>>> =
                if stored.is_empty() { vec![None; texts.len()] } else { texts.iter().map(known).collect() };
            let missing = texts.iter().zip(&vectors).filter(|(_, vector)| vector.is_none());
            let missing: Vec<&str> = missing.map(|(text, _)| text.as_str()).collect();
            let mut new = match made(embedder, &missing) {
                Ok(new) => new.into_iter(),
                Err(error) => return Ok(Err(error)),
            };
            out.extend(vectors.into_iter().map(|v| v.or_else(|| new.next()).expect("one for each missing text")));
            progress(out.len());
        }
        Ok(Ok(out))
    }
}

fn lacks(segment: &Segment) -> bool {
    segment.vectors().is_none() && segment.rows.len() > 0
}

/// Embeds texts in batches, on two threads if there are many.
fn made(embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
    if texts.len() < SHARED_MIN {
        return in_batches(embedder, texts);
    }
    let (head, tail) = texts.split_at(texts.len() / 2);
    let (head, tail) = std::thread::scope(|scope| {
        let tail = scope.spawn(|| in_batches(embedder, tail));
        (in_batches(embedder, head), tail.join().unwrap_or_else(|_| Err(EmbedError("it panicked".to_owned()))))
    });
    let mut all = head?;
    all.extend(tail?);
    Ok(all)
}

fn in_batches(embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
    let mut out = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        if embedder.costs() && texts.len() >= BATCH {
            // Nobody waits for so many here: `Memory::work` asks for them.
            let at_hand: Option<Vec<Vec<f32>>> = embed::checked_at_hand(embedder, batch)?.into_iter().collect();
            out.extend(at_hand.ok_or_else(still_to_be_made)?);
        } else {
            out.extend(embed::checked(embedder, batch)?);
        }
    }
    Ok(out)
}

fn still_to_be_made() -> EmbedError {
    EmbedError("vectors of some passages are still to be made".to_owned())
}
