//! What follows a failure: retries within bounds, a skipped step, a question to the operator.

use cairn_store_layout::event::{Body, FailureClass, Then};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Bench, failed, nothing, succeeded};
use crate::{Command, End, Refusal};

fn pauses(retry: &str, attempts: u32) -> Vec<i64> {
    let text = format!("[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = {{ {retry} }}\n");
    let mut bench = Bench::new(&text, nothing());
    let mut pauses = Vec::new();
    for attempt in 1..=attempts {
        let events = bench.report("a", None, attempt, failed(FailureClass::Soft, "busy")).unwrap();
        let Body::AttemptFailed(failed) = &events[0].body else { panic!("a failure") };
        let Some(at) = failed.retry_at else { break };
        pauses.push(at.duration_since(bench.now).as_secs());
        bench.now = at;
        bench.later(0);
    }
    pauses
}

#[test]
fn pauses_grow_as_the_definition_says() {
    let same = "attempts = 6, first = \"2s\", max = \"10s\", jitter = false";
    assert_eq!(pauses(same, 6), [2, 4, 8, 10, 10]);
    assert_eq!(pauses(&format!("{same}, backoff = \"linear\""), 6), [2, 4, 6, 8, 10]);
    assert_eq!(pauses(&format!("{same}, backoff = \"fixed\""), 6), [2, 2, 2, 2, 2]);
    assert_eq!(pauses(&format!("{same}, within = \"13s\""), 6), [2, 4], "the third pause would end too late");
}

#[test]
fn only_failures_with_these_codes_are_retried() {
    let text = "[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { on = [\"timeout\"] }\n";
    let mut bench = Bench::new(text, nothing());
    bench.report("a", None, 1, failed(FailureClass::Soft, "busy")).unwrap();
    assert_eq!(bench.state.end(), Some(End::Failed), "its code is `test`");
    let mut bench = Bench::new(&text.replace("timeout", "test"), nothing());
    bench.report("a", None, 1, failed(FailureClass::Soft, "busy")).unwrap();
    assert_eq!(bench.state.end(), None);
}

#[test]
fn the_class_says_what_follows() {
    let text = "[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { attempts = 2 }\nKEYS\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = 1\n";
    let after = |keys: &str, class| {
        let mut bench = Bench::new(&text.replace("KEYS", keys), nothing());
        for attempt in 1..=2 {
            if bench.report("a", None, attempt, failed(class, "no")).is_ok() {
                bench.later(60);
            }
        }
        let attempts = bench.history.iter().filter(|e| matches!(e.body, Body::AttemptStarted(_))).count();
        (attempts, bench.state.end(), super::ending::asked(&bench).is_some())
    };
    let (ended, asks) = (Some(End::Failed), None);
    assert_eq!(after("", FailureClass::Soft), (2, ended, false));
    assert_eq!(after("", FailureClass::Hard), (1, ended, false));
    assert_eq!(after("", FailureClass::Business), (1, asks, true));
    assert_eq!(after("on_business = \"fail\"", FailureClass::Business), (1, ended, false));
    assert_eq!(after("on_business = \"retry\"", FailureClass::Business), (2, ended, false));
    assert_eq!(after("on_hard = \"retry\"", FailureClass::Hard), (2, ended, false));
    assert_eq!(after("on_hard = \"skip\"", FailureClass::Hard), (1, Some(End::Succeeded), false));
    assert_eq!(after("on_soft = \"skip\"", FailureClass::Soft), (2, Some(End::Succeeded), false));
    assert_eq!(after("on_soft = \"ask\"", FailureClass::Soft), (2, asks, true));
}

/// A run whose step was refused for a reason of the world's own, and what the operator decides.
fn decided(step: &str, answer: Value) -> (Bench, Result<Vec<cairn_store_layout::event::Event>, Refusal>) {
    let text = format!(
        "[[step]]\nid = \"a\"\n{step}\nretry = {{ attempts = 1 }}\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = \"{{{{ steps.a.output }}}}\"\n"
    );
    let mut bench = Bench::new(&text, nothing());
    let events = bench.report("a", None, 1, failed(FailureClass::Business, "card declined")).unwrap();
    let Body::AttemptFailed(failed) = &events[0].body else { panic!("a failure") };
    let Some(Then::Ask(gate)) = failed.then.clone() else { panic!("a question") };
    assert!(bench.state.is_at_rest(bench.now));
    let digest = bench.state.slot(0, None).unwrap().effect.as_ref().unwrap().digest();
    let result = bench.ask(&Command::Answer { gate, digest, answer, by: "ann".to_owned() });
    (bench, result)
}

