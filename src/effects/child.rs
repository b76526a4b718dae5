//! The first moments of a child process: our own program, started again as `cairn __child`.
//!
//! Between fork and exec safe Rust can do nothing, so the preparation happens in a fresh process that
//! then turns into the program. It refuses to go on when the parent is already gone.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit, setsid};

/// The hidden word on the command line.
pub const WORD: &str = "__child";

/// Largest file that a child may write, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Most files that a child may have open.
const FILES_MAX: u64 = 1024;

/// Exit code when the program could not be found, as shells have it.
pub const EXIT_NOT_FOUND: u8 = 127;
/// Exit code when the program could not be started.
pub const EXIT_NOT_STARTED: u8 = 126;

/// Becomes the program that `args` name: `<parent's pid> -- <program> <arguments>...`, without the
/// word [`WORD`] itself. Returns only when that fails.
///
/// The child leads a session of its own, so that it and all it starts can be killed as one group and
/// no terminal can reach them; it dies with the thread that started it (Linux); it dumps no core.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let parent = args.next().and_then(|a| a.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(dashes), Some(program)) = (parent, args.next(), args.next()) else {
        return fail(EXIT_NOT_STARTED, "this is an internal command; it starts the programs of workflow steps");
    };
    if dashes != OsStr::new("--") {
        return fail(EXIT_NOT_STARTED, "expected `--` before the program");
    }
    if let Err(error) = prepare(parent) {
        return fail(EXIT_NOT_STARTED, &format!("the program could not be confined: {error}"));
    }
    let error = Command::new(&program).args(args).exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound { EXIT_NOT_FOUND } else { EXIT_NOT_STARTED };
    fail(code, &format!("`{}` can not be started: {error}", program.to_string_lossy()))
}

fn prepare(parent: i32) -> std::io::Result<()> {
    setsid()?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // the parent may have died before the line above took hold
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return Err(std::io::Error::other("the process that started it is gone"));
    }
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, FILE_BYTES_MAX)?;
    limit(Resource::Nofile, FILES_MAX)?;
    Ok(())
}

/// Lowers a limit, for good; a limit that is lower already stays.
fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX).min(most);
    Ok(setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })?)
}

fn fail(code: u8, message: &str) -> ExitCode {
    // nothing is left to do should standard error be closed
    let _ = writeln!(std::io::stderr(), "cairn: {message}");
    ExitCode::from(code)
}
