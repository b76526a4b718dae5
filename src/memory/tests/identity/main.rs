//! Who is who, measured: pairs of parties of which a person said whether they are one.
//!
//! Weights and thresholds were set on the lines with odd numbers; the figures that count are those of the even
//! ones. `cargo nextest run -p cairn-memory --no-capture measured` prints both.

use cairn_memory::identity::{LIKELY, SURE, Traits};
use serde_json::{Map, Value, json};

struct Pair {
    line: usize,
    same: bool,
    sides: [Traits; 2],
    text: &'static str,
}

fn pairs() -> Vec<Pair> {
    let side = |text: &str| {
        let mut fields = Map::new();
        for field in text.split(';') {
            let (name, value) = field.split_once('=').expect("name=value");
            let value = value.trim();
            let value = match name.trim() {
                "aliases" => value.split(',').map(|alias| json!(alias.trim())).collect::<Value>(),
                _ => json!(value),
            };
            fields.insert(name.trim().to_owned(), value);
        }
        Traits::of(&Value::Object(fields), Some("49"))
    };
    let read = |(n, text): (usize, &'static str)| {
        let columns: Vec<&str> = text.split('\t').collect();
        let [label, a, b] = columns[..] else { panic!("three columns: {text}") };
        Pair { line: n + 1, same: label == "same", sides: [side(a), side(b)], text }
    };
    include_str!("pairs.tsv").lines().enumerate().map(read).collect()
}

/// How often what is found is right, and how much of what is right is found.
struct Measured {
    found: usize,
    right: usize,
    same: usize,
}

impl Measured {
    fn precision(&self) -> f64 {
        self.right as f64 / self.found.max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.right as f64 / self.same.max(1) as f64
    }
}

fn measure(pairs: &[&Pair], from: f64, only_strong: bool) -> Measured {
    let mut measured = Measured { found: 0, right: 0, same: pairs.iter().filter(|pair| pair.same).count() };
    for pair in pairs {
        let likeness = pair.sides[0].likeness(&pair.sides[1]);
        let back = pair.sides[1].likeness(&pair.sides[0]);
        assert_eq!(likeness.as_ref().map(|l| l.score), back.map(|l| l.score), "either way round: {}", pair.text);
        let found = likeness.as_ref().is_some_and(|l| l.score >= from && (l.strong || !only_strong));
        if found != pair.same && !only_strong {
            println!("line {} ({likeness:?}): {}", pair.line, pair.text);
        }
        measured.found += usize::from(found);
        measured.right += usize::from(found && pair.same);
    }
    measured
}

#[test]
fn likeness_is_measured_on_pairs_that_it_was_not_set_on() {
    let pairs = pairs();
    assert!(pairs.len() >= 120, "{}", pairs.len());
    for (name, odd) in [("set on", true), ("held out", false)] {
        let part: Vec<&Pair> = pairs.iter().filter(|pair| (pair.line % 2 == 1) == odd).collect();
        let sure = measure(&part, SURE, true);
        let likely = measure(&part, LIKELY, false);
        println!(
            "{name}: {} pairs; sure: precision {:.3}, recall {:.3}; likely: precision {:.3}, recall {:.3}",
            part.len(),
            sure.precision(),
            sure.recall(),
            likely.precision(),
            likely.recall()
        );
        assert!(sure.precision() >= 1.0, "{name}: a strong key named a stranger");
        assert!(likely.precision() >= 0.93, "{name}: {}", likely.precision());
        assert!(likely.recall() >= 0.85, "{name}: {}", likely.recall());
    }
}

#[test]
fn two_tax_ids_are_two_parties_whatever_else_they_share() {
    let traits = |tax: &str| {
        Traits::of(&json!({"name": "Brandt", "email": "ap@brandt.example", "phone": "+49 30 1", "vat_id": tax}), None)
    };
    assert_eq!(traits("DE111111111").likeness(&traits("DE222222222")), None);
    assert!(traits("DE111111111").likeness(&traits("DE 111 111 111")).is_some_and(|l| l.score >= SURE));
    // a tax number is no VAT id: that they differ says nothing
    let other = Traits::of(&json!({"tax_id": "27/123/45678", "email": "ap@brandt.example"}), None);
    assert!(traits("DE111111111").likeness(&other).is_some());
}
