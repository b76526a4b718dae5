//! Walking through the screens: an empty store, the help, a run, sizes, and news that come by themselves.

use crate::{
    support::{Bench, cursor_line},
    terminal::tmux_is_here,
};

#[test]
fn tmux_an_empty_store_says_how_to_begin_and_help_lists_the_keys() {
    if !tmux_is_here("tmux_an_empty_store_says_how_to_begin_and_help_lists_the_keys") {
        return;
    }
    let bench = Bench::new(false);
    let terminal = bench.open((80, 24), "");
    let screen = terminal.wait_for_text("Nothing waits for you.");
    assert!(screen.contains("cairn init --demo") && screen.contains("KERNEL DOWN"), "{screen}");
    terminal.press(&["2"]);
    terminal.wait_for_text("No runs yet. Start one from a shell: cairn run start WORKFLOW");
    terminal.press(&["?"]);
    terminal.wait_for_text("keys valid here");
    terminal.write("quit");
    let screen = terminal.wait_for("the filtered help", |s| s.contains("/quit") && !s.contains("half a page"));
    assert!(screen.contains("back; on a top screen, quit"), "{screen}");
    terminal.press(&["Escape"]);
    terminal.wait_for("the help is closed", |s| !s.contains("keys valid here"));
    terminal.press(&["q"]);
    terminal.wait_for_text("code 0");
}

#[test]
fn tmux_a_run_can_be_walked_through_at_every_size() {
    if !tmux_is_here("tmux_a_run_can_be_walked_through_at_every_size") {
        return;
    }
    let bench = Bench::with_letters();
    let terminal = bench.open((120, 40), "");
    terminal.press(&["2"]);
    terminal.wait_for("the list of runs", |s| cursor_line(s).contains("WAITING") && s.contains("10 requests"));
    terminal.press(&["Enter"]);
    // the step that wants attention is under the cursor, its ten iterations folded
    terminal.wait_for("the tree", |s| cursor_line(s).contains("13 send") && s.contains("0 of 10 over, 10 WAIT"));
    terminal.press(&["Enter", "j"]);
    let screen = terminal.wait_for("the iterations", |s| cursor_line(s).contains("2035"));
    assert!(screen.contains("approve ") && screen.contains("to: faktura@hansen-marine.example"), "{screen}");
    for (view, sign) in [("[Waterfall]", "~~~"), ("[Events]", "run.started"), ("[Artifacts]", "kept no payloads")] {
        terminal.press(&["v"]);
        terminal.wait_for(view, |s| s.contains(view) && s.contains(sign));
    }
    terminal.press(&["v", "/"]);
    terminal.write("'held");
    terminal.wait_for("the filtered tree", |s| s.contains("9 held") && !s.contains("13 send"));
    terminal.press(&["Enter", "Escape"]);
    terminal.wait_for_text("13 send");
    for (columns, rows, sign) in [(80, 24, "[Tree]"), (60, 20, "[Tree]"), (30, 6, "cairn: 10 waiting"), (120, 40, "│")]
    {
        terminal.resize(columns, rows);
        terminal.wait_for(sign, |s| s.contains(sign) && s.lines().count() <= usize::from(rows));
    }
    terminal.press(&["q", "1"]);
    terminal.wait_for_text("[1 Inbox 10]");
}

#[test]
fn tmux_a_run_started_elsewhere_shows_by_itself() {
    if !tmux_is_here("tmux_a_run_started_elsewhere_shows_by_itself") {
        return;
    }
    let bench = Bench::new(true);
    bench.start_kernel();
    let terminal = bench.open((80, 24), "");
    terminal.wait_for("an empty Inbox", |s| s.contains("[1 Inbox 0]") && s.contains("cairn run start"));
    bench.cairn(&["run", "start", "invoice-chase"], 0);
    let screen = terminal.wait_for_text("[1 Inbox 10]");
    assert!(screen.contains("2 Runs 1"), "{screen}");
    terminal.wait_for("the letters", |s| cursor_line(s).contains("Reminder "));
}
