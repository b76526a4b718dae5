//! What a commit costs, alone and in groups, and whether that grows with the store.

use super::{
    Error,
    clock::Stretch,
    disk,
    figure::{Figure, Target},
    scratch::{self, Scratch},
};
use crate::store::git::Repo;

/// Groups of each size that are measured: enough for a mean, few enough for today's folder.
const GROUPS: [(usize, usize); 3] = [(1, 32), (16, 16), (64, 6)];

/// Measures commits in a store of `size` runs, in the folders of a `day` that is used for nothing else. `first_cpu`: milliseconds a commit in the smallest store.
pub(super) fn measure(
    scratch: &Scratch,
    (day, size): (usize, usize),
    first_cpu: &mut Option<f64>,
    say: &dyn Fn(&str),
) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    say(&format!("commits in a store of {size} runs"));
    let repo = Repo::open(scratch.store.root())?;
    for (group, count) in GROUPS {
        let (mut wall, mut cpu, mut bytes) = (0.0, 0.0, 0);
        for n in 0..count {
            // each group of one hour: what ends together began together
            let age = day * scratch::RUNS_A_DAY + n * scratch::RUNS_A_DAY / 24 % (scratch::RUNS_A_DAY / 2);
            let plans = (0..group).map(|_| scratch.finished(age)).collect::<Result<Vec<_>, _>>()?;
            let before = disk::bytes_below(&scratch.store.path(".git"))?;
            let stretch = Stretch::begin();
            scratch::commit(&repo, &plans)?;
            let cost = stretch.cost();
            (wall, cpu) = (wall + cost.wall, cpu + cost.cpu);
            bytes += disk::bytes_below(&scratch.store.path(".git"))?.saturating_sub(before);
        }
        let (commits, bytes) = ((group * count) as f64, bytes as f64);
        let name = |what: &str| format!("{size} runs, groups of {group}: {what}");
        let rate = Figure::new("commits", name("commits"), commits / wall, "1/s");
        figures.push(match group {
            16 => rate.aim(Target::AtLeast(300.0)),
            64 => rate.aim(Target::AtLeast(1_000.0)),
            _ => rate,
        });
        let cpu = cpu / commits * 1e3;
        figures.push(Figure::new("commits", name("CPU a commit"), cpu, "ms").aim(Target::AtMost(1.0)));
        let mean =
            Figure::new("commits", name("one group"), wall / f64::from(u32::try_from(count).unwrap_or(1)) * 1e3, "ms");
        figures.push(if group == 1 { mean.aim(Target::AtMost(25.0)) } else { mean });
        let kept = Figure::new("commits", name(".git a commit"), bytes / commits / 1024.0, "KB");
        figures.push(if group == 1 { kept } else { kept.aim(Target::AtMost(2.5)) });
        if group == 64 {
            let base = *first_cpu.get_or_insert(cpu);
            let growth = (cpu / base - 1.0) * 100.0;
            figures.push(
                Figure::new("commits", name("CPU against the smallest store"), growth, "%").aim(Target::AtMost(20.0)),
            );
        }
    }
    Ok(figures)
}
