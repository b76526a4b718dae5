//! Why a passage is in an answer, or is not: every filter, every score, every place.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    bm25::{bag, length},
    catalogue::{Catalogue, Row, Standing},
    embed::Embedder,
    filter::{Excluded, Filter},
    part::{Part, PartError},
    query::Query,
    recall::{self, Ranked},
};

/// Why a passage is, or is not, in the answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The passage.
    pub id: String,
    /// Its place in the answer, from 1; absent when it is not in it.
    pub place: Option<u32>,
    /// In one sentence, why.
    pub verdict: String,
    /// Each filter that leaves it out, as a sentence.
    pub excluded: Vec<String>,
    /// What each word of the question that it holds adds to its score by words.
    pub words: Vec<WordScore>,
    /// The sum of these.
    pub words_score: f64,
    /// Its place by words, from 1; absent below [`Explained::depth`] and when it is left out.
    pub words_rank: Option<u32>,
    /// The cosine of its vector with the question's; absent when either is missing.
    pub cosine: Option<f32>,
    /// The cosine that it must exceed to count as similar.
    pub floor: f32,
    /// Its place by similarity, from 1; absent below [`Explained::depth`] and when it is left out.
    pub similar_rank: Option<u32>,
    /// How many places of each ranking count.
    pub depth: usize,
    /// The fused score: the sum of `1 / (60 + rank)`.
    pub score: f64,
    /// Its place by that score, before [`Query::diversity`].
    pub fused_rank: Option<u32>,
}

/// What one word of a question adds to the score of a passage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordScore {
    /// The word, as it is compared.
    pub stem: String,
    /// How often the passage holds it.
    pub count: u16,
    /// How much it tells passages apart: its inverse document frequency.
    pub weight: f64,
    /// What it adds.
    pub score: f64,
}

/// Explains what became of the passage of `row`.
pub(crate) fn explain(
    catalogue: &Catalogue,
    parts: &[&dyn Part],
    embedder: &dyn Embedder,
    query: &Query,
    filter: &Filter<'_>,
    row: Row,
) -> Result<Explained, PartError> {
    let id = catalogue.id(row).to_owned();
    let excluded: Vec<String> = filter
        .excludes(row)
        .into_iter()
        .map(|why| excluded(catalogue, filter, query, row, &why))
        .collect::<Result<_, _>>()?;
    let floor = embedder.floor();
    let Some(ranked) = recall::rank(catalogue, parts, embedder, query, filter)? else {
        let verdict = "the question has no word to look for".to_owned();
        return Ok(Explained {
            id,
            place: None,
            verdict,
            excluded,
            words: Vec::new(),
            words_score: 0.0,
            words_rank: None,
            cosine: None,
            floor,
            similar_rank: None,
            depth: 0,
            score: 0.0,
            fused_rank: None,
        });
    };
    let words = words(&ranked, &catalogue.passage(row)?.text);
    let own = recall::vectors(parts, &[(row, 0.0)])?;
    let cosine = ranked.vector.as_ref().ok().and_then(|asked| own.get(&row).map(|vector| asked.cosine(vector)));
    let fused_rank = place(&ranked.fused, row);
    let mut out = Explained {
        id,
        place: place(&ranked.chosen, row),
        verdict: String::new(),
        excluded,
        words_score: words.iter().map(|word| word.score).sum(),
        words,
        words_rank: place(&ranked.text, row),
        cosine,
        floor,
        similar_rank: place(&ranked.near, row),
        depth: ranked.depth,
        score: fused_rank.map_or(0.0, |rank| ranked.fused[rank as usize - 1].1),
        fused_rank,
    };
    out.verdict = verdict(&out, query, ranked.chosen.len());
    Ok(out)
}

fn verdict(found: &Explained, query: &Query, answered: usize) -> String {
    if let Some(place) = found.place {
        return format!("it is number {place} of the answer");
    }
    if let Some(first) = found.excluded.first() {
        return format!("it is left out: {first}");
    }
    match found.fused_rank {
        Some(rank) if query.diversity > 0.0 && rank as usize <= answered => {
            format!("it is number {rank} by score, but too much like hits before it")
        }
        Some(rank) => format!("it is number {rank} by score, and the answer has {answered}"),
        None if found.words.is_empty() && found.cosine.is_none_or(|cosine| cosine <= found.floor) => {
            "it holds no word of the question and is not similar to it".to_owned()
        }
        None => format!("it is below the first {} both by words and by similarity", found.depth),
    }
}

fn words(ranked: &Ranked, text: &str) -> Vec<WordScore> {
    let bag = bag(text);
    let length = length(&bag);
    let stems = ranked.bm25.stems.iter().enumerate();
    let held = stems.filter_map(|(i, stem)| Some((i, stem, *bag.get(stem)?)));
    held.map(|(i, stem, count)| WordScore {
        stem: stem.clone(),
        count,
        weight: ranked.bm25.weights[i],
        score: ranked.bm25.part(i, length, count),
    })
    .collect()
}

fn excluded(
    catalogue: &Catalogue,
    filter: &Filter<'_>,
    query: &Query,
    row: Row,
    why: &Excluded,
) -> Result<String, PartError> {
    let passage = catalogue.passage(row)?;
    let day =
        |at: i64| Timestamp::from_microsecond(at).map_or_else(|_| "then".to_owned(), cairn_store_layout::time::write);
    Ok(match why {
        Excluded::Entity => match &passage.entity {
            Some(entity) => format!("it is about {entity}, not {}", query.entities.join(" or ")),
            None => format!("it is about nobody in particular, not {}", query.entities.join(" or ")),
        },
        Excluded::Kind => format!("its kind is {}, not {}", passage.kind, query.kinds.join(" or ")),
        Excluded::Labels => {
            let lacks = query.labels.iter().filter(|(name, value)| passage.labels.get(*name) != Some(value));
            let lacks: Vec<String> = lacks.map(|(name, value)| format!("{name} = {value}")).collect();
            format!("it lacks the label {}", lacks.join(", "))
        }
        Excluded::Recorded => {
            format!("it was recorded {}, outside of the time asked for", day(catalogue.recorded(row)))
        }
        Excluded::Validity => "it will not hold as long as asked for".to_owned(),
        Excluded::Standing(standing) => match standing {
            Standing::Holds | Standing::SpokenFor => "another record of the same passage speaks for it".to_owned(),
            Standing::Unknown => {
                format!("it was recorded {}, after the moment asked for", day(catalogue.recorded(row)))
            }
            Standing::Forgotten(at) => {
                let reason = catalogue.forgotten(catalogue.id(row), *at)?.map(|line| line.reason);
                let reason = reason.filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}"));
                format!("it was forgotten {}{}", day(*at), reason.unwrap_or_default())
            }
            Standing::Superseded(by) => format!("it was superseded by {}", catalogue.id(*by)),
            Standing::NotYet(from) => {
                format!("it holds from {} on, asked for is {}", day(*from), day(filter.moment.at))
            }
            Standing::Over(to) => format!("it held until {}, asked for is {}", day(*to), day(filter.moment.at)),
        },
    })
}

/// The place of a row in a ranking, from 1.
fn place<S>(ranking: &[(Row, S)], row: Row) -> Option<u32> {
    (1..).zip(ranking).find(|(_, (one, _))| *one == row).map(|(place, _)| place)
}
