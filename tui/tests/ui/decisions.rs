//! The decision contract: what acts, on what, and after which keys.

use cairn_store_layout::{
    Digest,
    payload::from_text,
    view::{Ask, InboxItem, ItemKind, ItemState, decide_form, settle_form},
};
use cairn_tui::{Config, Edited, Intent, Key, Msg, samples};

use crate::helpers::{Desk, item};

/// A desk with the cursor on the item whose summary begins like this.
fn on(summary: &str, columns: u16, rows: u16) -> Desk {
    let mut desk = Desk::sample(columns, rows);
    let id = item(summary).id;
    for _ in 0..9 {
        if desk.cursor_line().contains(id.short()) {
            return desk;
        }
        desk.press("j");
    }
    panic!("{summary} is not in the list:\n{}", desk.screen());
}

fn approval(summary: &str) -> Intent {
    let item = item(summary);
    Intent::Approve { run: item.run, gate: item.id, digest: item.digest, reason: None }
}

#[test]
fn level_1_acts_at_once_and_only_once() {
    let mut desk = on("1 file for Nordlicht", 120, 40);
    assert_eq!(desk.press("a"), [approval("1 file for Nordlicht")]);
    assert!(desk.cursor_line().contains("1 file"), "the cursor stays\n{}", desk.screen());
    assert_eq!(desk.press("a"), []);
    assert!(desk.message().contains("on its way"), "{}", desk.message());
}

#[test]
fn level_2_asks_for_the_digit_of_the_digest() {
    let summary = "Reminder 1 to Ortiz";
    let mut desk = on(summary, 120, 40);
    assert_eq!(desk.press("a"), []);
    assert!(desk.message().contains("SEND to office@ortiz.example: cannot be recalled"), "{}", desk.message());
    let digit = desk.digit();
    assert!(digit.is_ascii_digit(), "{}", desk.footer());
    assert_eq!(desk.key(Key::Char(digit), 400), [approval(summary)]);
    // any other key cancels: the starting key, Enter, letters, other digits
    for other in ['a', 'y', '\n', if digit == '3' { '4' } else { '3' }] {
        let mut desk = on(summary, 120, 40);
        desk.press("a");
        let key = if other == '\n' { Key::Enter } else { Key::Char(other) };
        assert_eq!(desk.key(key, 400), []);
        assert!(desk.message().contains("nothing was sent"), "{other:?}: {}", desk.message());
        assert_eq!(desk.key(Key::Char(digit), 400), [], "the question is over");
    }
}

#[test]
fn the_digit_differs_from_item_to_item() {
    let digits: std::collections::BTreeSet<char> = ["Reminder 1 to Ortiz", "Run crm_sync", "Publish"]
        .map(|s| {
            let mut desk = on(s, 120, 40);
            desk.press("a");
            desk.digit()
        })
        .into_iter()
        .collect();
    assert!(digits.len() > 1, "{digits:?}");
}

#[test]
fn keys_typed_before_the_question_was_seen_are_dropped() {
    let summary = "Reminder 1 to Ortiz";
    let mut desk = on(summary, 120, 40);
    desk.press("a");
    let digit = desk.digit();
    let mut desk = on(summary, 120, 40);
    desk.press("a");
    assert_eq!(desk.key(Key::Char(digit), 149), []);
    assert_eq!(desk.digit(), digit, "the question stays open");
    assert_eq!(desk.key(Key::Char(digit), 1), [approval(summary)]);
}

#[test]
fn unread_lines_raise_the_level() {
    let summary = "Reminder 2 to Brandt";
    let mut desk = on(summary, 80, 24);
    desk.press("a");
    let id = item(summary).id.short().to_owned();
    assert!(desk.message().contains("lines unread"), "{}", desk.message());
    assert!(desk.footer().starts_with(&format!("type {id}")), "{}", desk.footer());
    assert_eq!(desk.press(&id), [approval(summary)]);

    // read to the end, and a digit is enough
    let mut desk = on(summary, 80, 24);
    desk.press("Tab");
    for _ in 0..20 {
        desk.press("j");
    }
    assert_eq!(desk.press("a"), []);
    assert!(desk.digit().is_ascii_digit() && desk.footer().contains("approves"), "{}", desk.footer());

    // a jump to the end is no reading
    let mut snapshot = samples::snapshot();
    let long = "line\n".repeat(60);
    let effect = snapshot.inbox[0].effect.as_mut().expect("a letter");
    effect.request.input_mut().expect("a letter")["body"] = long.into();
    snapshot.inbox[0].digest = effect.digest();
    let mut desk = Desk::new(80, 24, cairn_tui::Config::default());
    desk.views(snapshot);
    desk.press("Tab G a");
    assert!(desk.footer().starts_with("type"), "{}\n{}", desk.footer(), desk.screen());
}

