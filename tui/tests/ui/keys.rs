//! Keys, and what they lead to.

use cairn_tui::Intent;

use crate::helpers::Desk;

/// Short names of intents.
fn words(intents: &[Intent]) -> Vec<String> {
    intents
        .iter()
        .map(|i| {
            let text = format!("{i:?}");
            text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn check(keys: &str, intents: &[&str], message: &str) {
    let mut desk = Desk::sample(80, 24);
    let got = desk.press(keys);
    assert_eq!(words(&got), intents, "{keys}");
    let line = desk.message();
    assert!(line.contains(message), "{keys}: {line:?} should contain {message:?}");
}

#[test]
fn keys_lead_to_intents() {
    check("q", &["Quit"], "");
    check("^c", &["Quit"], "");
    check("a ^c", &["Quit"], "");
    check("^l", &["Repaint"], "");
    check("^z", &["Suspend"], "");
    check("Enter", &["OpenRun"], "");
    check("Enter Esc", &["OpenRun", "CloseRun"], "");
    check("Enter q", &["OpenRun", "CloseRun"], "");
    check("Enter 1", &["OpenRun", "CloseRun"], "");
    check("2 q", &["Quit"], "");
    check("e", &["OpenEditor"], "");
    check("y1", &["Copy"], "copied the id");
    check("y4", &["Copy"], "copied the text");
    check("y9", &[], "");
    check("Esc", &[], "");
    check("jjjjjjj x", &[], "");
    check("jj a", &[], "Answer");
    check("jjjj e", &[], "a command line can not be edited");
    check("2X", &[], "before its time");
    check("2XY", &[], "not confirmed");
    check("j w", &[], "no evidence");
    check("2jjj X", &[], "already ended: failed");
    check("f", &[], "what is decided");
    check("ff", &[], "everything");
}

#[test]
fn help_lists_what_is_valid_and_runs_it() {
    let mut desk = Desk::sample(80, 24);
    desk.press("?");
    let help = desk.screen();
    assert!(help.contains("do not let it happen") && help.contains("cairn inbox approve ID --digest D"), "{help}");
    desk.press("editor");
    assert!(!desk.screen().contains("do not let it happen"));
    let intents = desk.press("Enter");
    assert_eq!(words(&intents), ["OpenEditor"]);
}

#[test]
fn a_filter_is_live_and_esc_clears_it() {
    let mut desk = Desk::sample(80, 24);
    desk.press("/ortiz");
    assert!(desk.cursor_line().contains("Ortiz"), "{}", desk.screen());
    assert!(!desk.screen().contains("Nordlicht"));
    desk.press("zzz");
    assert!(desk.screen().contains("no match for \"ortizzzz\" - Esc clears"), "{}", desk.screen());
    desk.press("Esc");
    assert!(desk.screen().contains("Nordlicht"));
    desk.press("/ 'file Enter");
    assert!(desk.cursor_line().contains("FILE"), "{}", desk.screen());
    assert!(desk.message().contains("/'file"), "{}", desk.message());
    desk.press("Esc");
    assert!(desk.screen().contains("Brandt"));
    // the cursor stays where the filter led it
    assert!(desk.cursor_line().contains("FILE"));
}

#[test]
fn a_run_shows_its_steps_its_history_and_leads_to_its_request() {
    let mut desk = Desk::sample(80, 24);
    desk.press("2j Enter");
    let run = cairn_tui::samples::snapshot().runs[1].run.clone();
    let detail = cairn_tui::samples::detail_of(&run).expect("a sample");
    desk.app.update(cairn_tui::Msg::Detail(Box::new(detail)));
    assert!(desk.screen().contains("1 brief"), "{}", desk.screen());
    desk.press("vv");
    assert!(desk.screen().contains("[Events]") && desk.screen().contains("run.started"), "{}", desk.screen());
    desk.press("v");
    assert!(desk.screen().contains("kept no payloads"), "{}", desk.screen());
    desk.press("v j");
    desk.press("i");
    assert!(desk.screen().contains("[1 Inbox"), "{}", desk.screen());
    assert!(desk.cursor_line().contains("1 file for Nordlicht"), "{}", desk.screen());
}

#[test]
fn failures_stand_in_the_tree_unasked() {
    let mut desk = Desk::sample(120, 40);
    desk.press("2 Enter");
    desk.app.update(cairn_tui::Msg::Detail(Box::new(cairn_tui::samples::detail())));
    assert!(desk.screen().contains("send") && desk.screen().contains("WAIT"), "{}", desk.screen());
    desk.press("gjjj Enter");
    assert!(desk.screen().contains("FAILED  4.0s   timeout: no an"), "{}", desk.screen());
}
