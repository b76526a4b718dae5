//! What this disk can do: the floor under every durable figure.
//!
//! Records of 200 bytes, each durable (`fdatasync`) before the next, alone or in groups, appended to
//! a growing file or written into a segment of zeros as the journal does it. No line of Cairn's own
//! code is on these paths, so that nothing of ours can flatter or spoil them.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    time::Instant,
};

use super::{
    Error, Options,
    figure::{Figure, percentile},
};

const RECORD_BYTES: usize = 200;
/// The size of a segment of zeros: the journal's own.
const SEGMENT_BYTES: usize = cairn_store_layout::journal::SEGMENT_BYTES;

/// The floor, in records a second, that the other parts are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Floor {
    /// One record at a time into zeros.
    pub alone: f64,
    /// Groups of 16 into zeros.
    pub of_16: f64,
    /// Groups of 64 into zeros.
    pub of_64: f64,
    /// The slowest percent of the syncs of groups of 16, in ms.
    pub p99_of_16_ms: f64,
}

impl Floor {
    /// The floor for groups of `size`.
    #[must_use]
    pub fn of(&self, size: usize) -> f64 {
        match size {
            0..16 => self.alone,
            16..64 => self.of_16,
            _ => self.of_64,
        }
    }
}

/// Measures the floor on the disk of `dir`.
pub(super) fn measure(dir: &Path, options: &Options) -> Result<(Floor, Vec<Figure>), Error> {
    let (mut floor, mut figures) = (Floor::default(), Vec::new());
    for (zeros, how) in [(false, "append"), (true, "into zeros")] {
        for group in [1, 16, 64] {
            let path = dir.join("floor");
            let times =
                syncs(&path, zeros, group, options).map_err(|e| Error::io("measure the disk with", &path, e))?;
            let seconds: f64 = times.iter().sum();
            let rate = (times.len() * group) as f64 / seconds;
            let mut millis: Vec<f64> = times.iter().map(|s| s * 1e3).collect();
            let (p50, p99) = (percentile(&mut millis, 50.0), percentile(&mut millis, 99.0));
            let name = |what: &str| format!("{how}, groups of {group}: {what}");
            figures.push(Figure::new("floor", name("durable records"), rate, "1/s"));
            figures.push(Figure::new("floor", name("p50"), p50, "ms"));
            figures.push(Figure::new("floor", name("p99"), p99, "ms"));
            match (zeros, group) {
                (true, 1) => floor.alone = rate,
                (true, 16) => (floor.of_16, floor.p99_of_16_ms) = (rate, p99),
                (true, _) => floor.of_64 = rate,
                (false, _) => {}
            }
        }
    }
    Ok((floor, figures))
}

/// The time of each group, in seconds.
fn syncs(path: &Path, zeros: bool, group: usize, options: &Options) -> io::Result<Vec<f64>> {
    let mut file = File::create(path)?;
    if zeros {
        file.write_all(&vec![0; SEGMENT_BYTES])?;
        file.sync_all()?;
    }
    let bytes = vec![b'x'; RECORD_BYTES * group];
    let (mut at, mut times) = (0, Vec::new());
    let begin = Instant::now();
    while begin.elapsed() < options.floor_time() {
        if zeros && at + bytes.len() > SEGMENT_BYTES {
            at = 0; // overwriting is what the next segment would be
        }
        let start = Instant::now();
        file.write_all_at(&bytes, at as u64)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64());
        at += bytes.len();
    }
    std::fs::remove_file(path)?;
    Ok(times)
}
