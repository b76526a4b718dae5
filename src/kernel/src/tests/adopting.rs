//! A run that is taken over without its whole past: what was asked then is asked anew.

use cairn_store_layout::{
    Digest, GateId, MachineId,
    event::{Body, Event, FailureClass, RunAdopted},
};
use serde_json::json;

use super::{Bench, across::replays, failed, nothing, succeeded};
use crate::{Command, End, Refusal, evolve};

const SEND: &str = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"x@x.example\" }\n\
                    approve = { when = \"always\", why = \"it is due\" }\nKEYS\n";

fn bench(keys: &str) -> Bench {
    Bench::new(&SEND.replace("KEYS", keys), nothing())
}

fn gates(bench: &Bench) -> Vec<(GateId, Digest)> {
    let opened = bench.history.iter().filter_map(|e| match &e.body {
        Body::GateOpened(gate) => Some((gate.gate.clone(), gate.digest.clone())),
        Body::GateEdited(edit) => Some((edit.gate.clone(), edit.digest.clone())),
        _ => None,
    });
    opened.collect()
}

fn approve(bench: &mut Bench, (gate, digest): (GateId, Digest)) -> Result<Vec<Event>, Refusal> {
    bench.bid(&Command::Approve { gate, digest, by: "ann".to_owned(), reason: None })
}

fn adopted(bench: &mut Bench, asks_again: bool) {
    bench.tick();
    let machine = |id| MachineId::new(id).expect("a machine id");
    let body = RunAdopted { machine: machine("mjklmnopqr"), from: machine("mabcdefghi"), by: "ann".into(), asks_again };
    let event = Event { at: bench.now, step: None, iteration: None, attempt: None, cause: None, body: body.into() };
    evolve(&mut bench.state, &event);
    bench.history.push(event);
    bench.tick();
    bench.ask(&Command::Advance).expect("a run may always advance");
}

fn started(bench: &Bench) -> usize {
    bench.history.iter().filter(|e| matches!(e.body, Body::AttemptStarted(_))).count()
}

#[test]
fn an_approval_for_the_gate_of_before_lets_nothing_go() {
    let mut bench = bench("");
    let before = gates(&bench).remove(0);
    let edit = Command::Edit {
        gate: before.0.clone(),
        digest: before.1,
        input: json!({"to": "y@x.example", "from": "us@x.example"}),
        by: "ann".to_owned(),
        reason: None,
    };
    bench.bid(&edit).expect("it waits");
    let edited = gates(&bench).remove(1);
    adopted(&mut bench, true);
    let again = gates(&bench).remove(2);
    assert_eq!(again.1, edited.1, "the content as edited");
    assert_ne!(again.0, edited.0);
    assert!(bench.state.is_at_rest(bench.now), "{}", bench.told());
    let Some(Body::GateOpened(shown)) = bench.history.last().map(|e| &e.body) else { panic!("a gate") };
    assert!(shown.why.as_deref().is_some_and(|why| why.starts_with("it is due\n\nAsked again")), "{:?}", shown.why);

    let refused = approve(&mut bench, edited).expect_err("it is of before");
    assert!(matches!(&refused, Refusal::AlreadyDecided { how, .. } if how.contains("adopted")), "{refused}");
    assert_eq!(started(&bench), 0);
    approve(&mut bench, again).expect("it waits");
    replays(&bench);
    bench.done("a", None, json!(1));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    bench.redecided();
}

#[test]
fn an_approval_that_was_not_used_counts_no_longer() {
    // it waits for its turn behind another run
    let mut waits = bench("concurrency = { max = 1 }");
    let first = gates(&waits).remove(0);
    approve(&mut waits, first).expect("it waits");
    // its first attempt failed for sure, the next one may have gone well
    let mut fails = bench("retry = { attempts = 2, first = \"1h\" }");
    let first = gates(&fails).remove(0);
    approve(&mut fails, first).expect("it waits");
    fails.report("a", None, 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    for mut bench in [waits, fails] {
        let before = started(&bench);
        adopted(&mut bench, true);
        assert!(bench.state.leases().is_empty() && bench.state.next_deadline().is_none(), "{}", bench.told());
        let again = gates(&bench).remove(1);
        adopted(&mut bench, true);
        let third = gates(&bench).remove(2);
        assert_ne!(again.0, third.0, "each time anew");
        approve(&mut bench, again).expect_err("it is of before");
        approve(&mut bench, third).expect("it waits");
        let grant = Command::Grant { step: Some(("a".parse().expect("a step id"), None)) };
        bench.tick();
        let _ = bench.ask(&grant);
        assert_eq!(started(&bench), before + 1, "{}", bench.told());
        replays(&bench);
        bench.redecided();
        let attempt = u32::try_from(before + 1).expect("small");
        bench.report("a", None, attempt, succeeded(json!(1))).expect("in flight");
        assert_eq!(bench.state.end(), Some(End::Succeeded));
    }
}

#[test]
fn a_run_that_was_adopted_by_an_earlier_build_goes_on_as_it_did() {
    let mut bench = bench("");
    let gate = gates(&bench).remove(0);
    adopted(&mut bench, false);
    assert_eq!(gates(&bench).len(), 1);
    approve(&mut bench, gate).expect("it waits");
    assert_eq!(started(&bench), 1);
}
