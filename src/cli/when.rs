//! Moments and commits as a person types them: `2026-11-22`, `2026-11-22T08:00:00Z`, `1c0ffee`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use super::failure::Failure;
use crate::store::{
    Store,
    git::{ReadLimits, Repo},
};

/// Commits that a beginning of a hash is looked up among.
const COMMITS_MAX: usize = 1_000_000;
/// How much is read to learn how long the files of a commit were.
const READ: ReadLimits = ReadLimits { files_max: 1_000_000, bytes_max: 1 << 30 };

/// Which moment of a day is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its first.
    Begin,
    /// Its last.
    End,
}

/// A state of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// What was recorded up to a time.
    Time(Timestamp),
    /// What a commit held of one folder.
    Commit {
        /// When it was made.
        at: Timestamp,
        /// The files with their lengths in bytes.
        files: BTreeMap<String, u64>,
    },
}

/// A moment as typed; a day is meant here, where the clock on the wall says so.
pub(super) fn moment(text: &str, edge: Edge) -> Option<Timestamp> {
    let Ok(day) = text.parse::<Date>() else { return text.parse().ok() };
    let begin = |day: Date| day.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp());
    match edge {
        Edge::Begin => begin(day),
        Edge::End => begin(day.tomorrow().ok()?)?.checked_sub(SignedDuration::from_micros(1)).ok(),
    }
}

/// A moment that a flag was given.
///
/// # Errors
/// When it is none.
pub(super) fn given(flag: &str, text: &str, edge: Edge) -> Result<Timestamp, Failure> {
    moment(text, edge).ok_or_else(|| {
        Failure::usage(format!("{flag} is no day or moment: `{text}`"))
            .fix("write it like 2026-11-22, or like 2026-11-22T08:00:00Z")
    })
}

/// What `--as-of` means for the files below `folder`: the end of a day, a moment, or a commit.
///
/// # Errors
/// When it is none of them, or the commit can not be read.
pub(super) fn then(store: &Store, text: &str, folder: &str) -> Result<Then, Failure> {
    if let Some(at) = moment(text, Edge::End) {
        return Ok(Then::Time(at));
    }
    let is_hash = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_hash {
        let message = format!("`{text}` is no day, no moment and no commit");
        return Err(Failure::usage(message).fix("write it like 2026-11-22, 2026-11-22T08:00:00Z or 1c0ffee"));
    }
    let repo = Repo::open(store.root())?;
    let log = repo.log(None, COMMITS_MAX)?;
    let Some(entry) = log.iter().find(|entry| entry.commit.to_string().starts_with(text)) else {
        return Err(Failure::not_found(format!("there is no commit `{text}` on this branch")).fix("git log --oneline"));
    };
    let files = match repo.tree_of(folder, Some(&entry.commit))? {
        Some(tree) => repo.read_tree_files(&tree, READ)?,
        None => BTreeMap::new(),
    };
    let long = |(path, bytes): (String, Vec<u8>)| (format!("{folder}/{path}"), bytes.len() as u64);
    Ok(Then::Commit { at: entry.at, files: files.into_iter().map(long).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_and_anything_else_is_told() {
        assert_eq!(moment("2026-11-22T10:00:00Z", Edge::End).unwrap().to_string(), "2026-11-22T10:00:00Z");
        let (begin, end) = (moment("2026-11-22", Edge::Begin).unwrap(), moment("2026-11-22", Edge::End).unwrap());
        assert!(begin < end && end < moment("2026-11-23", Edge::Begin).unwrap());
        let told = given("--since", "soon", Edge::Begin).unwrap_err().text();
        assert!(told.contains("--since is no day or moment: `soon`"), "{told}");
    }
}
