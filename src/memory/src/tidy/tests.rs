//! What the rules take, in which order, and what they leave alone.

use std::collections::BTreeMap;

use cairn_store_layout::{MachineId, learned::Learned, usage::Used};

use super::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_000 * DAY;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY).unwrap()
}

fn passage(entity: &str, day: i64, text: &str) -> Passage {
    let source = Source::Person { person: "astrid".to_owned() };
    Passage {
        id: Passage::derive_id("mail", Some(entity), text),
        recorded_at: at(day),
        text: text.to_owned(),
        kind: "mail".to_owned(),
        entity: Some(entity.to_owned()),
        labels: BTreeMap::new(),
        source,
        valid_from: None,
        valid_to: None,
        supersedes: Vec::new(),
    }
}

fn ledger(passages: &[Passage]) -> Ledger {
    let mut ledger = Ledger::default();
    let machine = MachineId::new("mtest00000").unwrap();
    passages.iter().for_each(|p| ledger.take(&machine, &Learned::Passage(p.clone())));
    ledger
}

fn planned(ledger: &Ledger, policy: &str) -> TidyPlan {
    let policy = MemoryPolicy::parse("policies/memory.toml", policy).unwrap_or_else(|p| panic!("{p}"));
    plan(ledger, &policy, Timestamp::from_second(NOW).unwrap(), &|_| None)
}

fn gone(plan: &TidyPlan) -> Vec<(&str, &str)> {
    plan.forget.iter().map(|l| (l.passage.text.as_str(), l.reason.as_str())).collect()
}

fn used(ledger: &mut Ledger, passage: &Passage, day: i64) {
    let source = Source::Person { person: format!("step {day}") };
    ledger.usage.count(&Used { at: at(day), source, passages: vec![passage.id.clone()], knowledge: Vec::new() });
}

#[test]
fn age_is_one_condition_and_a_label_holds() {
    let (old, new) = (passage("client/a", 600, "old"), passage("client/a", 990, "new"));
    let mut held = passage("client/a", 500, "held");
    held.labels.insert("keep".to_owned(), "true".to_owned());
    let plan = planned(&ledger(&[old, new, held]), "[[forget]]\nname = \"old\"\nolder_than = \"365d\"\n");
    assert_eq!(gone(&plan), [("old", "400 days old")]);
    assert_eq!((plan.held, plan.words()), (1, "old forgets 1".to_owned()));
}

#[test]
fn only_the_passages_that_fit_the_filter_are_looked_at() {
    let all = [passage("client/a", 1, "a"), passage("invoice/1", 1, "b")];
    let plan = planned(&ledger(&all), "[[forget]]\nname = \"x\"\nentity = \"client/*\"\nolder_than = \"1d\"\n");
    assert_eq!(gone(&plan), [("a", "999 days old")]);
    let none = planned(&ledger(&all), "[[forget]]\nname = \"x\"\nkind = \"fax\"\nolder_than = \"1d\"\n");
    assert!(none.is_empty());
    assert_eq!(none.notes, ["`x` fits no passage"]);
}

#[test]
fn what_was_used_lately_stays_and_what_never_was_goes() {
    let (one, two) = (passage("client/a", 100, "used"), passage("client/a", 100, "idle"));
    let mut ledger = ledger(&[one.clone(), two]);
    used(&mut ledger, &one, 980);
    let policy = "[[forget]]\nname = \"idle\"\nunused_for = \"90d\"\n";
    assert_eq!(gone(&planned(&ledger, policy)), [("idle", "never used")]);
}

#[test]
fn superseded_ones_go_after_their_time_and_a_stand_in_stays() {
    let (old, mut new) = (passage("client/a", 100, "old"), passage("client/a", 900, "new"));
    new.supersedes = vec![old.id.clone()];
    let both = ledger(&[old, new]);
    let policy = "[[forget]]\nname = \"s\"\nsuperseded_for = \"30d\"\n";
    assert_eq!(gone(&planned(&both, policy)), [("old", "superseded for 100 days")]);
    assert!(planned(&both, "[[forget]]\nname = \"s\"\nsuperseded_for = \"101d\"\n").is_empty());
    // with the stand-in gone the old one would speak again
    let plan = planned(&both, "[[forget]]\nname = \"k\"\nkeep = 1\nolder_than = \"1d\"\n");
    assert_eq!(gone(&plan).len(), 1, "{plan:?}");
    let mut often = both.clone();
    used(&mut often, &passage("client/a", 100, "old"), 990);
    let plan = planned(&often, "[[forget]]\nname = \"k\"\nkeep = 1\n");
    assert!(plan.is_empty(), "{plan:?}");
    assert!(plan.notes[0].contains("stand in"), "{:?}", plan.notes);
}

