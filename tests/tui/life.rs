//! What the program does to its terminal: it gives it back on every way out, and leaves it alone when
//! nothing happens.

use std::{process::Command, thread, time::Duration};

use crate::{
    support::Bench,
    terminal::{Terminal, tmux_is_here},
};

#[test]
fn tmux_sigterm_gives_the_terminal_back() {
    if !tmux_is_here("tmux_sigterm_gives_the_terminal_back") {
        return;
    }
    let bench = Bench::with_letters();
    let terminal = bench.open((80, 24), "");
    assert_eq!(terminal.fact("alternate_on"), "1");
    let killed = Command::new("kill").args(["-TERM", &bench.pid()]).status().expect("kill runs");
    assert!(killed.success());
    terminal.wait_for_text("code 143");
    a_usable_shell(&terminal);
}

#[test]
fn tmux_suspends_and_comes_back() {
    if !tmux_is_here("tmux_suspends_and_comes_back") {
        return;
    }
    let bench = Bench::with_letters();
    let terminal = bench.open((80, 24), "");
    terminal.press(&["j"]);
    terminal.press(&["C-z"]);
    terminal.wait_for_text("Stopped");
    a_usable_shell(&terminal);
    terminal.line("fg");
    terminal.wait_for_fact("alternate_on", "1");
    let screen = terminal.wait_for_text("[1 Inbox 10]");
    assert!(screen.contains("a approve"), "the whole screen is drawn anew:\n{screen}");
    terminal.press(&["q"]);
    terminal.wait_for_fact("alternate_on", "0");
    a_usable_shell(&terminal);
}

#[test]
fn tmux_an_idle_interface_sends_nothing() {
    if !tmux_is_here("tmux_an_idle_interface_sends_nothing") {
        return;
    }
    let bench = Bench::with_letters();
    bench.start_kernel();
    let terminal = bench.open((80, 24), "");
    terminal.wait_for_text("kernel ok");
    // the kernel's own start may still be news
    thread::sleep(Duration::from_secs(2));
    let sent = bench.path("sent");
    terminal.record(&sent);
    let busy = cpu_ticks(&bench.pid());
    thread::sleep(Duration::from_secs(5));
    let after = cpu_ticks(&bench.pid());
    assert_eq!(std::fs::read(&sent).unwrap_or_default(), b"", "an idle interface wrote to its terminal");
    if let (Some(before), Some(after)) = (busy, after) {
        assert!(after - before <= 10, "{} ticks of 10 ms in 5 s", after - before);
    }
    // the control: a key is heard by the same ears
    terminal.press(&["j"]);
    bench.wait("the key's frame", || std::fs::metadata(&sent).is_ok_and(|m| m.len() > 0));
}

/// No alternate screen, no mouse, a cursor, and an echo.
fn a_usable_shell(terminal: &Terminal) {
    terminal.wait_for_fact("alternate_on", "0");
    assert_eq!(terminal.fact("mouse_any_flag"), "0");
    assert_eq!(terminal.fact("cursor_flag"), "1");
    terminal.line("echo alive $((40 + 2))");
    let screen = terminal.wait_for_text("alive 42");
    assert!(screen.contains("echo alive"), "what is typed is seen:\n{screen}");
}

/// Processor time of a process in ticks, where `/proc` tells.
fn cpu_ticks(pid: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name of the program stands in brackets and may hold blanks
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}
