//! What was known and what held at a moment: now, at a time, or in a commit.
//!
//! A passage holds when it is known, not forgotten, begun, not over, and superseded by nothing that
//! is itself known and begun. That the other one is over or forgotten later makes the old one true
//! no more. A passage with several rows is one passage: the earliest row after the last time it was
//! forgotten speaks for it.

use cairn_store_layout::passage::Forgotten;

use super::{Catalogue, Row};
use crate::{
    columns::{Doubt, Place},
    query::Past,
};

/// The moment a question is about, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What must hold, holds at this time.
    pub(crate) at: i64,
    known: Known,
}

/// What is known at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// Everything, also what a clock of another machine dates into our future.
    All,
    /// What was recorded up to a time.
    Until(i64),
    /// The first bytes of each file, by its number.
    Files(Vec<u64>),
}

/// Whether a passage holds at a moment, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Holds,
    /// Not recorded by then.
    Unknown,
    /// Another row speaks for the same passage.
    SpokenFor,
    /// Since when.
    Forgotten(i64),
    /// By which row.
    Superseded(Row),
    /// From when it holds.
    NotYet(i64),
    /// Until when it held.
    Over(i64),
}

impl Moment {
    /// A past moment as it was then, or now with all that is known.
    pub(crate) fn new(as_of: Option<&Past>, now: jiff::Timestamp, catalogue: &Catalogue) -> Self {
        match as_of {
            None => Self { at: now.as_microsecond(), known: Known::All },
            Some(Past::Time(at)) => Self { at: at.as_microsecond(), known: Known::Until(at.as_microsecond()) },
            Some(Past::Files { at, files }) => {
                let len = |path: &str| files.get(path).copied().unwrap_or(0);
                let known = catalogue.files.iter().map(|file| len(&file.path)).collect();
                Self { at: at.as_microsecond(), known: Known::Files(known) }
            }
        }
    }

    fn knows(&self, recorded: i64, place: Place) -> bool {
        match &self.known {
            Known::All => true,
            Known::Until(at) => recorded <= *at,
            Known::Files(lens) => {
                let len = lens.get(place.file as usize).copied().unwrap_or(0);
                place.offset.saturating_add(u64::from(place.len)) <= len
            }
        }
    }
}

impl Catalogue {
    /// Tells whether a row holds at a moment.
    pub(crate) fn holds(&self, row: Row, moment: &Moment) -> bool {
        self.standing(row, moment) == Standing::Holds
    }

    /// Tells whether a row holds at a moment, and why not.
    pub(crate) fn standing(&self, row: Row, moment: &Moment) -> Standing {
        let (rows, i) = self.at(row);
        if !moment.knows(rows.recorded(i), rows.place(i)) {
            return Standing::Unknown;
        }
        if self.links.is_touched(row)
            && let Some(other) = self.linked_standing(row, moment)
        {
            return other;
        }
        match (rows.valid_from(i), rows.valid_to(i)) {
            (Some(from), _) if from > moment.at => Standing::NotYet(from),
            (_, Some(to)) if to <= moment.at => Standing::Over(to),
            _ => Standing::Holds,
        }
    }

    /// What the links of a row make of it, if they decide.
    fn linked_standing(&self, row: Row, moment: &Moment) -> Option<Standing> {
        let id = self.id(row);
        let forgets = self.links.forgets_of(id).filter(|forget| moment.knows(forget.at, forget.place));
        let forgotten = forgets.map(|forget| forget.at).max();
        let counts =
            |row: &Row| self.knows(*row, moment) && forgotten.is_none_or(|forgotten| self.recorded(*row) > forgotten);
        let speaks = self.rows_of(id).filter(counts).min_by(|a, b| self.age(*a).cmp(&self.age(*b)));
        match (speaks, forgotten) {
            (Some(speaks), _) if speaks != row => return Some(Standing::SpokenFor),
            (None, Some(at)) => return Some(Standing::Forgotten(at)),
            _ => {}
        }
        let begun = |by: &&Row| {
            let (rows, i) = self.at(**by);
            self.knows(**by, moment) && rows.valid_from(i).is_none_or(|from| from <= moment.at)
        };
        self.links.superseding(id).iter().find(begun).map(|by| Standing::Superseded(*by))
    }

    fn knows(&self, row: Row, moment: &Moment) -> bool {
        let (rows, i) = self.at(row);
        moment.knows(rows.recorded(i), rows.place(i))
    }

    /// What forgot a passage at a time.
    pub(crate) fn forgotten(&self, id: &str, at: i64) -> Result<Option<Forgotten>, Doubt> {
        if let Some(waiting) = self.waiting_forgets.get(&(id.to_owned(), at)) {
            return Ok(Some(waiting.clone()));
        }
        match self.links.forgets_of(id).find(|forget| forget.at == at) {
            Some(forget) => self.reader().forgotten(forget.place),
            None => Ok(None),
        }
    }
}
