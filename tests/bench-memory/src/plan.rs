//! What is measured, in which order.

use std::path::Path;

use cairn::bench::figure::Figure;

use crate::{
    broken::{During as _, Result},
    growth, quality, rebuild, remember,
    speed::{self, Sized},
};

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Whether the notes of the corpus are found: recall@5
    Quality,
    /// How long an answer takes, warm and in a fresh process, beside the peers
    Speed,
    /// What a new passage costs until it is found
    Remember,
    /// Deleting all that is derived and making it again, in the largest store
    Rebuild,
    /// Files and bytes of git after many runs
    Growth,
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 5] = [Self::Quality, Self::Speed, Self::Remember, Self::Rebuild, Self::Growth];
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The parts.
    pub parts: Vec<Part>,
    /// Sizes of stores, in passages.
    pub sizes: Vec<usize>,
    /// How many runs grow a store.
    pub runs: usize,
}

/// Measures in `dir`, an empty folder that the caller removes. `say` is told what is going on.
///
/// # Errors
/// When the disk, git, SQLite or memory refuses.
pub fn run(dir: &Path, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    let wanted = |part: Part| options.parts.contains(&part);
    let mut figures = Vec::new();
    if wanted(Part::Quality) {
        figures.extend(quality::measure(&folder(dir, "quality")?, say)?);
    }
    let largest = options.sizes.iter().max().copied();
    let over_a_store = [Part::Speed, Part::Remember, Part::Rebuild].into_iter().any(wanted);
    for &size in options.sizes.iter().filter(|_| over_a_store) {
        let rebuilt = wanted(Part::Rebuild) && Some(size) == largest;
        if !rebuilt && !wanted(Part::Speed) && !wanted(Part::Remember) {
            continue;
        }
        let mut sized = Sized::make(&folder(dir, &format!("of-{size}"))?, size, say)?;
        if wanted(Part::Speed) {
            figures.extend(speed::measure(&sized, say)?);
        }
        if rebuilt {
            figures.extend(rebuild::measure(&sized, say)?);
        }
        // last, as it adds passages
        if wanted(Part::Remember) {
            figures.extend(remember::measure(&mut sized, say)?);
        }
    }
    if wanted(Part::Growth) {
        figures.extend(growth::measure(&folder(dir, "growth")?, options.runs, say)?);
    }
    Ok(figures)
}

fn folder(dir: &Path, name: &str) -> Result<std::path::PathBuf> {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).during("make a folder")?;
    Ok(folder)
}
