//! Durable steps: runs of ten steps, so many runs at a time, each step durable before the next begins.

use std::time::{Duration, Instant};

use super::{
    Error, Options,
    clock::Stretch,
    figure::{Figure, Target, percentile},
    floor::Floor,
    load::{self, Amount, Steady},
    scratch::{STEPS, Scratch},
};
use crate::driver::load::{Pace, Spent};

/// Runs at a time, what to reach in steps a second by notes of peers on such a machine, and as a share of the floor.
const AT_ONCE: [(usize, f64, f64); 3] = [(1, 2_400.0, 50.0), (16, 18_000.0, 35.0), (64, 36_000.0, 50.0)];

/// Measures 16 runs at a time, each step durable, in a store of `runs` runs.
pub(super) fn in_a_store_of(
    scratch: &Scratch,
    runs: usize,
    options: &Options,
    say: &dyn Fn(&str),
) -> Result<Vec<Figure>, Error> {
    say(&format!("steps, 16 at a time, in a store of {runs} runs"));
    // behind what the store holds: the days in which commits are measured keep their size
    let mut load = Steady::older_than(runs, 16, Amount::Time(options.steps_time()));
    let stretch = Stretch::begin();
    load::serve(&scratch.store, Pace::Layer, &mut load)?;
    let (cost, seen) = (stretch.cost(), load.seen());
    let steps = (seen.runs * STEPS as u64) as f64;
    let name = |what: &str| format!("C=16, each step durable, {runs} runs in the store: {what}");
    Ok(vec![
        Figure::new("steps", name("steps"), steps / between(seen.first, seen.last), "1/s"),
        Figure::new("steps", name("CPU a step, start and commits included"), cost.cpu / steps * 1e6, "us"),
    ])
}

/// Where the processor's time goes: 16 runs at a time, each step durable, counted by parts.
pub(super) fn by_parts(scratch: &Scratch, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    say("steps, 16 at a time, by parts");
    let mut load = Steady::new(16, Amount::Time(options.steps_time())).by_parts();
    let stretch = Stretch::begin();
    load::serve(&scratch.store, Pace::Layer, &mut load)?;
    let (cost, seen) = (stretch.cost(), load.seen());
    let steps = (seen.runs * STEPS as u64) as f64;
    let figure = |what: &str, seconds: f64| {
        Figure::new("steps", format!("C=16, CPU a step by parts: {what}"), seconds / steps * 1e6, "us")
    };
    let mut figures: Vec<Figure> =
        Spent::ALL.iter().map(|(part, name)| figure(name, seen.spent[*part as usize].as_secs_f64())).collect();
    let known: f64 = seen.spent.iter().map(Duration::as_secs_f64).sum();
    figures.push(figure("all else, counting included", cost.cpu - known));
    Ok(figures)
}

fn between(from: Option<Instant>, to: Option<Instant>) -> f64 {
    from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from)).as_secs_f64()
}

/// Measures one step a turn, then the kernel's own pace, which writes steps that only compute together.
pub(super) fn measure(
    scratch: &Scratch,
    floor: &Floor,
    options: &Options,
    say: &dyn Fn(&str),
) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for (pace, how) in [(Pace::Layer, "each step durable"), (Pace::Cascade, "cascading")] {
        for (at_once, least, share) in AT_ONCE {
            say(&format!("steps, {at_once} at a time, {how}"));
            let mut load = Steady::new(at_once, Amount::Time(options.steps_time()));
            let stretch = Stretch::begin();
            let syncs = load::serve_counting(&scratch.store, pace, &mut load)?;
            let cost = stretch.cost();
            let seen = load.seen();
            let (steps, syncs) = ((seen.runs * STEPS as u64) as f64, syncs as f64);
            let rate = steps / between(seen.first, seen.last);
            let name = |what: &str| format!("C={at_once}, {how}: {what}");
            let figure = |what, value, unit| Figure::new("steps", name(what), value, unit);
            let mut waits = seen.step_ms.clone();
            let (p50, p99) = (percentile(&mut waits, 50.0), percentile(&mut waits, 99.0));
            let slowest = waits.last().copied().unwrap_or(0.0);
            let mut until_kept = seen.commit_ms.clone();
            let kept = percentile(&mut until_kept, 100.0);
            let steps_figure = figure("steps", rate, "1/s");
            let layered = pace == Pace::Layer;
            figures.push(if layered { steps_figure.aim(Target::AtLeast(least)) } else { steps_figure });
            if layered {
                let floor = figure("share of the floor", rate / floor.of(at_once) * 100.0, "%");
                figures.push(if at_once == 1 { floor.aim(Target::AtLeast(share)) } else { floor });
            }
            figures.push(figure("steps, until all are committed", steps / between(seen.first, seen.kept), "1/s"));
            figures.push(figure("CPU a step, commits included", cost.cpu / steps * 1e6, "us"));
            figures.push(figure("p50 of a step", p50, "ms"));
            let p99 = figure("p99 of a step", p99, "ms");
            figures.push(if layered && at_once == 16 { p99.aim(Target::AtMost(3.0)) } else { p99 });
            figures.push(figure("slowest step", slowest, "ms"));
            figures.push(figure("journal syncs a step", syncs / steps, ""));
            figures.push(figure("from a run's end to its commit, slowest", kept, "ms").aim(Target::AtMost(2_000.0)));
        }
    }
    Ok(figures)
}
