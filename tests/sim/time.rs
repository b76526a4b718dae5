//! Time in a simulation: it passes when somebody says so, and the wall clock can be wrong.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use cairn::driver::{Clock, MachineClock};
use jiff::{SignedDuration, Timestamp};

/// One machine's time: how long it has been up, and how far off its wall clock is.
#[derive(Debug, Clone)]
pub(crate) struct Time(Rc<Dials>);

#[derive(Debug)]
struct Dials {
    up: Cell<Duration>,
    off: Cell<SignedDuration>,
    jumped: Cell<bool>,
}

impl Time {
    pub(crate) fn new() -> Self {
        let up = Cell::new(Duration::from_secs(1_000));
        Self(Rc::new(Dials { up, off: Cell::new(SignedDuration::ZERO), jumped: Cell::new(false) }))
    }

    pub(crate) fn up(&self) -> Duration {
        self.0.up.get()
    }

    /// What the wall clock says.
    pub(crate) fn wall(&self) -> Timestamp {
        let begin: Timestamp = "2026-11-22T08:00:00Z".parse().expect("a moment");
        let up = SignedDuration::try_from(self.up()).expect("a short simulation");
        begin + up + self.0.off.get()
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.0.up.set(self.up() + span);
    }

    /// Tells whether nobody ever set the wall clock.
    pub(crate) fn is_steady(&self) -> bool {
        !self.0.jumped.get()
    }

    /// Somebody sets the wall clock; no time passes.
    pub(crate) fn jump(&self, by: SignedDuration) {
        self.0.jumped.set(true);
        self.0.off.set(self.0.off.get() + by);
    }
}

/// The kernel's own clock over a simulated machine. A clone shows the same time.
#[derive(Clone)]
pub(crate) struct Ticks {
    time: Time,
    clock: Rc<RefCell<MachineClock>>,
    /// A seeded bug: the wall clock is asked again and again.
    by_the_wall: bool,
}

impl Ticks {
    pub(crate) fn new(time: &Time, by_the_wall: bool) -> Self {
        let pace = time.clone();
        let clock = MachineClock::new(time.wall(), move || pace.up());
        Self { time: time.clone(), clock: Rc::new(RefCell::new(clock)), by_the_wall }
    }
}

impl Clock for Ticks {
    fn now(&mut self) -> Timestamp {
        let now = self.clock.borrow_mut().now();
        if self.by_the_wall { now.max(self.time.wall()) } else { now }
    }

    fn after(&mut self, recorded: Timestamp) {
        self.clock.borrow_mut().after(recorded);
    }

    fn up(&self) -> Duration {
        self.time.up()
    }
}
