//! Stopping, taking back, `finally`, deadlines, and canceling with all of it.

use cairn_store_layout::{
    GateId,
    event::{Body, FailureClass},
    payload::Purpose,
};
use serde_json::json;

use super::{Bench, failed, nothing, succeeded};
use crate::{Command, Effect, End, Outcome, Outstanding, Refusal, outstanding, react};

const SAGA: &str = r#"
[[step]]
id = "car"
run = ["book", "car"]
undo = { run = ["unbook", "{{ output.no }}"] }
[[step]]
id = "rooms"
needs = ["car"]
for_each = { in = "{{ ['x', 'y'] }}", key = "{{ item }}" }
run = ["book", "{{ item }}"]
undo = { call = "mail.send", with = { to = "{{ item }}", body = "{{ output.no }} {{ steps.car.output.no }}" } }
[[step]]
id = "pay"
needs = ["rooms"]
run = ["pay"]
[[step]]
id = "thank"
needs = ["pay"]
set = "thanks"
"#;

const LAST: &str = r#"
[[finally]]
id = "note"
set = { how = "{{ run.status }}", why = "{{ run.failure }}", paid = "{{ steps.pay.status }}", none = "{{ steps.pay.output is none }}" }
[[finally]]
id = "file"
needs = ["note"]
run = ["file"]
"#;

/// The request of a failure that waits for a decision.
pub(super) fn asked(bench: &Bench) -> Option<GateId> {
    bench.state.slots().find_map(|(_, slot)| match &slot.phase {
        crate::state::Phase::Undecided { gate, .. } => Some(gate.clone()),
        _ => None,
    })
}

fn undo(bench: &mut Bench, step: &str, iteration: Option<&str>, attempt: u32, outcome: Outcome) -> Result<(), Refusal> {
    let iteration = iteration.map(str::to_owned);
    let step = step.parse().unwrap();
    bench.ask(&Command::Report { step, iteration, attempt, purpose: Purpose::Undo, outcome }).map(drop)
}

fn booked(text: &str) -> Bench {
    let mut bench = Bench::new(text, nothing());
    bench.done("car", None, json!({"no": "c"}));
    bench.done("rooms", Some("y"), json!({"no": "2"}));
    bench.done("rooms", Some("x"), json!({"no": "1"}));
    bench
}

fn declined(text: &str) -> Bench {
    let mut bench = booked(text);
    bench.report("pay", None, 1, failed(FailureClass::Hard, "declined")).unwrap();
    bench
}

