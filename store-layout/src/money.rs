//! US dollars, exact: nanodollars in an integer, decimal text on disk.

use std::fmt;

/// An amount of US dollars in billionths, so that a tenth of a cent per thousand tokens adds up exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub i128);

const NANOS: i128 = 1_000_000_000;

impl Usd {
    /// Reads a decimal text such as `0.0312`; up to nine decimals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 18 || part.len() > 9 || !digits(whole) || !digits(part) {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let nanos: i128 = format!("{part:0<9}").parse().ok()?;
        Some(Self(sign * (whole * NANOS + nanos)))
    }

    /// The price of `tokens` at `per_million` dollars a million, rounded up.
    #[must_use]
    pub fn of_tokens(tokens: u64, per_million: Self) -> Self {
        let total = i128::from(tokens) * per_million.0;
        Self(total.div_euclid(1_000_000) + i128::from(total.rem_euclid(1_000_000) > 0))
    }

    /// Dollars and cents for a list; amounts below a cent show as `<0.01`.
    #[must_use]
    pub fn short(self) -> String {
        let cents = self.0 / (NANOS / 100);
        if self.0 > 0 && cents == 0 { "<0.01".to_owned() } else { format!("{}.{:02}", cents / 100, cents % 100) }
    }
}

impl std::ops::Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| a + b)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:09}", self.0.abs() / NANOS, self.0.abs() % NANOS);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.pad(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_goes_both_ways() {
        for text in ["0", "0.03", "12", "1.000000001", "-4.5"] {
            assert_eq!(Usd::parse(text).map(|u| u.to_string()).as_deref(), Some(text));
        }
        for bad in ["", ".5", "1e3", "0.0000000001", "$1", "1,5"] {
            assert_eq!(Usd::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_price_is_rounded_up_to_the_nanodollar() {
        let price = Usd::parse("0.15").expect("a price");
        assert_eq!(Usd::of_tokens(1_000_000, price).to_string(), "0.15");
        assert_eq!(Usd::of_tokens(1, price).to_string(), "0.00000015");
        assert_eq!(Usd::of_tokens(7, Usd(1)).0, 1);
    }
}