#[test]
fn a_wrong_letter_of_the_id_cancels() {
    let mut desk = on("Reminder 2 to Brandt", 80, 24);
    desk.press("a");
    let id = item("Reminder 2 to Brandt").id.short().to_owned();
    desk.press(&id[..2]);
    assert!(desk.footer().contains(&format!(": {}_", &id[..2])), "{}", desk.footer());
    assert_eq!(desk.press("z"), []);
    assert!(desk.message().contains("nothing was sent"));
}

#[test]
fn hidden_characters_ask_for_the_id_even_when_all_is_read() {
    let mut snapshot = samples::empty();
    let hostile = samples::hostile();
    assert_eq!(hostile.kind.word(), "FILE");
    snapshot.inbox.push(hostile.clone());
    let mut desk = Desk::new(160, 60, cairn_tui::Config::default());
    desk.views(snapshot);
    assert_eq!(desk.press("a"), []);
    assert!(desk.footer().starts_with(&format!("type {}", hostile.id.short())), "{}", desk.footer());
}

#[test]
fn where_the_text_is_not_on_the_screen_it_is_shown_first() {
    for key in ["a", "x"] {
        let mut desk = on("1 file for Nordlicht", 60, 20);
        assert_eq!(desk.press(key), []);
        assert!(desk.message().contains("read it first"), "{}", desk.screen());
        assert!(desk.screen().contains("+ path: "), "{}", desk.screen());
    }
    let mut desk = on("1 file for Nordlicht", 60, 20);
    assert_eq!(desk.press("a a"), [approval("1 file for Nordlicht")]);
}

#[test]
fn a_denial_takes_a_reason() {
    let summary = "Reminder 1 to Ortiz";
    let deny = |reason: Option<&str>| {
        let item = item(summary);
        vec![Intent::Deny { run: item.run, gate: item.id, digest: item.digest, reason: reason.map(str::to_owned) }]
    };
    for (keys, reason) in [
        ("x2", Some("wrong target")),
        ("x Enter", None),
        ("x not Space yet Backspace Enter", Some("not ye")),
        ("x no2 Enter", Some("no2")),
    ] {
        let mut desk = on(summary, 120, 40);
        assert_eq!(desk.press(keys), deny(reason), "{keys}");
    }
    let mut desk = on(summary, 120, 40);
    assert_eq!(desk.press("x no Esc"), []);
    assert!(desk.message().contains("was not denied"));
    // what arrives in one piece is text, even its digit and its Enter
    let mut desk = on(summary, 120, 40);
    desk.press("x");
    assert_eq!(desk.burst("2 Space days Enter"), []);
    assert_eq!(desk.press("Enter"), deny(Some("2 days")));
    // pasting a reason is fine, its line breaks are not
    let mut desk = on(summary, 120, 40);
    desk.press("x");
    desk.app.update(Msg::Paste("too\nsoon\u{1b}".to_owned()));
    assert_eq!(desk.press("Enter"), deny(Some("too soon")));
}

#[test]
fn a_paste_outside_inputs_is_ignored() {
    let mut desk = on("1 file for Nordlicht", 120, 40);
    assert_eq!(desk.app.update(Msg::Paste("a7\n".to_owned())), []);
    assert!(desk.message().contains("looked like a paste"), "{}", desk.message());
    assert_eq!(desk.burst("apply"), []);
    assert!(desk.message().contains("looked like a paste"), "{}", desk.message());
    // three keys too fast for fingers
    desk.key(Key::Char('w'), 400);
    desk.key(Key::Char('y'), 10);
    assert_eq!(desk.key(Key::Char('a'), 10), []);
    assert!(desk.message().contains("looked like a paste"), "{}", desk.message());
}

