//! Many passages of one kind about one entity become one: by taking sentences, never by writing any.
//!
//! **The method.** Every sentence is a vector of its word stems, each weighed by how often it stands there times
//! `ln(1 + sentences / sentences with it)`. A sentence's centrality is the sum of its cosines with all others: it
//! is high for what many passages say. Sentences are taken by centrality (ties: the later one, then its text);
//! one with a cosine above 0.6 to one already taken says nothing new and is passed over. What was taken stands in
//! the order of time, each line with its day and the id of its passage. Same passages, same summary, on every
//! machine: no model, no chance.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{
    definition::{MemoryPolicy, SUMMARY, SummariseRule},
    passage::{Passage, Source},
};
use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation;

use super::{Item, Summary, TidyPlan};
use crate::words;

/// Sentences that are this like say the same.
const SAME: f64 = 0.6;
/// A summary has at most so many bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// One sentence of a summary has at most so many bytes.
const SENTENCE_BYTES_MAX: usize = 400;
/// So many sentences are compared, those of the latest passages: every one is compared with every other.
const SENTENCES_MAX: usize = 600;
/// So many passages become one at the most; the rest become the next one.
const GROUP_MAX: usize = 200;

/// Adds what the rules summarise; gives the ids of what is replaced.
pub(super) fn plan(items: &[Item<'_>], policy: &MemoryPolicy, now: Timestamp, plan: &mut TidyPlan) -> Replaced {
    let mut replaced = BTreeSet::new();
    for rule in &policy.summarise {
        let fits = |item: &&Item<'_>| {
            item.superseded.is_none()
                && rule.filter.fits(item.passage, item.workflow)
                && (item.passage.kind != SUMMARY || rule.filter.kind.iter().any(|kind| kind == SUMMARY))
                && !replaced.contains(&item.passage.id)
        };
        let fit: Vec<&Item<'_>> = items.iter().filter(fits).collect();
        if fit.is_empty() {
            plan.notes.push(format!("`{}` fits no passage", rule.name));
        }
        let mut groups: BTreeMap<(&str, &str), Vec<&Passage>> = BTreeMap::new();
        for item in fit.into_iter().filter(|i| now.duration_since(i.passage.recorded_at) >= rule.older_than.0) {
            if let Some(entity) = item.passage.entity.as_deref() {
                groups.entry((entity, &item.passage.kind)).or_default().push(item.passage);
            }
        }
        for ((entity, kind), mut group) in groups {
            group.sort_by(|a, b| a.recorded_at.cmp(&b.recorded_at).then_with(|| a.id.cmp(&b.id)));
            for group in group.chunks(GROUP_MAX) {
                if group.len() as u64 >= rule.at_least.max(2) {
                    replaced.extend(group.iter().map(|p| p.id.clone()));
                    plan.summarise.push(summary(rule, entity, kind, group, now));
                }
            }
        }
    }
    Replaced(replaced)
}

/// Ids of passages that a summary replaces.
pub(super) struct Replaced(BTreeSet<String>);

impl Replaced {
    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.0.remove(id)
    }
}

fn summary(rule: &SummariseRule, entity: &str, kind: &str, group: &[&Passage], now: Timestamp) -> Summary {
    let day = |at: Timestamp| cairn_store_layout::time::write(at)[..10].to_owned();
    let (first, last) = (group[0].recorded_at, group[group.len() - 1].recorded_at);
    let reason = format!("{} of kind {kind} about {entity}, {} to {}", group.len(), day(first), day(last));
    let mut text = format!("Summary of {reason}, by rule {}:", rule.name);
    for sentence in central(group, usize::try_from(rule.sentences).unwrap_or(usize::MAX)) {
        let passage = group[sentence.passage];
        let line =
            format!("\n- {}: {} [{}]", day(passage.recorded_at), sentence.text, &passage.id[..passage.id.len().min(8)]);
        if text.len() + line.len() > TEXT_BYTES_MAX {
            break;
        }
        text.push_str(&line);
    }
    let passage = Passage {
        id: Passage::derive_id(SUMMARY, Some(entity), &text),
        recorded_at: now,
        text,
        kind: SUMMARY.to_owned(),
        entity: Some(entity.to_owned()),
        labels: BTreeMap::from([("of".to_owned(), kind.to_owned()), ("policy".to_owned(), rule.name.clone())]),
        source: Source::Person { person: format!("rule {}", rule.name) },
        valid_from: None,
        valid_to: None,
        supersedes: group.iter().map(|p| p.id.clone()).collect(),
    };
    Summary { passage, rule: rule.name.clone(), reason }
}

