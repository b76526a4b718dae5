//! The real runtime on a real terminal: bytes out, restored on every way out.
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The demo on a terminal of its own.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    bytes: Arc<Mutex<Vec<u8>>>,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

/// `target/<profile>/examples/demo_tui`, beside the folder of this test program.
fn demo() -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    let profile = here.parent().and_then(Path::parent).expect("it lies in deps/");
    let path = profile.join("examples/demo_tui");
    assert!(path.exists(), "{} is missing: build it with --examples", path.display());
    path
}

impl Terminal {
    fn open(columns: u16, rows: u16, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 })
            .expect("a terminal");
        let mut command = CommandBuilder::new(demo());
        command.arg(&log);
        command.env_clear();
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")] {
            command.env(name, value);
        }
        command.env("TMPDIR", folder.path());
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("started");
        drop(pair.slave);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let sink = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 {
                    break;
                }
                sink.lock().expect("not poisoned").extend_from_slice(&buffer[..n]);
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        let terminal = Self { master: pair.master, keys, child, bytes, log, _folder: folder };
        terminal.until("the first frame", |t| t.text(columns, rows).contains("kernel ok"));
        terminal
    }

    fn sent(&self) -> Vec<u8> {
        self.bytes.lock().expect("not poisoned").clone()
    }

    /// What a terminal of this size shows after all bytes so far.
    fn parsed(&self, columns: u16, rows: u16) -> vt100::Parser {
        let cells = |n| std::num::NonZero::new(n).expect("a size");
        let mut parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        parser.process(&self.sent());
        parser
    }

    fn text(&self, columns: u16, rows: u16) -> String {
        self.parsed(columns, rows).screen().contents()
    }

    fn type_keys(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let bytes = match key {
                "Up" => "\x1b[A",
                "Enter" => "\r",
                "Esc" => "\x1b",
                other => other,
            };
            // as a person types: each key apart
            thread::sleep(Duration::from_millis(350));
            self.keys.write_all(bytes.as_bytes()).expect("typed");
        }
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what} did not happen; sent so far:\n{}\nlog:\n{}",
                self.text(80, 24),
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("resized");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> rustix::process::Pid {
        let pid = self.child.process_id().expect("it runs");
        rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
    }

    /// Waits for the end; returns the exit code.
    fn ended(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                thread::sleep(Duration::from_millis(50));
                return status.exit_code();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it did not end:\n{}", self.text(80, 24));
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn assert_restored(&self) {
        let parser = self.parsed(80, 24);
        let screen = parser.screen();
        assert!(!screen.alternate_screen(), "the other screen is left");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert!(!screen.hide_cursor(), "the cursor is shown");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many times `needle` occurs.
fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|w| *w == needle).count()
}

#[test]
fn a_frame_is_one_write_and_silence_is_silence() {
    let mut terminal = Terminal::open(80, 24, &[]);
    thread::sleep(Duration::from_millis(600));
    let before = terminal.sent().len();
    assert!(before < 4500, "the start takes {before} bytes");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(terminal.sent().len(), before, "nothing is sent while nothing happens");
    terminal.type_keys("j j k");
    terminal.type_keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.assert_restored();
    let frames = count(&terminal.sent(), b"\x1b[?2026h");
    let stats = format!("frames: {frames}, writes: {frames},");
    assert!(terminal.log().contains(&stats), "{stats} {}", terminal.log());
    assert!(frames >= 5, "{frames}");
}

#[test]
fn keys_decide_and_the_decision_is_seen() {
    let mut terminal = Terminal::open(120, 40, &[]);
    terminal.type_keys("j j j a");
    terminal.until("the approval", |t| t.log().contains("Approve"));
    terminal.until("its echo", |t| t.text(120, 40).contains("[approved 12:00]"));
    terminal.type_keys("Up Up x 2");
    terminal.until("the denial", |t| t.log().contains("Deny") && t.log().contains("wrong target"));
    terminal.type_keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn signals_and_a_hang_up_end_it_and_leave_no_trace() {
    use rustix::process::{Signal, kill_process};
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut terminal = Terminal::open(80, 24, &[]);
        kill_process(terminal.pid(), signal).expect("sent");
        assert_eq!(terminal.ended(), code);
        terminal.assert_restored();
    }
}

