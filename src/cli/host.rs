//! Being, or waiting for, the kernel: the one place where the command line touches the driver.
//!
//! A verb with `--wait` follows its run until it rests. If no kernel runs, the process becomes the
//! kernel for that time, under the same lock; if one runs, its history is read as it grows; if that
//! kernel ends meanwhile, the place is taken over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cairn_store_layout::{
    CommandId, MachineId, RunId,
    event::Body,
    paths,
    record::Record,
    time::Span,
    view::{KernelHealth, RunItem, RunStatus, RunView, SlotState, SlotView},
};
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{
    context::Context,
    failure::{Failure, chain, exit},
};
use crate::{
    driver::{self, ServeOptions, StopFlag, Until},
    store::{
        Store, fsutil,
        lock::{self, KernelLock},
        reader::Reader,
    },
};

/// How often a running kernel's history is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a history must stay as it is before the run counts as resting.
const STILL: Duration = Duration::from_millis(150);
/// How long a verb without `--wait` looks whether a running kernel takes its command.
const GLANCE: Duration = Duration::from_secs(3);

/// The flag `--wait`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Wait until the run rests, at most so long (30s, 5m); be the kernel meanwhile if none runs.
    /// Exit code then: 0 succeeded, 10 waits for a person, 1 failed
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "3650d", value_parser = Span::parse)]
    wait: Option<Span>,
}

impl Wait {
    /// Tells whether the flag was given.
    #[must_use]
    pub fn is_set(self) -> bool {
        self.wait.is_some()
    }
}

/// Why the kernel did not follow a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable code, such as `stale_digest`.
    pub code: String,
    /// Why not, for a person.
    pub message: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is in a history.
    Applied,
    /// No kernel runs; the next one takes it.
    Saved,
    /// A kernel runs and has not taken it yet.
    Sent,
    /// The owner of the run is another machine; it travels with git.
    Elsewhere,
    /// The kernel took it and did not follow it.
    Refused(Refusal),
}

impl State {
    /// The word for scripts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Saved => "saved",
            Self::Sent => "sent",
            Self::Elsewhere => "elsewhere",
            Self::Refused(_) => "refused",
        }
    }

    /// The sentence for a person.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Applied => "applied".to_owned(),
            Self::Saved => "saved; applies when the kernel starts (cairn kernel start)".to_owned(),
            Self::Sent => "sent; the kernel is busy and has not taken it yet".to_owned(),
            Self::Elsewhere => "saved for the machine that owns the run; applies there after a git push".to_owned(),
            Self::Refused(refusal) => format!("refused: {}", refusal.message),
        }
    }
}

/// A command and its run, after following both.
#[derive(Debug, Clone)]
pub struct Followed {
    /// What became of the command.
    pub state: State,
    /// The run as it stands, if it has begun.
    pub item: Option<RunItem>,
}

impl Followed {
    /// The exit code of `--wait`.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self.item.as_ref().map(|i| i.status) {
            Some(RunStatus::Waiting | RunStatus::Running) => exit::WAITS,
            Some(RunStatus::Failed | RunStatus::Canceled) | None => exit::FAILED,
            Some(RunStatus::Succeeded) => exit::OK,
        }
    }
}

/// Follows `command` and its run: to rest with `--wait`, else for a glance.
///
/// # Errors
/// When the kernel refused the command, the wait was too long, or the kernel failed.
pub fn follow(
    context: &Context,
    reader: &mut Reader,
    run: &RunId,
    command: &CommandId,
    wait: &Wait,
) -> Result<Followed, Failure> {
    let store = reader.store().clone();
    let here = context.machine(&store)?;
    if !store.path(&paths::command(&here, command)).exists() && addressed_elsewhere(&store, &here, command)? {
        return Ok(Followed { state: State::Elsewhere, item: item(reader, run)? });
    }
    let followed = match wait.wait {
        Some(limit) => to_rest(&store, &here, reader, run, command, limit)?,
        None => glance(&store, &here, reader, run, command)?,
    };
    match followed.state {
        State::Refused(refusal) => {
            let (code, exit) = match refusal.code.as_str() {
                "stale_digest" => ("stale_digest", exit::STALE),
                "already_decided" => ("already_decided", exit::STALE),
                "no_such_workflow" | "bad_definition" => {
                    return Err(Failure::new("bad_definition", exit::REFUSED, "no run was started")
                        .why(format!("{}; what lies in workflows/ can not be used as it stands", refusal.message))
                        .fix(format!("{} workflow check", context.cairn())));
                }
                "run_over" => ("already_over", exit::STALE),
                "nothing_to_do" => {
                    return Err(Failure::new("nothing_to_do", exit::REFUSED, "there is nothing to do for it")
                        .why(format!("{}; nothing was changed", refusal.message))
                        .fix(format!("see what it waits for: cairn run show {}", run.short())));
                }
                "run_parked" | "cannot_move" | "same_definition" => {
                    return Err(Failure::new("refused", exit::REFUSED, "the run stays as it is; nothing was changed")
                        .why(refusal.message)
                        .fix(format!("cairn run show {}, cairn verify", run.short()))
                        .details(serde_json::json!({"refusal": refusal.code})));
                }
                _ => ("refused", exit::REFUSED),
            };
            Err(Failure::new(code, exit, "the kernel did not follow the command; nothing was changed")
                .why(refusal.message)
                .fix("look at what is there now: cairn inbox ls, cairn run ls")
                .details(serde_json::json!({"refusal": refusal.code})))
        }
        _ => Ok(followed),
    }
}

