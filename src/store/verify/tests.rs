//! Histories made by hand: as they should be, and with each thing that can be wrong.

use cairn_store_layout::{
    Digest, GateId, MachineId, RunId, StepId,
    event::{
        AttemptStarted, AttemptSucceeded, Body, Event, GateApproved, GateClass, GateOpened, RunStarted, RunSucceeded,
        Usage,
    },
    payload::{EffectClass, EffectContent, Request},
    record::Record,
};
use serde_json::json;

use super::*;

const RUN: &str = "01m81grmvf6mn3fy8enhtr5hc7";

fn run() -> RunId {
    RunId::new(RUN).unwrap()
}

fn step() -> StepId {
    StepId::new("send").unwrap()
}

fn effect(body: &str) -> EffectContent {
    EffectContent {
        run: run(),
        step: step(),
        iteration: None,
        definition: "d".repeat(40),
        ordinal: 0,
        purpose: cairn_store_layout::payload::Purpose::Step,
        pin: None,
        class: EffectClass::Idempotent,
        request: Request::Call {
            connector: "mail".to_owned(),
            operation: "send".to_owned(),
            input: json!({"to": "a@b.example", "body": body}),
            schema: None,
        },
    }
}

fn gate() -> GateId {
    GateId::derive(&run(), &step(), None, 0)
}

/// A run with one letter behind one gate, from start to end.
fn history() -> Vec<Body> {
    let letter = effect("hello");
    let digest = letter.digest();
    vec![
        RunStarted {
            run: run(),
            workflow: "letter".to_owned(),
            definition: "d".repeat(40),
            pins: std::collections::BTreeMap::new(),
            input: json!({}),
            trigger: "manual".to_owned(),
            by: "jo".to_owned(),
            machine: MachineId::new("m000000000").unwrap(),
            steps: Vec::new(),
            parent: None,
            origin: None,
            fired: None,
        }
        .into(),
        GateOpened {
            gate: gate(),
            digest: digest.clone(),
            class: GateClass::Send,
            effect: letter.clone(),
            summary: "a letter".to_owned(),
            why: None,
            evidence: None,
            expires: None,
        }
        .into(),
        GateApproved { gate: gate(), digest: digest.clone(), by: "jo".to_owned(), reason: None }.into(),
        AttemptStarted { key: letter.key(), digest, effect: letter }.into(),
        AttemptSucceeded {
            output: json!(null),
            usage: Usage::default(),
            artifacts: Vec::new(),
            files: Vec::new(),
            settled_by: None,
            cached_from: None,
        }
        .into(),
        RunSucceeded { output: json!(null) }.into(),
    ]
}

fn lines(bodies: &[Body]) -> String {
    let mut text = String::new();
    for (n, body) in bodies.iter().enumerate() {
        let is_run = matches!(body.kind().0.split('.').next(), Some("run"));
        let event = Event {
            at: format!("2026-11-22T10:00:{n:02}Z").parse().unwrap(),
            step: (!is_run).then(step),
            iteration: None,
            attempt: ["attempt", "probe"].iter().any(|of| body.kind().0.starts_with(of)).then_some(1),
            cause: None,
            body: body.clone(),
        };
        text.push_str(&Record { n: n as u64, event }.encode().unwrap().0);
    }
    text
}

/// The codes found in a history of these bytes, with its line.
fn found(text: &str) -> Vec<(&'static str, Option<u64>)> {
    let dir = tempfile::tempdir().unwrap();
    let mut report = Report::default();
    history::check(dir.path(), &paths::run(&run()), text.as_bytes(), false, &mut report);
    report.findings.iter().map(|f| (f.code, f.line)).collect()
}

#[test]
fn a_history_as_written_has_no_finding() {
    assert_eq!(found(&lines(&history())), []);
}

#[test]
fn a_decision_must_name_what_was_shown() {
    let mut bodies = history();
    let Body::GateApproved(approved) = &mut bodies[2] else { panic!() };
    approved.digest = effect("other").digest();
    assert_eq!(found(&lines(&bodies)), [("wrong_digest", Some(3)), ("not_approved", Some(4))]);
}

#[test]
fn only_what_was_approved_may_be_carried_out() {
    let mut bodies = history();
    let other = effect("pay me");
    bodies[3] = AttemptStarted { key: other.key(), digest: other.digest(), effect: other }.into();
    assert_eq!(found(&lines(&bodies)), [("not_approved", Some(4))]);

    bodies = history();
    bodies.remove(2);
    assert_eq!(found(&lines(&bodies)), [("not_approved", Some(3))], "no approval at all");
}

#[test]
fn an_effect_keeps_its_digest_and_its_key() {
    let mut bodies = history();
    let Body::AttemptStarted(start) = &mut bodies[3] else { panic!() };
    start.key = Digest::of(b"another key");
    assert_eq!(found(&lines(&bodies)), [("wrong_key", Some(4))]);

    let text = lines(&history()).replacen("hello", "hallo", 1);
    assert_eq!(found(&text), [("wrong_digest", Some(2))], "the text shown was changed afterwards");
}

