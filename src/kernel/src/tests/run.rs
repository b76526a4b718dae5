//! Runs from start to end, told in words.

use cairn_store_layout::{
    GateId,
    event::{Body, FailureClass},
    payload::Purpose,
};
use serde_json::json;

use super::{Bench, failed, nothing, succeeded};
use crate::{Command, End, Outcome, Outstanding, Refusal, outstanding};

const LETTERS: &str = r#"
[[step]]
id = "rows"
call = "file.read_csv"
with = { path = "ledger.csv" }

[[step]]
id = "late"
needs = ["rows"]
for_each = { in = "{{ steps.rows.output.rows }}", key = "{{ item.no }}", where = "{{ item.days > 7 }}" }
set = { no = "{{ item.no }}", to = "{{ item.to }}" }

[[step]]
id = "send"
needs = ["late"]
for_each = { in = "{{ steps.late.output }}" }
call = "mail.send"
with = { to = "{{ item.to }}", body = "Pay {{ key }}" }
approve = { summary = "Letter to {{ item.to }}", why = "late" }
"#;

fn rows() -> serde_json::Value {
    json!({"rows": [{"no": "7", "to": "a@x.example", "days": 9}, {"no": "8", "to": "b@x.example", "days": 2}, {"no": "9", "to": "c@x.example", "days": 30}]})
}

fn gate(bench: &Bench, iteration: &str) -> (GateId, cairn_store_layout::Digest) {
    let opened = bench.history.iter().rev().find_map(|e| match &e.body {
        Body::GateOpened(g) if e.iteration.as_deref() == Some(iteration) => Some((g.gate.clone(), g.digest.clone())),
        Body::GateEdited(g) if e.iteration.as_deref() == Some(iteration) => Some((g.gate.clone(), g.digest.clone())),
        _ => None,
    });
    opened.expect("a gate was opened")
}

fn approve(bench: &mut Bench, iteration: &str) -> Result<Vec<cairn_store_layout::event::Event>, Refusal> {
    let (gate, digest) = gate(bench, iteration);
    bench.ask(&Command::Approve { gate, digest, by: "ann".to_owned(), reason: None })
}

fn deny(bench: &mut Bench, iteration: &str) -> Result<Vec<cairn_store_layout::event::Event>, Refusal> {
    let (gate, digest) = gate(bench, iteration);
    bench.ask(&Command::Deny { gate, digest, by: "ann".to_owned(), reason: Some("paid".to_owned()) })
}

