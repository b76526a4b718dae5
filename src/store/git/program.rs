//! Running the `git` program, for the few things that the library can not do.
//!
//! It is started with an empty environment and told to read no configuration but the repository's own,
//! to run no hook, no monitor and no pager, and to ask nobody anything. A machine without it is no error.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, setpriority_process};

use crate::store::disk;

/// How often a running git is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a git that was asked to end may take to remove its temporary files.
const GRACE: u32 = 200;
/// The lowest priority: whatever the kernel does comes first.
const NICE: i32 = 19;
/// Settings that no configuration may change.
const SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=committed",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "protocol.allow=never",
];
/// What is kept of the environment: where programs are.
const PATH: &str = "PATH";

/// How a git ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it should.
    Well,
    /// There is no such program.
    NoProgram,
    /// It was told to.
    Stopped,
    /// With this complaint.
    Badly(String),
}

/// Runs git on the repository `git_dir` in the background of everything else, until it ends or `stop` is set.
/// It has `lock` open meanwhile: if we are killed, nobody else begins before it has ended too.
///
/// # Errors
/// When the system can not start or wait for it.
pub(super) fn run(git_dir: &Path, args: &[&str], lock: &File, stop: &AtomicBool) -> io::Result<Ended> {
    let mut command = Command::new("git");
    command.env_clear().envs(std::env::var_os(PATH).map(|path| (PATH, path)));
    command.envs([
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_PAGER", "cat"),
    ]);
    command.arg("--git-dir").arg(git_dir).args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).args(args);
    // an empty file, so it may as well be what git would read
    command.stdin(lock.try_clone()?).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ended::NoProgram),
        Err(error) => return Err(error),
    };
    let pid = Pid::from_child(&child);
    // a machine that does not allow it only loses some of its speed for a moment
    let _ = setpriority_process(Some(pid), NICE);
    let mut stopping = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        match &mut stopping {
            None if stop.load(Ordering::Relaxed) => {
                // it removes its temporary files then; one that does not end in time is killed
                let _ = kill_process(pid, Signal::TERM);
                stopping = Some(GRACE);
            }
            Some(0) => child.kill()?,
            Some(left) => *left -= 1,
            None => {}
        }
        disk::pause(LOOK);
    };
    if stopping.is_some() {
        return Ok(Ended::Stopped);
    }
    if status.success() {
        return Ok(Ended::Well);
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(4096).read_to_end(&mut said)?;
    }
    Ok(Ended::Badly(format!("git {} ({status}): {}", args.join(" "), String::from_utf8_lossy(&said).trim())))
}