#[test]
fn order_numbers_and_times_are_held() {
    let whole = lines(&history());
    let all: Vec<&str> = whole.split_inclusive('\n').collect();
    let without = |n: usize| all.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, l)| *l).collect::<String>();
    assert!(found(&without(4)).contains(&("bad_number", Some(5))));
    assert!(found(&without(0)).contains(&("bad_order", Some(1))));
    assert_eq!(found(&whole.replacen("10:00:03", "09:00:03", 1)), [("bad_time", Some(4))]);
    assert_eq!(found(&whole[..whole.len() - 4]), [("torn_tail", None)]);

    let mut twice = history();
    twice.insert(3, twice[2].clone());
    assert_eq!(found(&lines(&twice)), [("bad_order", Some(4))], "a gate is decided once");
    let mut after = history();
    after.push(after[4].clone());
    assert!(found(&lines(&after)).contains(&("after_end", Some(7))));
}

#[test]
fn an_unknown_kind_is_carried_and_is_no_finding() {
    let line = "{\"n\":1,\"at\":\"2026-11-22T10:00:00.500000Z\",\"kind\":\"moon.rose\",\"v\":3,\"phase\":0.5}\n";
    let mut text = lines(&history()[..1]);
    text.push_str(line);
    assert_eq!(found(&text), []);
}

#[test]
fn damage_around_the_histories_is_named() {
    let (_dir, store) = crate::store::testing::bare_store();
    let at = |path: &str| {
        let path = store.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let digest = Digest::of(b"payload");
    std::fs::write(at(&paths::artifact(&digest)), "another payload").unwrap();
    std::fs::write(at("inbox/m000000000/x.json"), "{").unwrap();
    std::fs::write(at("runs/notes.txt"), "mine").unwrap();
    std::fs::write(at(&paths::run(&run())), lines(&history()).replacen("letter", "lexter", 1)).unwrap();
    let codes: Vec<&str> = verify(&store).findings.iter().map(|f| f.code).collect();
    for code in ["damaged_artifact", "bad_command", "stray_file", "git"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
}

#[test]
fn what_was_approved_before_the_run_was_adopted_counts_no_longer() {
    let adopted = cairn_store_layout::event::RunAdopted {
        machine: MachineId::new("m111111111").unwrap(),
        from: MachineId::new("m000000000").unwrap(),
        by: "jo".to_owned(),
        asks_again: true,
    };
    let mut bodies = history();
    bodies.insert(3, adopted.clone().into());
    assert_eq!(found(&lines(&bodies)), [("not_approved", Some(5))]);
    bodies.swap(2, 3);
    assert!(found(&lines(&bodies)).contains(&("bad_order", Some(4))), "its gate is closed");

    let (mut opened, mut approved) = (bodies[1].clone(), bodies[3].clone());
    let again = GateId::derive(&run(), &step(), None, 7);
    if let (Body::GateOpened(opened), Body::GateApproved(approved)) = (&mut opened, &mut approved) {
        (opened.gate, approved.gate) = (again.clone(), again);
    }
    bodies.splice(3..4, [opened, approved]);
    assert_eq!(found(&lines(&bodies)), []);
    let earlier = Body::from(cairn_store_layout::event::RunAdopted { asks_again: false, ..adopted });
    let mut bodies = history();
    bodies.insert(3, earlier);
    assert_eq!(found(&lines(&bodies)), [], "an earlier build asked nothing again");
}

#[test]
fn nothing_begins_before_its_turn_and_only_what_is_lost_is_looked_for() {
    use cairn_store_layout::event::{AttemptUnknown, LeaseAsked, LeaseGranted, ProbeFailed, ProbeStarted, Share};
    let asked = || Body::from(LeaseAsked { concurrency: Some(Share { key: "k".to_owned(), max: 1 }), rate: None });
    let mut bodies = history();
    bodies.splice(3..3, [asked(), LeaseGranted {}.into()]);
    assert_eq!(found(&lines(&bodies)), []);
    bodies.remove(4);
    assert_eq!(found(&lines(&bodies)), [("out_of_turn", Some(5))]);
    bodies[3] = LeaseGranted {}.into();
    assert_eq!(found(&lines(&bodies)), [("bad_order", Some(4))], "nobody asked");
    let mut bodies = history();
    bodies.splice(3..3, [asked(), LeaseGranted {}.into()]);
    bodies.splice(7..7, [asked(), LeaseGranted {}.into()]);
    assert_eq!(found(&lines(&bodies)), [], "its share went with the attempt");
    bodies.remove(6);
    assert_eq!(found(&lines(&bodies)), [("bad_order", Some(7))], "it has its turn still");

    let probe = |purpose, class| {
        let effect = EffectContent { purpose, class, ..effect("hello") };
        Body::from(ProbeStarted { effect })
    };
    let (purpose, class) = (cairn_store_layout::payload::Purpose::Probe, EffectClass::Read);
    let lost = AttemptUnknown { gate: GateId::derive(&run(), &step(), None, 1), message: "?".to_owned() };
    let mut bodies = history();
    let failed = ProbeFailed { message: "down".to_owned() };
    bodies.splice(4..4, [lost.into(), probe(purpose, class), failed.into()]);
    assert_eq!(found(&lines(&bodies)), []);
    bodies[5] = probe(purpose, EffectClass::Once);
    assert_eq!(found(&lines(&bodies)), [("wrong_effect", Some(6))]);
    bodies.remove(4);
    assert!(found(&lines(&bodies)).contains(&("bad_order", Some(5))), "its outcome is not unknown");
}