#[test]
fn what_changed_under_the_cursor_must_be_read_again() {
    let summary = "1 file for Nordlicht";
    let mut desk = on(summary, 120, 40);
    let mut snapshot = samples::snapshot();
    let changed = snapshot.inbox.iter_mut().find(|i| i.summary.starts_with(summary)).expect("it is there");
    let before = changed.digest.clone();
    let effect = changed.effect.as_mut().expect("a file");
    effect.request.input_mut().expect("a file")["path"] = "elsewhere.md".into();
    changed.digest = effect.digest();
    let after = changed.digest.clone();
    desk.views(snapshot);
    assert!(
        desk.message().contains(&format!("digest {} -> {}, read again", before.short(), after.short())),
        "{}",
        desk.message()
    );
    assert_eq!(desk.press("a"), []);
    assert!(desk.message().contains("changed while you looked"), "{}", desk.message());
    let intents = desk.press("Tab a");
    assert!(matches!(&intents[..], [Intent::Approve { digest, .. }] if *digest == after), "{intents:?}");
}

#[test]
fn a_question_about_what_was_decided_elsewhere_is_over() {
    let summary = "Reminder 1 to Ortiz";
    let mut desk = on(summary, 120, 40);
    desk.press("a");
    let digit = desk.digit();
    let mut snapshot = samples::snapshot();
    let item = snapshot.inbox.iter_mut().find(|i| i.summary.starts_with(summary)).expect("it is there");
    item.state = ItemState::Denied { by: "mia".to_owned(), at: samples::noon(), reason: None };
    desk.views(snapshot);
    assert!(desk.message().contains("denied 12:00:00 by mia; nothing was sent"), "{}", desk.message());
    assert_eq!(desk.key(Key::Char(digit), 400), []);
    // its row stays while the cursor is on it, and goes when the cursor leaves
    assert!(desk.cursor_line().contains("[denied 12:00]"), "{}", desk.screen());
    assert_eq!(desk.press("a"), []);
    desk.press("j");
    assert!(!desk.screen().contains("[denied"), "{}", desk.screen());
}

#[test]
fn a_refused_decision_may_be_made_again() {
    let summary = "1 file for Nordlicht";
    let mut desk = on(summary, 120, 40);
    desk.press("a");
    let text = "the inbox cannot be written: no space left".to_owned();
    desk.app.update(Msg::Outcome { gate: Some(item(summary).id), ok: false, text: text.clone() });
    assert!(desk.message().contains(&text));
    assert_eq!(desk.press("a"), [approval(summary)]);
}

#[test]
fn a_decision_that_the_kernel_never_applied_is_told() {
    let mut desk = on("1 file for Nordlicht", 120, 40);
    desk.press("a");
    for _ in 0..3 {
        desk.views(samples::snapshot());
    }
    assert!(desk.message().contains("did not apply your approval; decide again"), "{}", desk.message());
    assert_eq!(desk.press("a"), [approval("1 file for Nordlicht")]);
    // while it has commands to read, it is only late
    let mut desk = on("1 file for Nordlicht", 120, 40);
    desk.press("a");
    for _ in 0..9 {
        let mut snapshot = samples::snapshot();
        snapshot.health.commands_waiting = 1;
        desk.views(snapshot);
    }
    assert!(desk.cursor_line().contains("[approval sent]"), "{}", desk.screen());
}