struct Sentence {
    /// Its passage, by place in the group.
    passage: usize,
    text: String,
    weights: BTreeMap<String, f64>,
}

/// The sentences that say most of what the group says, in the order of time.
fn central(group: &[&Passage], count: usize) -> Vec<Sentence> {
    let mut sentences = sentences(group);
    weigh(&mut sentences);
    let centrality: Vec<f64> = (0..sentences.len())
        .map(|n| (0..sentences.len()).filter(|m| *m != n).map(|m| cosine(&sentences[n], &sentences[m])).sum())
        .collect();
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by(|a, b| {
        centrality[*b]
            .total_cmp(&centrality[*a])
            .then_with(|| sentences[*b].passage.cmp(&sentences[*a].passage))
            .then_with(|| sentences[*a].text.cmp(&sentences[*b].text))
    });
    let mut taken: Vec<usize> = Vec::new();
    for n in order {
        if taken.len() == count {
            break;
        }
        if taken.iter().all(|t| cosine(&sentences[n], &sentences[*t]) <= SAME) {
            taken.push(n);
        }
    }
    // places rise with time, and within a passage with the text
    taken.sort_unstable();
    let mut all: Vec<Option<Sentence>> = sentences.into_iter().map(Some).collect();
    taken.into_iter().filter_map(|n| all[n].take()).collect()
}

fn sentences(group: &[&Passage]) -> Vec<Sentence> {
    let mut out = Vec::new();
    for (passage, text) in group.iter().map(|p| p.text.as_str()).enumerate() {
        // a line break ends a sentence as a full stop does: letters have greetings and lists
        for piece in text.lines().flat_map(|line| line.unicode_sentences()) {
            let text = piece.trim();
            let stems = words::stems(text);
            if stems.len() < 3 {
                continue;
            }
            let mut weights: BTreeMap<String, f64> = BTreeMap::new();
            for stem in stems {
                *weights.entry(stem).or_default() += 1.0;
            }
            let text = cairn_store_layout::text::brief(text, SENTENCE_BYTES_MAX / 4);
            out.push(Sentence { passage, text, weights });
        }
    }
    let surplus = out.len().saturating_sub(SENTENCES_MAX);
    out.drain(..surplus);
    out
}

/// Turns counts into weights of length 1.
fn weigh(sentences: &mut [Sentence]) {
    let mut with: BTreeMap<String, f64> = BTreeMap::new();
    for stem in sentences.iter().flat_map(|s| s.weights.keys()) {
        *with.entry(stem.clone()).or_default() += 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "there are at most some hundred sentences")]
    let all = sentences.len() as f64;
    for sentence in sentences {
        for (stem, weight) in &mut sentence.weights {
            *weight *= (1.0 + all / with[stem]).ln();
        }
        let length = sentence.weights.values().map(|w| w * w).sum::<f64>().sqrt();
        sentence.weights.values_mut().for_each(|w| *w /= length);
    }
}

fn cosine(a: &Sentence, b: &Sentence) -> f64 {
    let (few, many) = if a.weights.len() <= b.weights.len() { (a, b) } else { (b, a) };
    few.weights.iter().filter_map(|(stem, w)| Some(w * many.weights.get(stem)?)).sum()
}
