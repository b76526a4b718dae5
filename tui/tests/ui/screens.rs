//! The screens as text, by named state; and one with its styles.

use cairn_store_layout::view::{KernelHealth, Snapshot};
use cairn_tui::{Charset, Config, Intent, Msg, Theme, samples};
use ratatui::style::{Color, Modifier};

use crate::helpers::Desk;

const SIZES: [(u16, u16); 5] = [(120, 40), (80, 24), (60, 20), (40, 8), (1, 1)];

fn ascii() -> Config {
    Config { charset: Charset::Ascii, ..Config::default() }
}

fn snap(name: &str, desk: &Desk) {
    let (columns, rows) = desk.size;
    insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), desk.screen());
}

fn at(columns: u16, rows: u16, config: Config, snapshot: Snapshot) -> Desk {
    let mut desk = Desk::new(columns, rows, config);
    desk.views(snapshot);
    desk
}

#[test]
fn inbox() {
    for (columns, rows) in SIZES {
        snap("inbox", &at(columns, rows, Config::default(), samples::snapshot()));
        snap("inbox_ascii", &at(columns, rows, ascii(), samples::snapshot()));
    }
}

#[test]
fn inbox_items() {
    for (columns, rows) in [(80, 24), (120, 40)] {
        for (name, moves) in [("ask", 2), ("file", 3), ("program", 4), ("edited", 5), ("problem", 6)] {
            let mut desk = at(columns, rows, Config::default(), samples::snapshot());
            desk.press(&"j".repeat(moves));
            snap(&format!("inbox_{name}"), &desk);
        }
        let mut desk = at(columns, rows, Config::default(), samples::snapshot());
        desk.press("w");
        snap("inbox_why", &desk);
    }
}

#[test]
fn questions() {
    for (name, keys) in [
        ("confirm_digit", "j a"),
        ("confirm_id", "a"),
        ("deny", "x"),
        ("form", "jj a Right"),
        ("help", "?"),
        ("copy", "y"),
        ("find", "/ortiz"),
        ("filtered_to_nothing", "/zzzz"),
        ("cancel", "2X"),
    ] {
        let mut desk = at(80, 24, Config::default(), samples::snapshot());
        desk.press(keys);
        snap(name, &desk);
    }
}

#[test]
fn runs() {
    for (columns, rows) in SIZES {
        let mut desk = at(columns, rows, Config::default(), samples::snapshot());
        desk.press("2");
        snap("runs", &desk);
    }
    let mut desk = at(80, 24, ascii(), samples::snapshot());
    desk.press("2");
    snap("runs_ascii", &desk);
}

#[test]
fn workflows() {
    for (columns, rows) in SIZES {
        let mut desk = at(columns, rows, Config::default(), samples::snapshot());
        desk.press("3");
        snap("workflows", &desk);
    }
    let mut desk = at(80, 24, ascii(), samples::snapshot());
    desk.press("3");
    assert!(desk.cursor_line().contains("signed") && desk.cursor_line().contains("OFF"), "{}", desk.cursor_line());
    assert!(desk.screen().contains("cairn workflow trust client-onboarding"), "{}", desk.screen());
    assert_eq!(desk.press("Enter"), []);
    assert!(desk.message().contains("started no run yet"), "{}", desk.message());
    desk.press("jjj");
    snap("workflows_left_out", &desk);
    // the run that it started last, and back to where one was
    desk.press("k");
    let asked = desk.press("Enter");
    let [Intent::OpenRun(run)] = asked.as_slice() else { panic!("{asked:?}") };
    desk.app.update(Msg::Detail(Box::new(samples::detail_of(run).expect("a run of the samples"))));
    assert_eq!(desk.press("Esc"), [Intent::CloseRun]);
    assert!(desk.cursor_line().contains("weekdays"), "{}", desk.cursor_line());
    desk.press("/mails");
    assert!(desk.cursor_line().contains("mails/*.eml"), "{}", desk.screen());
}

