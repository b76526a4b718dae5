//! `[[forget]]`, `[[summarise]]` and `[tidy]`: what leaves memory, what is made shorter, and how often that is
//! looked at.
//!
//! A rule says which passages it is about and what must be true of one. It says nothing of how: that is planned
//! from the passages' metadata, shown by a dry run, and recorded passage by passage.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{super::knowledge::Pattern, MemoryPolicy};
use crate::{passage::Passage, time::Span};

/// Memory is tidied at most this often.
const EVERY_MIN: Span = Span::seconds(60);
/// Passages with this label and the value `true` are never touched.
pub const KEEP_LABEL: &str = "keep";
/// The kind of the passages that summaries are.
pub const SUMMARY: &str = "summary";

/// `[tidy]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawTidy")]
pub struct Tidy {
    /// The kernel tidies once in so long; absent: only by hand.
    pub every: Option<Span>,
}

/// Which passages a rule is about. A list that is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds.
    pub kind: Vec<String>,
    /// Entities, such as `client/*`. Passages about nothing never fit one.
    pub entity: Vec<Pattern>,
    /// Labels that it must carry with these values; the value `*` stands for any.
    pub labels: BTreeMap<String, String>,
    /// Workflows whose runs wrote it.
    pub workflow: Vec<String>,
}

/// `[[forget]]`: of the passages that fit, those of which all the conditions are true.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawForget")]
pub struct ForgetRule {
    /// Names the rule in every event that it causes.
    pub name: String,
    /// Which passages.
    pub filter: Filter,
    /// Recorded before so long.
    pub older_than: Option<Span>,
    /// Superseded for so long.
    pub superseded_for: Option<Span>,
    /// Given to no step for so long, nor recorded since.
    pub unused_for: Option<Span>,
    /// Beyond so many of one kind about one entity, the least used and then the oldest.
    pub keep: Option<u64>,
    /// Beyond so many bytes of text in all, the least used and then the oldest.
    pub over_bytes: Option<u64>,
}

