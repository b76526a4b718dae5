//! What a kernel with nothing to do costs: processor time, memory, wake-ups.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Error, Options, child,
    figure::{Figure, Target},
    scratch::Scratch,
};
use crate::store::fsutil;

/// How long a kernel may take to settle after its start.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Lets a kernel run for a while and looks at what the system says of it.
pub(super) fn measure(scratch: &Scratch, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let time = Duration::from_secs(if options.quick { 3 } else { 30 });
    say(&format!("an idle kernel for {} s", time.as_secs()));
    let program = child::program()?;
    let kernel = Command::new(&program)
        .arg("-C")
        .arg(scratch.store.root())
        .args(["kernel", "run", "--quiet"])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| Error::io("start", &program, e))?;
    let mut kernel = Kernel(kernel);
    kernel.settle()?;
    let begin = Instant::now();
    let before = kernel.used()?;
    thread::sleep(time);
    let after = kernel.used()?;
    let seconds = begin.elapsed().as_secs_f64();
    if let Some(status) = kernel.0.try_wait().map_err(|e| Error::io("look at", &program, e))? {
        return Err(Error::Child(format!("the idle kernel ended with {status}")));
    }
    let cpu = (after.cpu - before.cpu) / seconds * 100.0;
    let wakes = (after.wakes - before.wakes) / seconds;
    Ok(vec![
        Figure::new("idle", "CPU", cpu, "%").aim(Target::AtMost(0.5)),
        Figure::new("idle", "resident memory", after.memory, "MiB").aim(Target::AtMost(60.0)),
        Figure::new("idle", "wake-ups", wakes, "1/s").aim(Target::AtMost(1.0)),
    ])
}

struct Kernel(Child);

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Used {
    /// Seconds on a processor.
    cpu: f64,
    /// How often a thread went to sleep, and so woke.
    wakes: f64,
    /// MiB.
    memory: f64,
}

impl Kernel {
    /// Waits until what begins with a start (taking up runs, maintenance) is over.
    fn settle(&self) -> Result<(), Error> {
        let end = Instant::now() + SETTLE_MAX;
        let mut before = self.used()?.cpu;
        loop {
            thread::sleep(Duration::from_secs(2));
            let now = self.used()?.cpu;
            if now - before < 0.01 || Instant::now() >= end {
                return Ok(());
            }
            before = now;
        }
    }

    fn used(&self) -> Result<Used, Error> {
        let process = std::path::PathBuf::from(format!("/proc/{}", self.0.id()));
        let text = |path: &std::path::Path| -> Result<String, Error> {
            Ok(String::from_utf8_lossy(&fsutil::read(path)?.unwrap_or_default()).into_owned())
        };
        let field = |text: &str, name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
        };
        let (mut nanos, mut wakes) = (0.0, 0.0);
        for thread in fsutil::list(&process.join("task"))? {
            let first = text(&thread.path().join("schedstat"))?;
            nanos += first.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
            wakes += field(&text(&thread.path().join("status"))?, "voluntary_ctxt_switches:");
        }
        let memory = field(&text(&process.join("status"))?, "VmRSS:") / 1024.0;
        Ok(Used { cpu: nanos / 1e9, wakes, memory })
    }
}
