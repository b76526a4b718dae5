//! Runs that belong together: who started whom, what comes last, and what is taken back.

use cairn_store_layout::{RunId, record::Record, view::RunView};
use cairn_tui::{Charset, Config, EventLine, Intent, Msg, RunDetail, samples};

use crate::helpers::Desk;

const PARENT: &str = "01kaxw0000000000000000000a";
const CHILD: &str = "01kaxw0000000000000000000b";

/// A history of these lines, a second apart.
fn detail(lines: &[String]) -> RunDetail {
    let mut view: Option<RunView> = None;
    let mut events = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let line = format!("{{\"n\":{n},\"at\":\"2026-11-22T08:00:{n:02}Z\",\"kind\":{line}}}");
        let record = Record::decode(&line, &mut |_| None).unwrap_or_else(|e| panic!("{e}: {line}"));
        match &mut view {
            None => view = RunView::begin(&record),
            Some(view) => view.apply(&record),
        }
        let (step, iteration) = (record.event.step.clone(), record.event.iteration.clone());
        let (at, text) = (record.event.at, cairn_store_layout::view::describe(&record.event));
        events.push(EventLine { n: record.n, at, step, iteration, kind: "x".to_owned(), text });
    }
    RunDetail { view: view.expect("a start"), events, trouble: None }
}

fn start(run: &str, more: &str, steps: &str) -> String {
    format!(
        "\"run.started\",\"v\":1,\"run\":\"{run}\",\"workflow\":\"w\",\"definition\":\"d\",\"pins\":{{}},\"input\":{{}},\
         \"trigger\":\"manual\",\"by\":\"jo\",\"machine\":\"mabcdefghi\",\"steps\":[{steps}]{more}"
    )
}

fn effect(step: &str, purpose: &str, request: &str) -> String {
    format!(
        "{{\"run\":\"{PARENT}\",\"step\":\"{step}\",\"ordinal\":0{purpose},\"definition\":\"d\",\"class\":\"once\",\
         \"request\":{request}}}"
    )
}

fn attempt(kind: &str, step: &str, effect: &str) -> String {
    let zeros = "0".repeat(64);
    format!(
        "\"{kind}\",\"v\":1,\"step\":\"{step}\",\"attempt\":1,\"key\":\"{zeros}\",\"digest\":\"{zeros}\",\"effect\":{effect}"
    )
}

/// A family of two: the parent booked, started the child, and takes the booking back.
fn parent() -> RunDetail {
    let steps = "{\"id\":\"book\",\"does\":\"call\"},{\"id\":\"hotel\",\"does\":\"workflow\",\"needs\":[\"book\"]},\
                 {\"id\":\"report\",\"does\":\"call\",\"finally\":true}";
    let call = "{\"kind\":\"call\",\"connector\":\"mail\",\"operation\":\"send\",\"input\":{}}";
    let done = |step: &str| format!("\"attempt.succeeded\",\"v\":1,\"step\":\"{step}\",\"attempt\":1,\"output\":null");
    let child = "{\"kind\":\"workflow\",\"workflow\":\"w\",\"input\":{}}";
    detail(&[
        start(PARENT, "", steps),
        attempt("attempt.started", "book", &effect("book", "", call)),
        done("book"),
        attempt("attempt.started", "hotel", &effect("hotel", "", child)),
        "\"attempt.failed\",\"v\":1,\"step\":\"hotel\",\"attempt\":1,\"class\":\"hard\",\"code\":\"child_failed\",\
         \"message\":\"no room\""
            .to_owned(),
        attempt("undo.started", "book", &effect("book", ",\"purpose\":\"undo\"", call)),
        "\"undo.succeeded\",\"v\":1,\"step\":\"book\",\"attempt\":1,\"output\":null".to_owned(),
    ])
}

fn child_of(run: &RunId) -> RunDetail {
    let more = format!(",\"parent\":{{\"run\":\"{PARENT}\",\"step\":\"hotel\",\"attempt\":1,\"depth\":1}}");
    let steps = "{\"id\":\"ask\",\"does\":\"set\"}";
    detail(&[
        start(run.as_str(), &more, steps),
        "\"step.failed\",\"v\":1,\"step\":\"ask\",\"class\":\"hard\",\"code\":\"x\",\"message\":\"no room\"".to_owned(),
    ])
}

fn desk(detail: RunDetail) -> Desk {
    let mut desk = Desk::new(80, 24, Config { charset: Charset::Ascii, ..Config::default() });
    desk.views(samples::snapshot());
    desk.press("2");
    // whatever is selected is opened; the feed answers with the run that is asked for
    let asked = desk.press("Enter");
    let [Intent::OpenRun(run)] = asked.as_slice() else { panic!("{asked:?}") };
    let mut detail = detail;
    detail.view.run = run.clone();
    desk.app.update(Msg::Detail(Box::new(detail)));
    desk
}

#[test]
fn the_steps_that_come_last_and_what_is_taken_back_say_so() {
    let mut desk = desk(parent());
    desk.press("g");
    insta::assert_snapshot!("family_parent", desk.screen());
    desk.press("jj");
    let line = desk.cursor_line();
    assert!(line.contains("- attempt 1") && line.contains("no room"), "{line}");
}

#[test]
fn enter_goes_to_the_child_and_to_the_parent_and_esc_comes_back() {
    let mut desk = desk(parent());
    desk.press("gj");
    assert!(desk.cursor_line().contains("2 hotel"), "{}", desk.cursor_line());
    let asked = desk.press("Enter");
    let [Intent::OpenRun(run)] = asked.as_slice() else { panic!("{asked:?}") };
    let child = run.clone();
    desk.app.update(Msg::Detail(Box::new(child_of(&child))));
    assert!(desk.screen().contains("^ started by run"), "{}", desk.screen());
    assert!(desk.screen().contains(child.short()), "{}", desk.screen());

    // back on the way one came, and on the step that one left
    let asked = desk.press("Esc");
    let [Intent::OpenRun(run)] = asked.as_slice() else { panic!("{asked:?}") };
    let mut again = parent();
    again.view.run = run.clone();
    desk.app.update(Msg::Detail(Box::new(again)));
    assert!(desk.cursor_line().contains("2 hotel"), "{}", desk.cursor_line());
    assert_eq!(desk.press("Esc"), [Intent::CloseRun], "to the list, not round in circles");

    // a child that was opened from the list names the way up
    let mut desk = self::desk(child_of(&RunId::new(CHILD).expect("a run id")));
    desk.press("g");
    insta::assert_snapshot!("family_child", desk.screen());
    let parent_id = RunId::new(PARENT).expect("a run id");
    assert_eq!(desk.press("Enter"), [Intent::OpenRun(parent_id)]);
    desk.app.update(Msg::Detail(Box::new(parent())));
    assert!(desk.cursor_line().contains("2 hotel"), "on the step that started it: {}", desk.screen());
    // the feed may be late: what it still tells of the child is not shown here
    desk.app.update(Msg::Detail(Box::new(child_of(&RunId::new(CHILD).expect("a run id")))));
    assert!(desk.cursor_line().contains("2 hotel"));
}
