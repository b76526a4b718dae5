//! One finding of each kind, and a control that gives none.

use std::collections::BTreeMap;

use cairn_store_layout::{
    MachineId,
    entity::{Change, EntityChange, EntityId},
    learned::Learned,
    passage::{Passage, Source},
};

use super::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(20_000 * DAY + day * DAY).unwrap()
}

fn person() -> Source {
    Source::Person { person: "astrid".to_owned() }
}

fn passage(day: i64, text: &str) -> Passage {
    Passage {
        id: Passage::derive_id("note", Some("client/a"), text),
        recorded_at: at(day),
        text: text.to_owned(),
        kind: "note".to_owned(),
        entity: Some("client/a".to_owned()),
        labels: BTreeMap::new(),
        source: person(),
        valid_from: None,
        valid_to: None,
        supersedes: Vec::new(),
    }
}

fn ledger(passages: &[Passage]) -> Ledger {
    let mut ledger = Ledger::default();
    passages.iter().for_each(|p| ledger.take(&machine("one"), &Learned::Passage(p.clone())));
    ledger
}

fn machine(name: &str) -> MachineId {
    MachineId::new(format!("m{name:0<9}")).unwrap()
}

fn told(ledger: &Ledger, knowledge: &[Knowledge]) -> Vec<(Concern, String)> {
    let workflows = [("chase".to_owned(), vec!["letter".to_owned()])];
    let beside = Beside { knowledge, workflows: &workflows, now: at(0), unused: SignedDuration::from_hours(24 * 180) };
    audit(ledger, &beside).into_iter().map(|f| (f.concern, f.message)).collect()
}

#[track_caller]
fn one(ledger: &Ledger, knowledge: &[Knowledge], concern: Concern, words: &str) {
    let told = told(ledger, knowledge);
    assert!(told.iter().any(|(c, message)| *c == concern && message.contains(words)), "{told:?}");
}

fn knowledge(file: &str, head: &str, body: &str) -> Knowledge {
    let text = format!("+++\norigin = {{ person = \"Astrid\", day = 2024-01-01 }}\n{head}\n+++\n{body}\n");
    Knowledge::parse(&format!("knowledge/{file}.md"), text.as_bytes()).unwrap_or_else(|p| panic!("{p}"))
}

#[test]
fn a_memory_in_order_has_no_findings() {
    let memory = ledger(&[passage(-1, "Pays by bank transfer in March"), passage(-2, "Wants pictures of two rooms")]);
    assert_eq!(told(&memory, &[]), []);
}

#[test]
fn passages_past_their_time_are_stale() {
    let mut over = passage(-10, "until yesterday");
    over.valid_to = Some(at(-1));
    one(&ledger(&[over]), &[], Concern::Stale, "holds only until");
    one(
        &ledger(&[passage(-181, "old")]),
        &[],
        Concern::Stale,
        "1 passage about client/a: given to no step for 180 days",
    );
    assert_eq!(told(&ledger(&[passage(-179, "old")]), &[]), []);
}

#[test]
fn two_stand_ins_for_one_passage_contradict() {
    let old = passage(-9, "pays late");
    let (mut a, mut b) = (passage(-8, "pays on time now"), passage(-7, "does not pay at all"));
    (a.supersedes, b.supersedes) = (vec![old.id.clone()], vec![old.id.clone()]);
    let mut all = vec![old, a.clone(), b];
    one(&ledger(&all), &[], Concern::Contradicting, "all stand in for passage");
    // the control: one stands in for the other as well
    all[2].supersedes.push(a.id);
    assert_eq!(told(&ledger(&all), &[]), []);
}

