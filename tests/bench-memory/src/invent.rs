//! Invented passages in any number, the same on every machine, and questions about them.
//!
//! Texts need the two things that decide what an index costs: words as they occur in writing (few common ones, very
//! many rare ones: Zipf) and sentences that resemble each other (templates). What they say does not matter here; that
//! is what the corpus is for.

use std::collections::BTreeMap;

use cairn_store_layout::passage::{Passage, Source};
use jiff::{SignedDuration, Timestamp};

/// Whom the passages are about.
pub const ENTITIES: usize = 2_000;
/// Invented words beside those of the templates.
const VOCABULARY: usize = 30_000;
/// A passage is as long as this, or a sentence longer.
const BYTES: usize = 240;
/// The days over which passages are spread.
const DAYS: usize = 540;

const SYLLABLES: [&str; 16] =
    ["ba", "cor", "di", "fen", "gu", "hal", "ke", "lin", "mo", "nur", "pa", "res", "sil", "to", "vu", "zan"];
/// What `@` stands for is a name, `#` a number, `*` a word.
const SENTENCES: [&str; 12] = [
    "@ asked on the phone whether the * can be moved to the * before the # of the month.",
    "The invoice for * and * was paid # days late, and nobody at the office of @ knew why.",
    "Please send every * as a * with the number #, because the * of @ reads nothing else.",
    "They agreed to a discount of # percent on * when the * arrives together with the *.",
    "@ prefers short mails about * and wants no calls after # o'clock.",
    "A complaint about the * came in: the * was delivered without *, and the customer waited # weeks.",
    "The contract on * ends in # months unless @ cancels the * in writing.",
    "Never mention the * of @ in a newsletter; ask the * first.",
    "On the site the * must be shown above the *, in at least # points.",
    "The tax office wants the * and the * kept for # years.",
    "@ will be away; urgent * go to the * team, everything about * can wait # days.",
    "Our offer for the * was refused as the * of a competitor costs # less.",
];

/// Random enough to make texts, and the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Draws numbers so that the one at place `n` comes `1 / (n + 1)` as often as the first.
struct Zipf {
    sums: Vec<u64>,
}

impl Zipf {
    fn of(n: usize) -> Self {
        let mut sum = 0;
        let sums = (1..=n as u64).map(|rank| {
            sum += (1 << 40) / rank;
            sum
        });
        Self { sums: sums.collect() }
    }

    fn draw(&self, random: &mut Random) -> usize {
        let total = *self.sums.last().expect("there is something to draw from");
        let at = random.next() % total;
        self.sums.partition_point(|sum| *sum <= at)
    }
}

/// The maker of passages and questions.
pub struct Inventor {
    words: Zipf,
    entities: Zipf,
}

impl Default for Inventor {
    fn default() -> Self {
        Self { words: Zipf::of(VOCABULARY), entities: Zipf::of(ENTITIES) }
    }
}

impl Inventor {
    /// The passage at place `n` of `of`, the same at every call. They are in the order of their moments.
    #[must_use]
    pub fn passage(&self, n: usize, of: usize) -> Passage {
        let mut random = Random(0x000c_a112_u64.wrapping_add(n as u64 * 0x1_0001));
        let entity = self.entities.draw(&mut random);
        let name = name(entity);
        let mut text = String::new();
        while text.len() < BYTES {
            if !text.is_empty() {
                text.push(' ');
            }
            let sentence = SENTENCES[random.below(SENTENCES.len())];
            for c in sentence.chars() {
                match c {
                    '@' => text.push_str(&name),
                    '#' => text.push_str(&(2 + random.below(89)).to_string()),
                    '*' => text.push_str(&word(self.words.draw(&mut random))),
                    c => text.push(c),
                }
            }
        }
        let entity = Some(format!("client/c{entity:04}"));
        let kind = ["mail", "call", "note"][random.below(3)].to_owned();
        Passage {
            id: Passage::derive_id(&kind, entity.as_deref(), &text),
            recorded_at: moment(n, of),
            text,
            kind,
            entity,
            labels: BTreeMap::new(),
            source: Source::Person { person: "ada".to_owned() },
            valid_from: None,
            valid_to: None,
            supersedes: Vec::new(),
        }
    }

