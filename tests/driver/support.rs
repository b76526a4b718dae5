//! A store to test with, and short ways to ask the kernel for things.

use std::path::Path;

use cairn::{
    driver::{self, DriverError, ServeOptions, Served, StopFlag, Until},
    store::{self, Store, inbox, lock::KernelLock, reader::Reader},
};
use cairn_store_layout::{
    MachineId, RunId,
    command::Verb,
    paths,
    view::{InboxItem, RunStatus, RunView},
};
use serde_json::Value;

pub(crate) struct Bench {
    /// Removed when the test is over.
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) machine: MachineId,
}

impl Bench {
    /// A new demo store with a home of its own.
    pub(crate) fn demo() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // nextest gives every test a process of its own
        let made = store::init::init(&dir.path().join("store"), true).expect("a demo store");
        Self { store: made.store, machine: made.machine, _dir: dir }
    }

    /// A store that is there already, as `machine` sees it.
    pub(crate) fn at(store: Store, machine: MachineId) -> Self {
        Self { store, machine, _dir: tempfile::tempdir().expect("a folder") }
    }

    /// The same store under another machine id, with its folder kept for as long.
    pub(crate) fn keeping(mut self, other: Self) -> Self {
        self._dir = other._dir;
        self
    }

    /// The logs of all machines.
    pub(crate) fn any_log(&self) -> String {
        let machines = std::fs::read_dir(self.path("log")).expect("logs").flatten();
        let months = machines.flat_map(|m| std::fs::read_dir(m.path()).expect("months").flatten());
        months.map(|month| std::fs::read_to_string(month.path()).expect("a log")).collect()
    }

    pub(crate) fn has_commit(&self, commit: &str) -> bool {
        !self.git_fails(&["cat-file", "-e", &format!("{commit}^{{tree}}")])
    }

    pub(crate) fn git_fails(&self, args: &[&str]) -> bool {
        let out = std::process::Command::new("git").arg("-C").arg(self.root()).args(args).output().expect("git runs");
        !out.status.success()
    }

    /// What `cairn verify` finds.
    pub(crate) fn verified(&self) -> Vec<String> {
        store::verify::verify(&self.store).findings.into_iter().map(|f| format!("{}: {}", f.path, f.message)).collect()
    }

    /// A new store with one workflow `w` of these steps.
    pub(crate) fn with(steps: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let made = store::init::init(&dir.path().join("store"), false).expect("a store");
        let bench = Self { store: made.store, machine: made.machine, _dir: dir };
        bench.write("workflows/w/workflow.toml", steps);
        bench
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Puts a file into the inbox that none of our own verbs wrote.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.path(&paths::inbox(&self.machine)).join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// The names in the inbox, hidden ones left out.
    pub(crate) fn inbox(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(&paths::inbox(&self.machine))).expect("an inbox");
        let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
        names.filter(|n| !n.starts_with('.')).collect()
    }

    /// The kinds of a run's history, in order.
    pub(crate) fn kinds(&self, run: &RunId) -> Vec<String> {
        kinds(&std::fs::read_to_string(self.path(&paths::run(run))).expect("a history"))
    }

    /// This machine's log of this month.
    pub(crate) fn log(&self) -> String {
        let path = self.path(&paths::log(&self.machine, jiff::Timestamp::now()));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Runs the real program as the kernel until the history of `run` has `kind`, then kills it.
    pub(crate) fn killed_once(&self, run: &RunId, kind: &str) {
        let mut child = self.program_until(run, kind);
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// The same, but asks it to stop.
    pub(crate) fn stopped_once(&self, run: &RunId, kind: &str) {
        let mut child = self.program_until(run, kind);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(child.wait().expect("gone").success(), "a stop is no failure");
    }

    /// A test is no `cairn`, so it can not carry out `run` steps: the real program can.
    pub(crate) fn program_until(&self, run: &RunId, kind: &str) -> std::process::Child {
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_cairn"))
            .args(["-C".as_ref(), self.root().as_os_str(), "kernel".as_ref(), "run".as_ref()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        let begun = std::time::Instant::now();
        let path = self.path(&paths::run(run));
        while !std::fs::read_to_string(&path).is_ok_and(|text| kinds(&text).iter().any(|k| k == kind)) {
            assert!(begun.elapsed() < std::time::Duration::from_secs(30), "no {kind} in {}", path.display());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child
    }

    pub(crate) fn root(&self) -> &Path {
        self.store.root()
    }

    pub(crate) fn path(&self, relative: &str) -> std::path::PathBuf {
        self.root().join(relative)
    }

    pub(crate) fn submit(&self, verb: Verb) -> RunId {
        let id = inbox::submit(&self.store, &self.machine, verb, "test").expect("a command");
        // commands of one millisecond have no order, and tests mean one
        std::thread::sleep(std::time::Duration::from_millis(2));
        id.into()
    }

    pub(crate) fn start(&self, workflow: &str, input: Value) -> RunId {
        self.submit(Verb::RunStart { workflow: workflow.to_owned(), input })
    }

    /// Is the kernel until nothing is left to do.
    pub(crate) fn serve(&self) -> Served {
        self.try_serve(Until::Idle, &StopFlag::new()).expect("the kernel served")
    }

    pub(crate) fn try_serve(&self, until: Until, stop: &StopFlag) -> Result<Served, DriverError> {
        let lock = KernelLock::take(self.root()).expect("the lock");
        driver::serve(&self.store, lock, &ServeOptions { until }, stop)
    }

    pub(crate) fn view(&self, run: &RunId) -> RunView {
        Reader::new(self.store.clone()).view(run).expect("a readable history").expect("a run")
    }

    pub(crate) fn status(&self, run: &RunId) -> RunStatus {
        self.view(run).status()
    }

    pub(crate) fn open(&self, run: &RunId) -> Vec<InboxItem> {
        self.view(run).requests.into_iter().filter(InboxItem::is_open).collect()
    }

    pub(crate) fn open_of(&self, run: &RunId) -> InboxItem {
        self.open(run).into_iter().next().expect("an open request")
    }

    pub(crate) fn answer(&self, item: &InboxItem, answer: Value) {
        let (run, gate, digest) = (item.run.clone(), item.id.clone(), item.digest.clone());
        self.submit(Verb::AskAnswer { run: run.expect("a run asks"), gate, digest, answer });
    }

    pub(crate) fn deny(&self, item: &InboxItem) {
        let (run, gate, digest) = (item.run.clone(), item.id.clone(), item.digest.clone());
        self.submit(Verb::GateDeny { run: run.expect("a run asks"), gate, digest, reason: None });
    }

    pub(crate) fn approve(&self, item: &InboxItem) {
        self.submit(Verb::GateApprove {
            run: item.run.clone().expect("a run asks"),
            gate: item.id.clone(),
            digest: item.digest.clone(),
            reason: None,
        });
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = std::process::Command::new("git")
            .arg("-C")
            .arg(self.root())
            .args(["-c", "user.name=test", "-c", "user.email=test@x.example"])
            .args(args)
            .output()
            .expect("git runs");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

fn kinds(history: &str) -> Vec<String> {
    let kind = |line: &str| Some(line.split_once("\"kind\":\"")?.1.split_once('"')?.0.to_owned());
    history.lines().filter_map(kind).collect()
}
