//! A store with a home of its own, the program in a terminal on it, and what the store says afterwards.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use cairn::store::{Store, reader::Reader};
use cairn_store_layout::{RunId, event::Body, view::InboxItem};

use crate::terminal::Terminal;

const CAIRN: &str = env!("CARGO_BIN_EXE_cairn");
/// Where the kernel takes longer than this, it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Bench {
    /// A new store, with the demo in it or empty.
    pub(crate) fn new(demo: bool) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("store");
        let bench = Self { dir, root };
        let path = bench.root.to_str().expect("a path in UTF-8");
        let init = if demo { vec!["init", "--demo", path] } else { vec!["init", path] };
        let out = bench.command(&init).output().expect("cairn runs");
        assert!(out.status.success(), "{out:?}");
        bench
    }

    /// The demo store after a run of `invoice-chase`: ten letters wait.
    pub(crate) fn with_letters() -> Self {
        let bench = Self::new(true);
        bench.cairn(&["run", "start", "invoice-chase", "--wait"], 10);
        bench
    }

    /// Runs a verb on the store and expects its exit code.
    pub(crate) fn cairn(&self, args: &[&str], code: i32) -> String {
        let Output { status, stdout, stderr } = self.in_store(args).output().expect("cairn runs");
        assert_eq!(status.code(), Some(code), "cairn {args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }

    /// Starts the kernel in the background; it is stopped with the bench.
    pub(crate) fn start_kernel(&self) {
        self.cairn(&["kernel", "start"], 0);
    }

    /// Opens the interface in a terminal. `extra` is put before the command, such as `EDITOR=...`.
    pub(crate) fn open(&self, size: (u16, u16), extra: &str) -> Terminal {
        let state = self.dir.path().join("state");
        let state = state.to_str().expect("a path in UTF-8");
        let terminal = Terminal::start(self.dir.path(), size, &[("XDG_STATE_HOME", state), ("USER", "astrid")]);
        // the program takes the place of a shell whose number it keeps
        let pid = self.pid_file();
        let (pid, root) = (pid.display(), self.root.display());
        terminal.line(&format!("clear; {extra} sh -c 'echo $$ > {pid}; exec {CAIRN} -C {root}'; echo \"code $?\""));
        terminal.wait_for("the interface", |screen| screen.contains("1 Inbox") && !screen.contains("loading"));
        terminal
    }

    /// The process of the interface.
    pub(crate) fn pid(&self) -> String {
        std::fs::read_to_string(self.pid_file()).expect("the number of the interface").trim().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The request that is first in the Inbox and whose summary holds `words`.
    pub(crate) fn item(&self, words: &str) -> InboxItem {
        let mut reader = self.reader();
        reader.refresh().expect("readable histories");
        reader.inbox(100).into_iter().find(|i| i.summary.contains(words)).expect("a request")
    }

    /// Waits for an event of `run` of which `wanted` says yes.
    pub(crate) fn wait_for_event(&self, run: &RunId, what: &str, wanted: impl Fn(&Body) -> bool) {
        self.wait(what, || {
            let history = self.reader().history(run).expect("a readable history").expect("a history");
            history.records.iter().any(|r| wanted(&r.event.body))
        });
    }

    /// Waits until `done` says yes.
    pub(crate) fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < end, "never came: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The letters in the outbox, as text.
    pub(crate) fn letters(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join("files/outbox")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "eml"));
        paths.sort();
        paths.iter().map(|p| std::fs::read_to_string(p).expect("a letter")).collect()
    }

    /// Commands that wait for the kernel.
    pub(crate) fn commands(&self) -> usize {
        fn count(dir: &Path) -> usize {
            let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
            let paths = entries.map(|e| e.expect("an entry").path());
            paths
                .map(|p| if p.is_dir() { count(&p) } else { usize::from(p.extension().is_some_and(|e| e == "json")) })
                .sum()
        }
        count(&self.root.join("inbox"))
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = Command::new("git").arg("-C").arg(&self.root).args(args).output().expect("git runs");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn reader(&self) -> Reader {
        Reader::new(Store::open(&self.root).expect("a store"))
    }

    fn pid_file(&self) -> PathBuf {
        self.path("interface.pid")
    }

    fn in_store(&self, args: &[&str]) -> Command {
        let mut command = self.command(&[]);
        command.arg("-C").arg(&self.root).args(args);
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CAIRN);
        command.env("XDG_STATE_HOME", self.dir.path().join("state")).env("USER", "astrid");
        command.args(args).stdin(Stdio::null());
        command
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // harmless where none runs
        let _ = self.in_store(&["kernel", "stop"]).output();
    }
}

/// The line of the list that the cursor points at.
pub(crate) fn cursor_line(screen: &str) -> &str {
    screen.lines().skip(2).find(|line| line.starts_with('>')).unwrap_or_default()
}

/// Reads the request under the cursor to its end, in the pane, and returns to the list.
pub(crate) fn read_to_the_end(terminal: &Terminal) {
    terminal.press(&["Tab"]);
    for _ in 0..20 {
        let screen = terminal.screen();
        if !screen.contains(" more line") || screen.lines().any(|l| l.trim_end().ends_with("  end")) {
            break;
        }
        terminal.press(&["C-d"]);
    }
    terminal.wait_for("the end of the text", |s| s.lines().any(|l| l.trim_end().ends_with("  end")));
    terminal.press(&["Tab"]);
}

/// Waits for the question that a digit answers, and gives the digit.
pub(crate) fn confirm_by_digit(terminal: &Terminal, verb: &str) {
    let screen = terminal.wait_for_text(&format!(" {verb}   "));
    let footer = screen.lines().rev().find(|l| l.contains(verb)).expect("the line was waited for");
    let digit = footer.trim_start().get(..1).expect("the line begins with the digit");
    assert!(digit.chars().all(|c| c.is_ascii_digit()), "{footer}");
    terminal.press(&[digit]);
}