/// Runs the kernel in the foreground until it is told to stop.
///
/// # Errors
/// When another kernel runs, or this one fails.
pub fn be_kernel(store: &Store) -> Result<u8, Failure> {
    // signals first: whoever sees the lock taken may already ask for a clean stop
    let (stop, _) = stop_on_signals()?;
    let lock = KernelLock::take(store.root())?;
    log("warn,cairn=info");
    serve(store, lock, Until::Stopped, &stop)?;
    // a signal is how a kernel is meant to be stopped, so this is success
    Ok(exit::OK)
}

/// Reads where `run` stands; `None` while it has not begun.
///
/// # Errors
/// When its history can not be read.
pub fn item(reader: &mut Reader, run: &RunId) -> Result<Option<RunItem>, Failure> {
    let Some(view) = reader.view(run)? else { return Ok(None) };
    let commit = reader.commit(run)?;
    Ok(Some(view.item(commit)))
}

fn glance(
    store: &Store,
    here: &MachineId,
    reader: &mut Reader,
    run: &RunId,
    command: &CommandId,
) -> Result<Followed, Failure> {
    let end = Instant::now() + GLANCE;
    loop {
        if let Some(state) = taken(store, here, reader, run, command)? {
            return Ok(Followed { state, item: item(reader, run)? });
        }
        let state = match lock::probe(store.root())? {
            KernelHealth::Down => State::Saved,
            KernelHealth::Running { .. } if Instant::now() >= end => State::Sent,
            KernelHealth::Running { .. } => {
                thread::sleep(LOOK);
                continue;
            }
        };
        return Ok(Followed { state, item: item(reader, run)? });
    }
}

fn to_rest(
    store: &Store,
    here: &MachineId,
    reader: &mut Reader,
    run: &RunId,
    command: &CommandId,
    limit: Span,
) -> Result<Followed, Failure> {
    let end = Instant::now().checked_add(limit.std());
    let late = || end.is_some_and(|end| Instant::now() >= end);
    let file = store.path(&paths::command(here, command));
    let mut last = (0, Instant::now());
    let mut served = false;
    loop {
        let state = taken(store, here, reader, run, command)?;
        if let Some(State::Refused(_)) = &state {
            return Ok(Followed { state: logged(store, here, command), item: item(reader, run)? });
        }
        if let Some(view) = reader.view(run)? {
            if view.records != last.0 {
                last = (view.records, Instant::now());
            }
            let rests = rests(reader, &view)? && !file.exists() && last.1.elapsed() >= STILL;
            if state.is_some() && (rests || served) {
                return Ok(Followed { state: State::Applied, item: item(reader, run)? });
            }
        }
        if late() {
            return Err(Failure::new(
                "timed_out",
                exit::TIMED_OUT,
                format!("run {} did not come to rest in {limit}", run.short()),
            )
            .fix(format!("it goes on while a kernel runs; look at it: cairn run show {}", run.short())));
        }
        if let Some(lock) = KernelLock::try_take(store.root())? {
            log("error");
            let (stop, signal) = stop_on_signals()?;
            if let Some(end) = end {
                let stop = stop.clone();
                thread::spawn(move || {
                    thread::sleep(end.saturating_duration_since(Instant::now()));
                    stop.request();
                });
            }
            serve(store, lock, Until::AtRest(run.clone()), &stop)?;
            if let 1.. = signal.load(Ordering::SeqCst) {
                let number = signal.load(Ordering::SeqCst);
                return Err(Failure::new(
                    "interrupted",
                    128 + u8::try_from(number).unwrap_or(0),
                    "stopped by a signal; nothing is lost",
                )
                .fix("cairn kernel start, and the run goes on"));
            }
            served = true;
            continue;
        }
        thread::sleep(LOOK);
    }
}

/// Tells whether a run, and the runs that it waits for, wait for a person or a time.
fn rests(reader: &Reader, view: &RunView) -> Result<bool, Failure> {
    if view.status() != RunStatus::Running {
        return Ok(true);
    }
    let slots = || view.steps.iter().flat_map(|step| &step.slots);
    let moving = |slot: &&SlotView| matches!(slot.state, SlotState::Running | SlotState::Retrying | SlotState::Queued);
    let mut children = Vec::new();
    for slot in slots().filter(moving) {
        match slot.child().filter(|_| slot.state == SlotState::Running) {
            Some(child) => children.push(child.clone()),
            None => return Ok(false),
        }
    }
    for child in &children {
        match reader.view(child)? {
            Some(child) if !child.status().is_final() && rests(reader, &child)? => {}
            _ => return Ok(false),
        }
    }
    // without a child it has only just begun, or is between two steps
    Ok(!children.is_empty())
}