#[test]
fn a_list_is_gated_item_by_item_and_denied_is_not_failed() {
    let mut bench = Bench::new(LETTERS, nothing());
    bench.done("rows", None, rows());
    assert!(bench.state.is_at_rest(bench.now));
    approve(&mut bench, "7").expect("approved");
    deny(&mut bench, "9").expect("denied");
    bench.done("send", Some("7"), json!({"file": "x"}));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    insta::assert_snapshot!(bench.told().replace(&gate(&bench, "7").1.short().to_owned(), "####").replace(&gate(&bench, "9").1.short().to_owned(), "####"), @r#"
    rows attempt.started: attempt 1: file.read_csv
    rows attempt.succeeded: done
    late step.succeeded: done
    send step.expanded: 2 iterations to do
    send[7] gate.opened: SEND waits for approval: Letter to a@x.example (digest ####)
    send[9] gate.opened: SEND waits for approval: Letter to c@x.example (digest ####)
    send[7] gate.approved: approved by ann (digest ####)
    send[7] attempt.started: attempt 1: mail.send
    send[9] gate.denied: denied by ann: paid
    send[7] attempt.succeeded: done
    send step.succeeded: done
    run run.succeeded: the run succeeded
    "#);
}

#[test]
fn a_decision_counts_once_and_only_for_what_was_shown() {
    let mut bench = Bench::new(LETTERS, nothing());
    bench.done("rows", None, rows());
    let (id, digest) = gate(&bench, "7");
    let other = gate(&bench, "9").1;
    let wrong = Command::Approve { gate: id.clone(), digest: other.clone(), by: "ann".to_owned(), reason: None };
    assert_eq!(
        bench.ask(&wrong),
        Err(Refusal::StaleDigest { gate: id.clone(), shown: other, current: digest.clone() })
    );
    let edit = Command::Edit {
        gate: id.clone(),
        digest: digest.clone(),
        input: json!({"from": "us@x.example", "to": "a@x.example", "body": "Please pay"}),
        by: "ann".to_owned(),
        reason: None,
    };
    bench.ask(&edit).expect("edited");
    assert!(matches!(bench.ask(&edit), Err(Refusal::StaleDigest { .. })), "an edit moves the digest");
    let stale = Command::Approve { gate: id.clone(), digest, by: "ann".to_owned(), reason: None };
    assert!(matches!(bench.ask(&stale), Err(Refusal::StaleDigest { .. })), "the first text can no longer be approved");
    let events = approve(&mut bench, "7").expect("approved");
    let Body::AttemptStarted(start) = &events[1].body else { panic!("the attempt starts") };
    assert_eq!(
        start.effect.request.input(),
        Some(&json!({"from": "us@x.example", "to": "a@x.example", "body": "Please pay"}))
    );
    assert_eq!(start.digest, gate(&bench, "7").1);
    assert!(matches!(approve(&mut bench, "7"), Err(Refusal::AlreadyDecided { .. })));
    assert!(matches!(deny(&mut bench, "7"), Err(Refusal::AlreadyDecided { .. })));
    let answer = Command::Answer {
        gate: gate(&bench, "9").0,
        digest: gate(&bench, "9").1,
        answer: json!({}),
        by: "ann".to_owned(),
    };
    assert!(matches!(bench.ask(&answer), Err(Refusal::WrongVerb { .. })));
}

#[test]
fn soft_failures_are_retried_with_one_key_until_the_attempts_are_used_up() {
    let mut bench =
        Bench::new("[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { attempts = 3, first = \"2s\" }\n", nothing());
    bench.report("a", None, 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    assert_eq!(bench.state.next_deadline(), Some(bench.now + jiff::SignedDuration::from_millis(500)));
    assert_eq!(bench.ask(&Command::Advance), Ok(vec![]), "not before its time");
    bench.later(1);
    assert_eq!(bench.report("a", None, 1, succeeded(json!(1))), Err(Refusal::NotInFlight), "a late reply of attempt 1");
    bench.report("a", None, 2, failed(FailureClass::Soft, "busy")).expect("in flight");
    bench.later(5);
    bench.report("a", None, 3, failed(FailureClass::Soft, "still busy")).expect("in flight");
    assert_eq!(bench.state.end(), Some(End::Failed));
    let keys: Vec<_> = bench
        .history
        .iter()
        .filter_map(|e| match &e.body {
            Body::AttemptStarted(a) => Some(a.key.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.windows(2).all(|k| k[0] == k[1]));
    assert!(bench.told().ends_with("run run.failed: the run failed: a: still busy\n"));
}

#[test]
fn a_hard_failure_stops_what_needs_it_and_nothing_else() {
    let text = "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = 1\n[[step]]\nid = \"c\"\nrun = [\"y\"]\n";
    let mut bench = Bench::new(text, nothing());
    bench.report("a", None, 1, failed(FailureClass::Hard, "no such program")).expect("in flight");
    assert_eq!(bench.state.end(), None, "c is still under way");
    bench.done("c", None, json!(1));
    insta::assert_snapshot!(bench.told(), @r"
    a attempt.started: attempt 1: run x
    c attempt.started: attempt 1: run y
    a attempt.failed: failed (test): no such program
    b step.skipped: skipped: it needs `a`, which failed
    c attempt.succeeded: done
    run run.failed: the run failed: a: no such program
    ");
}

#[test]
fn an_unknown_outcome_is_settled_by_a_person_and_never_repeated_by_itself() {
    let mut bench = Bench::new("[[step]]\nid = \"a\"\nrun = [\"x\"]\n", nothing());
    assert!(matches!(outstanding(&bench.state).as_slice(), [Outstanding::Lost(_)]));
    let events =
        bench.report("a", None, 1, Outcome::Unknown { message: "the reply was lost".to_owned() }).expect("in flight");
    let Body::AttemptUnknown(unknown) = &events[0].body else { panic!("unknown") };
    assert!(bench.state.is_at_rest(bench.now) && outstanding(&bench.state).is_empty());
    let digest = bench.state.slots().find_map(|(_, s)| s.effect.as_ref().map(|e| e.digest())).expect("an effect");
    let bad = Command::Answer {
        gate: unknown.gate.clone(),
        digest: digest.clone(),
        answer: json!({"outcome": "maybe"}),
        by: "ann".to_owned(),
    };
    assert!(matches!(bench.ask(&bad), Err(Refusal::BadAnswer(_))));
    let not_done = Command::Answer {
        gate: unknown.gate.clone(),
        digest: digest.clone(),
        answer: json!({"outcome": "not_done"}),
        by: "ann".to_owned(),
    };
    let events = bench.ask(&not_done).expect("settled");
    assert_eq!(events.last().and_then(|e| e.attempt), Some(2), "tried again because a person said so");
    bench.report("a", None, 2, Outcome::Unknown { message: "lost again".to_owned() }).expect("in flight");
    assert!(
        matches!(bench.ask(&not_done), Err(Refusal::AlreadyDecided { .. })),
        "each unknown has a request of its own"
    );
}

#[test]
fn asks_waits_and_conditions() {
    let text = r#"
[[step]]
id = "form"
ask = "Which package?"
form = [{ name = "package", choices = ["s", "l"] }]
[[step]]
id = "rest"
needs = ["form"]
wait = "3d"
[[step]]
id = "big"
needs = ["rest"]
if = "{{ steps.form.output.package == 'l' }}"
set = "large"
[[step]]
id = "after"
needs = ["big"]
set = 1
"#;
    let mut bench = Bench::new(text, nothing());
    let Body::AskOpened(ask) = bench.history[1].body.clone() else { panic!("an ask") };
    let answer = |package: &str| Command::Answer {
        gate: ask.gate.clone(),
        digest: ask.digest.clone(),
        answer: json!({ "package": package }),
        by: "ann".to_owned(),
    };
    assert!(matches!(bench.ask(&answer("xl")), Err(Refusal::BadAnswer(_))));
    bench.ask(&answer("s")).expect("answered");
    assert!(bench.state.is_at_rest(bench.now + jiff::SignedDuration::from_secs(60)));
    assert_eq!(bench.later(3 * 86_400 - 1), vec![]);
    bench.later(1);
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    assert!(bench.told().ends_with("big step.skipped: skipped: its `if` is false\nafter step.skipped: skipped: it needs `big`, which was not done\nrun run.succeeded: the run succeeded\n"));
}

#[test]
fn no_more_iterations_are_in_flight_than_allowed() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(5) }}\", max_parallel = 2 }\nrun = [\"x\", \"{{ item }}\"]\n";
    let mut bench = Bench::new(text, nothing());
    assert_eq!(bench.performs(), 2);
    bench.done("a", Some("1"), json!(1));
    let in_flight = || [Some("0"), Some("2")];
    assert_eq!(outstanding(&bench.state).len(), 2);
    for key in in_flight() {
        bench.done("a", key, json!(1));
    }
    for key in ["3", "4"] {
        bench.done("a", Some(key), json!(1));
    }
    assert_eq!(bench.state.end(), Some(End::Succeeded));
}

#[test]
fn an_empty_list_is_done_and_a_doubled_key_is_told() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ input.rows }}\", key = \"{{ item.no }}\" }\nrun = [\"x\"]\n[[input]]\nname = \"rows\"\ntype = \"json\"\n";
    let bench = Bench::new(text, json!({"rows": []}));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    let bench = Bench::new(text, json!({"rows": [{"no": 1}, {"no": 1}]}));
    assert!(bench.told().contains("two elements of the list have the key `1`"));
    assert_eq!(bench.state.end(), Some(End::Failed));
    let bench = Bench::new(text, json!({"rows": 5}));
    assert!(bench.told().contains("`for_each.in` must give a list or an object, not number"));
}

#[test]
fn canceling_withdraws_what_waits_and_ends_the_run() {
    let mut bench = Bench::new(LETTERS, nothing());
    bench.done("rows", None, rows());
    bench
        .ask(&Command::Cancel { by: "ann".to_owned(), reason: Some("wrong ledger".to_owned()), undo: false })
        .expect("canceled");
    assert_eq!(bench.state.end(), Some(End::Canceled));
    assert_eq!(approve(&mut bench, "7"), Err(Refusal::RunOver("canceled")));
    assert_eq!(bench.ask(&Command::Advance), Ok(vec![]));
    assert!(bench.told().ends_with("run run.canceled: canceled by ann: wrong ledger\n"));
}

#[test]
fn a_gate_lapses_and_never_means_yes() {
    let text = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"a@x.example\", body = \"x\" }\napprove = { expires = \"1d\" }\n";
    let mut bench = Bench::new(text, nothing());
    bench.later(86_400);
    assert!(bench.told().contains("a gate.expired: nobody decided in time"));
    assert_eq!((bench.state.end(), bench.performs()), (Some(End::Succeeded), 0));
}

#[test]
fn what_iterations_gave_back_is_found_by_key_and_taken_by_the_next_list() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ ['x', 'y'] }}\", key = \"k-{{ item }}\" }\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nfor_each = { in = \"{{ steps.a.output }}\" }\nset = \"{{ key }} {{ item.n }} {{ steps.a.output[key].n }}\"\n[[step]]\nid = \"c\"\nneeds = [\"b\"]\nask = \"{{ steps.b.output | tojson }}\"\nform = [{ name = \"ok\" }]\n";
    let mut bench = Bench::new(text, nothing());
    bench.done("a", Some("k-x"), json!({"n": 1}));
    bench.done("a", Some("k-y"), json!({"n": 2}));
    assert!(bench.told().contains(r#"{"k-x": "k-x 1 1", "k-y": "k-y 2 2"}"#), "{}", bench.told());
}

#[test]
fn an_approval_that_comes_too_late_is_no_approval() {
    let mut bench = Bench::new(&LETTERS.replace("why = \"late\"", "expires = \"1h\""), nothing());
    bench.done("rows", None, rows());
    bench.now += jiff::SignedDuration::from_secs(3_600);
    let (id, _) = gate(&bench, "7");
    // the time has come, but nobody has asked the kernel since
    assert_eq!(approve(&mut bench, "7"), Err(Refusal::Expired(id)));
    let started = bench.history.iter().filter(|e| matches!(e.body, Body::AttemptStarted(_)));
    assert_eq!(started.count(), 1, "only the file was read");
    bench.later(0);
    assert!(bench.told().contains("send[7] gate.expired"), "{}", bench.told());
}

#[test]
fn a_canceled_run_says_which_effects_were_under_way() {
    let text = "[[step]]\nid = \"send\"\ncall = \"mail.send\"\nwith = { to = \"a\" }\n[[step]]\nid = \"look\"\ncall = \"file.read\"\nwith = { path = \"a\" }";
    let mut bench = Bench::new(text, nothing());
    bench.ask(&Command::Cancel { by: "ann".to_owned(), reason: None, undo: false }).unwrap();
    let told = bench.told();
    assert!(
        told.contains("send attempt.unknown: outcome unknown: the run was canceled while it was under way"),
        "{told}"
    );
    assert!(told.contains("send request.withdrawn"), "{told}");
    assert!(!told.contains("look attempt.unknown"), "a look changes nothing\n{told}");
    assert_eq!(bench.state.end(), Some(End::Canceled));
    assert_eq!(format!("{:?}", bench.replayed().steps), format!("{:?}", bench.state.steps));
}

#[test]
fn a_settled_outcome_can_not_be_settled_again() {
    let mut bench = Bench::new("[[step]]\nid = \"send\"\ncall = \"mail.send\"\nwith = { to = \"a\" }", nothing());
    bench.report("send", None, 1, Outcome::Unknown { message: "no reply".to_owned() }).unwrap();
    let gate = GateId::derive(bench.state.run(), &"send".parse().unwrap(), None, 1);
    let digest = bench.state.slot(0, None).unwrap().effect.as_ref().unwrap().digest();
    let answer = Command::Answer { gate, digest, answer: json!({"outcome": "not_done"}), by: "ann".to_owned() };
    bench.ask(&answer).unwrap();
    assert!(bench.told().ends_with("send attempt.started: attempt 2: mail.send\n"), "{}", bench.told());
    assert!(matches!(bench.ask(&answer), Err(Refusal::AlreadyDecided { .. })), "{:?}", bench.ask(&answer));
}

#[test]
fn a_message_is_short_whatever_value_made_it() {
    let text = "[[input]]\nname = \"t\"\n[[step]]\nid = \"a\"\nif = \"{{ input.t }}\"\nset = 1\n[[step]]\nid = \"b\"\nfor_each = { in = \"{{ [1] }}\", key = \"{{ input.t }}\" }\nset = 1\n";
    let bench = Bench::new(text, json!({"t": "long ".repeat(400_000)}));
    for event in &bench.history[1..] {
        let record = cairn_store_layout::record::Record { n: 1, event: event.clone() };
        assert!(record.encode().expect("it fits into a line").0.len() < 10_000);
    }
    assert_eq!(bench.state.end(), Some(End::Failed));
}

#[test]
fn a_run_that_fails_on_its_list_says_why() {
    let bench = Bench::new(
        "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ [1, 1] }}\", key = \"{{ item }}\" }\nset = 1\n",
        nothing(),
    );
    let told = bench.told();
    assert!(told.contains("run.failed: the run failed: a: two elements of the list have the key `1`"), "{told}");
}

#[test]
fn a_value_nested_too_deeply_fails_its_step_and_not_the_next_start() {
    // a line nested deeper than 128 levels could be written, but never read again
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let mut bench = Bench::new(
        "[[step]]\nid = \"a\"\ncall = \"file.read\"\nwith = { path = \"x\" }\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = { v = [[[[\"{{ steps.a.output }}\"]]]] }",
        nothing(),
    );
    bench.done("a", None, deep);
    assert!(
        bench.told().contains("b step.failed: failed (expression): the value is nested too deeply"),
        "{}",
        bench.told()
    );
}

#[test]
fn a_kernel_that_stops_takes_answers_and_begins_nothing() {
    let mut bench = Bench::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\ncall = \"mail.send\"\nwith = { to = \"a\" }",
        nothing(),
    );
    let report = Command::Report {
        step: "a".parse().unwrap(),
        iteration: None,
        attempt: 1,
        purpose: Purpose::Step,
        outcome: succeeded(json!(1)),
    };
    let ctx = crate::Context { now: bench.now, entropy: 1, cause: None };
    let events = crate::settle(&mut bench.state, &report, &ctx).unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    bench.history.extend(events);
    assert!(bench.later(0).iter().any(|e| matches!(e.body, Body::AttemptStarted(_))), "the next start goes on");
}