#[test]
fn a_failure_takes_back_what_was_done_last_first() {
    let mut bench = declined(SAGA);
    undo(&mut bench, "rooms", Some("x"), 1, succeeded(json!(null))).unwrap();
    undo(&mut bench, "rooms", Some("y"), 1, succeeded(json!(null))).unwrap();
    undo(&mut bench, "car", None, 1, succeeded(json!(null))).unwrap();
    let told = bench.told();
    insta::assert_snapshot!(&told[told.find("pay").unwrap()..], @r"
    pay attempt.started: attempt 1: run pay
    pay attempt.failed: failed (test): declined
    run run.stopping: stops: pay: declined; what was done is taken back
    thank step.skipped: skipped: the run stopped because a step failed
    rooms[x] undo.started: takes it back, attempt 1: mail.send
    rooms[x] undo.succeeded: taken back
    rooms[y] undo.started: takes it back, attempt 1: mail.send
    rooms[y] undo.succeeded: taken back
    car undo.started: takes it back, attempt 1: run unbook
    car undo.succeeded: taken back
    run run.failed: the run failed: pay: declined; 3 of 3 undone
    ");
    let sent = bench.history.iter().find_map(|e| match &e.body {
        Body::UndoStarted(start) => Some(start.effect.clone()),
        _ => None,
    });
    let sent = sent.unwrap();
    assert_eq!(sent.request.input(), Some(&json!({"to": "x", "body": "1 c", "from": "us@x.example"})));
    assert_eq!(sent.purpose, Purpose::Undo);
}

#[test]
fn what_was_taken_back_is_no_result_for_a_later_run() {
    let mut bench = declined(SAGA);
    undo(&mut bench, "rooms", Some("x"), 1, succeeded(json!(null))).unwrap();
    undo(&mut bench, "rooms", Some("y"), 1, failed(FailureClass::Hard, "closed")).unwrap();
    let kept = |bench: &Bench| {
        let mut collector = crate::Collector::new(bench.state.run().clone(), bench.plan.clone());
        bench.history[1..].iter().for_each(|event| collector.take(event));
        collector.results().len()
    };
    assert_eq!(kept(&bench), 2, "the car is not taken back yet, and room y never was");
    undo(&mut bench, "car", None, 1, succeeded(json!(null))).unwrap();
    assert_eq!(kept(&bench), 1, "room y is still booked");
}

#[test]
fn what_can_not_be_taken_back_is_named_and_keeps_nothing_else() {
    let mut bench = declined(
        &SAGA.replace("[[step]]\nid = \"rooms\"", "retry = { attempts = 2, first = \"1s\" }\n[[step]]\nid = \"rooms\""),
    );
    undo(&mut bench, "rooms", Some("x"), 1, failed(FailureClass::Hard, "too late")).unwrap();
    undo(&mut bench, "rooms", Some("y"), 1, succeeded(json!(null))).unwrap();
    undo(&mut bench, "car", None, 1, failed(FailureClass::Soft, "busy")).unwrap();
    assert_eq!(undo(&mut bench, "car", None, 2, succeeded(json!(null))), Err(Refusal::NotInFlight), "it pauses");
    bench.later(1);
    undo(&mut bench, "car", None, 2, failed(FailureClass::Soft, "still busy")).unwrap();
    assert_eq!(bench.state.end(), Some(End::Failed));
    assert!(
        bench.told().ends_with(
            "the run failed: pay: declined; 1 of 3 undone; `run book` of `rooms[x]` was not: too late; `run book` of `car` was not: still busy\n"
        ),
        "{}",
        bench.told()
    );
}

#[test]
fn an_undo_that_was_lost_is_settled_by_a_person_and_happens_at_most_once() {
    let mut bench = declined(SAGA);
    assert!(
        matches!(outstanding(&bench.state).as_slice(), [Outstanding::Lost(p)] if p.effect.purpose == Purpose::Undo)
    );
    undo(&mut bench, "rooms", Some("x"), 1, Outcome::Unknown { message: "no reply".to_owned() }).unwrap();
    assert!(bench.state.is_at_rest(bench.now) && outstanding(&bench.state).is_empty());
    let (gate, digest) = bench
        .history
        .iter()
        .rev()
        .find_map(|e| match &e.body {
            Body::UndoUnknown(u) => Some((u.gate.clone(), bench.state.undoing()?.effect()?.digest())),
            _ => None,
        })
        .unwrap();
    let answer = |outcome: &str| Command::Answer {
        gate: gate.clone(),
        digest: digest.clone(),
        answer: json!({ "outcome": outcome }),
        by: "ann".to_owned(),
    };
    bench.ask(&answer("not_done")).unwrap();
    assert!(bench.told().ends_with("rooms[x] undo.started: takes it back, attempt 2: mail.send\n"), "{}", bench.told());
    assert!(matches!(bench.ask(&answer("done")), Err(Refusal::AlreadyDecided { .. })));
    undo(&mut bench, "rooms", Some("x"), 2, succeeded(json!(null))).unwrap();
    let keys: Vec<_> = bench
        .history
        .iter()
        .filter_map(|e| match &e.body {
            Body::UndoStarted(u) if e.iteration.as_deref() == Some("x") => Some(u.key.clone()),
            _ => None,
        })
        .collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "the same effect under the same key");
}