/// What became of the command, once a kernel took it: it is the cause of a record, or its file is gone.
///
/// # Errors
/// When the history can not be read.
pub fn taken(
    store: &Store,
    here: &MachineId,
    reader: &Reader,
    run: &RunId,
    command: &CommandId,
) -> Result<Option<State>, Failure> {
    let gone = !store.path(&paths::command(here, command)).exists();
    // read after the look at the file: a kernel writes the record before it removes the file
    let history = reader.history(run)?;
    let applied = history.is_some_and(|h| {
        h.records
            .iter()
            .any(|r| r.event.cause.as_ref() == Some(command) || (r.n == 0 && run.as_str() == command.as_str()))
    });
    Ok(match (applied, gone) {
        (true, _) => Some(State::Applied),
        (false, true) => Some(logged(store, here, command)),
        (false, false) => None,
    })
}

/// As [`taken`]; without a run for a command to the machine itself, which was followed unless its log says that
/// it was refused.
///
/// # Errors
/// When the history can not be read.
pub fn became(
    store: &Store,
    here: &MachineId,
    reader: &Reader,
    run: Option<&RunId>,
    command: &CommandId,
) -> Result<Option<State>, Failure> {
    if let Some(run) = run {
        return taken(store, here, reader, run, command);
    }
    if store.path(&paths::command(here, command)).exists() {
        return Ok(None);
    }
    Ok(Some(answered(store, here, command).unwrap_or(State::Applied)))
}

/// What became of a command that no history names and no kernel has any more.
fn logged(store: &Store, here: &MachineId, command: &CommandId) -> State {
    answered(store, here, command).unwrap_or_else(|| {
        State::Refused(Refusal { code: "unknown".to_owned(), message: format!("see log/{here}/ in the store") })
    })
}

/// What the machine's log says about a command, if it says anything.
pub(super) fn answered(store: &Store, here: &MachineId, command: &CommandId) -> Option<State> {
    let logs = fsutil::list(&store.path(&format!("log/{here}"))).unwrap_or_default();
    for log in logs.iter().rev() {
        let bytes = fsutil::read(&log.path()).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines().rev().filter(|l| l.contains(command.as_str())) {
            match Record::decode(line, &mut |_| None).map(|record| record.event.body) {
                Ok(Body::CommandRefused(refused)) => {
                    return Some(State::Refused(Refusal { code: refused.code, message: refused.message }));
                }
                Ok(Body::RunFollowed(followed)) if followed.command == *command => return Some(State::Applied),
                _ => {}
            }
        }
    }
    None
}

/// Is the kernel until nothing is left to do, if none runs; `false` when one does.
///
/// # Errors
/// When the kernel fails.
pub(super) fn be_kernel_for_now(store: &Store) -> Result<bool, Failure> {
    let Some(lock) = KernelLock::try_take(store.root())? else { return Ok(false) };
    log("error");
    let (stop, _) = stop_on_signals()?;
    serve(store, lock, Until::Idle, &stop)?;
    Ok(true)
}

fn addressed_elsewhere(store: &Store, here: &MachineId, command: &CommandId) -> Result<bool, Failure> {
    for machine in fsutil::list(&store.path(paths::INBOX))? {
        if machine.file_name().to_string_lossy() != here.as_str()
            && machine.path().join(format!("{command}.json")).exists()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sends what the kernel tells to stderr, as far as `CAIRN_LOG` says, else as far as `usual` says.
fn log(usual: &str) {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAIRN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // a second kernel in one process (after a first one ended) finds the log started
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// A flag that the first SIGINT, SIGTERM or SIGHUP sets, and which one it was. A second one ends the
/// process at once: whatever was acknowledged is on disk.
fn stop_on_signals() -> Result<(StopFlag, Arc<AtomicI32>), Failure> {
    let stop = StopFlag::new();
    let which = Arc::new(AtomicI32::new(0));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|e| Failure::failed("signals", format!("cannot listen to signals: {e}")))?;
    let (flag, number) = (stop.clone(), Arc::clone(&which));
    thread::spawn(move || {
        for signal in signals.forever() {
            if number.swap(signal, Ordering::SeqCst) != 0 {
                signal_hook::low_level::exit(128 + signal);
            }
            flag.request();
        }
    });
    Ok((stop, which))
}

fn serve(store: &Store, lock: KernelLock, until: Until, stop: &StopFlag) -> Result<(), Failure> {
    let done = driver::serve(store, lock, &ServeOptions { until }, stop);
    done.map(|_| ()).map_err(|error| {
        Failure::failed(error.code(), format!("the kernel stopped: {}", chain(&error)))
            .why(error.safe())
            .fix(error.hint())
    })
}
