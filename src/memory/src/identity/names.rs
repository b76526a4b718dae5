//! Names of firms and people, and how alike two are: spelling, order of words and legal form do not count.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Legal forms, without dots: they are left off at the end of a name.
const FORMS: [&str; 58] = [
    "ab",
    "ag",
    "aps",
    "as",
    "asa",
    "bv",
    "bvba",
    "co",
    "cokg",
    "company",
    "corp",
    "corporation",
    "eg",
    "ek",
    "ev",
    "eurl",
    "gbr",
    "gesmbh",
    "ggmbh",
    "gmbh",
    "haftungsbeschraenkt",
    "holding",
    "inc",
    "incorporated",
    "kft",
    "kg",
    "kgaa",
    "kk",
    "lda",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "mbh",
    "nv",
    "ohg",
    "ou",
    "oy",
    "oyj",
    "plc",
    "pte",
    "pty",
    "sa",
    "sarl",
    "sas",
    "sasu",
    "se",
    "sl",
    "slu",
    "snc",
    "spa",
    "spzoo",
    "srl",
    "srls",
    "sro",
    "ug",
    "zrt",
];
/// Words that say nothing.
const FILLERS: [&str; 9] = ["and", "de", "der", "die", "et", "for", "of", "the", "und"];
/// What two words must reach to be taken for one that was misspelt.
const WORD_MIN: f64 = 0.9;

/// A name as words that can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Vec<String>);

impl Name {
    /// Reads a name; `None` when nothing is left of it that says anything.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut words: Vec<String> = Vec::new();
        for word in fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if !FILLERS.contains(&word) {
                words.push(word.to_owned());
            }
        }
        while words.len() > 1 && words.last().is_some_and(|word| FORMS.contains(&word.as_str())) {
            words.pop();
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// The same name whatever the order of its words.
    #[must_use]
    pub fn key(&self) -> String {
        let mut words = self.0.clone();
        words.sort_unstable();
        words.concat()
    }

    /// How alike two names are, 0 to 1: each word of the one is held against its best word of the other by
    /// Jaro-Winkler, weighed by length. Numbers and initials must agree; a word without a match counts nothing.
    #[must_use]
    pub fn alike(&self, other: &Self) -> f64 {
        if self.key() == other.key() {
            return 1.0;
        }
        let numbers = |name: &Self| -> BTreeSet<String> {
            name.0.iter().filter(|word| word.bytes().any(|b| b.is_ascii_digit())).cloned().collect()
        };
        if numbers(self) != numbers(other) {
            return 0.0;
        }
        // written together here and apart there: "soft ware" and "software"
        let (a, b) = (self.0.concat(), other.0.concat());
        if a == b {
            return 1.0;
        }
        covered(&self.0, &other.0).min(covered(&other.0, &self.0))
    }
}

/// The part of `words`, by letters, that `others` has too.
fn covered(words: &[String], others: &[String]) -> f64 {
    let (mut found, mut all) = (0.0, 0.0);
    for word in words {
        let weight = word.chars().count() as f64;
        let best = others.iter().map(|other| same_word(word, other)).fold(0.0, f64::max);
        found += weight * best;
        all += weight;
    }
    found / all
}

/// How sure it is that two words are one, misspelt: nothing below [`WORD_MIN`], and nothing for short words that
/// differ at all.
fn same_word(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let short = a.chars().count().min(b.chars().count());
    if short < 5 || strsim::damerau_levenshtein(a, b) > if short < 8 { 1 } else { 2 } {
        return 0.0;
    }
    let alike = strsim::jaro_winkler(a, b);
    if alike < WORD_MIN { 0.0 } else { alike }
}

/// Lower case, umlauts as two letters, other accents away, dots within abbreviations away.
fn fold(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for c in text.nfc().flat_map(char::to_lowercase) {
        match c {
            'ä' | 'æ' => spelt.push_str("ae"),
            'ö' | 'ø' | 'œ' => spelt.push_str("oe"),
            'ü' => spelt.push_str("ue"),
            'å' => spelt.push_str("aa"),
            'ß' => spelt.push_str("ss"),
            'ł' => spelt.push('l'),
            '.' | '\'' | '’' => {}
            c => spelt.push(c),
        }
    }
    spelt.nfkd().filter(|c| !is_combining_mark(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_order_and_spelling_do_not_count_and_another_word_does() {
        let alike = |a: &str, b: &str| Name::new(a).unwrap().alike(&Name::new(b).unwrap());
        for (a, b) in [
            ("Müller & Söhne GmbH & Co. KG", "Mueller und Soehne"),
            ("The Northwind Bikes Ltd.", "NORTHWIND BIKES LIMITED"),
            ("Brandt, Jo", "Jo Brandt"),
            ("Blue Print", "Blueprint Inc."),
        ] {
            assert!((alike(a, b) - 1.0).abs() < 1e-9, "{a} | {b}: {}", alike(a, b));
        }
        assert!(alike("Northwind Bikes", "Nortwind Bikes") > 0.95, "one letter");
        for (a, b) in
            [("Studio 54", "Studio 56"), ("Brandt Bau", "Brandt Bad"), ("Alpha Consulting", "Omega Consulting")]
        {
            assert!(alike(a, b) < 0.8, "{a} | {b}: {}", alike(a, b));
        }
        assert_eq!(Name::new(" & "), None);
        assert_eq!(Name::new("GmbH").unwrap().key(), "gmbh", "a name of a form alone is a name");
    }
}
