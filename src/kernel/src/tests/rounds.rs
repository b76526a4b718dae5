//! Joining, repeating, and waiting for events.

use cairn_store_layout::{CommandId, event::Body, event::FailureClass};
use serde_json::json;

use super::{Bench, compile_with, failed, nothing, succeeded};
use crate::{Command, End, Outstanding, Refusal, outstanding};

const JOIN: &str = r#"
[[step]]
id = "a"
run = ["a"]
[[step]]
id = "b"
run = ["b"]
[[step]]
id = "c"
run = ["c"]
[[step]]
id = "first"
needs = ["a", "b", "c"]
join = JOIN
set = "{{ steps.a.status }} {{ steps.b.status }} {{ steps.b.output is none }} {{ steps.c.status }}"
"#;

fn joined(join: &str) -> Bench {
    Bench::new(&JOIN.replace("JOIN", join), nothing())
}

#[test]
fn a_join_begins_as_soon_as_enough_are_done() {
    let mut bench = joined("\"any\"");
    bench.done("a", None, json!(1));
    let said = bench.state.slot(3, None).unwrap().output.clone();
    assert_eq!(said.unwrap().as_str(), Some("done open True open"));
    assert_eq!(bench.state.end(), None, "the others go on");

    let mut bench = joined("2");
    bench.done("c", None, json!(1));
    assert!(bench.state.slot(3, None).is_none(), "one of two");
    bench.report("b", None, 1, failed(FailureClass::Hard, "no")).unwrap();
    bench.done("a", None, json!(1));
    let said = bench.state.slot(3, None).unwrap().output.clone();
    assert_eq!(said.unwrap().as_str(), Some("done failed True done"));
    assert_eq!(bench.state.end(), Some(End::Failed), "a failed step fails the run, whoever needed it");
}

#[test]
fn a_join_that_can_not_be_reached_is_skipped_at_once() {
    let mut bench = joined("2");
    for step in ["a", "b"] {
        bench.report(step, None, 1, failed(FailureClass::Hard, "no")).unwrap();
    }
    assert!(bench.told().ends_with("first step.skipped: skipped: it needs 2 of 3 steps, and 0 were done\n"));
    bench.done("c", None, json!(1));
    assert_eq!(bench.state.end(), Some(End::Failed));
}

#[test]
fn what_is_open_is_seen_only_where_it_can_be() {
    let text = "[[step]]\nid = \"a\"\nset = \"{{ steps['b'] is defined }}\"\n[[step]]\nid = \"b\"\nset = 1\n";
    let bench = Bench::new(text, nothing());
    let seen = bench.state.slot(0, None).unwrap().output.clone();
    assert_eq!(seen.map(|v| v.is_true()), Some(false), "as it was before there were joins");
}

const REPEAT: &str = r#"
[[step]]
id = "poll"
run = ["poll", "{{ round }}", "{{ previous.n if previous else 'none' }}"]
repeat = { until = "{{ output.ready and round > 1 }}", max = 3, every = "1m" }
retry = { attempts = 2, first = "1s", jitter = false }
"#;