#[test]
fn an_edit_is_shown_before_it_is_sent() {
    let summary = "Reminder 1 to Ortiz";
    let letter = item(summary);
    let mut desk = on(summary, 120, 40);
    let intents = desk.press("e");
    let [Intent::OpenEditor { text, .. }] = &intents[..] else { panic!("{intents:?}") };
    let edited = text.replace("please pay.", "would you please pay?");
    let back = |text: &str| {
        Msg::EditorReturned(Edited {
            gate: letter.id.clone(),
            digest: letter.digest.clone(),
            text: Ok(text.to_owned()),
            resumed: false,
        })
    };
    assert_eq!(desk.app.update(back(&edited)), []);
    let screen = desk.screen();
    assert!(screen.contains("- please pay.") && screen.contains("+ would you please pay?"), "{screen}");
    let digit = desk.digit();
    let intents = desk.key(Key::Char(digit), 400);
    let before = letter.effect.as_ref().and_then(|e| e.request.input()).expect("a letter");
    let input = from_text(before, &edited).expect("it reads back");
    assert!(
        matches!(&intents[..], [Intent::DropDraft { .. }, Intent::Edit { gate, digest, input: i, .. }]
            if *gate == letter.id && *digest == letter.digest && *i == input),
        "{intents:?}"
    );

    // its own new digest is no surprise
    let mut snapshot = samples::snapshot();
    let item = snapshot.inbox.iter_mut().find(|i| i.id == letter.id).expect("it is there");
    item.proposed = item.effect.clone();
    let effect = item.effect.as_mut().expect("a letter");
    *effect.request.input_mut().expect("a letter") = input;
    item.digest = effect.digest();
    desk.views(snapshot);
    assert!(desk.message().contains("now has your text"), "{}", desk.message());
    assert!(desk.screen().contains("+ would you please pay?"), "{}", desk.screen());
    desk.press("a");
    assert!(desk.digit().is_ascii_digit(), "{}", desk.screen());

    // no difference, nothing, and nonsense decide nothing
    for (text, message, drops) in [
        (text.as_str(), "nothing changed", true),
        (" \n", "an empty text is no decision", true),
        ("to office@ortiz.example\n\nx", "line 1: expected `name: value`", false),
    ] {
        let mut desk = on(summary, 120, 40);
        let intents = desk.app.update(back(text));
        assert_eq!(intents.len(), usize::from(drops), "{intents:?}");
        assert!(desk.message().contains(message), "{}", desk.message());
        assert_eq!(desk.press("7"), []);
    }
}

#[test]
fn a_form_is_filled_checked_and_sent() {
    let ask = item("Which package");
    let mut desk = on("Which package", 80, 24);
    assert_eq!(desk.press("a"), []);
    assert_eq!(desk.press("Right Enter soon Enter 12 Enter"), []);
    assert!(desk.message().contains("`from` must be a day like 2026-11-22"), "{}", desk.message());
    desk.press("Backspace Backspace Backspace Backspace");
    let intents = desk.press("2026-12-01 Enter Enter");
    let [Intent::Answer { gate, digest, answer, .. }] = &intents[..] else { panic!("{intents:?}\n{}", desk.screen()) };
    assert_eq!((gate, digest), (&ask.id, &ask.digest));
    assert_eq!(answer, &serde_json::json!({"package": "basic", "from": "2026-12-01", "seats": 12}));
    assert!(desk.cursor_line().contains("[answer sent]"), "{}", desk.screen());
}

#[test]
fn a_run_is_ended_only_after_its_digit() {
    let mut desk = Desk::sample(80, 24);
    desk.press("2X");
    let digit = desk.digit();
    let run = samples::snapshot().runs[0].run.clone();
    assert_eq!(desk.key(Key::Char(digit), 400), [Intent::Cancel { run }]);
}

#[test]
fn what_nobody_knows_is_settled_by_a_word() {
    let mut snapshot = samples::snapshot();
    let item = &mut snapshot.inbox[0];
    item.kind = ItemKind::Settle;
    item.ask = Some(Ask { prompt: "the reply was lost".to_owned(), form: settle_form() });
    let (gate, digest) = (item.id.clone(), item.digest.clone());
    let mut desk = Desk::new(120, 40, cairn_tui::Config::default());
    desk.views(snapshot);
    assert!(desk.screen().contains("SETTLE: nobody knows whether it happened"), "{}", desk.screen());
    // neither nothing nor another word settles it
    assert_eq!(desk.press("a Enter"), []);
    assert!(desk.message().contains("`outcome` is missing"), "{}", desk.message());
    assert_eq!(desk.press("maybe Enter"), []);
    assert!(desk.message().contains("must be one of done, not_done"), "{}", desk.message());
    desk.press("Esc a");
    let intents = desk.press("not_done Enter");
    let [Intent::Answer { gate: g, digest: d, answer, .. }] = &intents[..] else { panic!("{intents:?}") };
    assert_eq!((g, d, answer), (&gate, &digest, &serde_json::json!({"outcome": "not_done"})));
}

