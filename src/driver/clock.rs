//! The machine's clock: it begins with the wall clock and goes on at the pace of the machine.
//!
//! Once up, the wall clock is not asked again: set forward it would fire timers early, set back it
//! would hold them up. A correction counts from the next start.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use super::world::Clock;

/// Gives moments that are each later than the one before.
pub struct MachineClock {
    /// The moment at which `since` was zero.
    base: Timestamp,
    /// How long the machine had been up then, sleep included.
    since: Duration,
    last: Timestamp,
    up: Box<dyn Fn() -> Duration>,
}

impl MachineClock {
    /// A clock that begins at `wall` and goes on at the pace of `up`, which never goes back.
    pub fn new(wall: Timestamp, up: impl Fn() -> Duration + 'static) -> Self {
        Self { base: wall, since: up(), last: Timestamp::UNIX_EPOCH, up: Box::new(up) }
    }

    /// The one of the machine we are on.
    pub(super) fn system() -> Self {
        Self::new(Timestamp::now(), up)
    }

    fn at(&mut self, up: Duration) -> Timestamp {
        let passed = SignedDuration::try_from(up.saturating_sub(self.since)).unwrap_or(SignedDuration::MAX);
        let now = self.base.checked_add(passed).unwrap_or(self.last);
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(self.last);
        let next = self.last.checked_add(SignedDuration::from_micros(1)).unwrap_or(self.last);
        self.last = now.max(next);
        self.last
    }

    fn after_at(&mut self, recorded: Timestamp, up: Duration) {
        if recorded > self.at(up) {
            (self.base, self.since, self.last) = (recorded, up, recorded);
        }
    }
}

impl Clock for MachineClock {
    fn now(&mut self) -> Timestamp {
        self.at((self.up)())
    }

    fn after(&mut self, recorded: Timestamp) {
        let up = (self.up)();
        self.after_at(recorded, up);
    }

    fn up(&self) -> Duration {
        (self.up)()
    }
}

/// How long the machine has been up, sleep included.
fn up() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_also_when_the_wall_clock_is_behind_what_was_recorded() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let second = Duration::from_secs;
        let mut clock = MachineClock::new(moment("2026-11-22T08:00:00Z"), move || second(100));
        assert_eq!(clock.at(second(100)), moment("2026-11-22T08:00:00Z"));
        assert_eq!(clock.at(second(100)), moment("2026-11-22T08:00:00.000001Z"), "never the same twice");
        assert_eq!(clock.at(second(160)), moment("2026-11-22T08:01:00Z"));
        // a history of tomorrow: somebody set the clock back by a day while the kernel was down
        clock.after_at(moment("2026-11-23T08:00:00Z"), second(160));
        assert!(clock.at(second(160)) > moment("2026-11-23T08:00:00Z"));
        assert_eq!(clock.at(second(220)), moment("2026-11-23T08:01:00Z"), "a timer of a minute takes a minute");
        clock.after_at(moment("2026-11-01T08:00:00Z"), second(220));
        assert!(clock.at(second(221)) >= moment("2026-11-23T08:01:01Z"));
    }
}
