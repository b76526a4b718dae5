//! `cairn kernel`: the process that carries out workflows.

use std::{
    fs::OpenOptions,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use cairn_store_layout::{paths, view::KernelHealth};
use clap::Subcommand;
use rustix::process::{Pid, Signal};
use serde_json::json;

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit, plural},
    host,
    repair::Repair,
};
use crate::store::{
    Store,
    fsutil::{self, At as _},
    git::{Chores, Repo, Upkept},
    lock,
};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// The process that carries out workflows.
#[derive(Debug, Subcommand)]
pub enum Kernel {
    /// Be the kernel, in the foreground, until SIGTERM or ctrl-c
    Run {
        /// Leave the terminal's session
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Start a kernel in the background; it sees the variables that are set now, secrets too
    Start,
    /// Stop the kernel cleanly
    Stop,
    /// Put packs together and write the graph of the commits now; a kernel does it by itself, when it is due
    Maintain,
    /// Tell what keeps the kernel from starting, and go on without what is lost
    Repair(Repair),
    /// Tell whether a kernel runs (exit code 6 if not)
    Status,
}

impl Kernel {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        match self {
            Self::Run { detached } => run(context, &store, *detached),
            Self::Start => start(context, &store),
            Self::Stop => stop(context, &store),
            Self::Maintain => maintain(context, &store),
            Self::Repair(verb) => verb.run(context),
            Self::Status => status(context, &store),
        }
    }
}

fn run(context: &mut Context, store: &Store, detached: bool) -> Outcome {
    if detached {
        // a session of its own, so that closing the terminal does not end it; in a session already is as good
        let _ = rustix::process::setsid();
    }
    context.screen.note(format!(
        "kernel of {} (process {}); stop it with ctrl-c",
        store.root().display(),
        std::process::id()
    ));
    host::be_kernel(store)
}

fn start(context: &mut Context, store: &Store) -> Outcome {
    if let KernelHealth::Running { pid } = lock::probe(store.root())? {
        return told(context, "running", pid, "a kernel runs already");
    }
    let log = store.path(paths::KERNEL_LOG);
    fsutil::create_dirs(&store.path(paths::LOCAL))?;
    let before = std::fs::metadata(&log).map_or(0, |m| m.len());
    let out = OpenOptions::new().create(true).append(true).open(&log).at("open", &log)?;
    let err = out.try_clone().at("open", &log)?;
    let program = std::env::current_exe()
        .map_err(|e| Failure::failed("no_program", format!("cannot find our own program: {e}")))?;
    let mut child = Command::new(&program)
        .arg("-C")
        .arg(store.root())
        .args(["kernel", "run", "--detached"])
        .current_dir(store.root())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .at("start", &program)?;
    let end = Instant::now() + START_LIMIT;
    loop {
        if let KernelHealth::Running { pid } = lock::probe(store.root())?
            && pid == Some(child.id())
        {
            return told(context, "running", pid, "started the kernel");
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() || Instant::now() >= end {
            let said = fsutil::read(&log)?.unwrap_or_default();
            let said = String::from_utf8_lossy(&said[usize::try_from(before).unwrap_or(0).min(said.len())..])
                .trim()
                .to_owned();
            let message = match ended {
                Some(status) => format!("the kernel ended at once ({status})"),
                None => format!("the kernel did not take its lock in {} s", START_LIMIT.as_secs()),
            };
            return Err(Failure::failed("kernel_failed", message)
                .why(if said.is_empty() { "it said nothing".to_owned() } else { said })
                .fix(format!(
                    "see {}, or run it here: cairn -C {} kernel run",
                    log.display(),
                    store.root().display()
                )));
        }
        thread::sleep(LOOK);
    }
}

fn stop(context: &mut Context, store: &Store) -> Outcome {
    let KernelHealth::Running { pid } = lock::probe(store.root())? else {
        return told(context, "down", None, "no kernel runs");
    };
    let process = pid.and_then(|p| Pid::from_raw(i32::try_from(p).ok()?));
    let Some(process) = process else {
        return Err(Failure::failed(
            "unknown_process",
            "a kernel runs, but its lock file does not say which process it is",
        )
        .fix(format!("find it with: fuser {}", store.path(paths::LOCK).display())));
    };
    rustix::process::kill_process(process, Signal::TERM).map_err(|e| {
        Failure::failed("not_stopped", format!("cannot signal process {}: {e}", process.as_raw_pid()))
            .fix("stop it as the user who started it")
    })?;
    let end = Instant::now() + STOP_LIMIT;
    while lock::probe(store.root())? != KernelHealth::Down {
        if Instant::now() >= end {
            let message =
                format!("process {} still finishes its work after {} s", process.as_raw_pid(), STOP_LIMIT.as_secs());
            return Err(Failure::new("timed_out", exit::TIMED_OUT, message)
                .fix("wait, or end it by force: nothing that was acknowledged is lost, the next kernel goes on"));
        }
        thread::sleep(LOOK);
    }
    told(context, "down", None, "stopped the kernel")
}

fn maintain(context: &mut Context, store: &Store) -> Outcome {
    let repo = Repo::open(store.root())?;
    let before = repo.shape()?;
    fsutil::create_dirs(&store.path(paths::LOCAL))?;
    let chores = Chores { packs: true, graph: true };
    let done = repo.keep_up(chores, &store.path(paths::UPKEEP_LOCK), &AtomicBool::new(false))?;
    let now = repo.shape()?;
    match done {
        Upkept::Done { .. } => {}
        Upkept::Busy => {
            return Err(Failure::new("busy", exit::REFUSED, "maintenance is under way already; nothing was changed")
                .fix("let it end, then ask again: cairn doctor"));
        }
        Upkept::NoProgram => {
            return Err(Failure::failed("no_git", "there is no git program on this machine; nothing was changed")
                .why("packs are put together by git itself")
                .fix("install git; the store works without it, only the history gets slower to read"));
        }
        Upkept::Stopped => return Err(Failure::failed("interrupted", "it was stopped; nothing is lost")),
    }
    context.screen.document(&json!({
        "schema": "cairn.maintain/1", "packs": {"before": before.packs, "after": now.packs},
        "bytes": {"before": before.pack_bytes, "after": now.pack_bytes}, "loose": now.loose,
    }));
    context.screen.say(format!(
        "{} instead of {}, {} KiB instead of {} KiB",
        plural(now.packs as u64, "pack"),
        before.packs,
        now.pack_bytes >> 10,
        before.pack_bytes >> 10
    ));
    Ok(exit::OK)
}

fn status(context: &mut Context, store: &Store) -> Outcome {
    match lock::probe(store.root())? {
        KernelHealth::Running { pid } => match lock::paused(store.root()) {
            Some(why) => {
                let words = format!("a kernel runs and begins nothing new, because {why}; it goes on by itself");
                told(context, "paused", pid, &words)
            }
            None => told(context, "running", pid, "a kernel runs"),
        },
        KernelHealth::Down => {
            told(context, "down", None, "no kernel runs")?;
            context.screen.note(format!("start it: {} kernel start", context.cairn()));
            Ok(exit::NO_KERNEL)
        }
    }
}

fn told(context: &mut Context, kernel: &str, pid: Option<u32>, words: &str) -> Outcome {
    context.screen.document(&json!({"schema": "cairn.kernel/1", "kernel": kernel, "pid": pid}));
    context.screen.say(pid.map_or(words.to_owned(), |pid| format!("{words} (process {pid})")));
    Ok(exit::OK)
}
