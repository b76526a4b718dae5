//! A run with every key, anything happening in any order, and a crash after any fact: what follows is
//! the same, nothing is taken back twice, and every run still comes to its end.

use std::collections::BTreeMap;

use cairn_store_layout::{
    CommandId, Digest, GateId,
    event::{AttemptStarted, Body, Event, FailureClass, UndoStarted},
    payload::{EffectClass, EffectContent, Purpose},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, failed, succeeded};
use crate::{Command, End, Outcome, Outstanding, Perform, outstanding, state::Phase};

const WHOLE: &str = r#"
deadline = "40m"

[[step]]
id = "a"
run = ["a"]
undo = { run = ["una", "{{ output }}"] }
retry = { attempts = 2, first = "1s", within = "10s" }
on_soft = "ask"

[[step]]
id = "b"
for_each = { in = "{{ range(3) }}", max_parallel = 2 }
call = "mail.send"
with = { to = "{{ key }}", body = "{{ round }} {{ previous is none }}" }
repeat = { until = "{{ output == 1 or round == 2 }}", max = 3, every = "2s" }
approve = { expires = "20m" }
undo = { call = "mail.send", with = { to = "{{ key }}", body = "{{ output }}" } }
on_hard = "skip"
on_business = "ask"

[[step]]
id = "c"
needs = ["a", "b"]
join = "any"
run = ["c", "{{ steps.a.status }}"]
effect = "idempotent"
undo = { run = ["unc", "{{ output }}"] }

[[step]]
id = "w"
wait = { event = "go", where = "{{ event.n > 3 }}", within = "30m" }

[[step]]
id = "q"
needs = ["w"]
ask = "Well?"
form = [{ name = "text" }]

[[step]]
id = "d"
agent = "writer"
with = { about = "cats" }
on_business = "ask"

[[finally]]
id = "f"
run = ["f", "{{ run.status }}", "{{ steps.c.status }}"]
effect = "idempotent"
"#;

/// What really happened out there, by key.
#[derive(Default)]
struct World {
    done: BTreeMap<Digest, u32>,
}

impl World {
    /// Carries something out, as often as it is told to: only keys known to the other side save it.
    fn perform(&mut self, effect: &EffectContent) {
        let times = self.done.entry(effect.key()).or_default();
        *times = if effect.class == EffectClass::Once { *times + 1 } else { 1 };
    }

    fn has(&self, effect: &EffectContent) -> bool {
        self.done.contains_key(&effect.key())
    }
}

fn report(bench: &mut Bench, p: &Perform, outcome: Outcome) {
    bench.tick();
    let command = Command::Report {
        step: p.step.clone(),
        iteration: p.iteration.clone(),
        attempt: p.attempt,
        purpose: p.effect.purpose,
        outcome,
    };
    bench.ask(&command).expect("it is in flight");
    assert!(bench.ask(&command).is_err(), "the same reply again is refused");
    bench.tick();
}

/// Requests that wait for an answer, with the digest it must name and what could be said.
fn requests(bench: &Bench, world: &World) -> Vec<(GateId, Digest, Vec<Value>)> {
    let state = &bench.state;
    let truth = |effect: &EffectContent| json!({"outcome": if world.has(effect) { "done" } else { "not_done" }});
    let mut all = Vec::new();
    for (_, slot) in state.slots() {
        match (&slot.phase, &slot.effect) {
            (Phase::Asked { gate, digest, .. }, _) => {
                all.push((gate.clone(), digest.clone(), vec![json!({"text": "x"})]));
            }
            (Phase::Unknown { gate, .. }, Some(effect)) => {
                all.push((gate.clone(), effect.digest(), vec![truth(effect)]));
            }
            (Phase::Undecided { gate, .. }, Some(effect)) => {
                let ways = [
                    json!({"decision": "fail"}),
                    json!({"decision": "skip"}),
                    json!({"decision": "output", "output": [1]}),
                    json!({"decision": "retry", "comment": "again"}),
                    json!({"decision": "retry"}),
                ];
                all.push((gate.clone(), effect.digest(), ways.to_vec()));
            }
            _ => {}
        }
    }
    if let Some((this, (gate, _))) = state.undoing().and_then(|this| Some((this, this.unknown()?))) {
        let effect = this.effect().expect("an unknown attempt has its effect");
        all.push((gate.clone(), effect.digest(), vec![truth(effect)]));
    }
    all
}

