//! What a stretch of work cost: time on the wall and time on the processor.
//!
//! On a shared machine only the second can be trusted; both are told.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A stretch of work under measurement, by all threads of this process.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    wall: Instant,
    cpu: Duration,
}

/// What a stretch cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds on the processor, of all threads.
    pub cpu: f64,
}

impl Stretch {
    /// Begins one.
    #[must_use]
    pub fn begin() -> Self {
        Self { wall: Instant::now(), cpu: process_cpu() }
    }

    /// What it has cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let cpu = process_cpu().saturating_sub(self.cpu);
        Cost { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu.as_secs_f64() }
    }
}

/// Processor time of this process so far.
#[must_use]
fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
