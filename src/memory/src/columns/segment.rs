//! Consecutive rows with their words and vectors: built from passages, merged, written and read.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use super::{
    Doubt, NewRow, Postings, Rows, Saved, VectorFiles, Vectors, files, postings,
    quantised::Exact,
    rows::{Forget, RowsBuilder, forgets, forgets_batch},
};
use crate::bm25::bag;

/// A run of rows. Words and vectors are read when they are needed.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) rows: Rows,
    pub(crate) forgets: Vec<Forget>,
    postings: Option<Postings>,
    vectors: Option<Vectors>,
    saved: Option<Saved>,
}

impl Segment {
    /// Reads the rows of a segment from its files.
    pub(crate) fn open(root: &Path, saved: Saved) -> Result<Self, Doubt> {
        let rows = Rows::new(files::read(root, &saved.rows)?)?;
        let forgets = match &saved.forgets {
            Some(file) => forgets(&files::read(root, file)?)?,
            None => Vec::new(),
        };
        Ok(Self { rows, forgets, postings: None, vectors: None, saved: Some(saved) })
    }

    /// Its words; read by [`Segment::load`], or there since it was built.
    pub(crate) fn postings(&self) -> &Postings {
        self.postings.as_ref().expect("segments are loaded before they are searched")
    }

    /// Its vectors, as far as there are any.
    pub(crate) fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_ref()
    }

    /// The files it was read from or written to.
    pub(crate) fn saved(&self) -> Option<&Saved> {
        self.saved.as_ref()
    }

    /// Reads words, and the vectors that `embedder` made, if they are in files and not in memory yet.
    /// `dims` is 0 while their length is not known.
    pub(crate) fn load(&mut self, root: &Path, embedder: &str, dims: usize) -> Result<(), Doubt> {
        let Some(saved) = &self.saved else { return Ok(()) };
        let filed = saved.vectors.as_ref().filter(|v| v.embedder == embedder && (dims == 0 || v.dims == dims));
        let filed = filed.filter(|_| self.vectors.is_none());
        let (postings, vectors) = std::thread::scope(|scope| {
            let vectors = filed.map(|filed| scope.spawn(|| open_vectors(root, filed)));
            let postings =
                self.postings.is_none().then(|| files::read(root, &saved.words).and_then(Postings::new)).transpose();
            let vectors = vectors.map(|thread| thread.join().unwrap_or_else(|_| Err(Doubt("reading panicked".into()))));
            (postings, vectors.transpose())
        });
        if let Some(postings) = postings? {
            self.postings = Some(postings);
        }
        if let Some(vectors) = vectors? {
            if vectors.len() != self.rows.len() {
                return Err(Doubt("a segment has more or fewer vectors than rows".to_owned()));
            }
            self.vectors = Some(vectors);
        }
        Ok(())
    }

    /// Gives it vectors, one a row.
    pub(crate) fn set_vectors(&mut self, values: &[Vec<f32>], dims: usize) -> Result<(), Doubt> {
        self.vectors = Some(Vectors::of(values, dims)?);
        Ok(())
    }

    /// Forgets what is in memory and in files of vectors, because another embedder made them.
    pub(crate) fn drop_vectors(&mut self) {
        self.vectors = None;
    }

    /// Writes it and takes it from its files again, so that exact vectors leave memory.
    pub(crate) fn save(&mut self, root: &Path, embedder: &str) -> Result<(), Doubt> {
        let vectors = match &self.vectors {
            None => None,
            Some(vectors) => {
                let near = files::write(root, &vectors.near)?;
                let (exact, data) = files::write_exact(root, &vectors.exact_batch()?)?;
                Some(VectorFiles { embedder: embedder.to_owned(), dims: vectors.dims(), near, exact, data })
            }
        };
        let forgets = match self.forgets.as_slice() {
            [] => None,
            some => Some(files::write(root, &forgets_batch(some)?)?),
        };
        let (rows, words) = match &self.saved {
            Some(saved) => (saved.rows.clone(), saved.words.clone()),
            None => (files::write(root, &self.rows.batch)?, files::write(root, &self.postings().batch)?),
        };
        if let (Some(filed), Some(vectors)) = (&vectors, &mut self.vectors) {
            vectors.exact = Exact::Filed { file: files::open(root, &filed.exact)?, data: filed.data };
        }
        self.saved = Some(Saved { rows, words, forgets, vectors });
        Ok(())
    }

    /// Makes one segment of neighbours, which must be loaded.
    pub(crate) fn merge(parts: &[Self]) -> Result<Self, Doubt> {
        let mut rows = RowsBuilder::default();
        let mut words = Vec::new();
        for part in parts {
            words.push((u32::try_from(rows.len()).map_err(Doubt::of)?, part.postings()));
            (0..part.rows.len()).for_each(|i| rows.push_from(&part.rows, i));
        }
        let vectors: Option<Vec<&Vectors>> =
            parts.iter().filter(|part| part.rows.len() > 0).map(Self::vectors).collect();
        let vectors = vectors.filter(|all| !all.is_empty()).map(|all| Vectors::join(&all)).transpose()?;
        let forgets = parts.iter().flat_map(|part| part.forgets.iter().cloned()).collect();
        Ok(Self { rows: rows.finish()?, forgets, postings: Some(postings::join(&words)?), vectors, saved: None })
    }
}

fn open_vectors(root: &Path, filed: &VectorFiles) -> Result<Vectors, Doubt> {
    let exact = Exact::Filed { file: files::open(root, &filed.exact)?, data: filed.data };
    Vectors::new(files::read(root, &filed.near)?, exact, filed.dims)
}

/// A segment being built from passages.
#[derive(Default)]
pub(crate) struct Builder {
    rows: RowsBuilder,
    words: postings::PostingsBuilder,
    forgets: Vec<Forget>,
    ids: HashSet<String>,
}

impl Builder {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 0 && self.forgets.is_empty()
    }

    /// Tells whether a row with this id was pushed.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn push(&mut self, row: &NewRow<'_>) {
        let bag: HashMap<String, u16> = bag(&row.passage.text);
        let number = u32::try_from(self.rows.len()).expect("a segment holds fewer than 2^32 rows");
        self.rows.push(row, bag.values().map(|n| u32::from(*n)).sum());
        self.words.push(number, bag);
        self.ids.insert(row.passage.id.clone());
    }

    pub(crate) fn forget(&mut self, forget: Forget) {
        self.forgets.push(forget);
    }

    pub(crate) fn finish(self) -> Result<Segment, Doubt> {
        let postings = Some(self.words.finish()?);
        Ok(Segment { rows: self.rows.finish()?, forgets: self.forgets, postings, vectors: None, saved: None })
    }
}