#[test]
fn nothing_is_taken_back_while_something_is_under_way_or_unknown() {
    let text = "[[step]]\nid = \"a\"\nrun = [\"a\"]\nundo = { run = [\"not-a\"] }\n[[step]]\nid = \"b\"\nrun = [\"b\"]\n[[step]]\nid = \"c\"\nwait = \"1h\"\n";
    let mut bench = Bench::new(text, nothing());
    bench.report("b", None, 1, failed(FailureClass::Hard, "no")).unwrap();
    assert!(!bench.told().contains("run.stopping"), "a is under way");
    assert_eq!(bench.state.next_deadline(), None, "and the timer of c counts no more");
    bench.report("a", None, 1, Outcome::Unknown { message: "lost".to_owned() }).unwrap();
    assert!(
        bench.told().ends_with("c step.skipped: skipped: the run stopped because a step failed\n"),
        "{}",
        bench.told()
    );
    let gate = crate::gates::About::Outcome(1).gate(bench.state.run(), &"a".parse().unwrap(), None);
    let digest = bench.state.slot(0, None).unwrap().effect.as_ref().unwrap().digest();
    let done = Command::Answer { gate, digest, answer: json!({"outcome": "done"}), by: "ann".to_owned() };
    let mut other = Bench { state: bench.state.clone(), history: bench.history.clone(), ..Bench::new(text, nothing()) };
    bench.ask(&done).unwrap();
    assert!(bench.told().ends_with("a undo.started: takes it back, attempt 1: run not-a\n"), "{}", bench.told());
    let Command::Answer { gate, digest, by, .. } = done else { unreachable!() };
    other.ask(&Command::Answer { gate, digest, answer: json!({"outcome": "not_done"}), by }).unwrap();
    assert_eq!(other.state.end(), Some(End::Failed));
    assert!(!other.told().contains("undo.started") && !other.told().contains("attempt 2"), "{}", other.told());
}

#[test]
fn what_follows_a_failure_is_the_definitions_choice() {
    let mut bench = declined(&format!("on_failure = \"continue\"\n{SAGA}"));
    assert_eq!(bench.state.end(), Some(End::Failed));
    assert!(!bench.told().contains("undo") && !bench.told().contains("stopping"));
    bench = declined(&format!("on_failure = \"stop\"\n{SAGA}"));
    assert!(bench.told().contains("run.stopping: stops: pay: declined\n") && !bench.told().contains("undo"));
    assert_eq!(bench.state.end(), Some(End::Failed));
}

#[test]
fn finally_follows_whatever_happened() {
    let text = format!("on_failure = \"continue\"\n{SAGA}{LAST}");
    let how = |bench: &mut Bench| {
        let note = bench.plan.index_of("note").unwrap();
        let said = bench.state.slot(note, None).unwrap().output.clone().unwrap();
        bench.done("file", None, json!(1));
        (crate::expr::to_json(&said).unwrap(), bench.state.end())
    };
    let mut bench = booked(&text);
    bench.done("pay", None, json!("ok"));
    assert_eq!(
        how(&mut bench),
        (json!({"how": "succeeded", "none": false, "paid": "done", "why": null}), Some(End::Succeeded))
    );
    let mut bench = declined(&text);
    assert_eq!(
        how(&mut bench),
        (json!({"how": "failed", "none": true, "paid": "failed", "why": "pay: declined"}), Some(End::Failed))
    );
    let mut bench = booked(&text);
    bench.ask(&Command::Cancel { by: "ann".to_owned(), reason: Some("ill".to_owned()), undo: false }).unwrap();
    assert_eq!(
        how(&mut bench),
        (json!({"how": "canceled", "none": true, "paid": "skipped", "why": null}), Some(End::Canceled))
    );
    assert!(bench.told().ends_with("run run.canceled: canceled by ann: ill\n"));
}

#[test]
fn a_finally_step_that_fails_is_seen_and_hides_nothing() {
    let mut bench = booked(&format!("{SAGA}{LAST}"));
    bench.done("pay", None, json!("ok"));
    bench.report("file", None, 1, failed(FailureClass::Hard, "disk full")).unwrap();
    assert!(bench.told().ends_with("the run failed: file: disk full\n"), "{}", bench.told());
    let mut bench = declined(&format!("on_failure = \"stop\"\n{SAGA}{LAST}"));
    bench.report("file", None, 1, failed(FailureClass::Hard, "disk full")).unwrap();
    assert!(bench.told().ends_with("the run failed: pay: declined; finally: file: disk full\n"), "{}", bench.told());
}

