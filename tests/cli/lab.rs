//! A home, a store and the program: nothing of the machine's own settings gets in.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A home with a store in it.
pub(crate) struct Lab {
    home: TempDir,
    /// The store's folder.
    pub(crate) store: PathBuf,
}

/// What the program answered.
pub(crate) struct Answer {
    /// Its exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Answer {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {:?}; stderr: {}", self.out, self.err))
    }
}

impl Lab {
    /// A home with the demo store.
    pub(crate) fn with_demo() -> Self {
        Self::made(&["init", "shop", "--demo"])
    }

    /// A home with an empty store.
    pub(crate) fn empty() -> Self {
        Self::made(&["init", "shop"])
    }

    fn made(init: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder for the test");
        let store = home.path().join("shop");
        let lab = Self { home, store };
        let made = lab.program(init);
        assert_eq!(made.code, 0, "{}", made.err);
        lab
    }

    /// Runs the program inside the store.
    pub(crate) fn cairn(&self, args: &[&str]) -> Answer {
        self.run(args, &self.store)
    }

    /// Runs the program in the home, beside the store.
    pub(crate) fn program(&self, args: &[&str]) -> Answer {
        self.run(args, self.home.path())
    }

    /// Starts the program inside the store and does not wait for it.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let quiet = || Stdio::null();
        self.command(args, &self.store).stdout(quiet()).stderr(quiet()).spawn().expect("the program starts")
    }

    /// Writes a file of the store.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.store.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// The id of this machine.
    pub(crate) fn machine(&self) -> String {
        std::fs::read_to_string(self.store.join(".cairn/machine")).expect("a machine").trim().to_owned()
    }

    /// This machine's log.
    pub(crate) fn log(&self) -> String {
        let months = std::fs::read_dir(self.store.join("log").join(self.machine())).into_iter().flatten().flatten();
        months.map(|month| std::fs::read_to_string(month.path()).expect("a log")).collect()
    }

    fn run(&self, args: &[&str], dir: &std::path::Path) -> Answer {
        let output = self.command(args, dir).output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Answer { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    fn command(&self, args: &[&str], dir: &std::path::Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("USER", "jo")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Lab {
    /// No kernel outlives its test, also when the test fails.
    fn drop(&mut self) {
        self.cairn(&["kernel", "stop"]);
    }
}