/// Any moves, in any order.
fn live(moves: &[(u8, u16)], world: &mut World) -> Bench {
    let mut bench = Bench::new(WHOLE, json!({}));
    bench.tick();
    for (what, pick) in moves {
        let pick = usize::from(*pick);
        let waiting = outstanding(&bench.state);
        match what {
            0..=4 if !waiting.is_empty() => {
                let (Outstanding::Again(p) | Outstanding::Lost(p)) = waiting[pick % waiting.len()].clone() else {
                    panic!("no step starts another workflow here");
                };
                let outcome = match pick % 8 {
                    0 => failed(FailureClass::Soft, "soft"),
                    1 => failed(FailureClass::Business, "business"),
                    2 if pick % 3 == 0 => failed(FailureClass::Hard, "hard"),
                    3 => {
                        if pick % 2 == 0 {
                            world.perform(&p.effect);
                        }
                        Outcome::Unknown { message: "lost".to_owned() }
                    }
                    n => {
                        world.perform(&p.effect);
                        succeeded(json!(n % 3))
                    }
                };
                report(&mut bench, &p, outcome);
            }
            5 => {
                if let Some((gate, digest)) = super::replay::open_gates(&bench).pop() {
                    let (by, reason) = ("p".to_owned(), None);
                    let command = match pick % 4 {
                        0 => Command::Deny { gate, digest, by, reason },
                        _ => Command::Approve { gate, digest, by, reason },
                    };
                    // its time may have run out
                    drop(bench.bid(&command));
                }
            }
            6 => {
                let open = requests(&bench, world);
                if !open.is_empty() {
                    let (gate, digest, ways) = open[pick % open.len()].clone();
                    let answer = ways[pick % ways.len()].clone();
                    bench.bid(&Command::Answer { gate, digest, answer, by: "p".to_owned() }).expect("it waits");
                }
            }
            7 => {
                let signal: CommandId = cairn_store_layout::ids::ulid_from(7, pick as u128).parse().expect("an id");
                let (name, by) = ("go".to_owned(), "p".to_owned());
                drop(bench.bid(&Command::Signal { signal, name, data: json!({"n": pick % 6}), by }));
            }
            8 => drop(bench.later(if pick % 50 == 0 { 2_400 } else { i64::try_from(pick % 20).unwrap_or(1) })),
            9 if pick % 12 == 0 => {
                drop(bench.bid(&Command::Cancel { by: "p".to_owned(), reason: None, undo: pick % 24 == 0 }));
            }
            _ => {}
        }
        bench.tick();
    }
    bench
}

/// A kernel that starts on what is left, in a world that does what it is asked and tells the truth.
fn finish(bench: &mut Bench, world: &mut World) {
    bench.later(0);
    if bench.state.canceling && bench.state.end().is_none() {
        // the file of a command is there until all that it led to is
        let command = Command::Cancel { by: "p".to_owned(), reason: None, undo: false };
        bench.bid(&command).expect("a cancel that was cut in two is taken again");
    }
    let found = outstanding(&bench.state);
    for one in found {
        match one {
            Outstanding::Child(_) => panic!("no step starts another workflow here"),
            Outstanding::Lost(p) => report(bench, &p, Outcome::Unknown { message: "the kernel stopped".to_owned() }),
            Outstanding::Again(p) => {
                world.perform(&p.effect);
                report(bench, &p, succeeded(json!(1)));
            }
        }
    }
    for _ in 0..400 {
        if bench.state.end().is_some() {
            return;
        }
        if let Some(Outstanding::Again(p) | Outstanding::Lost(p)) = outstanding(&bench.state).pop() {
            world.perform(&p.effect);
            report(bench, &p, succeeded(json!(1)));
        } else if let Some((gate, digest)) = super::replay::open_gates(bench).pop() {
            drop(bench.bid(&Command::Approve { gate, digest, by: "p".to_owned(), reason: None }));
        } else if let Some((gate, digest, ways)) = requests(bench, world).pop() {
            let command = Command::Answer { gate, digest, answer: ways[0].clone(), by: "p".to_owned() };
            bench.bid(&command).expect("it waits");
        } else {
            let next = bench.state.next_deadline().unwrap_or_else(|| panic!("it waits for nothing:\n{}", bench.told()));
            bench.now = bench.now.max(next);
            bench.later(0);
        }
    }
    panic!("it never ends:\n{}", bench.told());
}

