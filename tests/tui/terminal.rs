//! A tmux server of one's own: a window, its keys, and its screen as text.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

/// Where something takes longer than this, it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the screen is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(50);
/// The pace of the keys: faster ones would count as a paste, or as typed before the question.
const PACE: Duration = Duration::from_millis(200);

/// Tells whether tmux is there; says on standard error that the test is skipped where it is not.
pub(crate) fn tmux_is_here(test: &str) -> bool {
    let here = Command::new("tmux").arg("-V").output().is_ok_and(|out| out.status.success());
    if !here {
        // written past the harness, which keeps what a passing test prints to itself
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: tmux is not installed (apt-get install tmux)");
    }
    here
}

/// One window of 80x24 (or what was asked) with an interactive shell in it.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts a server in `dir` whose shell has `environment`.
    pub(crate) fn start(dir: &Path, (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Self {
        let terminal = Self { socket: dir.join("tmux") };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut command = terminal.command();
        command.args(["-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", &columns, "-y", &rows]);
        // the shell between tmux and this one may drop PS1, so it is set last
        command.arg("exec env 'PS1=ready> ' bash --norc --noprofile -i");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("HISTFILE", "");
        command.envs(environment.iter().copied());
        let out = command.output().expect("tmux starts");
        assert!(out.status.success(), "tmux: {}", String::from_utf8_lossy(&out.stderr));
        terminal.wait_for("the shell", |screen| screen.contains("ready>"));
        terminal
    }

    /// Types a line at the shell. The shell takes it in one piece; the interface would not.
    pub(crate) fn line(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "t", "-l", text]);
        self.tmux(&["send-keys", "-t", "t", "Enter"]);
    }

    /// Presses keys by their tmux names, one by one at the pace of a person.
    pub(crate) fn press(&self, keys: &[&str]) {
        for key in keys {
            thread::sleep(PACE);
            self.tmux(&["send-keys", "-t", "t", key]);
        }
    }

    /// Types text, one key after the other.
    pub(crate) fn write(&self, text: &str) {
        for c in text.chars() {
            thread::sleep(PACE);
            self.tmux(&["send-keys", "-t", "t", "-l", &c.to_string()]);
        }
    }

    /// The screen, without blanks at the ends of its lines.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "t"])
    }

    /// Waits until the screen is as wanted and stands still, and returns it: tmux may show a frame of
    /// which it has read one half.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                thread::sleep(LOOK);
                if self.screen() == screen {
                    return screen;
                }
            }
            assert!(Instant::now() < end, "never came: {what}\n{screen}");
            thread::sleep(LOOK);
        }
    }

    /// Waits until `text` stands on the screen, and returns the screen.
    pub(crate) fn wait_for_text(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contains(text))
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-t", "t", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// A format of tmux, such as `alternate_on`.
    pub(crate) fn fact(&self, name: &str) -> String {
        self.tmux(&["display-message", "-p", "-t", "t", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// Waits until a format of tmux has `value`.
    pub(crate) fn wait_for_fact(&self, name: &str, value: &str) {
        let end = Instant::now() + PATIENCE;
        while self.fact(name) != value {
            assert!(Instant::now() < end, "{name} never became {value}\n{}", self.screen());
            thread::sleep(LOOK);
        }
    }

    /// Copies all that the window is sent from now on into `file`.
    pub(crate) fn record(&self, file: &Path) {
        self.tmux(&["pipe-pane", "-t", "t", "-o", &format!("cat > '{}'", file.display())]);
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket);
        command
    }

    fn tmux(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command().args(args).output().expect("tmux runs");
        assert!(status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // the windows hang up, so what runs in them ends too
        let _ = self.command().arg("kill-server").output();
    }
}
