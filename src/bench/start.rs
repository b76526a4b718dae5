//! From the start of a process to the first run that is done and committed.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    Error, Options, child,
    figure::{Figure, Target, percentile},
    scratch::{Scratch, WORKFLOW},
};

/// Starts a kernel for one run, some times over. `runs`: how many the store holds.
pub(super) fn measure(
    scratch: &Scratch,
    runs: usize,
    options: &Options,
    say: &dyn Fn(&str),
) -> Result<Vec<Figure>, Error> {
    say(&format!("cold start in a store of {runs} runs"));
    // once without the clock: what is derived from the histories is there in a store that is in use
    one_run(scratch)?;
    let times = (0..if options.quick { 3 } else { 7 }).map(|_| one_run(scratch)).collect::<Result<Vec<_>, _>>()?;
    let mut millis: Vec<f64> = times.iter().map(|seconds| seconds * 1e3).collect();
    let aim = if runs <= 1_000 { 80.0 } else { 150.0 };
    let name = format!("{runs} runs: process start to first run done and committed");
    Ok(vec![Figure::new("start", name, percentile(&mut millis, 50.0), "ms").aim(Target::AtMost(aim))])
}

fn one_run(scratch: &Scratch) -> Result<f64, Error> {
    let program = child::program()?;
    let begin = Instant::now();
    let status = Command::new(&program)
        .arg("-C")
        .arg(scratch.store.root())
        .args(["run", "start", WORKFLOW, "--wait", "--quiet"])
        .stdout(Stdio::null())
        .status()
        .map_err(|e| Error::io("start", &program, e))?;
    if !status.success() {
        return Err(Error::Child(format!("`run start` ended with {status}")));
    }
    Ok(begin.elapsed().as_secs_f64())
}
