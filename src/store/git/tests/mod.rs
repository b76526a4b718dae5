//! The repository against the `git` program as a second opinion, and against damage.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod commits;
mod damage;
mod folders;
mod index;
mod reading;
mod speed;

use std::{path::Path, process::Command};

use tempfile::TempDir;

use super::{Change, CommitHash, CommitPlan, Content, Identity, InitOptions, Repo};

/// A store in a temporary folder.
pub(super) struct Store {
    dir: TempDir,
    pub(super) repo: Repo,
}

pub(super) fn who() -> Identity {
    Identity { name: "Ada Lovelace".to_owned(), email: "ada@example.org".to_owned() }
}

impl Store {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let repo = Repo::init(dir.path(), &InitOptions { ignore: &["/.cairn/"] }).expect("init");
        Self { dir, repo }
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into the work tree.
    pub(super) fn put(&self, path: &str, text: &str) {
        let full = self.root().join(path);
        std::fs::create_dir_all(full.parent().expect("a parent")).expect("folders");
        std::fs::write(full, text).expect("write");
    }

    /// Writes files into the work tree and commits them.
    pub(super) fn commit(&self, files: &[(&str, &str)]) -> CommitHash {
        files.iter().for_each(|(path, text)| self.put(path, text));
        self.plan(&plan(files.iter().map(|(path, _)| from_work_tree(path)).collect()))
    }

    pub(super) fn plan(&self, plan: &CommitPlan) -> CommitHash {
        self.repo.commit_group(&who(), None, std::slice::from_ref(plan)).expect("commit")[0].expect("a change")
    }

    /// Runs the `git` program; `None` where there is none.
    pub(super) fn git(&self, args: &[&str]) -> Option<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.root())
            .args(["-c", "user.name=Op", "-c", "user.email=op@example.org"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE")
            .output();
        let output = output.ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "git {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        Some(text(&output.stdout))
    }

    /// Asserts what the `git` program prints, where there is one.
    pub(super) fn git_says(&self, args: &[&str], expected: &str) {
        if let Some(said) = self.git(args) {
            assert_eq!(said.trim_end(), expected, "git {args:?}");
        }
    }

    pub(super) fn git_is_content(&self) {
        self.git(&["fsck", "--full", "--strict", "--no-dangling"]);
    }

    pub(super) fn packs(&self) -> usize {
        let dir = self.root().join(".git/objects/pack");
        let entries = std::fs::read_dir(dir).expect("list");
        entries.filter(|e| e.as_ref().expect("entry").path().extension().is_some_and(|x| x == "pack")).count()
    }
}

pub(super) fn from_work_tree(path: &str) -> Change {
    Change::Write { path: path.to_owned(), content: Content::WorkTree }
}

pub(super) fn bytes(path: &str, text: impl Into<Vec<u8>>) -> Change {
    Change::Write { path: path.to_owned(), content: Content::Bytes(text.into()) }
}

pub(super) fn plan(changes: Vec<Change>) -> CommitPlan {
    CommitPlan {
        subject: "test: a commit".to_owned(),
        body: String::new(),
        trailers: Vec::new(),
        at: "2026-11-22T10:00:00Z".parse().expect("a moment"),
        changes,
        allow_empty: false,
    }
}
