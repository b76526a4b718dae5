//! One measured figure, beside what was aimed at, and how several measurements become one.
//!
//! A figure without a target is told all the same: what a number is worth is seen from its
//! neighbours, above all from what the disk itself can do.

use serde_json::{Value, json};

/// One measured figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The part of the benchmark, as on the command line.
    pub part: &'static str,
    /// What was measured, the same in every repetition.
    pub name: String,
    /// The value, in `unit`.
    pub value: f64,
    /// The unit, as people write it: `ms`, `steps/s`, `KB`.
    pub unit: &'static str,
    /// What it should be.
    pub target: Option<Target>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Target {
    /// Tells whether `value` is good enough.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// The target as people write it.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", number(least)),
            Self::AtMost(most) => format!("<= {}", number(most)),
        }
    }
}

impl Figure {
    /// A figure without a target.
    #[must_use]
    pub fn new(part: &'static str, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { part, name: name.into(), value, unit, target: None }
    }

    /// The same with a target.
    #[must_use]
    pub fn aim(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// `Some(true)` when the target is met, `None` when there is none.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| target.is_met(self.value))
    }

    /// One row of the table: part, figure, value, unit, target, verdict.
    #[must_use]
    pub fn row(&self) -> Vec<String> {
        let verdict = match self.met() {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "",
        };
        let target = self.target.map_or_else(String::new, Target::words);
        let row = [self.part, &self.name, &number(self.value), self.unit, &target, verdict];
        row.map(str::to_owned).to_vec()
    }

    /// The figure for scripts.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "part": self.part, "name": self.name, "value": self.value, "unit": self.unit,
            "target": self.target.map(Target::words), "pass": self.met(),
        })
    }
}

/// Makes one list of several repetitions: the median of each figure, in the order of the first.
#[must_use]
pub fn medians(repetitions: &[Vec<Figure>]) -> Vec<Figure> {
    let Some(first) = repetitions.first() else { return Vec::new() };
    let same = |a: &Figure, b: &Figure| a.part == b.part && a.name == b.name;
    let median_of = |figure: &Figure| {
        let mut values: Vec<f64> = repetitions.iter().flatten().filter(|f| same(f, figure)).map(|f| f.value).collect();
        Figure { value: percentile(&mut values, 50.0), ..figure.clone() }
    };
    first.iter().map(median_of).collect()
}

/// The value below which `percent` of `values` lie (nearest rank); 0 when there are none.
#[must_use]
pub fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let rank = (percent / 100.0 * last as f64).round() as usize;
    values.get(rank.min(last)).copied().unwrap_or(0.0)
}

/// Three digits that matter, thousands parted.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |w| ("-", w));
    let mut parted = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            parted.push(' ');
        }
        parted.push(digit);
    }
    match rest {
        Some(rest) => format!("{sign}{parted}.{rest}"),
        None => format!("{sign}{parted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_parted() {
        let cases = [
            (112_345.6, "112 346"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.0456, "0.046"),
            (2.0, "2"),
            (-1500.0, "-1 500"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn repetitions_become_medians_in_the_first_order() {
        let of = |a, b| vec![Figure::new("x", "a", a, "s"), Figure::new("x", "b", b, "s").aim(Target::AtMost(2.0))];
        let all = medians(&[of(3.0, 9.0), of(1.0, 1.0), of(2.0, 2.0)]);
        assert_eq!(all.iter().map(|f| f.value).collect::<Vec<_>>(), [2.0, 2.0]);
        assert_eq!(all[1].met(), Some(true));
        assert_eq!(all[0].met(), None);
        assert_eq!(percentile(&mut [], 50.0), 0.0);
        assert_eq!(percentile(&mut [4.0, 1.0, 2.0, 3.0], 99.0), 4.0);
    }
}