#[test]
fn a_step_repeats_until_it_is_true_with_a_key_for_each_round() {
    let mut bench = Bench::new(REPEAT, nothing());
    bench.done("poll", None, json!({"ready": true, "n": 7}));
    assert_eq!(bench.later(59), vec![], "not before its time");
    bench.later(1);
    // attempts are counted through all rounds, so that a late reply meets no other round
    assert_eq!(bench.report("poll", None, 1, succeeded(json!({}))), Err(Refusal::NotInFlight));
    bench.report("poll", None, 2, failed(FailureClass::Soft, "busy")).unwrap();
    bench.later(1);
    bench.report("poll", None, 3, succeeded(json!({"ready": true, "n": 8}))).unwrap();
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    insta::assert_snapshot!(bench.told(), @r"
    poll attempt.started: attempt 1: run poll
    poll attempt.succeeded: done
    poll step.repeated: round 2
    poll attempt.started: attempt 2: run poll
    poll attempt.failed: failed (test): busy; next attempt 2026-11-22 08:01 UTC
    poll attempt.started: attempt 3: run poll
    poll attempt.succeeded: done
    poll step.succeeded: done
    run run.succeeded: the run succeeded
    ");
    let started = bench.history.iter().filter_map(|e| match &e.body {
        Body::AttemptStarted(start) => Some((start.key.clone(), start.effect.clone())),
        _ => None,
    });
    let started: Vec<_> = started.collect();
    assert_ne!(started[0].0, started[1].0);
    assert_eq!(started[1].0, started[2].0, "a retry inside a round keeps the round's key");
    assert_eq!(started[1].1.text(), "\"poll\"\n\"2\"\n\"7\"\n");
}

#[test]
fn rounds_that_never_suffice_fail_the_step() {
    let mut bench = Bench::new(REPEAT, nothing());
    for round in 1..=3 {
        bench.report("poll", None, round, succeeded(json!({"ready": false, "n": round}))).unwrap();
        bench.later(60);
    }
    assert!(bench.told().contains("poll step.failed: failed (repeat): `until` is not true after 3 rounds"));
    assert_eq!(bench.state.end(), Some(End::Failed));
}

#[test]
fn each_round_has_a_gate_of_its_own() {
    let text = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"{{ round }}\" }\nrepeat = { until = \"{{ round == 2 }}\", max = 2 }\napprove = \"always\"\n";
    let mut bench = Bench::new(text, nothing());
    let mut seen = Vec::new();
    for attempt in 1..=2 {
        let (gate, digest) = super::replay::open_gates(&bench).pop().expect("a gate");
        seen.push((gate.clone(), digest.clone()));
        bench.ask(&Command::Approve { gate, digest, by: "ann".to_owned(), reason: None }).unwrap();
        bench.report("a", None, attempt, succeeded(json!(null))).unwrap();
    }
    assert_ne!(seen[0].0, seen[1].0);
    let (gate, digest) = seen.remove(0);
    let again = Command::Approve { gate, digest, by: "ann".to_owned(), reason: None };
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    assert_eq!(bench.ask(&again), Err(Refusal::RunOver("succeeded")));
}

#[test]
fn an_iteration_between_rounds_keeps_its_place() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(3) }}\", max_parallel = 1 }\nrun = [\"x\"]\nrepeat = { until = \"{{ round == 2 }}\", max = 2, every = \"1m\" }\n";
    let mut bench = Bench::new(text, nothing());
    bench.done("a", Some("0"), json!(1));
    assert_eq!(outstanding(&bench.state).len(), 0, "the first has its pause, and the others wait for its place");
    bench.later(60);
    bench.report("a", Some("0"), 2, succeeded(json!(2))).unwrap();
    let Some(Outstanding::Lost(next)) = outstanding(&bench.state).pop() else { panic!("the next begins") };
    assert_eq!(next.iteration.as_deref(), Some("1"));
}

fn signal(n: u128, name: &str, data: serde_json::Value) -> Command {
    let signal: CommandId = cairn_store_layout::ids::ulid_from(1, n).parse().unwrap();
    Command::Signal { signal, name: name.to_owned(), data, by: "shop".to_owned() }
}

const PAID: &str = r#"
[[step]]
id = "order"
run = ["order"]
[[step]]
id = "paid"
needs = ["order"]
wait = { event = "paid", where = "{{ event.order == steps.order.output.no }}", within = "1d" }
[[step]]
id = "told"
needs = ["paid"]
set = "{{ steps.paid.output.sum if steps.paid.output else 'nothing' }}"
"#;

#[test]
fn an_event_before_its_wait_is_kept_and_the_oldest_that_fits_is_taken() {
    let mut bench = Bench::new(PAID, nothing());
    for (n, data) in [json!({"order": 2}), json!("odd"), json!({"order": 1, "sum": 5}), json!({"order": 1, "sum": 6})]
        .into_iter()
        .enumerate()
    {
        bench.ask(&signal(n as u128, "paid", data)).unwrap();
    }
    assert_eq!(bench.ask(&signal(0, "paid", json!(1))), Err(Refusal::AlreadyTaken), "one that comes twice counts once");
    assert_eq!(bench.ask(&signal(9, "payed", json!(1))), Err(Refusal::NotListening("payed".to_owned())));
    bench.done("order", None, json!({"no": 1}));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    assert!(bench.told().contains("paid signal.taken: the event has come"), "{}", bench.told());
    assert_eq!(bench.state.slot(2, None).unwrap().output.clone().map(|v| v.to_string()), Some("5".to_owned()));
}

