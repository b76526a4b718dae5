//! Power cuts and failing disks, at every call the kernel makes.
//!
//! A workload runs the real kernel on a real folder in memory while every change to a file is
//! recorded. `images` cuts the power at each of these calls: it lays out what the disk may hold then,
//! starts the real kernel on it, lets it come to rest and checks the promises. `faults` lets each
//! call fail, once and for good, and checks what a healthy kernel finds afterwards. A failure prints
//! the command that repeats it.

#[path = "../shared/mod.rs"]
mod shared;

mod check;
mod faults;
mod images;
mod lab;
mod life;
mod platter;
mod proofs;
mod workloads;

/// The command that tries one thing again: `failure` begins with its name, `variable` takes that.
fn repeats(variable: &str, failure: &str, module: &str) -> String {
    let name = failure.split(' ').next().unwrap_or_default();
    format!(
        "repeat it with:\n  {variable}={name} cargo test --package cairn --no-default-features --test crashpoints \
         {module}:: -- --nocapture"
    )
}
