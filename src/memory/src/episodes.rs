//! Episodes, and the one timeline of an entity: what happened with it, from whatever layer knows of it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_store_layout::{EntityId, RunId, StepId, entity::check, episode::Episode, passage::Source, time};
use jiff::Timestamp;
use serde::Serialize;

use crate::{AsOf, Memory, error::Result};

/// From when to when; both ends belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// Nothing before.
    pub since: Option<Timestamp>,
    /// Nothing after.
    pub until: Option<Timestamp>,
}

impl Range {
    /// Tells whether a moment belongs to it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at <= until)
    }
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happened {
    /// When.
    #[serde(with = "time::at")]
    pub at: Timestamp,
    /// What kind of thing: `change`, `passage`, `run`, or the kind of an episode (`mail`, `call` ...).
    pub kind: String,
    /// What happened, in words.
    pub text: String,
    /// Of the change, the passage, the run or the episode.
    pub id: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Where more of it is found.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, String>,
}

impl Memory {
    /// Episodes in the order of their moments: those with any of `entities`, or all when it names none.
    ///
    /// # Errors
    /// When the files of episodes can not be read.
    pub fn episodes(&self, entities: &[EntityId], range: Range) -> Result<Vec<Episode>> {
        let mut found: BTreeMap<String, Episode> = BTreeMap::new();
        let mut unreadable = 0;
        self.episodes.scan(|line| {
            // most lines are about somebody else, and need not be read
            if !entities.is_empty() && !entities.iter().any(|id| line.contains(id.as_str())) {
                return;
            }
            let Ok(episode) = serde_json::from_str::<Episode>(line) else {
                unreadable += 1;
                return;
            };
            let is_about = entities.is_empty() || entities.iter().any(|id| episode.entities.contains(id));
            if is_about && range.holds(episode.at) {
                // of two records of one episode the first counts
                let known = found.entry(episode.id.clone()).or_insert_with(|| episode.clone());
                if episode.recorded_at < known.recorded_at {
                    *known = episode;
                }
            }
        })?;
        if unreadable > 0 {
            tracing::warn!(unreadable, "skipped lines that are no episode");
        }
        let mut found: Vec<Episode> = found.into_values().collect();
        found.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// Tells whether an episode is recorded.
    ///
    /// # Errors
    /// When the files of episodes can not be read.
    pub fn has_episode(&self, id: &str) -> Result<bool> {
        let mut found = false;
        let named = format!("\"id\":\"{id}\"");
        self.episodes.scan(|line| found |= line.contains(&named))?;
        Ok(found)
    }

    /// What happened with an entity, under all names that mean it, oldest first: its changes, the passages about
    /// it that hold, its episodes, and the runs that brought any of these.
    ///
    /// # Errors
    /// When files of memory can not be read.
    pub fn timeline(&self, entity: &EntityId, range: Range) -> Result<Vec<Happened>> {
        let names = self.names_of(std::slice::from_ref(entity))?;
        let mut all = Vec::new();
        for entry in self.entity_history(entity, &AsOf::Now)? {
            let line = entry.line;
            let reason = line.reason.map_or(String::new(), |reason| format!(": {reason}"));
            let of = if line.entity == *entity { String::new() } else { format!(" ({})", line.entity) };
            let text = format!("{}{of}{reason}", check::words(line.change.as_ref()));
            all.push(Happened {
                at: line.at,
                kind: "change".to_owned(),
                text,
                id: line.id,
                source: line.source,
                refs: BTreeMap::new(),
            });
        }
        for name in &names {
            for passage in self.list(Some(name.as_str()), usize::MAX)? {
                all.push(Happened {
                    at: passage.recorded_at,
                    kind: "passage".to_owned(),
                    text: passage.text,
                    id: passage.id,
                    source: Some(passage.source),
                    refs: BTreeMap::new(),
                });
            }
        }
        all.extend(self.episodes(&names, Range::default())?.into_iter().map(Happened::from));
        all.extend(runs(&all));
        all.retain(|line| range.holds(line.at));
        all.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }
}

/// The runs that brought something, each at the moment of the first.
fn runs(lines: &[Happened]) -> Vec<Happened> {
    let mut found: BTreeMap<&RunId, (Timestamp, BTreeSet<&StepId>)> = BTreeMap::new();
    for line in lines {
        if let Some(Source::Run { run, step, .. }) = &line.source {
            let (at, steps) = found.entry(run).or_insert_with(|| (line.at, BTreeSet::new()));
            *at = (*at).min(line.at);
            steps.insert(step);
        }
    }
    let told = |(run, (at, steps)): (&RunId, (Timestamp, BTreeSet<&StepId>))| {
        let steps: Vec<String> = steps.into_iter().map(ToString::to_string).collect();
        Happened {
            at,
            kind: "run".to_owned(),
            text: format!("run {} touched it in {}", run.short(), steps.join(", ")),
            id: run.to_string(),
            source: None,
            refs: BTreeMap::new(),
        }
    };
    found.into_iter().map(told).collect()
}

impl From<Episode> for Happened {
    fn from(episode: Episode) -> Self {
        let Episode { id, at, kind, text, source, refs, .. } = episode;
        Self { at, kind, text, id, source: Some(source), refs }
    }
}