#[test]
fn what_names_nothing_dangles() {
    let mut lost = passage(-9, "replaces something");
    lost.supersedes = vec!["ffffffffffffffffffffffffff".to_owned()];
    one(&ledger(&[lost]), &[], Concern::Dangling, "which this store does not have");
    let memory = ledger(&[passage(-1, "x")]);
    let rules = [
        knowledge("rules/a", "applies = { workflow = \"chaser\" }", "x"),
        knowledge("rules/b", "applies = { entity = \"supplier/*\" }", "x"),
        knowledge("rules/c", "replaces = \"rules/z\"", "x"),
        knowledge("rules/d", "applies = { workflow = \"chase\", step = \"letter\", entity = \"client/*\" }", "x"),
    ];
    one(&memory, &rules, Concern::Dangling, "rules/a applies to workflow `chaser`");
    one(&memory, &rules, Concern::Dangling, "rules/b applies to entity `supplier/*`");
    one(&memory, &rules, Concern::Dangling, "rules/c replaces rules/z");
    assert!(!told(&memory, &rules).iter().any(|(c, m)| *c == Concern::Dangling && m.contains("rules/d")));
}

#[test]
fn nearly_equal_texts_about_one_entity_are_duplicates() {
    let text =
        "The client pays every invoice by bank transfer on the last Friday of the month after a reminder by mail";
    let like = format!("{text} today");
    one(&ledger(&[passage(-2, text), passage(-1, &like)]), &[], Concern::Duplicate, "nearly the same");
    let mut elsewhere = passage(-1, &like);
    elsewhere.entity = Some("client/b".to_owned());
    assert_eq!(told(&ledger(&[passage(-2, text), elsewhere]), &[]), []);
}

fn change(day: i64, value: &str) -> EntityChange {
    let set = serde_json::json!({ "terms": value }).as_object().expect("an object").clone();
    EntityChange {
        id: EntityChange::derive_id(value, 0),
        entity: EntityId::new("client/a").unwrap(),
        at: at(day),
        source: person(),
        change: Change::Fields { set, add: BTreeMap::new(), remove: BTreeMap::new() },
        reason: None,
        expected_version: None,
    }
}

#[test]
fn machines_that_did_not_know_of_each_other_contradict() {
    let with = |days: [i64; 2], names: [&str; 2], values: [&str; 2]| {
        let mut ledger = Ledger::default();
        for ((day, name), value) in days.into_iter().zip(names).zip(values) {
            ledger.take(&machine(name), &Learned::Entity(change(day, value)));
        }
        ledger
    };
    one(&with([-5, -4], ["one", "two"], ["30d", "45d"]), &[], Concern::Contradicting, "set `terms` of client/a");
    for quiet in [
        with([-5, -3], ["one", "two"], ["30d", "45d"]),
        with([-5, -4], ["one", "one"], ["30d", "45d"]),
        with([-5, -4], ["one", "two"], ["30d", "30d"]),
    ] {
        assert_eq!(told(&quiet, &[]), []);
    }
    one(&with([-5, 3], ["one", "two"], ["a", "b"]), &[], Concern::Contradicting, "a fact of the future");
}

#[test]
fn preferences_contradict_only_where_no_order_is_meant() {
    let general = |name: &str, value: &str, more: &str| {
        knowledge(&format!("preferences/{name}"), &format!("topic = \"tone\"\nvalue = \"{value}\"\n{more}"), "")
    };
    let memory = ledger(&[passage(-1, "x")]);
    let contradicts =
        |a: Knowledge, b: Knowledge| told(&memory, &[a, b]).iter().any(|(c, _)| *c == Concern::Contradicting);
    assert!(contradicts(general("a", "warm", ""), general("b", "dry", "")));
    for (a, b) in [
        (general("a", "warm", ""), general("b", "warm", "")),
        (general("a", "warm", ""), general("b", "dry", "applies = { entity = \"client/a\" }")),
        (general("a", "warm", ""), general("b", "dry", "priority = 1")),
        (general("a", "warm", ""), general("b", "dry", "replaces = \"preferences/a\"")),
        (general("a", "warm", "valid_to = 2024-02-01"), general("b", "dry", "")),
    ] {
        assert!(!contradicts(a, b));
    }
}

#[test]
fn knowledge_past_its_day_is_stale_and_what_no_step_was_given_is_told() {
    let memory = ledger(&[passage(-1, "x")]);
    one(
        &memory,
        &[knowledge("rules/a", "valid_to = 2024-02-01", "x")],
        Concern::Stale,
        "rules/a holds only until 2024-02-01",
    );
    one(&memory, &[knowledge("rules/a", "", "x")], Concern::Unused, "rules/a was never given to a step");
}
