//! Room in a list: never more iterations under way than `max_parallel`, whatever a person sends on.

use cairn_store_layout::{
    Digest, GateId,
    event::{Body, FailureClass},
};
use serde_json::{Value, json};

use super::{Bench, failed, nothing, succeeded};
use crate::{Command, End, Outcome, Outstanding, Refusal, outstanding};

const LIST: &str =
    "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(4) }}\", max_parallel = 1 }\nrun = [\"x\"]\nKEYS\n";

fn list(keys: &str) -> Bench {
    Bench::new(&LIST.replace("KEYS", keys), nothing())
}

/// The iterations that are under way.
fn under_way(bench: &Bench) -> Vec<String> {
    let key = |o| match o {
        Outstanding::Again(p) | Outstanding::Lost(p) => p.iteration.expect("of a list"),
        Outstanding::Child(child) => child.iteration.expect("of a list"),
    };
    outstanding(&bench.state).into_iter().map(key).collect()
}

/// The request about an iteration that waits for the operator.
fn request(bench: &Bench, iteration: &str) -> (GateId, Digest) {
    let mut found = None;
    for event in bench.history.iter().filter(|e| e.iteration.as_deref() == Some(iteration)) {
        match &event.body {
            Body::AttemptStarted(start) => found = Some((None, start.digest.clone())),
            Body::AttemptUnknown(unknown) => {
                found = found.map(|(_, digest)| (Some(unknown.gate.clone()), digest));
            }
            Body::AttemptFailed(lost) => {
                if let Some(cairn_store_layout::event::Then::Ask(gate)) = &lost.then {
                    found = found.map(|(_, digest)| (Some(gate.clone()), digest));
                }
            }
            _ => {}
        }
    }
    let (gate, digest) = found.expect("it was sent");
    (gate.expect("it is asked about"), digest)
}

fn answer(bench: &mut Bench, iteration: &str, answer: Value) {
    let (gate, digest) = request(bench, iteration);
    bench.bid(&Command::Answer { gate, digest, answer, by: "ann".to_owned() }).expect("it waits");
}

/// Every attempt of the run that is still to come goes well; never more than one is under way.
#[track_caller]
fn carry_on(bench: &mut Bench) {
    while bench.state.end().is_none() {
        let at = under_way(bench);
        assert_eq!(at.len(), 1, "{}", bench.told());
        let attempt = bench.history.iter().rev().find(|e| e.iteration.as_ref() == Some(&at[0]) && e.attempt.is_some());
        let attempt = attempt.and_then(|e| e.attempt).expect("it was started");
        bench.report("a", Some(&at[0]), attempt, succeeded(json!(1))).expect("under way");
    }
}

#[test]
fn what_was_settled_as_not_done_waits_for_room() {
    let mut bench = list("effect = \"once\"");
    bench.report("a", Some("0"), 1, Outcome::Unknown { message: "lost".to_owned() }).expect("under way");
    assert_eq!(under_way(&bench), ["1"], "a question keeps nobody waiting");
    answer(&mut bench, "0", json!({"outcome": "not_done"}));
    assert_eq!(under_way(&bench), ["1"], "{}", bench.told());
    assert_eq!(bench.state.next_deadline(), None, "no time alone lets it go on");
    assert!(bench.later(3600).is_empty());
    bench.done("a", Some("1"), json!(1));
    assert_eq!(under_way(&bench), ["0"], "in the order of the list");
    carry_on(&mut bench);
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    assert_eq!(bench.replayed().end(), Some(End::Succeeded));
    bench.redecided();
}

#[test]
fn what_a_person_retries_or_supplies_waits_for_room() {
    for given in [json!({"decision": "retry"}), json!({"decision": "output", "output": 7})] {
        let mut bench = list("on_hard = \"ask\"\nrepeat = { until = \"{{ round == 2 }}\", max = 2 }");
        bench.report("a", Some("0"), 1, failed(FailureClass::Hard, "no")).expect("under way");
        assert_eq!(under_way(&bench), ["1"]);
        answer(&mut bench, "0", given);
        assert_eq!(under_way(&bench), ["1"], "{}", bench.told());
        assert_eq!(bench.state.next_deadline(), None);
        carry_on(&mut bench);
        assert_eq!(bench.state.end(), Some(End::Succeeded));
        bench.redecided();
    }
}

#[test]
fn a_pause_keeps_its_place_and_the_verbs_pass_no_bound() {
    let mut bench = list("retry = { attempts = 2, first = \"1m\", jitter = false }");
    bench.report("a", Some("0"), 1, failed(FailureClass::Soft, "busy")).expect("under way");
    assert!(under_way(&bench).is_empty(), "the pause has the place");
    bench.bid(&Command::Resume).expect("it pauses");
    assert_eq!(under_way(&bench), ["0"]);

    let mut bench = Bench::new(
        &format!("on_failure = \"continue\"\n{}", LIST.replace("KEYS", "retry = { attempts = 1 }")),
        nothing(),
    );
    bench.report("a", Some("0"), 1, failed(FailureClass::Hard, "no")).expect("under way");
    assert_eq!(under_way(&bench), ["1"]);
    let retry = Command::Retry { step: None, iteration: Some("0".to_owned()) };
    let refused = bench.ask(&retry).expect_err("there is no room");
    assert!(matches!(&refused, Refusal::NothingToDo(why) if why.contains("max_parallel")), "{refused}");
    assert_eq!(under_way(&bench), ["1"]);
}

#[test]
fn what_failed_asks_for_its_turn_again_and_not_for_its_approval() {
    let keys = "concurrency = { max = 1 }\nretry = { attempts = 1 }";
    let text = LIST.replace("KEYS", keys).replace("max_parallel = 1", "max_parallel = 2");
    let mut bench = Bench::new(&format!("on_failure = \"continue\"\n{text}"), nothing());
    let grant = |bench: &mut Bench, key: &str| {
        let step = Some(("a".parse().expect("a step id"), Some(key.to_owned())));
        bench.tick();
        bench.ask(&Command::Grant { step }).expect("it waits for its turn");
    };
    grant(&mut bench, "0");
    bench.report("a", Some("0"), 1, failed(FailureClass::Hard, "no")).expect("under way");
    grant(&mut bench, "1");
    bench.done("a", Some("1"), json!(1));
    grant(&mut bench, "2");
    bench.done("a", Some("2"), json!(1));
    assert!(under_way(&bench).is_empty(), "the last one waits for its turn");
    bench.bid(&Command::Retry { step: None, iteration: Some("0".to_owned()) }).expect("it failed");
    assert!(under_way(&bench).is_empty(), "its share is another one's: {}", bench.told());
    grant(&mut bench, "0");
    assert_eq!(under_way(&bench), ["0"]);
    super::across::replays(&bench);
    bench.redecided();
    bench.report("a", Some("0"), 2, succeeded(json!(1))).expect("under way");
}
