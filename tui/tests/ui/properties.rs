//! What holds for every stream of keys, pastes, sizes and news.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicUsize, Ordering},
};

use cairn_store_layout::{Digest, GateId, view::ItemState};
use cairn_tui::{App, Config, Edited, Intent, Key, Millis, Msg, draw, draw_cursor, samples};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};

#[derive(Debug, Clone)]
enum Event {
    Key(Key, u16),
    Burst(Vec<Key>, u16),
    /// Aims at the request of this place, presses `a`, and then what may confirm it: its digit, or its id.
    Decide(usize, bool),
    Paste(String),
    Resize(u16, u16),
    /// News in which some requests are gone, decided, changed or new.
    Views(Vec<u8>),
    Detail(bool),
    Edited(String),
    Stale,
}

fn key() -> impl Strategy<Value = Key> {
    let chars = "axewfjkgGlhivyXq/.?120123456789abcdef '!nG\u{202e}漢";
    prop_oneof![
        10 => proptest::sample::select(chars.chars().map(Key::Char).collect::<Vec<_>>()),
        2 => proptest::sample::select(vec![
            Key::Enter, Key::Esc, Key::Tab, Key::BackTab, Key::Backspace, Key::Up, Key::Down, Key::Left, Key::Right,
            Key::Home, Key::End, Key::PageUp, Key::PageDown, Key::Ctrl('d'), Key::Ctrl('u'), Key::F(1), Key::Alt('a'),
        ]),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (key(), prop_oneof![3 => 101u16..600, 1 => 0u16..160]).prop_map(|(k, ms)| Event::Key(k, ms)),
        // decisions, and what might confirm them
        3 => (0usize..7, any::<bool>()).prop_map(|(n, id)| Event::Decide(n, id)),
        4 => Just(Event::Key(Key::Char('a'), 300)),
        1 => (proptest::collection::vec(key(), 2..6), 0u16..600).prop_map(|(k, ms)| Event::Burst(k, ms)),
        1 => "[a-z0-9\u{1b}\n]{0,12}".prop_map(Event::Paste),
        1 => (0u16..300, 0u16..300).prop_map(|(c, r)| Event::Resize(c, r)),
        1 => prop_oneof![Just((80, 24)), Just((120, 40)), Just((60, 20))].prop_map(|(c, r)| Event::Resize(c, r)),
        2 => proptest::collection::vec(any::<u8>(), 8).prop_map(Event::Views),
        1 => any::<bool>().prop_map(Event::Detail),
        1 => "(to: x\n\n)?[a-z]{0,6}".prop_map(Event::Edited),
        1 => Just(Event::Stale),
    ]
}

fn changed_views(dice: &[u8]) -> cairn_store_layout::view::Snapshot {
    let mut snapshot = samples::snapshot();
    if dice[7].is_multiple_of(4) {
        snapshot.inbox.insert(0, samples::hostile());
    }
    let mut n = 0;
    snapshot.inbox.retain(|_| {
        n += 1;
        !dice[n % 8].is_multiple_of(8)
    });
    for (place, (item, die)) in snapshot.inbox.iter_mut().zip(dice.iter().cycle()).enumerate() {
        match die % 8 {
            // another text, with its digest or (damaged) without
            1 => {
                if let Some(input) = item.effect.as_mut().and_then(|e| e.request.input_mut()) {
                    *input = serde_json::json!({"to": "x@example", "body": die});
                }
                item.digest = item.effect.as_ref().map_or_else(|| Digest::of(&[*die]), |e| e.digest());
            }
            4 => item.digest = Digest::of(&[*die]),
            2 => item.state = ItemState::Expired { at: samples::noon() },
            // no two requests have one id
            3 => item.id = GateId::new(format!("{die:04x}{place:08x}")).expect("hex"),
            _ => {}
        }
    }
    if dice[0].is_multiple_of(3) {
        snapshot.inbox.reverse();
        snapshot.runs.reverse();
    }
    snapshot
}

fn show(app: &App, columns: u16, rows: u16) -> Buffer {
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(app, area, &mut buffer);
    if let Some((x, y)) = draw_cursor(app) {
        assert!(x < columns && y < rows, "the cursor is outside: {x},{y} of {columns}x{rows}");
    }
    buffer
}

