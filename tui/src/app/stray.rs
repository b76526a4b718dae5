//! Tells a person's keys from a paste that the terminal did not mark as one.

use crate::{Key, Millis};

/// Keys nearer together than this come from no fingers.
const BURST_MS: u64 = 100;
/// So many of them make a paste.
const BURST_KEYS: usize = 3;

/// What was typed just now, outside inputs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stray {
    recent: Vec<(Key, Millis)>,
    /// While a paste goes on, all its keys are dropped.
    dropping: bool,
}

impl Stray {
    /// Tells whether keys that arrived in one piece are a paste. `harmless` says which only move.
    pub(crate) fn is_paste(keys: &[Key], harmless: impl Fn(Key) -> bool) -> bool {
        keys.iter().filter(|k| k.is_text()).count() >= BURST_KEYS && !keys.iter().all(|k| harmless(*k))
    }

    /// Notes a key; tells whether it belongs to a paste. A key that is held down does not, and neither does
    /// one that only moves.
    pub(crate) fn note(&mut self, key: Key, at: Millis, harmless: bool) -> bool {
        let last = self.recent.last().map(|(_, t)| *t);
        if last.is_some_and(|t| at.since(t) >= BURST_MS) {
            self.dropping = false;
        }
        self.recent.retain(|(_, t)| at.since(*t) < BURST_MS);
        self.recent.push((key, at));
        let held = self.recent.iter().all(|(k, _)| *k == key);
        let texts = self.recent.iter().filter(|(k, _)| k.is_text()).count();
        if texts >= BURST_KEYS && !held {
            self.dropping = true;
        }
        self.dropping && !harmless
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, gap_ms: u64) -> String {
        let mut stray = Stray::default();
        let moves = |c: char| "jk".contains(c);
        keys.chars()
            .enumerate()
            .map(|(n, c)| {
                let at = Millis(1000 + n as u64 * gap_ms);
                if stray.note(Key::Char(c), at, moves(c)) { '-' } else { c }
            })
            .collect()
    }

    #[test]
    fn fast_keys_are_dropped_and_held_keys_are_not() {
        assert_eq!(check("pay now", 10), "pa-----");
        assert_eq!(check("axe", 60), "axe");
        assert_eq!(check("jjjjjj", 20), "jjjjjj");
        assert_eq!(check("jkjka", 20), "jkjk-");
        let texts = |s: &str| s.chars().map(Key::Char).collect::<Vec<_>>();
        let moves = |k: Key| k == Key::Char('j');
        assert!(Stray::is_paste(&texts("pay"), moves));
        assert!(!Stray::is_paste(&texts("jjjj"), moves));
        assert!(!Stray::is_paste(&texts("ja"), moves));
    }
}