#[test]
fn what_a_failure_means_is_said_in_a_form() {
    let mut snapshot = samples::snapshot();
    let item = &mut snapshot.inbox[0];
    item.kind = ItemKind::Decide;
    item.ask = Some(Ask { prompt: "card declined".to_owned(), form: decide_form() });
    let mut desk = Desk::new(120, 40, cairn_tui::Config::default());
    desk.views(snapshot);
    assert!(desk.screen().contains("DECIDE: it failed"), "{}", desk.screen());
    desk.press("a");
    // the arrows go through the choices; the output is JSON
    assert_eq!(desk.press("Right Right Right Tab {no Tab Enter"), []);
    assert!(desk.message().contains("`output` must be JSON"), "{}", desk.message());
    desk.press("Esc a");
    let intents = desk.press("output Tab 7 Tab Enter");
    let [Intent::Answer { answer, .. }] = &intents[..] else { panic!("{intents:?}") };
    assert_eq!(answer, &serde_json::json!({"decision": "output", "output": 7, "comment": null}));
}

#[test]
fn a_text_that_is_not_what_would_be_signed_can_only_be_denied() {
    for damage in [0, 1] {
        let mut snapshot = samples::snapshot();
        let item = &mut snapshot.inbox[1];
        match damage {
            0 => item.effect = None,
            _ => item.digest = Digest::of(b"something else"),
        }
        let gate = item.id.clone();
        let mut desk = Desk::new(120, 40, cairn_tui::Config::default());
        desk.views(snapshot);
        assert_eq!(desk.press("j a"), []);
        assert!(desk.message().contains("cannot be shown as it would go out: x denies it"), "{}", desk.message());
        assert_eq!(desk.press("e"), []);
        let intents = desk.press("x1");
        assert!(matches!(&intents[..], [Intent::Deny { gate: g, .. }] if *g == gate), "{intents:?}");
    }
}

#[test]
fn a_long_difference_can_be_read_before_it_is_saved() {
    let letter = item("Reminder 2 to Brandt");
    let mut desk = on("Reminder 2 to Brandt", 80, 24);
    let text = letter.text().replace("Jo Marsh", "Ada Marsh");
    let edited = Edited { gate: letter.id, digest: letter.digest, text: Ok(text), resumed: false };
    desk.app.update(Msg::EditorReturned(edited));
    assert!(!desk.screen().contains("+ Ada Marsh"), "{}", desk.screen());
    assert!(desk.screen().contains("more lines - j"), "{}", desk.screen());
    let digit = desk.digit();
    assert_eq!(desk.press("jjj G"), []);
    assert!(desk.screen().contains("+ Ada Marsh"), "{}", desk.screen());
    let intents = desk.key(Key::Char(digit), 400);
    assert!(matches!(&intents[..], [Intent::DropDraft { .. }, Intent::Edit { .. }]), "{intents:?}");
}

/// A proposal to memory, as the store gives it.
fn proposal(proposed: serde_json::Value) -> InboxItem {
    let proposed = serde_json::from_value(proposed).expect("a proposal");
    let source = cairn_store_layout::passage::Source::Person { person: "jo".to_owned() };
    let proposal =
        cairn_store_layout::proposal::Proposal::new(samples::noon(), source, proposed, "their mail".to_owned(), None);
    InboxItem::of_proposal(&proposal, None)
}

#[test]
fn a_proposal_is_accepted_and_rejected_like_a_request_but_without_a_run() {
    let fact = proposal(serde_json::json!({
        "proposes": "entity", "id": "0", "entity": "client/brandt", "at": "2026-11-22T08:00:00.000000Z",
        "source": {"person": "jo"}, "change": "fields", "set": {"email": "ap@brandt.example"},
    }));
    let rule = proposal(serde_json::json!({"proposes": "knowledge", "path": "rules/a.md", "text": "Be kind."}));
    let mut snapshot = samples::snapshot();
    snapshot.inbox = vec![fact.clone(), rule.clone()];
    let mut ui = Desk::new(120, 40, Config::default());
    ui.views(snapshot);
    let screen = ui.screen();
    assert!(screen.contains("LEARN") && screen.contains("+ email: ap@brandt.example"), "{screen}");
    let accept = Intent::Approve { run: None, gate: fact.id, digest: fact.digest, reason: None };
    assert_eq!(ui.press("a"), [accept]);
    // a rule speaks in every later run: its id must be typed
    ui.press("j");
    assert_eq!(ui.press("a"), []);
    let id = rule.id.short().to_owned();
    assert_eq!(ui.press(&id), [Intent::Approve { run: None, gate: rule.id, digest: rule.digest, reason: None }]);
}
