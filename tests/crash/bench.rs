//! A store, the real program on it, and what must hold whenever it rests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use cairn::store::{Store, identity, inbox, lock, reader::Reader};
use cairn_store_layout::{
    RunId,
    command::Verb,
    view::{InboxItem, KernelHealth, RunStatus},
};

/// Where a run takes longer than this, something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program: that of this build, or another one, such as a release build, named by `CAIRN_BIN`.
fn program() -> PathBuf {
    std::env::var_os("CAIRN_BIN").map_or_else(|| env!("CARGO_BIN_EXE_cairn").into(), PathBuf::from)
}

/// The seed of the kills: `CAIRN_SEED`, or the same one every time; printed so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("CAIRN_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    println!("repeat with CAIRN_SEED={seed}");
    seed
}

/// How many kills: `usual`, multiplied by `CAIRN_KILLS` for a longer run.
pub(crate) fn kills(usual: usize) -> usize {
    usual * std::env::var("CAIRN_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// A small generator whose numbers a seed repeats (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

pub(crate) struct Bench {
    _dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Bench {
    /// A store with the demo's workflows.
    pub(crate) fn with_demo() -> Self {
        Self::made(&["init", "--demo"])
    }

    /// A store with nothing in it.
    pub(crate) fn empty() -> Self {
        Self::made(&["init"])
    }

    fn made(init: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("store");
        let bench = Self { _dir: dir, root };
        let args: Vec<&str> = init.iter().copied().chain(bench.root.to_str()).collect();
        let out = bench.cairn(&args, false);
        assert!(out.status.success(), "init: {}", String::from_utf8_lossy(&out.stderr));
        bench
    }

    pub(crate) fn command(&self, args: &[&str], in_store: bool) -> Command {
        let mut command = Command::new(program());
        if in_store {
            command.arg("-C").arg(&self.root);
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn cairn(&self, args: &[&str], in_store: bool) -> Output {
        self.command(args, in_store).output().expect("cairn runs")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.root).expect("a store")
    }

    pub(crate) fn submit(&self, verb: Verb) -> RunId {
        let store = self.store();
        let machine = identity::ensure(&store).expect("a machine");
        inbox::submit(&store, &machine, verb, "test").expect("a command").into()
    }

    pub(crate) fn open_items(&self) -> Vec<InboxItem> {
        let mut reader = Reader::new(self.store());
        reader.refresh().expect("readable histories");
        reader.inbox(0)
    }

    pub(crate) fn status(&self, run: &RunId) -> Option<RunStatus> {
        Reader::new(self.store()).view(run).expect("a readable history").map(|v| v.status())
    }

    /// Starts a kernel and kills it after `delay`, or lets it end by itself when it is done first.
    pub(crate) fn kernel_killed_after(&self, delay: Duration) {
        let mut child = self.command(&["kernel", "run"], true).spawn().expect("cairn starts");
        std::thread::sleep(delay);
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }

    /// Is the kernel until `done`, then stops it as an operator would.
    pub(crate) fn kernel_until(&self, what: &str, done: impl Fn() -> bool) {
        let child = self.command(&["kernel", "run"], true).spawn().expect("cairn starts");
        let started = Instant::now();
        let ours = KernelHealth::Running { pid: Some(child.id()) };
        while lock::probe(&self.root).expect("a lock file") != ours || !done() {
            assert!(started.elapsed() < PATIENCE, "{what} was not reached in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
        let out = child.wait_with_output().expect("it ends");
        assert!(out.status.success(), "a clean stop: {}", String::from_utf8_lossy(&out.stderr));
    }

    pub(crate) fn check(&self) {
        let out = self.cairn(&["verify"], true);
        let told = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "verify: {told}");
        let fsck = Command::new("git").arg("-C").arg(&self.root).args(["fsck", "--full", "--strict"]).output();
        let fsck = fsck.expect("git runs");
        assert!(fsck.status.success(), "git fsck: {}", String::from_utf8_lossy(&fsck.stderr));
        assert_eq!(git(&self.root, &["status", "--porcelain"]), "", "the work tree is what was committed");
    }
}

pub(crate) fn git(root: &Path, args: &[&str]) -> String {
    let out = Command::new("git").arg("-C").arg(root).args(args).output().expect("git runs");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Tells whether the newest commit says that its run has this status.
pub(crate) fn committed(bench: &Bench, status: &str) -> bool {
    git(&bench.root, &["log", "-1", "--format=%(trailers:key=Status,valueonly)"]).trim() == status
}