/// The digit that confirms a digest, computed apart from the interface.
fn digit(digest: &Digest) -> char {
    let sum: u32 = digest.as_str().bytes().take(8).map(u32::from).sum();
    char::from_digit(sum % 10, 10).expect("a digit")
}

/// The last of the confirming keys that a person pressed, as an approval must see them.
fn confirmed(level: u8, item_id: &str, digest: &Digest, pressed: &[Key]) -> bool {
    let digit = digit(digest);
    let tail = |text: &str| {
        let keys: Vec<Key> = text.chars().map(Key::Char).collect();
        pressed.ends_with(&keys)
    };
    match level {
        1 => tail("a") || tail(&digit.to_string()) || tail(item_id) || pressed.last() == Some(&Key::Enter),
        2 => tail(&digit.to_string()) || tail(item_id),
        _ => tail(item_id),
    }
}

/// Approvals that the streams led to, by level: a property over none would show nothing.
static APPROVED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

#[test]
fn nothing_panics_and_nothing_is_approved_unconfirmed() {
    any_stream();
    let approved: Vec<usize> = APPROVED.iter().map(|n| n.load(Ordering::Relaxed)).collect();
    assert!(approved[1] > 0 && approved[2] > 0, "{approved:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    // no test by itself: it is run, and its reach checked, above
    fn any_stream(events in proptest::collection::vec(event(), 1..80)) {
        let mut app = App::new(Config::default());
        let (mut columns, mut rows) = (120, 40);
        app.update(Msg::Resize(columns, rows));
        let mut snapshot = samples::snapshot();
        app.update(Msg::Views(Box::new(snapshot.clone())));
        let mut now = 10_000u64;
        let mut pressed: Vec<Key> = Vec::new();
        let mut edit: Option<(GateId, Digest)> = None;
        let mut queue: VecDeque<Event> = events.into();
        while let Some(event) = queue.pop_front() {
            let shown: Vec<(GateId, Digest, u8)> =
                snapshot.inbox.iter().map(|i| (i.id.clone(), i.digest.clone(), i.level())).collect();
            let msg = match event {
                Event::Key(key, ms) => {
                    now += u64::from(ms);
                    pressed.push(key);
                    Msg::Keys(vec![key], Millis(now))
                }
                Event::Decide(n, by_id) => {
                    let Some(item) = snapshot.inbox.get(n) else { continue };
                    let text = if by_id { item.id.short().to_owned() } else { digit(&item.digest).to_string() };
                    let aim = [Key::Esc, Key::Esc, Key::Char('1'), Key::Char('g')];
                    let down = std::iter::repeat_n(Key::Char('j'), n);
                    let keys: Vec<Key> =
                        aim.into_iter().chain(down).chain([Key::Char('a')]).chain(text.chars().map(Key::Char)).collect();
                    for key in keys.into_iter().rev() {
                        queue.push_front(Event::Key(key, 200));
                    }
                    continue;
                }
                Event::Burst(keys, ms) => {
                    now += u64::from(ms);
                    pressed.extend(&keys);
                    Msg::Keys(keys, Millis(now))
                }
                Event::Paste(text) => {
                    pressed.clear();
                    Msg::Paste(text)
                }
                Event::Resize(c, r) => {
                    (columns, rows) = (c, r);
                    Msg::Resize(c, r)
                }
                Event::Views(dice) => {
                    snapshot = changed_views(&dice);
                    Msg::Views(Box::new(snapshot.clone()))
                }
                Event::Detail(other) => {
                    let run = &snapshot.runs[usize::from(other)].run;
                    Msg::Detail(Box::new(samples::detail_of(run).expect("a sample")))
                }
                Event::Edited(text) => {
                    let Some((gate, digest)) = edit.take() else { continue };
                    Msg::EditorReturned(Edited { gate, digest, text: Ok(text), resumed: false })
                }
                Event::Stale => Msg::Stale { since: samples::noon(), why: "gone".to_owned() },
            };
            // the last keys of a burst may stand behind the one that confirmed
            let (by_key, arrived) = match &msg {
                Msg::Keys(keys, _) => (true, keys.len()),
                _ => (false, 1),
            };
            let intents = app.update(msg);
            for intent in intents {
                match intent {
                    Intent::OpenEditor { gate, digest, .. } => edit = Some((gate, digest)),
                    Intent::Approve { gate, digest, .. } => {
                        prop_assert!(by_key, "only keys decide");
                        let was = shown.iter().find(|(g, d, _)| *g == gate && *d == digest);
                        let signed = snapshot.inbox.iter().find(|i| i.id == gate);
                        if let Some(item) = signed {
                            let shown = item.effect.as_ref().map(cairn_store_layout::payload::EffectContent::digest);
                            prop_assert_eq!(shown, Some(digest.clone()), "what is approved is what is shown");
                        }
                        // a row that is gone from the views may still be under the cursor
                        let level = was.map_or(1, |(_, _, level)| *level);
                        APPROVED[usize::from(level)].fetch_add(1, Ordering::Relaxed);
                        let by = |behind| confirmed(level, gate.short(), &digest, &pressed[..pressed.len() - behind]);
                        prop_assert!((0..arrived).any(by), "level {level} after {pressed:?}");
                    }
                    Intent::Deny { .. } | Intent::Edit { .. } | Intent::Answer { .. } | Intent::Cancel { .. } => {
                        prop_assert!(by_key, "only keys decide");
                    }
                    _ => {}
                }
            }
            show(&app, columns, rows);
        }
    }

    #[test]
    fn arrivals_never_move_the_cursor(
        moves in proptest::collection::vec(key().prop_filter("only moves", |k| matches!(k, Key::Char('j' | 'k' | 'g' | 'G'))), 0..8),
        news in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 8), 1..8),
    ) {
        let mut app = App::new(Config::default());
        app.update(Msg::Resize(120, 40));
        app.update(Msg::Views(Box::new(samples::snapshot())));
        for (n, key) in moves.into_iter().enumerate() {
            app.update(Msg::Keys(vec![key], Millis(10_000 + 500 * n as u64)));
        }
        // the id stands behind the gutter mark
        let id = |app: &App| {
            let buffer = show(app, 120, 40);
            (2..40).find(|y| buffer[(0, *y)].symbol() == ">").map(|y| (2..6).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>())
        };
        let before = id(&app);
        prop_assert!(before.is_some());
        for dice in news {
            app.update(Msg::Views(Box::new(changed_views(&dice))));
            prop_assert_eq!(id(&app), before.clone());
        }
    }

    #[test]
    fn no_raw_control_character_reaches_a_cell(text in "\\PC{0,20}[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{200b}]{1,6}\\PC{0,20}") {
        let mut snapshot = samples::snapshot();
        for item in &mut snapshot.inbox {
            item.summary.clone_from(&text);
            item.workflow.clone_from(&text);
            item.why = Some(text.clone());
            item.evidence = Some(serde_json::json!({"hits": [{"text": text, "source": text, "why": text}]}));
        }
        for run in &mut snapshot.runs {
            run.note.clone_from(&text);
            run.workflow.clone_from(&text);
        }
        snapshot.store.clone_from(&text);
        let mut app = App::new(Config::default());
        app.update(Msg::Resize(120, 40));
        app.update(Msg::Views(Box::new(snapshot)));
        for keys in ["", "2", "y"] {
            app.update(Msg::Keys(keys.chars().map(Key::Char).collect(), Millis(10_000)));
            let buffer = show(&app, 120, 40);
            for cell in &buffer.content {
                prop_assert!(!cairn_store_layout::text::has_hidden(cell.symbol()), "{:?}", cell.symbol());
                prop_assert!(!cell.symbol().contains(['\t', '\r', '\n']));
            }
        }
    }
}

#[test]
fn every_size_can_be_drawn_in_every_mode() {
    for keys in ["", "a", "x", "?", "y", "/x", "2", "jja", "2X"] {
        let mut app = App::new(Config::default());
        app.update(Msg::Resize(120, 40));
        app.update(Msg::Views(Box::new(samples::snapshot())));
        for (n, c) in keys.chars().enumerate() {
            app.update(Msg::Keys(vec![Key::Char(c)], Millis(10_000 + 500 * n as u64)));
        }
        for columns in (0..130).step_by(6) {
            for rows in (0..50).step_by(3) {
                let drawn = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    app.update(Msg::Resize(columns, rows));
                    show(&app, columns, rows);
                }));
                assert!(drawn.is_ok(), "{keys:?} at {columns}x{rows}");
            }
        }
    }
}
