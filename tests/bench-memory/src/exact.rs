//! Every vector compared with the question's: the floor of what exact search costs, and the truth it is judged by.
//!
//! Vectors have length 1, so the order by dot product, by cosine and by distance is one.

use std::{fs, path::Path};

use crate::{
    broken::{Broken, During as _, Result},
    engine,
};

/// Texts embedded at once.
const BATCH: usize = 1_024;

/// The vectors of texts, each brought to length 1.
///
/// # Errors
/// When the embedder refuses.
pub fn embed(texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    let embedder = engine::embedder();
    let mut all = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        all.extend(embedder.embed(batch).during("embed texts")?.into_iter().map(unit));
    }
    Ok(all)
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

/// Vectors side by side in memory.
pub struct Flat {
    dims: usize,
    values: Vec<f32>,
}

impl Flat {
    /// Of vectors of one length.
    #[must_use]
    pub fn of(vectors: &[Vec<f32>]) -> Self {
        Self { dims: vectors.first().map_or(1, Vec::len), values: vectors.concat() }
    }

    /// Writes them to a file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, bytes(&self.values)).during("write vectors")
    }

    /// Reads them from a file.
    ///
    /// # Errors
    /// When the file is missing or holds no vectors of this length.
    pub fn read(path: &Path, dims: usize) -> Result<Self> {
        let bytes = fs::read(path).during("read vectors")?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || floats.len() % dims != 0 {
            return Err(Broken::new("read vectors", format!("{} is cut off", path.display())));
        }
        Ok(Self { dims, values: floats.iter().map(|four| f32::from_le_bytes(*four)).collect() })
    }

    /// The places of the `k` nearest with their cosines, nearest first; of equals the earlier.
    #[must_use]
    pub fn nearest(&self, to: &[f32], k: usize) -> Vec<(usize, f32)> {
        let mut best: Vec<(usize, f32)> = Vec::with_capacity(k + 1);
        for (place, vector) in self.values.chunks_exact(self.dims).enumerate() {
            let near = dot(vector, to);
            if best.len() < k || best.last().is_some_and(|(_, worst)| near > *worst) {
                let at = best.partition_point(|(_, other)| *other >= near);
                best.insert(at, (place, near));
                best.truncate(k);
            }
        }
        best
    }
}

/// The bytes of a vector as every contestant stores them.
#[must_use]
pub fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Sixteen sums side by side, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (a, b) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (x, y) in a.0.iter().zip(b.0) {
        for i in 0..16 {
            sums[i] += x[i] * y[i];
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_survive_a_file() {
        let vectors: Vec<Vec<f32>> =
            [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.6, 0.8, 0.0]].map(Vec::from).to_vec();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vectors.f32");
        Flat::of(&vectors).write(&path).unwrap();
        let flat = Flat::read(&path, 3).unwrap();
        let places: Vec<usize> = flat.nearest(&[0.0, 1.0, 0.0], 3).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [2, 1, 3]);
        fs::write(&path, [0; 13]).unwrap();
        assert!(Flat::read(&path, 3).is_err());
    }

    #[test]
    fn vectors_have_length_one() {
        let vectors = embed(&["an invoice", "two invoices and a reminder"]).unwrap();
        for vector in vectors {
            assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5);
        }
    }
}