#[test]
fn a_terminal_that_goes_away_without_a_signal_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a terminal");
    // in a session of its own the terminal is not the controlling one, and no SIGHUP comes
    let mut command = CommandBuilder::new("setsid");
    command.args(["-w".as_ref(), demo().as_os_str(), log.as_os_str()]);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).expect("setsid starts it");
    drop(pair.slave);
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let wait = |what: &str| {
        let begun = Instant::now();
        while !read().contains(what) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no {what}: {:?}", read());
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait("Started");
    drop(pair.master);
    wait("HungUp");
    let _ = child.wait();
}

#[test]
fn it_survives_any_size() {
    let mut terminal = Terminal::open(80, 24, &[]);
    terminal.resize(1, 1);
    terminal.until("the tiny frame", |t| count(&t.sent(), b"\x1b[2J") >= 2);
    terminal.resize(120, 40);
    terminal.until("the large frame", |t| t.text(120, 40).contains("TEXT  12 lines"));
    terminal.type_keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn a_torn_arrow_moves_and_never_decides() {
    let mut terminal = Terminal::open(80, 24, &[]);
    terminal.type_keys("j j");
    for piece in ["\x1b", "[", "A"] {
        terminal.keys.write_all(piece.as_bytes()).expect("typed");
        thread::sleep(Duration::from_millis(10));
    }
    let here = |t: &Terminal, what: &str| t.text(80, 24).lines().any(|l| l.starts_with('>') && l.contains(what));
    terminal.until("the move up", |t| here(t, "Reminder 1"));
    terminal.type_keys("q");
    assert_eq!(terminal.ended(), 0);
    assert!(!terminal.log().contains("Approve"));
}

#[test]
fn without_colours_bold_and_reverse_stay() {
    let mut terminal = Terminal::open(80, 24, &[("NO_COLOR", "1")]);
    let parser = terminal.parsed(80, 24);
    let cell = parser.screen().cell(2, 2).expect("the selected row");
    assert!(cell.bold(), "the selected row is bold");
    let coloured = |p: &vt100::Parser| {
        (0..24)
            .flat_map(|y| (0..80).map(move |x| (y, x)))
            .any(|(y, x)| p.screen().cell(y, x).is_some_and(|c| c.fgcolor() != vt100::Color::Default))
    };
    assert!(!coloured(&parser));
    terminal.type_keys("q");
    terminal.ended();
    let mut terminal = Terminal::open(80, 24, &[]);
    assert!(coloured(&terminal.parsed(80, 24)), "with colours there are some");
    terminal.type_keys("q");
    terminal.ended();
}

#[test]
fn the_editor_has_the_terminal_to_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("editor");
    // it reads a key itself: no key of the editor's may reach the interface
    let text = "#!/bin/sh\nprintf 'EDITOR HERE\\n'; read answer; sed -i \"s/please pay/$answer/\" \"$1\"\n";
    std::fs::write(&script, text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("made executable");
    let script = script.to_str().expect("a path in UTF-8");
    let mut terminal = Terminal::open(120, 40, &[("VISUAL", script)]);
    terminal.type_keys("j e");
    terminal.until("the editor", |t| t.text(120, 40).contains("EDITOR HERE"));
    assert!(!terminal.parsed(120, 40).screen().alternate_screen(), "the editor has the plain screen");
    terminal.type_keys("kindly Enter");
    terminal.until("the difference", |t| t.text(120, 40).contains("+ kindly."));
    let screen = terminal.text(120, 40);
    assert!(screen.contains("- please pay."), "{screen}");
    let digit = screen.trim_end().lines().last().and_then(|l| l.trim().chars().next()).expect("a digit");
    assert!(digit.is_ascii_digit(), "{screen}");
    terminal.type_keys(&digit.to_string());
    terminal.until("the edit", |t| t.log().contains("Edit {") && t.log().contains("kindly."));
    terminal.type_keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.assert_restored();
}

#[test]
fn a_panic_is_reported_on_the_restored_terminal() {
    let mut terminal = Terminal::open(80, 24, &[("DEMO_PANIC", "1")]);
    terminal.type_keys("Enter");
    assert_eq!(terminal.ended(), 101);
    terminal.assert_restored();
    assert!(terminal.text(80, 24).contains("asked to panic"), "{}", terminal.text(80, 24));
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = std::process::Command::new(demo()).stdin(std::process::Stdio::null()).output().expect("it runs");
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("standard input and output must be a terminal"), "{error}");
}