#[test]
fn the_operator_decides_what_a_failure_means() {
    let run = "run = [\"x\"]";
    let (bench, _) = decided(run, json!({"decision": "skip"}));
    assert!(bench.told().contains("b step.skipped"), "{}", bench.told());
    assert_eq!(bench.state.end(), Some(End::Succeeded));

    let (bench, _) = decided(run, json!({"decision": "output", "output": {"no": 7}}));
    assert_eq!(
        bench.state.slot(1, None).unwrap().output.clone().map(|v| crate::expr::to_json(&v).unwrap()),
        Some(json!({"no": 7}))
    );

    // an output that was not given is none, recorded and read back the same
    let (bench, events) = decided(run, json!({"decision": "output"}));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    let decision = events.unwrap().remove(0).body;
    let fields = decision.to_fields().unwrap();
    assert_eq!(Body::from_fields("failure.decided", 1, fields).unwrap(), decision);

    let (bench, _) = decided(run, json!({"decision": "fail", "comment": "they are right"}));
    assert_eq!(bench.state.end(), Some(End::Failed));
    assert!(bench.told().contains("ann decided: failed: they are right"), "{}", bench.told());

    let (mut bench, _) = decided(run, json!({"decision": "retry", "comment": "try the other card"}));
    let events = bench.history.iter().filter_map(|e| match &e.body {
        Body::AttemptStarted(start) => Some(start.key.clone()),
        _ => None,
    });
    let keys: Vec<_> = events.collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1], "a program is told nothing, so it is the same effect");
    bench.report("a", None, 2, succeeded(json!(1))).unwrap();
    assert_eq!(bench.state.end(), Some(End::Succeeded));
}

#[test]
fn a_comment_makes_another_question_of_an_agent() {
    let (mut bench, _) =
        decided("agent = \"writer\"\nwith = { about = \"cats\" }", json!({"decision": "retry", "comment": "shorter"}));
    let started = bench.history.iter().filter_map(|e| match &e.body {
        Body::AttemptStarted(start) => Some((start.key.clone(), start.effect.request.input().cloned())),
        _ => None,
    });
    let started: Vec<_> = started.collect();
    assert_ne!(started[0].0, started[1].0);
    assert_eq!(started[1].1, Some(json!({"about": "cats", "comment": "shorter"})));
    // its retries are counted anew
    bench.report("a", None, 2, failed(FailureClass::Business, "no")).unwrap();
    assert!(super::ending::asked(&bench).is_some());
}

#[test]
fn a_decision_must_fit_and_counts_once() {
    for bad in [json!({"decision": "maybe"}), json!({}), json!({"decision": "skip", "output": 1})] {
        let (_, result) = decided("run = [\"x\"]", bad.clone());
        assert!(matches!(result, Err(Refusal::BadAnswer(_))), "{bad}");
    }
    let (mut bench, events) = decided("run = [\"x\"]\non_business = \"ask\"", json!({"decision": "retry"}));
    let Body::FailureDecided(done) = &events.unwrap()[0].body else { panic!("a decision") };
    let digest = bench.state.slot(0, None).unwrap().effect.as_ref().unwrap().digest();
    let again =
        Command::Answer { gate: done.gate.clone(), digest, answer: json!({"decision": "fail"}), by: "b".to_owned() };
    assert!(matches!(bench.ask(&again), Err(Refusal::AlreadyDecided { .. })));
    bench.report("a", None, 2, failed(FailureClass::Business, "no")).unwrap();
    assert_ne!(super::ending::asked(&bench), Some(done.gate.clone()), "each failure has a request of its own");
}

#[test]
fn a_child_run_that_takes_too_long_is_waited_for_no_longer() {
    let text =
        "[[step]]\nid = \"a\"\nworkflow = \"child\"\ntimeout = \"1h\"\nretry = { attempts = 2, first = \"0s\" }\n";
    let mut bench = Bench::new(text, nothing());
    assert!(bench.state.is_at_rest(bench.now), "it waits for nothing of its own");
    assert_eq!(bench.state.next_deadline(), Some(bench.now + SignedDuration::from_hours(1)));
    bench.later(3_600);
    assert!(bench.told().contains("failed (timeout): it was not over within 1h"), "{}", bench.told());
    bench.later(3_600);
    assert_eq!(bench.state.end(), Some(End::Failed));
}
