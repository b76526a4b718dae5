//! Which knowledge a step is given: a function of the files, the question, the day and a budget.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::civil::Date;

use super::{Asked, Content, Knowledge};
use crate::text::tokens;

/// What was chosen, in the order in which it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// Narrowest first, then by priority, then by id.
    pub chosen: Vec<Chosen<'a>>,
    /// What applies and is not among them.
    pub left_out: Vec<LeftOut>,
}

/// One that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The piece of knowledge.
    pub knowledge: &'a Knowledge,
    /// Why, in words.
    pub why: String,
    /// How many tokens its text has, by the estimate of [`tokens`].
    pub tokens: usize,
}

/// One that applies and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its id.
    pub id: String,
    /// Why, in words.
    pub why: String,
}

/// Chooses from `all` what applies to `asked` on `day`, at most `budget` tokens of it.
///
/// The narrowest come first (entity, then step, then workflow), then the higher priority, then the lesser id. One that
/// is replaced by another that applies is left out, as is a preference when a narrower one speaks about its topic.
/// What does not fit into the budget is left out; smaller ones behind it may still fit.
#[must_use]
pub fn select<'a>(all: &'a [Knowledge], asked: &Asked, day: Date, budget: usize) -> Selection<'a> {
    let mut fit: Vec<&Knowledge> = all.iter().filter(|k| k.holds(day) && k.applies.fits(asked)).collect();
    fit.sort_by_key(|k| (Reverse(k.applies.rank(asked)), Reverse(k.priority), k.id.as_str()));
    let replaced: BTreeMap<&str, &str> =
        fit.iter().flat_map(|by| by.replaces.iter().map(|id| (id.as_str(), by.id.as_str()))).collect();
    let mut selection = Selection::default();
    let mut spoken: BTreeMap<&str, &str> = BTreeMap::new();
    let mut left = budget;
    for knowledge in fit {
        let mut leave = |why: String| selection.left_out.push(LeftOut { id: knowledge.id.clone(), why });
        if let Some(by) = replaced.get(knowledge.id.as_str()) {
            leave(format!("{by} replaces it"));
            continue;
        }
        if let (Content::Preference { .. }, Some(topic)) = (&knowledge.content, knowledge.topic.as_deref()) {
            if let Some(by) = spoken.get(topic) {
                leave(format!("{by} speaks about {topic} first"));
                continue;
            }
            spoken.insert(topic, &knowledge.id);
        }
        let tokens = tokens(&knowledge.text());
        if tokens > left {
            leave(format!("its {tokens} tokens do not fit into the {left} that are left"));
            continue;
        }
        left -= tokens;
        selection.chosen.push(Chosen { knowledge, why: why(knowledge), tokens });
    }
    selection
}

fn why(knowledge: &Knowledge) -> String {
    let priority = match knowledge.priority {
        0 => String::new(),
        priority => format!(", priority {priority}"),
    };
    format!("applies to {}{priority}", knowledge.applies.words())
}