#[test]
fn an_open_wait_takes_what_fits_and_ends_without_an_event_in_time() {
    let mut bench = Bench::new(PAID, nothing());
    bench.done("order", None, json!({"no": 1}));
    assert!(bench.state.is_at_rest(bench.now + jiff::SignedDuration::from_secs(60)));
    bench.ask(&signal(1, "paid", json!({"order": 3}))).unwrap();
    assert_eq!(bench.state.end(), None);
    assert_eq!(bench.later(86_399), vec![]);
    bench.later(1);
    assert!(bench.told().contains("paid timer.fired"), "{}", bench.told());
    assert_eq!(bench.state.slot(2, None).unwrap().output.clone().map(|v| v.to_string()), Some("nothing".to_owned()));
}

#[test]
fn one_event_ends_one_wait() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(3) }}\" }\nset = 1\n[[step]]\nid = \"b\"\nwait = { event = \"go\" }\n[[step]]\nid = \"c\"\nwait = { event = \"go\" }\n";
    let mut bench = Bench::new(text, nothing());
    bench.ask(&signal(1, "go", json!(1))).unwrap();
    assert_eq!(bench.state.progress(), (2, 3));
    bench.ask(&signal(2, "go", json!(2))).unwrap();
    assert_eq!(bench.state.end(), Some(End::Succeeded));
}

#[test]
fn a_cut_between_an_event_and_its_wait_loses_nothing() {
    let mut bench = Bench::new(PAID, nothing());
    bench.done("order", None, json!({"no": 1}));
    let events = bench.ask(&signal(1, "paid", json!({"order": 1, "sum": 5}))).unwrap();
    // only the first of them survives
    bench.history.truncate(bench.history.len() - (events.len() - 1));
    bench.state = bench.replayed();
    bench.later(0);
    assert_eq!(bench.state.end(), Some(End::Succeeded), "{}", bench.told());
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut bench = Bench::new(PAID, nothing());
    for n in 0..1_000 {
        bench.ask(&signal(n, "paid", json!({"order": 2}))).unwrap();
    }
    assert_eq!(bench.ask(&signal(1_000, "paid", json!(1))), Err(Refusal::TooManySignals));
}

#[test]
fn the_new_keys_are_checked() {
    let told = |text: &str| {
        let problems = compile_with(text, &[]).expect_err("problems");
        problems.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let a = "[[step]]\nid = \"a\"\nrun = [\"x\"]\n";
    assert_eq!(told(&format!("{a}join = \"any\"\n")), "step `a` joins nothing: it has no `needs`");
    assert!(
        told(&format!("{a}repeat = {{ until = \"{{{{ outptu }}}}\", max = 2 }}\n")).contains("`outptu` is unknown")
    );
    assert!(told(&format!("{a}undo = {{ workflow = \"w\" }}\n")).contains("workflow"), "a child run has no undo");
    assert!(told("[[step]]\nid = \"a\"\nset = \"{{ previous }}\"\n").contains("only inside a step with `repeat`"));
    assert!(told("[[step]]\nid = \"a\"\nset = \"{{ run.status }}\"\n").contains("only in `finally`"));
    assert!(told("[[step]]\nid = \"a\"\nwait = { event = \"{{ x }}\" }\n").contains("can not name an event"));
    let finally = "[[finally]]\nid = \"f\"\nneeds = [\"a\"]\nset = 1\n";
    assert!(told(&format!("{a}{finally}")).contains("which is not of `finally`"));
    let main = format!("[[step]]\nid = \"b\"\nneeds = [\"f\"]\nset = 1\n{}", finally.replace("needs = [\"a\"]\n", ""));
    assert!(told(&format!("{a}{main}")).contains("which is of `finally`"));
}
