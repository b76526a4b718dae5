//! The embedder that needs no key, no network and no model.
//!
//! **It knows spelling and a word list, not meaning.** "late payment" is near "paying later" by its
//! letters and near "overdue invoice" because [`super::concepts`] lists these words together; what
//! the list does not have, it can not know. What it adds to a full text ranking is likeness of word
//! forms, parts of words, typing errors, word order and listed synonyms. For meaning, configure a
//! model.
//!
//! The maths. A text is a bag of features `f` with a weight `w(f)`:
//! each stem (1); each pair of neighbouring stems (0.4); each run of 3 and of 4 characters of
//! `^stem$` (0.8 / √(number of runs in that stem)); each group of the word list that a stem or a pair
//! of stems is in (1.6 / number of its groups). Stems and runs of the commonest English words weigh a
//! fifth, and such words are in no group: a fixed list, so that a vector never depends on the other
//! passages. A feature seen `n` times counts `w(f) · √n`. The first 8 bytes of BLAKE3(f), read as a
//! little-endian number `h`, choose the place `h mod 384` and, by the highest bit, the sign. The sum
//! is scaled to length 1.
//!
//! The weights were chosen on the small corpus of this crate's tests, averaged over four lengths of
//! vector so that no accident of hashing is chosen with them; more weight for groups finds more
//! synonyms and fewer typing errors. 1,024 numbers instead of 384 brought
//! nothing there, and would take 2.7 times the bytes in git and in memory.
//!
//! Only `+ − × ÷ √` are used, which IEEE 754 defines to the last bit, and features are added in
//! sorted order: the same text has the same vector on every machine.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use super::{EmbedError, Embedder, concepts};
use crate::words;

const DIMS: usize = 384;
/// Function words: they carry the sentence, not its subject. Compared after stemming.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON_WORDS.split_ascii_whitespace().collect());
const COMMON_WORDS: &str = " a about after all an and ani are as at be been but by can could did do doe for from get had \
    has have he her him his how i if in into is it its just may me more most my no not of on onli or our out over \
    she should so some than that the their them then there they this to under until up us was we were what when \
    where which while who whi will with would you your ";

/// Hashes words, pairs of words, parts of words and listed meanings into 384 numbers. See the module for the maths
/// and for what it can not do.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalEmbedder;

impl Embedder for LocalEmbedder {
    fn id(&self) -> &str {
        "local-hash-384/2"
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn floor(&self) -> f32 {
        // Unrelated texts score 0 ± 0.05 by chance (1/√384): 1 in 120 of them scores as much as this.
        0.12
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }
}

fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0f32; DIMS];
    for (feature, (weight, count)) in features(text) {
        let hash = blake3::hash(feature.as_bytes());
        let head = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
        let sign = if head >> 63 == 1 { 1.0 } else { -1.0 };
        vector[(head % DIMS as u64) as usize] += sign * weight * count.sqrt();
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

/// Each feature with its weight and how often it occurs. The first letter tells the families apart.
fn features(text: &str) -> BTreeMap<String, (f32, f32)> {
    let stems = words::stems(text);
    let mut out = BTreeMap::new();
    let mut add = |feature: String, weight: f32| out.entry(feature).or_insert((weight, 0.0)).1 += 1.0;
    for stem in &stems {
        let scale = if COMMON.contains(stem.as_str()) { 0.2 } else { 1.0 };
        add(format!("w{stem}"), scale);
        let chars: Vec<char> = std::iter::once('^').chain(stem.chars()).chain(std::iter::once('$')).collect();
        let runs = chars.len().saturating_sub(2) + chars.len().saturating_sub(3);
        let weight = scale * 0.8 / (runs.max(1) as f32).sqrt();
        for size in [3, 4] {
            for run in chars.windows(size) {
                add(std::iter::once('c').chain(run.iter().copied()).collect(), weight);
            }
        }
    }
    for stem in stems.iter().filter(|stem| !COMMON.contains(stem.as_str())) {
        for (name, share) in meant(concepts::of(stem)) {
            add(format!("k{name}"), 1.6 * share);
        }
    }
    for pair in stems.windows(2) {
        for (name, share) in meant(concepts::of(&pair.join(" "))) {
            add(format!("k{name}"), 1.6 * share);
        }
        let scale = if pair.iter().any(|stem| COMMON.contains(stem.as_str())) { 0.1 } else { 0.4 };
        add(format!("b{} {}", pair[0], pair[1]), scale);
    }
    out
}

/// The groups of a word, each with its share of the word's meaning.
fn meant(names: &'static [&'static str]) -> impl Iterator<Item = (&'static str, f32)> {
    let share = 1.0 / names.len().max(1) as f32;
    names.iter().map(move |name| (*name, share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Vector;

    fn near(a: &str, b: &str) -> f32 {
        Vector::new(embed(a)).cosine(&Vector::new(embed(b)))
    }

    #[test]
    fn vectors_are_the_same_on_every_machine() {
        let bytes: Vec<u8> =
            embed("Brandt GmbH pays late: 42 days, twice.").iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "0d27a899c574f935");
    }

    #[test]
    fn spelling_and_listed_words_bring_texts_near_and_meaning_does_not() {
        let floor = LocalEmbedder.floor();
        assert!(near("late payment", "payments made later") > 0.3);
        assert!(near("their acountant", "the accountants") > floor);
        assert!(near("late payment", "an overdue invoice was settled") > floor, "listed");
        assert!(near("a lorry with goods", "the truck") > floor, "listed");
        assert!(near("he kicked the bucket", "a death") < floor, "not listed, so not known");
        assert!(near("the of and to", "warehouse forklift") < floor);
    }

    #[test]
    fn vectors_have_length_one_or_are_null() {
        let length = |text| embed(text).iter().map(|x| x * x).sum::<f32>();
        assert!((length("some words here") - 1.0).abs() < 1e-5);
        assert_eq!(length("…"), 0.0);
    }
}
