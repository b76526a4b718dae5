//! Replay equals live, and any mixture of replies and decisions keeps the promises.

use std::collections::BTreeMap;

use cairn_store_layout::event::{Body, FailureClass};
use proptest::prelude::*;
use serde_json::json;

use super::{Bench, failed, succeeded};
use crate::{Command, Outcome, Outstanding, outstanding};

pub(super) const TEXT: &str = r#"
[[step]]
id = "a"
run = ["x"]
effect = "read"
retry = { attempts = 2, first = "1s" }
[[step]]
id = "b"
needs = ["a"]
for_each = { in = "{{ range(4) }}", max_parallel = 2 }
if = "{{ item != 2 }}"
call = "mail.send"
with = { to = "x@x.example", body = "{{ item }} {{ steps.a.output }}" }
approve = "always"
[[step]]
id = "c"
needs = ["b"]
set = "{{ steps.b.output }}"
[[step]]
id = "d"
wait = "10s"
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens in whatever order: the fold of the history is the live state, nothing runs
    /// twice, and no effect under a gate starts without its approval.
    #[test]
    fn promises_hold_for_any_order(moves in prop::collection::vec((0..8u8, any::<u16>()), 0..60)) {
        let mut bench = Bench::new(TEXT, json!({}));
        for (what, pick) in moves {
            let waiting: Vec<_> = outstanding(&bench.state);
            let gates: Vec<_> = open_gates(&bench);
            match what {
                0..=3 if !waiting.is_empty() => {
                    let (Outstanding::Again(p) | Outstanding::Lost(p)) = waiting[usize::from(pick) % waiting.len()].clone() else {
                        panic!("there is no child here")
                    };
                    let outcome = match pick % 5 {
                        0 => failed(FailureClass::Soft, "soft"),
                        1 => failed(FailureClass::Hard, "hard"),
                        2 => Outcome::Unknown { message: "lost".to_owned() },
                        _ => succeeded(json!(pick)),
                    };
                    let _ = bench.report(p.step.as_str(), p.iteration.as_deref(), p.attempt, outcome.clone());
                    // the same reply again is refused
                    prop_assert!(bench.report(p.step.as_str(), p.iteration.as_deref(), p.attempt, outcome).is_err());
                }
                4..=5 if !gates.is_empty() => {
                    let (gate, digest) = gates[usize::from(pick) % gates.len()].clone();
                    let command = match pick % 3 {
                        0 => Command::Deny { gate, digest, by: "p".to_owned(), reason: None },
                        _ => Command::Approve { gate, digest, by: "p".to_owned(), reason: None },
                    };
                    prop_assert!(bench.ask(&command).is_ok());
                    prop_assert!(bench.ask(&command).is_err());
                }
                6 => drop(bench.later(i64::from(pick % 20))),
                7 if pick % 40 == 0 => drop(bench.ask(&Command::Cancel { by: "p".to_owned(), reason: None, undo: false })),
                _ => {}
            }
        }
        prop_assert_eq!(format!("{:?}", bench.replayed().steps), format!("{:?}", bench.state.steps));
        prop_assert_eq!(bench.replayed().end(), bench.state.end());

        let mut approved = BTreeMap::new();
        let mut done = BTreeMap::new();
        for event in &bench.history {
            let place = (event.step.clone(), event.iteration.clone());
            match &event.body {
                Body::GateApproved(a) => drop(approved.insert(place, a.digest.clone())),
                Body::AttemptStarted(a) if event.step.as_ref().is_some_and(|s| s.as_str() == "b") => {
                    prop_assert_eq!(approved.get(&place), Some(&a.digest));
                }
                Body::AttemptSucceeded(_) => prop_assert!(done.insert(place, ()).is_none(), "succeeded twice"),
                _ => {}
            }
        }
        let ends = bench.history.iter().filter(|e| matches!(e.body, Body::RunSucceeded(_) | Body::RunFailed(_) | Body::RunCanceled(_)));
        prop_assert!(ends.count() <= 1);
    }
}

pub(super) fn open_gates(bench: &Bench) -> Vec<(cairn_store_layout::GateId, cairn_store_layout::Digest)> {
    let gate = |(_, slot): (usize, &crate::state::Slot)| match &slot.phase {
        crate::state::Phase::Gated { gate, digest, .. } => Some((gate.clone(), digest.clone())),
        _ => None,
    };
    bench.state.slots().filter_map(gate).collect()
}