    /// `n` passages.
    #[must_use]
    pub fn passages(&self, n: usize) -> Vec<Passage> {
        (0..n).map(|i| self.passage(i, n)).collect()
    }

    /// `count` questions about passages among `of`: some of a passage's rare words, every other time with the name.
    #[must_use]
    pub fn questions(&self, count: usize, of: usize) -> Vec<String> {
        let ask = |n: usize| {
            let mut random = Random(0x00a5_4b1e_u64.wrapping_add(n as u64 * 0x1_0003));
            let about = self.passage(random.below(of), of);
            let mut known: Vec<&str> = about.text.split(|c: char| !c.is_alphanumeric()).collect();
            known.retain(|word| is_invented(word));
            let mut asked = vec!["what", "about", "the"];
            for _ in 0..2 + random.below(3) {
                asked.push(known[random.below(known.len())]);
            }
            let name = name(entity_number(&about));
            if n.is_multiple_of(2) {
                asked.extend(["of", &name]);
            }
            asked.join(" ")
        };
        (0..count).map(ask).collect()
    }
}

fn entity_number(passage: &Passage) -> usize {
    let entity = passage.entity.as_deref().and_then(|entity| entity.strip_prefix("client/c"));
    entity.and_then(|number| number.parse().ok()).expect("every invented passage is about a numbered client")
}

fn moment(n: usize, of: usize) -> Timestamp {
    let begin: Timestamp = "2025-06-01T06:00:00Z".parse().expect("a moment");
    let minutes = n * DAYS * 24 * 60 / of.max(1);
    begin + SignedDuration::from_mins(i64::try_from(minutes).expect("a year has fewer minutes"))
}

fn is_invented(word: &str) -> bool {
    let mut rest = word;
    while let Some(next) = SYLLABLES.iter().find_map(|syllable| rest.strip_prefix(syllable)) {
        rest = next;
    }
    rest.is_empty() && word.len() > 4
}

/// The word at place `n` of the vocabulary, of two to four syllables.
fn word(n: usize) -> String {
    let mut word = String::new();
    let mut rest = n + SYLLABLES.len();
    while rest > 0 {
        word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
    }
    word
}

/// The name of a client.
fn name(entity: usize) -> String {
    let first = word(entity * 7 + 31);
    let (initial, rest) = first.split_at(1);
    let form = ["Ltd", "GmbH", "Studio", "& Sons"][entity % 4];
    format!("{}{rest} {form}", initial.to_uppercase())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn passages_are_many_different_and_of_one_length() {
        let inventor = Inventor::default();
        let made = inventor.passages(2_000);
        assert_eq!(made, inventor.passages(2_000), "the same at every call");
        assert_eq!(made.iter().map(|p| &p.id).collect::<BTreeSet<_>>().len(), 2_000);
        let mean = made.iter().map(|p| p.text.len()).sum::<usize>() / made.len();
        assert!((260..=340).contains(&mean), "{mean} bytes a passage");
        assert!(made.is_sorted_by_key(|p| p.recorded_at));
        let entities: BTreeSet<&str> = made.iter().filter_map(|p| p.entity.as_deref()).collect();
        assert!(entities.len() > 300 && entities.len() <= ENTITIES, "{} entities", entities.len());
    }

    #[test]
    fn words_come_as_in_writing() {
        let inventor = Inventor::default();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for passage in inventor.passages(2_000) {
            for word in passage.text.split(|c: char| !c.is_alphanumeric()).filter(|w| is_invented(w)) {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
        let (most, once) = (*counts.values().max().unwrap(), counts.values().filter(|n| **n == 1).count());
        assert!(most > 1_000 && once > 1_500, "the most common {most} times, {once} words once");
    }

    #[test]
    fn questions_hold_words_of_a_passage() {
        let inventor = Inventor::default();
        let questions = inventor.questions(200, 1_000);
        assert_eq!(questions, inventor.questions(200, 1_000));
        assert!(questions.iter().collect::<BTreeSet<_>>().len() > 190);
        let texts: String = inventor.passages(1_000).into_iter().map(|p| p.text).collect();
        assert!(questions.iter().flat_map(|q| q.split(' ')).filter(|w| is_invented(w)).all(|w| texts.contains(w)));
    }
}
