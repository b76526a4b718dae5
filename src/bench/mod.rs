//! Measures what Cairn promises about speed, on this machine and this disk, beside what the disk
//! itself can do.
//!
//! Everything runs in a throw-away store through the real driver, journal and git. The workload is
//! runs of ten steps that do nothing, because then all that is measured is ours.

pub mod child;
pub mod clock;
mod commits;
mod disk;
pub mod figure;
pub mod floor;
mod idle;
mod load;
mod recovery;
mod scratch;
mod start;
mod steps;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use figure::Figure;
use scratch::Scratch;

use crate::{
    driver::DriverError,
    store::{error::StoreError, fsutil::FsError, git::GitError},
};

/// Why a benchmark broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The driver stopped.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A child process did not do what it was started for.
    #[error("a process that was started for a measurement failed: {0}")]
    Child(String),
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl From<FsError> for Error {
    fn from(error: FsError) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Durable steps, 1, 16 and 64 runs at a time
    Steps,
    /// Runs in flight, kill -9, and how soon all is done
    Recovery,
    /// Commits, alone and in groups, as the store grows
    Commits,
    /// From the start of a process to its first run done, as the store grows
    Start,
    /// A kernel with nothing to do
    Idle,
    /// Bytes of disk a run
    Disk,
    /// All of these
    All,
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 6] = [Self::Steps, Self::Recovery, Self::Commits, Self::Start, Self::Idle, Self::Disk];
}

/// What is measured, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// Shorter stretches and smaller stores: to see that everything works, not to be quoted.
    pub quick: bool,
    /// How often each part is measured; the medians count.
    pub repeat: usize,
}

impl Options {
    fn floor_time(&self) -> Duration {
        Duration::from_millis(if self.quick { 200 } else { 1_500 })
    }

    fn steps_time(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 4_000 })
    }

    /// Sizes of the store, in finished runs.
    fn sizes(&self) -> &'static [usize] {
        if self.quick { &[200, 1_000] } else { &[1_000, 10_000, 100_000] }
    }
}

/// Measures in `dir`, an empty folder that the caller removes. Nothing is removed before the end: for minutes
/// after, a file system such as ext4 looks through what was just freed before it makes a new file. `say` is told what is going on.
///
/// # Errors
/// When the disk, git or the driver refuses.
pub fn run(dir: &Path, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let mut repetitions = Vec::new();
    for turn in 0..options.repeat.max(1) {
        if options.repeat > 1 {
            say(&format!("repetition {} of {}", turn + 1, options.repeat));
        }
        let home = dir.join(format!("{turn}"));
        std::fs::create_dir(&home).map_err(|e| Error::io("make", &home, e))?;
        repetitions.push(once(&home, options, say)?);
    }
    Ok(figure::medians(&repetitions))
}

fn once(dir: &Path, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    say("the disk's floor");
    let (floor, mut figures) = floor::measure(dir, options)?;
    let wanted = |part: Part| options.parts.contains(&part);
    if wanted(Part::Steps) {
        // a store of its own: ten thousands of runs in the folders of a few days would be in the way of what follows
        let scratch = Scratch::make(&dir.join("steps"))?;
        figures.extend(steps::measure(&scratch, &floor, options, say)?);
        figures.extend(steps::by_parts(&scratch, options, say)?);
    }
    if wanted(Part::Recovery) {
        // so would its runs in flight
        let mut scratch = Scratch::make(&dir.join("recovery"))?;
        figures.extend(recovery::measure(&mut scratch, options, say)?);
    }
    let mut scratch = Scratch::make(&dir.join("store"))?;
    let mut first_cpu = None;
    let growing = wanted(Part::Commits) || wanted(Part::Start);
    for (day, &size) in options.sizes().iter().enumerate().filter(|_| growing) {
        scratch.fill(size, say)?;
        if wanted(Part::Commits) {
            figures.extend(commits::measure(&scratch, (day, size), &mut first_cpu, say)?);
        }
        if wanted(Part::Start) {
            figures.extend(start::measure(&scratch, size, options, say)?);
        }
        if wanted(Part::Steps) {
            figures.extend(steps::in_a_store_of(&scratch, size, options, say)?);
        }
    }
    if wanted(Part::Idle) {
        figures.extend(idle::measure(&scratch, options, say)?);
    }
    if wanted(Part::Disk) {
        figures.extend(disk::measure(&scratch, say)?);
    }
    Ok(figures)
}