#[test]
fn run() {
    for (columns, rows) in [(120, 40), (80, 24), (60, 20)] {
        for (name, keys) in [
            ("run_tree", "gjjj Enter j Enter"),
            ("run_waterfall", "vgjjj Enter"),
            ("run_events", "vv"),
            ("run_artifacts", "vvv"),
        ] {
            let mut desk = at(columns, rows, ascii(), samples::snapshot());
            desk.press("2 Enter");
            desk.app.update(Msg::Detail(Box::new(samples::detail())));
            desk.press(keys);
            snap(name, &desk);
        }
    }
}

#[test]
fn empty_and_troubled() {
    snap("loading", &Desk::new(80, 24, Config::default()));
    snap("inbox_empty", &at(80, 24, Config::default(), samples::empty()));
    let mut desk = at(80, 24, Config::default(), samples::empty());
    desk.press("2");
    snap("runs_empty", &desk);

    let mut snapshot = samples::snapshot();
    snapshot.health.kernel = KernelHealth::Down;
    snapshot.health.commands_waiting = 2;
    snapshot.health.unreadable = vec!["runs/2026/11/22/01x.jsonl: line 134 is torn".to_owned()];
    snap("kernel_down", &at(80, 24, Config::default(), snapshot));

    let mut desk = at(80, 24, Config::default(), samples::snapshot());
    let why = "the views cannot be read: permission denied; cairn doctor says more".to_owned();
    desk.app.update(Msg::Stale { since: samples::noon(), why });
    snap("stale", &desk);

    let mut desk = at(80, 24, Config::default(), samples::empty());
    let mut snapshot = samples::snapshot();
    snapshot.inbox.truncate(1);
    desk.views(snapshot);
    desk.views(samples::snapshot());
    snap("arrivals_wait", &desk);
}

#[test]
fn hostile_text() {
    for (columns, rows) in [(80, 24), (120, 40)] {
        let mut snapshot = samples::empty();
        snapshot.inbox.push(samples::hostile());
        let mut desk = at(columns, rows, Config::default(), snapshot);
        desk.press("w");
        snap("hostile", &desk);
    }
}

/// One letter for each cell: what sets it apart.
fn styles(desk: &Desk) -> String {
    let buffer = desk.buffer();
    let mut out = String::new();
    for y in 0..desk.size.1 {
        let mut line = String::new();
        for x in 0..desk.size.0 {
            let cell = &buffer[(x, y)];
            let m = cell.modifier;
            let c = match (cell.fg, m.contains(Modifier::BOLD)) {
                _ if m.contains(Modifier::REVERSED) => 'R',
                _ if m.contains(Modifier::UNDERLINED) => 'u',
                (Color::Green, _) => 'g',
                (Color::Red, _) => 'r',
                (Color::Yellow, _) => 'y',
                (Color::Cyan, _) => 'c',
                (_, true) => 'b',
                _ if cell.symbol() == " " => ' ',
                _ => '.',
            };
            assert_eq!(cell.bg, Color::Reset, "the terminal's background stays");
            assert!(!m.contains(Modifier::DIM), "needed text is never dim");
            line.push(c);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn styles_of_the_inbox() {
    let mut snapshot = samples::snapshot();
    snapshot.inbox.truncate(2);
    snapshot.inbox.insert(1, samples::hostile());
    for (name, theme) in [("styles_ansi", Theme::Ansi), ("styles_mono", Theme::Mono)] {
        let mut desk = at(80, 24, Config { theme, ..Config::default() }, snapshot.clone());
        desk.press("j");
        insta::assert_snapshot!(name, styles(&desk));
    }
}

#[test]
fn mono_uses_no_colour() {
    let desk = at(80, 24, Config { theme: Theme::Mono, ..Config::default() }, samples::snapshot());
    assert!(desk.buffer().content.iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
}

#[test]
fn ascii_means_ascii() {
    let mut snapshot = samples::snapshot();
    snapshot.inbox.insert(0, samples::hostile());
    for (columns, rows) in SIZES {
        let screen = at(columns, rows, ascii(), snapshot.clone()).screen();
        assert!(screen.is_ascii(), "{screen}");
    }
}
