//! A store to test with, and short ways to ask the kernel for things.

use std::path::Path;

use cairn::{
    driver::{self, ServeOptions, StopFlag, Until},
    store::{self, Store, inbox, lock::KernelLock, reader::Reader},
};
use cairn_store_layout::{
    MachineId, RunId,
    command::Verb,
    view::{InboxItem, RunStatus, RunView},
};
use serde_json::Value;

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) machine: MachineId,
}

impl Bench {
    /// A new demo store with a home of its own.
    pub(crate) fn demo() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // nextest gives every test a process of its own
        let made = store::init::init(&dir.path().join("store"), true).expect("a demo store");
        Self { store: made.store, machine: made.machine, dir }
    }

    pub(crate) fn root(&self) -> &Path {
        self.store.root()
    }

    pub(crate) fn path(&self, relative: &str) -> std::path::PathBuf {
        self.dir.path().join("store").join(relative)
    }

    pub(crate) fn submit(&self, verb: Verb) -> RunId {
        inbox::submit(&self.store, &self.machine, verb, "test").expect("a command").into()
    }

    pub(crate) fn start(&self, workflow: &str, input: Value) -> RunId {
        self.submit(Verb::RunStart { workflow: workflow.to_owned(), input })
    }

    /// Is the kernel until nothing is left to do.
    pub(crate) fn serve(&self) {
        let lock = KernelLock::take(self.root()).expect("the lock");
        let options = ServeOptions { until: Until::Idle };
        driver::serve(self.store.clone(), lock, &options, &StopFlag::new()).expect("the kernel served");
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

    pub(crate) fn approve(&self, item: &InboxItem) {
        self.submit(Verb::GateApprove {
            run: item.run.clone(),
            gate: item.id.clone(),
            digest: item.digest.clone(),
            reason: None,
        });
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = std::process::Command::new("git").arg("-C").arg(self.root()).args(args).output().expect("git runs");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}
