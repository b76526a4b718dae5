//! Maximal marginal relevance: hits that are good, and not the same thing said again.
//!
//! Each next hit is the one with the largest `(1 - d) · score / best score - d · nearest`, where
//! `nearest` is its greatest cosine with a hit chosen before it, 0 if it has no vector. Equals go by rank.

use std::collections::BTreeMap;

use crate::{catalogue::Row, embed::Vector};

/// Chooses `limit` of `ranked`, which is sorted, with diversity `d` of 0 to 1.
pub(crate) fn choose(ranked: &[(Row, f64)], vectors: &BTreeMap<Row, Vector>, d: f32, limit: usize) -> Vec<(Row, f64)> {
    let best = ranked.first().map_or(1.0, |(_, score)| *score);
    let d = f64::from(d);
    let mut left: Vec<(Row, f64, f64)> = ranked.iter().map(|(row, score)| (*row, *score, 0.0)).collect();
    let mut chosen: Vec<(Row, f64)> = Vec::new();
    while chosen.len() < limit && !left.is_empty() {
        let worth = |(_, score, nearest): &(Row, f64, f64)| (1.0 - d) * score / best - d * nearest;
        let mut next = 0;
        for i in 1..left.len() {
            if worth(&left[i]) > worth(&left[next]) {
                next = i;
            }
        }
        let (row, score, _) = left.remove(next);
        chosen.push((row, score));
        let Some(vector) = vectors.get(&row) else { continue };
        for (other, _, nearest) in &mut left {
            if let Some(other) = vectors.get(other) {
                *nearest = nearest.max(f64::from(vector.cosine(other)));
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_said_again_gives_way_to_another() {
        let ranked = [(0, 1.0), (1, 0.99), (2, 0.5)];
        let vector = |x, y| Vector::new(vec![x, y]);
        let vectors = BTreeMap::from([(0, vector(1.0, 0.0)), (1, vector(1.0, 0.01)), (2, vector(0.0, 1.0))]);
        let rows = |d| choose(&ranked, &vectors, d, 2).into_iter().map(|(row, _)| row).collect::<Vec<_>>();
        assert_eq!(rows(0.0), [0, 1]);
        assert_eq!(rows(0.5), [0, 2]);
        assert_eq!(choose(&ranked, &BTreeMap::new(), 0.5, 9), ranked, "without vectors rank decides");
    }
}
