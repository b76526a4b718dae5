//! A store in a home of its own, and the real program on it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use cairn::store::{Store, git::Repo};

pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let lab = Self { root: dir.path().join("store"), dir };
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

fn git(root: &Path, args: &[&str]) -> Output {
    Command::new("git").arg("-C").arg(root).args(args).output().expect("git runs")
}
