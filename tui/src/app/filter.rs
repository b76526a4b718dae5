//! The live filter after `/`: fuzzy words, `'exact`, `!not`, `^begin`, `end$`.

use std::cell::RefCell;

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

/// A filter, ready to be asked.
pub(crate) struct Filter {
    pattern: Pattern,
    matcher: RefCell<Matcher>,
}

impl Filter {
    pub(crate) fn new(typed: &str) -> Self {
        Self {
            pattern: Pattern::parse(typed, CaseMatching::Smart, Normalization::Smart),
            matcher: RefCell::new(Matcher::new(Config::DEFAULT)),
        }
    }

    /// Tells whether a row passes. An empty filter lets everything pass, and asks for no words.
    pub(crate) fn passes(&self, words: impl FnOnce() -> String) -> bool {
        if self.pattern.atoms.is_empty() {
            return true;
        }
        let mut buffer = Vec::new();
        self.pattern.score(Utf32Str::new(&words(), &mut buffer), &mut self.matcher.borrow_mut()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_fuzzy_exact_or_excluded() {
        let row = "a3f2 SEND invoice-chase Reminder 2 to Brandt GmbH";
        for (typed, passes) in
            [("", true), ("brndt", true), ("'brandt", true), ("'brndt", false), ("!send", false), ("send !jonas", true)]
        {
            assert_eq!(Filter::new(typed).passes(|| row.to_owned()), passes, "{typed}");
        }
    }
}
