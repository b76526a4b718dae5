//! The machine's clock: wall time that never goes back.

use jiff::Timestamp;

/// Gives moments that are each later than the one before, whatever happens to the wall clock.
#[derive(Debug)]
pub(super) struct Clock {
    last: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self { last: super::epoch() }
    }
}

impl Clock {
    /// The moment, in whole microseconds as the store writes them.
    pub(super) fn now(&mut self) -> Timestamp {
        let wall = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or(self.last);
        let next = self.last.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(self.last);
        self.last = wall.max(next);
        self.last
    }

    /// Goes on after a moment that was recorded, also when the wall clock is behind it now.
    pub(super) fn after(&mut self, recorded: Timestamp) {
        self.last = self.last.max(recorded);
    }
}
