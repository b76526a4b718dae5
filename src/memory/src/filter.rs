//! What a question leaves out: by whom and what a passage is about, by labels, by time, and by what
//! does not hold. Prepared once a question, because a filter is asked about every row.

use crate::{
    catalogue::{Catalogue, Moment, Row, Standing},
    columns::label,
    query::Query,
};

/// The filters of one question.
pub(crate) struct Filter<'a> {
    catalogue: &'a Catalogue,
    /// What an index on disk can filter by itself.
    #[cfg(feature = "lance")]
    pub(crate) query: &'a Query,
    pub(crate) moment: Moment,
    /// Bounds of the time of recording: from, and before.
    since: i64,
    until: i64,
    /// A passage holds until then at least.
    holds_until: i64,
    /// For each segment, the codes under which it knows what is asked for.
    codes: Vec<Codes>,
}

/// What a segment must be asked for. `None`: anything will do.
struct Codes {
    entities: Option<Vec<u32>>,
    kinds: Option<Vec<u32>>,
    /// All of these.
    labels: Vec<u32>,
    /// A label is asked for that no row of the segment has.
    lacks_label: bool,
}

/// Why a filter leaves a passage out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Excluded {
    Entity,
    Kind,
    Labels,
    /// Recorded before or after what is asked for.
    Recorded,
    /// It will not hold long enough.
    Validity,
    Standing(Standing),
}

impl<'a> Filter<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, query: &'a Query, moment: Moment) -> Self {
        let labels: Vec<String> = query.labels.iter().map(|(name, value)| label(name, value)).collect();
        let codes = catalogue.segments().map(|(_, segment)| {
            let known = segment.rows.label_codes(&labels);
            Codes {
                entities: (!query.entities.is_empty()).then(|| segment.rows.entity_codes(&query.entities)),
                kinds: (!query.kinds.is_empty()).then(|| segment.rows.kind_codes(&query.kinds)),
                lacks_label: known.len() < labels.len(),
                labels: known,
            }
        });
        let micros = |time: jiff::Timestamp| time.as_microsecond();
        let longer = query.min_validity.map(|span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX));
        Self {
            codes: codes.collect(),
            since: query.since.map_or(i64::MIN, micros),
            until: query.until.map_or(i64::MAX, micros),
            holds_until: longer.map_or(i64::MIN, |longer| moment.at.saturating_add(longer)),
            catalogue,
            #[cfg(feature = "lance")]
            query,
            moment,
        }
    }

    /// Tells whether a row passes.
    pub(crate) fn admits(&self, row: Row) -> bool {
        Excluded::FILTERS.iter().all(|filter| !self.fails(row, filter)) && self.catalogue.holds(row, &self.moment)
    }

    /// Why a row does not pass, with every reason.
    pub(crate) fn excludes(&self, row: Row) -> Vec<Excluded> {
        let mut out: Vec<Excluded> = Excluded::FILTERS.into_iter().filter(|filter| self.fails(row, filter)).collect();
        match self.catalogue.standing(row, &self.moment) {
            Standing::Holds => {}
            other => out.push(Excluded::Standing(other)),
        }
        out
    }

    fn fails(&self, row: Row, filter: &Excluded) -> bool {
        let (number, i) = self.catalogue.locate(row);
        let (codes, rows) = (&self.codes[number], self.catalogue.rows(number));
        match filter {
            Excluded::Entity => {
                codes.entities.as_ref().is_some_and(|all| rows.entity(i).is_none_or(|own| !all.contains(&own)))
            }
            Excluded::Kind => codes.kinds.as_ref().is_some_and(|kinds| !kinds.contains(&rows.kind(i))),
            Excluded::Labels => codes.lacks_label || !codes.labels.iter().all(|code| rows.labels(i).contains(code)),
            Excluded::Recorded => !(self.since..self.until).contains(&rows.recorded(i)),
            Excluded::Validity => rows.valid_to(i).is_some_and(|to| to < self.holds_until),
            Excluded::Standing(_) => !self.catalogue.holds(row, &self.moment),
        }
    }
}

impl Excluded {
    /// What a question asks for; that a passage holds is asked for always.
    const FILTERS: [Self; 5] = [Self::Entity, Self::Kind, Self::Labels, Self::Recorded, Self::Validity];
}
