//! A word list: which words of business English mean nearly the same.
//!
//! `concepts.tsv` holds one group a line, its name and its words (`past_due` is two words in a row).
//! It was written from general knowledge of the field, from no text or question that anything is
//! measured on. Words are compared by stem, so a group need not list every form of a regular word.
//!
//! It is a list, not understanding: a word that is not in it means nothing here, and a word with two
//! meanings is in two groups, each of which counts half.

use std::{collections::HashMap, sync::LazyLock};

use crate::words;

const LIST: &str = include_str!("concepts.tsv");

/// The groups, by stem, and by two stems in a row with a blank between.
static GROUPS: LazyLock<HashMap<String, Vec<&'static str>>> = LazyLock::new(|| {
    let mut groups: HashMap<String, Vec<&'static str>> = HashMap::new();
    for line in LIST.lines() {
        let Some((name, listed)) = line.split_once('\t') else { continue };
        for word in listed.split_ascii_whitespace() {
            let of = groups.entry(words::stems(word).join(" ")).or_default();
            if !of.contains(&name) {
                of.push(name);
            }
        }
    }
    groups
});

/// The names of the groups of a stem, or of two stems joined by a blank.
pub(crate) fn of(stem: &str) -> &'static [&'static str] {
    GROUPS.get(stem).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_of_one_meaning_share_a_group_whatever_their_form() {
        let group = |word: &str| of(&words::stems(word).join(" "));
        assert_eq!(group("overdue"), group("late"));
        assert!(group("invoices").contains(&"invoice") && group("billed").contains(&"invoice"));
        assert!(group("past_due").contains(&"late"));
        assert!(group("giraffe").is_empty());
    }

    #[test]
    fn the_list_is_in_order() {
        let mut names = BTreeSet::new();
        for line in LIST.lines() {
            let (name, listed) = line.split_once('\t').expect(line);
            assert!(names.insert(name), "{name} is there twice");
            let listed: Vec<&str> = listed.split_ascii_whitespace().collect();
            assert!(listed.len() >= 2, "{name} has one word");
            assert!(listed.iter().all(|word| words::stems(word).len() <= 2), "{name}: phrases have two words");
        }
        assert!(names.len() >= 300);
    }
}
