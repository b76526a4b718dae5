//! A store in a home of its own, and the real program on it.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use cairn::store::{Store, git::Repo, inbox, reader::Reader};
use cairn_store_layout::{CommandId, MachineId, RunId, command::Verb, view::RunStatus};

pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("store");
        Self::at(dir, root)
    }

    /// A store at `root`; its home is in `dir`.
    pub(crate) fn at(dir: tempfile::TempDir, root: PathBuf) -> Self {
        let lab = Self { root, dir };
        let out = lab.program(&["init", lab.root.to_str().expect("a path")]).output().expect("cairn runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        lab
    }

    pub(crate) fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.env("XDG_STATE_HOME", self.dir.path().join("state")).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(&[]);
        command.arg("-C").arg(&self.root).args(args);
        command
    }

    pub(crate) fn cairn(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("cairn runs")
    }

    /// Writes a file of the store.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.root).expect("a store")
    }

    /// The machine's id, as the store's own mark says.
    pub(crate) fn machine(&self) -> MachineId {
        let text = std::fs::read_to_string(self.root.join(".cairn/machine")).expect("a mark");
        MachineId::new(text.trim()).expect("an id")
    }

    pub(crate) fn submit(&self, verb: Verb) -> CommandId {
        inbox::submit(&self.store(), &self.machine(), verb, "test").expect("a command")
    }

    pub(crate) fn start(&self, workflow: &str, input: serde_json::Value) -> RunId {
        self.submit(Verb::RunStart { workflow: workflow.to_owned(), input }).into()
    }

    pub(crate) fn status(&self, run: &RunId) -> Option<RunStatus> {
        Reader::new(self.store()).view(run).ok().flatten().map(|view| view.status())
    }

    /// The machine's log.
    pub(crate) fn log(&self) -> String {
        let months = std::fs::read_dir(self.root.join("log").join(self.machine().as_str())).into_iter().flatten();
        months.flatten().map(|month| std::fs::read_to_string(month.path()).expect("a log")).collect()
    }

    /// Waits until `done`, or fails with `what`.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not come: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the kernel of `command` in the background; what it says is in [`Lab::said`].
    pub(crate) fn kernel(&self, mut command: Command) -> Kernel {
        let said = OpenOptions::new().create(true).append(true).open(self.dir.path().join("said")).expect("a file");
        Kernel(command.stdout(Stdio::null()).stderr(said).spawn().expect("cairn starts"))
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }

    pub(crate) fn repo(&self) -> Repo {
        Repo::open(Store::open(&self.root).expect("a store").root()).expect("a repository")
    }

    pub(crate) fn git(&self, args: &[&str]) -> Output {
        git(&self.root, args)
    }

    /// Nothing is lost or broken, by git's word and by ours.
    pub(crate) fn is_sound(&self) {
        let fsck = self.git(&["fsck", "--full", "--strict"]);
        assert!(fsck.status.success(), "git fsck: {}", String::from_utf8_lossy(&fsck.stderr));
        let verify = self.cairn(&["verify"]);
        assert!(verify.status.success(), "verify: {}", String::from_utf8_lossy(&verify.stdout));
    }
}

/// A kernel in the background; killed if a test forgets it.
pub(crate) struct Kernel(Child);

impl Kernel {
    pub(crate) fn is_up(&mut self) -> bool {
        self.0.try_wait().expect("waited").is_none()
    }

    /// Asks it to stop, and tells whether it did so cleanly.
    pub(crate) fn stop(mut self) -> bool {
        // one that is gone already needs no signal
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        self.0.wait().expect("gone").success()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn git(root: &Path, args: &[&str]) -> Output {
    Command::new("git").arg("-C").arg(root).args(args).output().expect("git runs")
}