#[test]
fn a_deadline_ends_what_is_under_way() {
    let text = format!("deadline = \"2h\"\n{SAGA}{LAST}");
    let mut bench = booked(&text);
    let begun: jiff::Timestamp = super::T0.parse().expect("a moment");
    assert_eq!(bench.state.next_deadline(), Some(begun + jiff::SignedDuration::from_hours(2)));
    let events = bench.later(7_200);
    assert_eq!(react(&bench.state, &events[0]), vec![Effect::Abort(bench.state.run().clone())]);
    let told = bench.told();
    insta::assert_snapshot!(&told[told.find("run run.stopping").unwrap()..], @r"
    run run.stopping: stops: deadline of 2h passed; what was done is taken back
    pay attempt.unknown: outcome unknown: the run's deadline passed while it was under way; it may have happened
    thank step.skipped: skipped: the run's deadline passed
    pay request.withdrawn: no longer asked: the run's deadline passed
    rooms[x] undo.started: takes it back, attempt 1: mail.send
    ");
    for (step, key) in [("rooms", Some("x")), ("rooms", Some("y")), ("car", None)] {
        undo(&mut bench, step, key, 1, succeeded(json!(null))).unwrap();
    }
    bench.done("file", None, json!(1));
    assert!(bench.told().ends_with("run run.failed: the run failed: deadline of 2h passed; 3 of 3 undone\n"));
    let mut bench = booked(&text);
    bench.done("pay", None, json!(1));
    bench.later(10_000);
    assert!(!bench.told().contains("deadline"), "only `finally` is left");
}

#[test]
fn a_cancel_takes_back_when_it_is_told_to_and_a_second_one_ends_at_once() {
    let cancel = |undo| Command::Cancel { by: "ann".to_owned(), reason: None, undo };
    let mut bench = booked(SAGA);
    bench.ask(&cancel(true)).unwrap();
    assert!(bench.told().ends_with("rooms[x] undo.started: takes it back, attempt 1: mail.send\n"), "{}", bench.told());
    assert_eq!(bench.ask(&cancel(true)), Err(Refusal::Ending));
    let mut twice = Bench { state: bench.state.clone(), history: bench.history.clone(), ..Bench::new(SAGA, nothing()) };
    for (step, key) in [("rooms", Some("x")), ("rooms", Some("y")), ("car", None)] {
        undo(&mut bench, step, key, 1, succeeded(json!(null))).unwrap();
    }
    assert!(bench.told().ends_with("run run.canceled: canceled by ann: 3 of 3 undone\n"), "{}", bench.told());
    twice.ask(&cancel(false)).unwrap();
    assert_eq!(twice.state.end(), Some(End::Canceled));
    let told = twice.told();
    assert!(told.contains("rooms[x] undo.unknown") && told.contains("rooms[x] request.withdrawn"), "{told}");

    let mut bench = booked(SAGA);
    bench.ask(&cancel(false)).unwrap();
    assert!(!bench.told().contains("stopping"), "without `finally` and undo it ends at once");
}

#[test]
fn a_cancel_that_a_crash_cut_in_two_is_taken_again() {
    let cause = Some("01kaxw00000000000000000009".parse().unwrap());
    let text = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"a\" }\n";
    for kept in 1..=2 {
        let mut bench = Bench::new(text, nothing());
        let ctx = crate::Context { now: bench.now, entropy: 0, cause: cause.clone() };
        let cancel = Command::Cancel { by: "ann".to_owned(), reason: None, undo: false };
        let events = crate::handle(&mut bench.state, &cancel, &ctx).unwrap();
        assert_eq!(events.len(), 3, "unknown, withdrawn, canceled");
        bench.history.extend(events.into_iter().take(kept));
        bench.state = bench.replayed();
        assert_eq!(bench.later(0), vec![], "nothing goes on without the rest of the cancel");
        bench.history.extend(crate::handle(&mut bench.state, &cancel, &ctx).unwrap());
        assert_eq!(bench.state.end(), Some(End::Canceled));
        assert_eq!(crate::handle(&mut bench.state, &cancel, &ctx), Err(Refusal::AlreadyTaken));
    }
}

#[test]
fn a_second_cancel_that_a_crash_cut_in_two_is_taken_again() {
    let cause = |n: u8| Some(format!("01kaxw0000000000000000000{n}").parse().unwrap());
    let cancel = |undo| Command::Cancel { by: "ann".to_owned(), reason: None, undo };
    let ctx = |bench: &Bench, n| crate::Context { now: bench.now, entropy: 0, cause: cause(n) };
    for kept in 0..=3 {
        let mut bench = booked(SAGA);
        bench.tick();
        let first = ctx(&bench, 1);
        bench.history.extend(crate::handle(&mut bench.state, &cancel(true), &first).unwrap());
        bench.tick();
        let second = ctx(&bench, 2);
        let events = crate::handle(&mut bench.state, &cancel(false), &second).unwrap();
        assert_eq!(events.len(), 3, "unknown, withdrawn, canceled");
        bench.history.extend(events.into_iter().take(kept));
        bench.state = bench.replayed();
        // the first command is read again too, when its file outlived the crash
        let again = crate::handle(&mut bench.state.clone(), &cancel(true), &first);
        assert!(again.is_err(), "{kept}: {again:?}");
        if kept < 3 {
            assert_eq!(kept == 0, bench.state.undoing().is_some_and(|undo| undo.in_flight().is_some()));
            assert_eq!(bench.later(0), vec![], "{kept}: nothing goes on without the rest of the cancel");
            bench.history.extend(crate::handle(&mut bench.state, &cancel(false), &second).unwrap());
        }
        assert_eq!(bench.state.end(), Some(End::Canceled), "{kept}: {}", bench.told());
        let told = bench.told();
        assert_eq!(told.matches("rooms[x] undo.unknown").count(), 1, "{told}");
        assert!(!told.contains("rooms[y] undo.started") && !told.contains("car undo.started"), "{told}");
    }
}

#[test]
fn every_round_that_was_done_is_taken_back() {
    let text = "[[step]]\nid = \"a\"\nrun = [\"x\"]\nrepeat = { until = \"{{ false }}\", max = 2 }\nundo = { run = [\"unx\", \"{{ output }}\"] }\n";
    let mut bench = Bench::new(text, nothing());
    bench.report("a", None, 1, succeeded(json!("one"))).unwrap();
    bench.report("a", None, 2, succeeded(json!("two"))).unwrap();
    undo(&mut bench, "a", None, 1, succeeded(json!(null))).unwrap();
    undo(&mut bench, "a", None, 2, succeeded(json!(null))).unwrap();
    let taken: Vec<_> = bench
        .history
        .iter()
        .filter_map(|e| match &e.body {
            Body::UndoStarted(u) => Some((u.effect.text(), u.effect.ordinal)),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [("\"unx\"\n\"two\"\n".to_owned(), 1), ("\"unx\"\n\"one\"\n".to_owned(), 0)]);
    assert!(bench.told().ends_with("`until` is not true after 2 rounds; 2 of 2 undone\n"), "{}", bench.told());
}

#[test]
fn a_list_that_is_cut_short_skips_what_it_had_not_begun() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(4) }}\", max_parallel = 2 }\nrun = [\"x\"]\neffect = \"read\"\n[[finally]]\nid = \"f\"\nset = \"{{ steps.a.status }}\"\n";
    let mut bench = Bench::new(text, nothing());
    bench.done("a", Some("0"), json!(1));
    bench.ask(&Command::Cancel { by: "ann".to_owned(), reason: None, undo: false }).unwrap();
    assert_eq!(bench.state.end(), Some(End::Canceled));
    assert!(
        bench.told().contains("a step.skipped: skipped: the run was canceled\nf step.succeeded"),
        "{}",
        bench.told()
    );
}

#[test]
fn an_effect_of_finally_that_did_not_happen_is_tried_again() {
    let text = "deadline = \"1h\"\n[[step]]\nid = \"a\"\nwait = \"9h\"\n[[finally]]\nid = \"f\"\nrun = [\"x\"]\n";
    let mut bench = Bench::new(text, nothing());
    bench.later(3_600);
    bench.report("f", None, 1, Outcome::Unknown { message: "lost".to_owned() }).unwrap();
    let (gate, digest) = bench.state.slots().find_map(|(_, slot)| unknown(slot)).expect("a question");
    let answer = json!({"outcome": "not_done"});
    bench.ask(&Command::Answer { gate, digest, answer, by: "ann".to_owned() }).unwrap();
    assert!(bench.told().ends_with("f attempt.started: attempt 2: run x\n"), "{}", bench.told());
    bench.report("f", None, 2, succeeded(json!(1))).unwrap();
    assert_eq!(bench.state.end(), Some(End::Failed));
}

fn unknown(slot: &crate::state::Slot) -> Option<(GateId, cairn_store_layout::Digest)> {
    match &slot.phase {
        crate::state::Phase::Unknown { gate, .. } => Some((gate.clone(), slot.effect.as_ref()?.digest())),
        _ => None,
    }
}