fn all_of(bench: &Bench) -> String {
    let (live, fold) = (&bench.state, &bench.replayed());
    let tell = |s: &crate::State| {
        format!("{:?}\n{:?}\n{:?}\n{:?}\n{:?}", s.steps, s.completed, s.requests, s.stopping, s.known)
    };
    assert_eq!(live.agenda, fold.agenda, "the agenda follows from the facts");
    assert_eq!((live.undo_left, live.end()), (fold.undo_left, fold.end()));
    if tell(live) == tell(fold) { String::new() } else { format!("{}\n--\n{}", tell(live), tell(fold)) }
}

/// Each effect is taken back at most once, the last that was done first, and only what was done.
fn taken_back_in_order(history: &[Event], world: &World) {
    let mut done: Vec<(Digest, String, Option<String>)> = Vec::new();
    let mut begun: Vec<Digest> = Vec::new();
    let mut over: BTreeMap<Digest, u32> = BTreeMap::new();
    let mut sent: BTreeMap<(String, Option<String>), EffectContent> = BTreeMap::new();
    for event in history {
        let place = (event.step.as_ref().map(ToString::to_string).unwrap_or_default(), event.iteration.clone());
        match &event.body {
            Body::AttemptStarted(start) => drop(sent.insert(place, start.effect.clone())),
            Body::AttemptSucceeded(_) if ["a", "b", "c"].contains(&place.0.as_str()) => {
                let undo = EffectContent { purpose: Purpose::Undo, ..sent[&place].clone() };
                done.push((undo.key(), place.0, place.1));
            }
            Body::UndoStarted(start) => {
                assert_eq!(start.effect.key(), start.key);
                if begun.last() != Some(&start.key) {
                    assert!(!begun.contains(&start.key), "what was left is not taken up again");
                    begun.push(start.key.clone());
                }
                assert!(!over.contains_key(&start.key), "what is taken back is not taken back again");
            }
            Body::UndoSucceeded(_) => *over.entry(begun.last().expect("it began").clone()).or_default() += 1,
            _ => {}
        }
    }
    let mut backwards = done.iter().rev().map(|(key, ..)| key);
    for key in &begun {
        assert!(backwards.any(|known| known == key), "in the reverse order of what was done");
        let times = world.done.get(key).copied().unwrap_or(0);
        assert!(times <= 1, "it left {times} times");
    }
}

/// What had left by then: what was reported done or failed did or did not happen, the rest may have.
fn arrived(history: &[Event], cut: usize) -> World {
    let mut world = World::default();
    let mut sent = BTreeMap::new();
    for (n, event) in history.iter().enumerate() {
        let place = (event.step.clone(), event.iteration.clone());
        match &event.body {
            Body::AttemptStarted(AttemptStarted { effect, .. }) | Body::UndoStarted(UndoStarted { effect, .. }) => {
                if !(n + cut).is_multiple_of(3) && !world.has(effect) {
                    world.perform(effect);
                }
                sent.insert(place, effect.clone());
            }
            Body::AttemptSucceeded(_) | Body::UndoSucceeded(_) => {
                if let Some(effect) = sent.get(&place).filter(|effect| !world.has(effect)) {
                    world.perform(effect);
                }
            }
            Body::AttemptFailed(_) | Body::UndoFailed(_) => {
                if let Some(effect) = sent.get(&place) {
                    world.done.remove(&effect.key());
                }
            }
            _ => {}
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_crash_after_any_fact_changes_nothing_that_was_promised(
        moves in prop::collection::vec((0..10u8, any::<u16>()), 0..90),
    ) {
        let mut world = World::default();
        let bench = live(&moves, &mut world);
        prop_assert_eq!(all_of(&bench), "");
        taken_back_in_order(&bench.history, &world);
        let again = super::again::replayed(&bench, &bench.history);
        prop_assert_eq!(again.difference.map(|d| format!("{}\n{:#?}\n{:#?}\n{}", d.words(), d.recorded, d.given, bench.told())), None);
        for cut in 1..=bench.history.len() {
            let history = bench.history[..cut].to_vec();
            let mut world = arrived(&history, cut);
            let mut next = Bench { history, now: bench.history[cut - 1].at, ..Bench::new(WHOLE, json!({})) };
            next.state = next.replayed();
            next.tick();
            finish(&mut next, &mut world);
            prop_assert_eq!(all_of(&next), "");
            taken_back_in_order(&next.history, &world);
            if bench.history[..cut].iter().any(|e| matches!(&e.body, Body::RunStopping(_))) {
                prop_assert!(next.state.end() != Some(End::Succeeded));
            }
        }
    }
}