/// `[[summarise]]`: passages of one kind about one entity become one passage that supersedes them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawSummarise")]
pub struct SummariseRule {
    /// Names the rule in every event that it causes.
    pub name: String,
    /// Which passages.
    pub filter: Filter,
    /// Recorded before so long.
    pub older_than: Span,
    /// Only where at least so many fit.
    pub at_least: u64,
    /// At most so many sentences.
    pub sentences: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTidy {
    every: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForget {
    name: String,
    #[serde(default)]
    kind: Texts,
    #[serde(default)]
    entity: Texts,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    workflow: Texts,
    older_than: Option<Span>,
    superseded_for: Option<Span>,
    unused_for: Option<Span>,
    keep: Option<u64>,
    over_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSummarise {
    name: String,
    #[serde(default)]
    kind: Texts,
    #[serde(default)]
    entity: Texts,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    workflow: Texts,
    older_than: Span,
    at_least: Option<u64>,
    sentences: Option<u64>,
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Texts {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

impl Filter {
    fn new(kind: Texts, entity: Texts, labels: BTreeMap<String, String>, workflow: Texts) -> Result<Self, String> {
        let entity = entity.list().iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?;
        Ok(Self { kind: kind.list(), entity, labels, workflow: workflow.list() })
    }

    /// Tells whether a passage fits; `workflow`: of the run that wrote it, if one did and it is known.
    #[must_use]
    pub fn fits(&self, passage: &Passage, workflow: Option<&str>) -> bool {
        let entity = passage.entity.as_deref();
        (self.kind.is_empty() || self.kind.contains(&passage.kind))
            && (self.entity.is_empty() || entity.is_some_and(|e| self.entity.iter().any(|p| p.fits(e))))
            && self.labels.iter().all(|(k, v)| passage.labels.get(k).is_some_and(|has| v == "*" || v == has))
            && (self.workflow.is_empty() || workflow.is_some_and(|w| self.workflow.iter().any(|name| name == w)))
    }
}

impl TryFrom<RawTidy> for Tidy {
    type Error = String;

    fn try_from(raw: RawTidy) -> Result<Self, String> {
        match raw.every {
            Some(every) if every < EVERY_MIN => Err(format!("memory is tidied at most once in {EVERY_MIN}")),
            every => Ok(Self { every }),
        }
    }
}

impl TryFrom<RawForget> for ForgetRule {
    type Error = String;

    fn try_from(raw: RawForget) -> Result<Self, String> {
        let RawForget { name, older_than, superseded_for, unused_for, keep, over_bytes, .. } = raw;
        let timed = older_than.is_some() || superseded_for.is_some() || unused_for.is_some();
        if !timed && keep.is_none() && over_bytes.is_none() {
            let one = "older_than, superseded_for, unused_for, keep, over_bytes";
            return Err(format!("`{name}` would forget everything that fits; give it at least one of {one}"));
        }
        let filter = Filter::new(raw.kind, raw.entity, raw.labels, raw.workflow)?;
        Ok(Self { name: named(name)?, filter, older_than, superseded_for, unused_for, keep, over_bytes })
    }
}

impl TryFrom<RawSummarise> for SummariseRule {
    type Error = String;

    fn try_from(raw: RawSummarise) -> Result<Self, String> {
        let (at_least, sentences) = (raw.at_least.unwrap_or(5), raw.sentences.unwrap_or(8));
        if at_least < 2 {
            return Err("`at_least` is 2 or more: one passage is its own summary".to_owned());
        }
        if !(1..=20).contains(&sentences) {
            return Err("`sentences` is 1 to 20".to_owned());
        }
        let filter = Filter::new(raw.kind, raw.entity, raw.labels, raw.workflow)?;
        Ok(Self { name: named(raw.name)?, filter, older_than: raw.older_than, at_least, sentences })
    }
}

fn named(name: String) -> Result<String, String> {
    match crate::paths::is_definition_name(&name) {
        true => Ok(name),
        false => Err(format!("`{name}` can not name a rule: use a letter, then letters, digits, - or _")),
    }
}

impl MemoryPolicy {
    /// What in the rules works against each other, each in a sentence: nothing wrong with either rule alone.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (n, a) in self.forget.iter().enumerate() {
            for b in &self.forget[n + 1..] {
                if a.filter == b.filter && a.keep.is_some() && b.keep.is_some() && a.keep != b.keep {
                    let (less, more) = if a.keep < b.keep { (a, b) } else { (b, a) };
                    let keep = less.keep.unwrap_or_default();
                    told.push(format!(
                        "`{}` keeps {keep} of what `{}` keeps {} of; the smaller number counts",
                        less.name,
                        more.name,
                        more.keep.unwrap_or_default()
                    ));
                }
            }
            for s in &self.summarise {
                let always = a.superseded_for.is_none() && a.unused_for.is_none() && a.keep.is_none();
                let first = a.older_than.is_some_and(|age| age <= s.older_than);
                if always && a.over_bytes.is_none() && first && a.filter == s.filter {
                    told.push(format!(
                        "`{}` forgets what `{}` is to summarise, and not later; nothing is left to summarise",
                        a.name, s.name
                    ));
                }
            }
        }
        told
    }

    /// Tells whether there is a rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forget.is_empty() && self.summarise.is_empty()
    }

    /// Tells whether a rule asks which workflow wrote a passage, which is only known from its run.
    #[must_use]
    pub fn asks_for_workflows(&self) -> bool {
        let filters = self.forget.iter().map(|r| &r.filter).chain(self.summarise.iter().map(|r| &r.filter));
        filters.into_iter().any(|filter| !filter.workflow.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::MEMORY_POLICY, *};

    fn read(text: &str) -> MemoryPolicy {
        MemoryPolicy::parse(MEMORY_POLICY, text).unwrap_or_else(|p| panic!("{p}"))
    }

    fn told(text: &str) -> String {
        MemoryPolicy::parse(MEMORY_POLICY, text).expect_err("a problem").to_string()
    }

    #[test]
    fn a_policy_is_read_with_its_rules_in_order() {
        let text = "[tidy]\nevery = \"7d\"\n[[forget]]\nname = \"old\"\nkind = [\"mail\", \"note\"]\nentity = \"client/*\"\nlabels = { class = \"absence\" }\nolder_than = \"365d\"\nkeep = 3\n[[summarise]]\nname = \"digest\"\nkind = \"mail\"\nolder_than = \"180d\"\n";
        let policy = read(text);
        assert_eq!(policy.tidy.every, Some(Span::seconds(7 * 86_400)));
        assert_eq!((policy.forget.len(), policy.forget[0].keep), (1, Some(3)));
        assert_eq!((policy.summarise[0].at_least, policy.summarise[0].sentences), (5, 8));
        assert!(policy.contradictions().is_empty());
        assert_eq!(read(""), MemoryPolicy::default());
    }

    #[test]
    fn what_can_not_be_meant_is_told_with_its_place() {
        assert!(
            told("[[forget]]\nname = \"all\"\n").contains("policies/memory.toml:1:1: `all` would forget everything")
        );
        assert!(told("[[forget]]\nname = \"a\"\nolder = \"3d\"\n").contains(":3:1: unknown key `older`"));
        assert!(told("[tidy]\nevery = \"1s\"\n").contains("at most once in"));
        let twice = "[[forget]]\nname = \"a\"\nkeep = 1\n[[forget]]\nname = \"a\"\nkeep = 2\n";
        assert!(told(twice).contains("two rules are called `a`"));
        assert!(told("[[forget]]\nname = \"a\"\nkeep = 1\nentity = \"Client X\"\n").contains("names nothing"));
        let one = "[[summarise]]\nname = \"a\"\nolder_than = \"1d\"\nat_least = 1\n";
        assert!(told(one).contains("one passage is its own summary"));
    }

    #[test]
    fn rules_that_work_against_each_other_are_told() {
        let text = "[[forget]]\nname = \"a\"\nkind = \"mail\"\nkeep = 10\n[[forget]]\nname = \"b\"\nkind = \"mail\"\nkeep = 3\n[[forget]]\nname = \"c\"\nkind = \"note\"\nolder_than = \"30d\"\n[[summarise]]\nname = \"d\"\nkind = \"note\"\nolder_than = \"60d\"\n";
        let told = read(text).contradictions();
        assert_eq!(
            told,
            [
                "`b` keeps 3 of what `a` keeps 10 of; the smaller number counts",
                "`c` forgets what `d` is to summarise, and not later; nothing is left to summarise"
            ]
        );
    }
}
