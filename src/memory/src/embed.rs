//! Embedders: text in, vectors out.
//!
//! An embedder is named by a stable id that changes whenever its vectors would; tables written by
//! one id are never compared with vectors of another. Calls block, so that a remote embedder fits
//! the same trait: memory is used from a blocking thread anyway.

mod cache;
pub(crate) mod concepts;
mod local;
mod serving;

pub use cache::CachedEmbedder;
pub use local::LocalEmbedder;
pub use serving::ServingRecord;

pub(crate) use serving::Serving;

/// Why an embedder gave no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EmbedError(pub String);

/// Turns texts into vectors of fixed length.
pub trait Embedder: Send + Sync {
    /// Names the embedder and everything its vectors depend on.
    fn id(&self) -> &str;

    /// The length of every vector; 0 while that is not known, which the first answer ends.
    fn dims(&self) -> usize;

    /// The cosine at or below which two texts are as good as unrelated to this embedder; such a
    /// pair is no hit. Between -1 and 1.
    fn floor(&self) -> f32;

    /// Returns one vector for each text, in order, each of [`Embedder::dims`] finite numbers.
    ///
    /// # Errors
    /// When the vectors could not be made; asking again later may succeed.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Tells whether asking costs money, a network or noticeable time, so that answers are worth
    /// keeping and nobody should wait for them.
    fn costs(&self) -> bool {
        false
    }

    /// The vectors that can be had without asking anybody: for an embedder that costs nothing, all
    /// of them; else those that were asked for before.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    fn at_hand(&self, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        Ok(self.embed(texts)?.into_iter().map(Some).collect())
    }

    /// Takes in a vector that this embedder made earlier and another machine kept. Nothing to do
    /// for an embedder that costs nothing.
    ///
    /// # Errors
    /// When it can not be kept.
    fn keep(&self, vectors: &[(TextDigest, &[f32])]) -> Result<(), EmbedError> {
        let _ = vectors;
        Ok(())
    }
}

/// Names a text in tables and caches: the first 16 bytes of its BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextDigest(pub(crate) [u8; 16]);

impl TextDigest {
    /// The digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let hash = blake3::hash(text.as_bytes());
        Self(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
    }
}

/// Embeds, and holds the embedder to its promise: a short or broken answer must not shift vectors
/// to the wrong texts.
pub(crate) fn checked(embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
    let vectors = embedder.embed(texts)?;
    if vectors.len() != texts.len() {
        return Err(EmbedError(format!("{} vectors for {} texts", vectors.len(), texts.len())));
    }
    vectors.iter().try_for_each(|vector| check(embedder, vector))?;
    Ok(vectors)
}

/// The vectors at hand, held to the same promise.
pub(crate) fn checked_at_hand(embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
    let vectors = embedder.at_hand(texts)?;
    if vectors.len() != texts.len() {
        return Err(EmbedError(format!("{} vectors for {} texts", vectors.len(), texts.len())));
    }
    vectors.iter().flatten().try_for_each(|vector| check(embedder, vector))?;
    Ok(vectors)
}

fn check(embedder: &dyn Embedder, vector: &[f32]) -> Result<(), EmbedError> {
    if vector.len() != embedder.dims() || vector.iter().any(|x| !x.is_finite()) {
        return Err(EmbedError(format!("a vector is not {} finite numbers", embedder.dims())));
    }
    Ok(())
}

/// A vector to compare with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    values: Vec<f32>,
    /// Its length squared, which every comparison needs.
    square: f32,
}

impl Vector {
    /// A question's vector, as the embedder made it.
    pub(crate) fn new(values: Vec<f32>) -> Self {
        Self { square: dot(&values, &values), values }
    }

    /// A passage's vector, rounded to what the tables keep (half precision), so that a passage
    /// scores the same whether its vector was just computed or read back.
    #[cfg(any(test, feature = "lance"))]
    pub(crate) fn stored(values: &[f32]) -> Self {
        Self::new(values.iter().map(|x| half::f16::from_f32(*x).to_f32()).collect())
    }

    /// The cosine of the angle between two vectors of one length; 0 when either is null.
    pub(crate) fn cosine(&self, other: &Self) -> f32 {
        let norms = (self.square * other.square).sqrt();
        if norms > 0.0 { dot(&self.values, &other.values) / norms } else { 0.0 }
    }

    /// Its numbers.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// The order of the additions is fixed, so that two machines get the same bits.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side, which the compiler turns into vector instructions.
    let mut sums = [0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}