#[test]
fn the_least_used_and_then_the_oldest_go_first() {
    let all: Vec<Passage> = (0..5).map(|n| passage("client/a", 10 + n, &format!("mail {n}"))).collect();
    let mut ledger = ledger(&all);
    used(&mut ledger, &all[0], 20);
    let plan = planned(&ledger, "[[forget]]\nname = \"few\"\nkeep = 3\n");
    assert_eq!(gone(&plan), [("mail 1", "5 of its kind, 3 are kept"), ("mail 2", "5 of its kind, 3 are kept")]);
    let plan = planned(&ledger, "[[forget]]\nname = \"size\"\nover_bytes = 13\n");
    assert_eq!(gone(&plan).len(), 3, "6 bytes each: two stay");
}

#[test]
fn a_passage_leaves_once() {
    let all = [passage("client/a", 1, "a")];
    let policy = "[[forget]]\nname = \"x\"\nolder_than = \"1d\"\n[[forget]]\nname = \"y\"\nolder_than = \"2d\"\n";
    let plan = planned(&ledger(&all), policy);
    assert_eq!(plan.forget.len(), 1);
    assert_eq!(plan.forget[0].rule, "x");
}

#[test]
fn a_forgotten_passage_is_not_planned_again_and_one_recorded_later_is_back() {
    let gone = passage("client/a", 100, "a");
    let mut ledger = ledger(std::slice::from_ref(&gone));
    let policy = "[[forget]]\nname = \"x\"\nolder_than = \"1d\"\n";
    let first = planned(&ledger, policy);
    let machine = MachineId::new("mtest00000").unwrap();
    let source = Source::Person { person: "rule x".to_owned() };
    ledger.take(&machine, &Learned::Forgotten(first.forget[0].forgotten(at(200), source)));
    assert!(planned(&ledger, policy).is_empty());
    ledger.take(&machine, &Learned::Passage(Passage { recorded_at: at(300), ..gone }));
    assert_eq!(planned(&ledger, policy).forget.len(), 1);
}

const MAILS: [&str; 5] = [
    "Hello Astrid,\nthe invoice for March will be paid on Friday by bank transfer.\nRegards",
    "The March invoice will be paid on Friday by bank transfer. Sorry for the delay.",
    "Our bookkeeper is away until May, so the invoice will be paid late.",
    "Invoice paid today by bank transfer, thank you for waiting.",
    "Could you send the next invoice to our new office in Malmö, please?",
];

fn mails() -> Vec<Passage> {
    (0..).zip(MAILS).map(|(n, text)| passage("client/a", 100 + n, text)).collect()
}

#[test]
fn a_summary_takes_sentences_in_the_order_of_time_and_names_what_it_replaces() {
    let mails = mails();
    let policy =
        "[[summarise]]\nname = \"digest\"\nkind = \"mail\"\nolder_than = \"180d\"\nat_least = 5\nsentences = 3\n";
    let plan = planned(&ledger(&mails), policy);
    let [summary] = plan.summarise.as_slice() else { panic!("one summary: {plan:?}") };
    let ids: Vec<String> = mails.iter().map(|p| p.id.clone()).collect();
    assert_eq!(summary.passage.supersedes, ids);
    assert_eq!(summary.passage.kind, "summary");
    let lines: Vec<&str> = summary.passage.text.lines().skip(1).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in &lines {
        let id = line.rsplit('[').next().unwrap().trim_end_matches(']');
        let source = mails.iter().find(|p| p.id.starts_with(id)).expect("names its passage");
        let said = line.split_once(": ").unwrap().1.rsplit_once(" [").unwrap().0;
        assert!(source.text.contains(said), "{said} is not taken from {}", source.text);
    }
    let mut days: Vec<&str> = lines.iter().map(|l| &l[2..12]).collect();
    let in_order = days.clone();
    days.sort_unstable();
    assert_eq!(days, in_order);
    // the first two say the same: one of them is enough
    assert_eq!(lines.iter().filter(|l| l.contains("on Friday by bank transfer")).count(), 1, "{lines:?}");
    assert_eq!(plan.words(), "digest summarises 5 as 1");
}

#[test]
fn the_same_passages_in_any_order_give_the_same_summary() {
    let policy = "[[summarise]]\nname = \"digest\"\nolder_than = \"1d\"\nat_least = 2\n";
    let mut mails = mails();
    let first = planned(&ledger(&mails), policy);
    mails.reverse();
    assert_eq!(planned(&ledger(&mails), policy), first);
}

#[test]
fn too_few_and_those_summarised_already_are_left_alone() {
    let policy = "[[summarise]]\nname = \"digest\"\nolder_than = \"1d\"\nat_least = 6\n";
    assert!(planned(&ledger(&mails()), policy).is_empty());
    let policy = "[[summarise]]\nname = \"digest\"\nolder_than = \"1d\"\nat_least = 2\n";
    let mut ledger = ledger(&mails());
    let made = planned(&ledger, policy);
    let machine = MachineId::new("mtest00000").unwrap();
    ledger.take(&machine, &Learned::Passage(made.summarise[0].passage.clone()));
    assert!(planned(&ledger, policy).is_empty());
}
