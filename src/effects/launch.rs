//! Starts programs: own session, empty environment, own folder, bounded output, killed as a group.
//!
//! No shell ever sees an argument. The folder lies outside the store; the program is told nothing
//! about where the store is. This is hygiene, not a sandbox: a program can still open any file that
//! the operator can.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{OnceLock, mpsc},
};

use cairn_store_layout::paths;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::oneshot,
};

use super::{Fault, child};

/// The most that a program may write to standard output or standard error, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// How programs are started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Our own program, whose hidden verb prepares the child (see [`child::main`]).
    pub program: PathBuf,
    /// Where each child gets a folder of its own; must lie outside the store.
    pub scratch: PathBuf,
}

impl Launcher {
    /// Starts children through the running program, with folders in the system's place for such.
    ///
    /// # Errors
    /// When the running program's own path can not be told.
    pub fn current() -> io::Result<Self> {
        // this name stays good when the file is replaced by a newer version while we run
        let own = PathBuf::from("/proc/self/exe");
        let program = if own.exists() { own } else { std::env::current_exe()? };
        Ok(Self { program, scratch: std::env::temp_dir() })
    }
}

/// A program to be run.
pub(crate) struct Program<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) stdin: &'a [u8],
    /// Written into its folder before it starts: the pinned files of the definition.
    pub(crate) files: &'a BTreeMap<String, String>,
}

/// How a program ended.
pub(crate) struct Ended {
    /// Exit code, when it ended by itself.
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// It wrote more than [`OUTPUT_BYTES_MAX`] and was killed; nothing of that is kept.
    pub(crate) flooded: bool,
}

impl Launcher {
    /// Runs a program to its end. Dropping the future kills it and everything it started.
    pub(crate) async fn run(&self, store: &Path, program: &Program<'_>) -> Result<Ended, Fault> {
        if program.argv.iter().any(|a| a.contains('\0')) || program.argv.first().is_none_or(String::is_empty) {
            return Err(Fault::hard("bad_argv", "a program needs a name, and no argument may hold a zero byte"));
        }
        let scratch = self.folder(store, program.files)?;
        let mut command = Command::new(&self.program);
        command
            .arg(child::WORD)
            .arg(std::process::id().to_string())
            .arg("--")
            .args(program.argv)
            .current_dir(scratch.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("LANG", "C.UTF-8")
            .env("HOME", scratch.path())
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = spawn(command).await.map_err(|e| {
            Fault::soft("spawn", format!("no process could be started through {}: {e}", self.program.display()))
        })?;
        let group = Group::of(child);
        let ended = group.collect(program.stdin.to_vec()).await;
        drop(scratch);
        ended.map_err(|e| Fault::soft("io", format!("the program's output could not be read: {e}")))
    }

    fn folder(&self, store: &Path, files: &BTreeMap<String, String>) -> Result<tempfile::TempDir, Fault> {
        let failed = |e: io::Error| {
            Fault::soft("scratch", format!("no folder for the program in {}: {e}", self.scratch.display()))
        };
        let parent = self.scratch.canonicalize().map_err(failed)?;
        if parent.starts_with(store.canonicalize().map_err(failed)?) {
            return Err(Fault::hard(
                "scratch",
                format!("{} lies inside the store; set TMPDIR to a folder outside", parent.display()),
            ));
        }
        let folder = tempfile::Builder::new().prefix("cairn-step-").tempdir_in(parent).map_err(failed)?;
        for (path, text) in files.iter().filter(|(path, _)| paths::is_inside(path)) {
            let target = folder.path().join(path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            std::fs::write(&target, text).map_err(failed)?;
        }
        Ok(folder)
    }
}

/// A child and all it started. Dropping it kills them.
struct Group {
    child: Child,
    pid: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, pid }
    }

    async fn collect(mut self, stdin: Vec<u8>) -> io::Result<Ended> {
        let (input, output, error) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let feed = async {
            if let Some(mut input) = input {
                // a program that does not read its input to the end is within its rights
                let _ = input.write_all(&stdin).await;
            }
        };
        let read = async { tokio::try_join!(bounded(output), bounded(error)) };
        tokio::pin!(feed, read);
        let (mut fed, mut streams) = (false, None);
        let status = loop {
            tokio::select! {
                () = &mut feed, if !fed => fed = true,
                result = &mut read, if streams.is_none() => {
                    if result.is_err() {
                        kill(self.pid);
                    }
                    streams = Some(result);
                }
                status = self.child.wait() => break status?,
            }
        };
        kill_leftovers(self.pid);
        self.pid = None; // reaped: the number may soon name somebody else
        // with the leftovers gone the pipes are closed, so this ends
        let streams = match streams {
            Some(result) => result,
            None => read.await,
        };
        let flooded = matches!(&streams, Err(e) if e.kind() == io::ErrorKind::FileTooLarge);
        let (stdout, stderr) = if flooded { Default::default() } else { streams? };
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ok(Ended { code: status.code(), signal, stdout, stderr, flooded })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.pid);
    }
}

/// Kills the child and its group. Until the child has called `setsid` there is no group, but then
/// there is no grandchild either. Errors mean that there is nobody left to kill.
fn kill(pid: Option<Pid>) {
    if let Some(pid) = pid {
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills what the leader left behind. Its number names the group as long as one member lives; with no
/// member left it names nobody, since the leader ended this very moment and numbers are reused last.
fn kill_leftovers(pid: Option<Pid>) {
    if let Some(pid) = pid {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Reads to the end; more than [`OUTPUT_BYTES_MAX`] bytes are an error of kind `FileTooLarge`.
async fn bounded(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() > OUTPUT_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

type Work = Box<dyn FnOnce() + Send>;

/// Starts `command` on a thread that lives as long as the process. The signal that makes a child die
/// with its parent is tied to the *thread* that forked it, and threads of the runtime come and go.
async fn spawn(mut command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Work>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, work) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("cairn-spawner".to_owned())
            .spawn(move || work.into_iter().for_each(|work| work()))
            .expect("one thread at the first use; without it no step can run at all");
        sender
    });
    let (done, result) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let work: Work = Box::new(move || {
        let _inside = runtime.enter();
        // a child whose asker is gone is dropped here and thereby killed
        let _ = done.send(command.spawn());
    });
    spawner.send(work).map_err(|_| io::Error::other("the thread that starts programs is gone"))?;
    result.await.map_err(|_| io::Error::other("the thread that starts programs gave no answer"))?
}
