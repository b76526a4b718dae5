//! Entities and episodes as memory knows them: from files, before files, and as of then.

use std::collections::BTreeMap;

use cairn_memory::{AsOf, Find, Range, Refused};
use cairn_store_layout::{
    EntityId, MachineId,
    entity::{Change, EntityChange},
    episode::Episode,
    learned::Learned,
    passage::Source,
    paths,
    proposal::Proposed,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Store, day, note};

fn id(text: &str) -> EntityId {
    EntityId::new(text).unwrap()
}

fn person(name: &str) -> Source {
    Source::Person { person: name.to_owned() }
}

fn change(name: &str, of: &str, change: Change) -> EntityChange {
    EntityChange {
        id: EntityChange::derive_id(name, 0),
        entity: id(of),
        at: day(1),
        source: person("jo"),
        change,
        reason: None,
        expected_version: None,
    }
}

fn set(name: &str, of: &str, value: Value) -> EntityChange {
    let set = serde_json::from_value(value).unwrap();
    change(name, of, Change::Fields { set, add: BTreeMap::new(), remove: BTreeMap::new() })
}

fn record(store: &Store, machine: &MachineId, change: &EntityChange) {
    let line = Learned::Entity(change.clone());
    store.append(&line.path(machine), &(line.line() + "\n"));
}

fn values(store: &cairn_memory::Memory, of: &str) -> Value {
    store.entity(&id(of), &AsOf::Now).unwrap().map_or(Value::Null, |entity| entity.values())
}

#[test]
fn a_change_is_seen_at_once_then_from_its_file_and_counts_once() {
    let store = Store::new();
    let memory = store.memory();
    assert_eq!(memory.entity(&id("client/a"), &AsOf::Now).unwrap(), None);
    let first = set("1", "client/a", json!({"terms": 14}));
    memory.learn(&[Learned::Entity(first.clone())]);
    assert_eq!(values(&memory, "client/a"), json!({"terms": 14}));
    record(&store, &store.machine, &first);
    let other = MachineId::new("m000000002").unwrap();
    record(&store, &other, &EntityChange { at: day(2), ..set("2", "client/a", json!({"terms": 30})) });
    let entity = memory.entity(&id("client/a"), &AsOf::Now).unwrap().unwrap();
    assert_eq!((entity.version, entity.values()), (2, json!({"terms": 30})));
    assert_eq!(store.memory().entity(&id("client/a"), &AsOf::Now).unwrap(), Some(entity), "a new process agrees");

    // a checkout takes lines back
    std::fs::remove_file(store.path(&paths::entity(&id("client/a"), &other))).unwrap();
    assert_eq!(values(&memory, "client/a"), json!({"terms": 14}));
    // a line of a month's second part, a torn one, and one of another entity
    let part = paths::memory_part(&paths::entity(&id("client/a"), &other), 1);
    let third = Learned::Entity(EntityChange { at: day(3), ..set("3", "client/a", json!({"terms": 60})) });
    store.append(&part, &format!("{}\n{}", third.line(), &first.id));
    store.append(&paths::entity(&id("client/b"), &other), &(third.line() + "\n"));
    assert_eq!(values(&memory, "client/a"), json!({"terms": 60}));
    assert_eq!(memory.entities(&Find::default(), &AsOf::Now).unwrap().len(), 1);
    let troubles = memory.entity_troubles(day(4)).unwrap();
    assert!(troubles.len() == 1 && troubles[0].message.contains("it is about client/a"), "{troubles:?}");
    assert_eq!(memory.entity_troubles(day(1)).unwrap().len(), 2, "and one from the future");
}

#[test]
fn only_the_version_that_was_read_may_be_changed_and_the_clock_never_goes_back() {
    let store = Store::new();
    let memory = store.memory();
    let ahead = EntityChange { at: day(9), ..set("1", "client/a", json!({"terms": 14})) };
    record(&store, &store.machine, &ahead);
    let mut next = EntityChange { expected_version: Some(1), ..set("2", "client/a", json!({"terms": 30})) };
    let at = memory.admit(&mut next, day(2)).unwrap();
    assert_eq!((at, next.at), (day(9) + SignedDuration::from_micros(1), at), "after what is known, by whatever clock");
    memory.learn(&[Learned::Entity(next.clone())]);

    let mut late = EntityChange { expected_version: Some(1), ..set("3", "client/a", json!({"terms": 60})) };
    let Err(Refused::Conflict(why)) = memory.admit(&mut late, day(2)) else { panic!("a conflict") };
    assert!(why.contains("is at version 2, not at 1; since then: jo set `terms` at 2026-11-09"), "{why}");
    let mut new = EntityChange { expected_version: Some(0), ..set("4", "client/n", json!({"x": 1})) };
    assert_eq!(memory.admit(&mut new, day(3)), Ok(day(3)), "version 0 is one that is not there");
    // the same change once more, as after a crash: it is the one that is known
    let mut again = EntityChange { expected_version: Some(1), ..set("2", "client/a", json!({"terms": 30})) };
    memory.admit(&mut again, day(3)).unwrap();
    assert_eq!(again, next);
}

#[test]
fn a_merge_is_let_in_once_taken_back_by_name_and_changes_go_to_who_stays() {
    let store = Store::new();
    let memory = store.memory();
    let learn = |mut change: EntityChange, at: Timestamp| {
        let admitted = memory.admit(&mut change, at);
        admitted.map(|_| memory.learn(&[Learned::Entity(change.clone())])).map(|()| change)
    };
    learn(set("1", "client/a", json!({"name": "Brandt"})), day(1)).unwrap();
    learn(set("2", "client/b", json!({"phone": "1"})), day(1)).unwrap();
    learn(set("3", "invoice/i", json!({"no": 1})), day(1)).unwrap();
    let merged = |name: &str, of: &str, into: &str| change(name, of, Change::Merged { into: id(into) });
    let merge = learn(merged("m", "client/b", "client/a"), day(2)).unwrap();
    for (bad, said) in [
        (merged("x", "client/a", "client/b"), "one entity already"),
        (merged("x", "client/a", "client/zz"), "no entity client/zz"),
        (merged("x", "client/a", "invoice/i"), "not of one kind"),
        (change("x", "client/a", Change::Split { merge: "abc".into() }), "no merge `abc`"),
        (set("x", "client/a", json!({"Bad Name": 1})), "can not name a field"),
    ] {
        let Err(Refused::Invalid(why)) = learn(bad, day(2)) else { panic!("refused: {said}") };
        assert!(why.contains(said), "{why}");
    }
    let moved = learn(set("4", "client/b", json!({"city": "Kiel"})), day(3)).unwrap();
    assert_eq!(moved.entity, id("client/a"), "the one that stays is changed");
    assert_eq!(values(&memory, "client/b"), json!({"name": "Brandt", "phone": "1", "city": "Kiel"}));
    learn(change("s", "client/a", Change::Split { merge: merge.id.clone() }), day(4)).unwrap();
    assert_eq!(values(&memory, "client/b"), json!({"phone": "1"}));
    assert_eq!(values(&memory, "client/a"), json!({"name": "Brandt", "city": "Kiel"}));
    let twice = learn(change("s2", "client/a", Change::Split { merge: merge.id }), day(5));
    assert!(matches!(twice, Err(Refused::Invalid(why)) if why.contains("no merge of client/b that holds")));
}

#[test]
fn as_of_a_commit_the_files_are_as_long_as_they_were() {
    let store = Store::new();
    let path = paths::entity(&id("client/a"), &store.machine);
    record(&store, &store.machine, &set("1", "client/a", json!({"terms": 14})));
    let then = std::fs::metadata(store.path(&path)).unwrap().len();
    record(&store, &store.machine, &EntityChange { at: day(2), ..set("2", "client/a", json!({"terms": 30})) });
    let memory = store.memory();
    let as_of = |as_of: AsOf| memory.entity(&id("client/a"), &as_of).unwrap().map(|entity| entity.values());
    assert_eq!(as_of(AsOf::Commit([(path, then)].into())), Some(json!({"terms": 14})));
    assert_eq!(as_of(AsOf::Commit(BTreeMap::new())), None);
    assert_eq!(as_of(AsOf::Time(day(1))), Some(json!({"terms": 14})));
    assert_eq!(as_of(AsOf::Now), Some(json!({"terms": 30})));
}

#[test]
fn entities_are_found_by_kind_field_and_words() {
    let store = Store::new();
    for (n, of, value) in [
        ("1", "client/brandt", json!({"name": "Brandt GmbH", "tags": ["late", "vip"], "terms": 14})),
        ("2", "client/nord", json!({"name": "Nordlicht", "terms": 30})),
        ("3", "invoice/2041", json!({"client": "client/brandt", "status": "open"})),
    ] {
        record(&store, &store.machine, &set(n, of, value));
    }
    let memory = store.memory();
    let find = |kind: Option<&str>, fields: Value, text: Option<&str>| {
        let fields = serde_json::from_value(fields).unwrap();
        let (kind, text) = (kind.map(str::to_owned), text.map(str::to_owned));
        let found = memory.entities(&Find { kind, fields, text, ..Find::default() }, &AsOf::Now).unwrap();
        found.into_iter().map(|entity| entity.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(find(Some("client"), json!({}), None), ["client/brandt", "client/nord"]);
    assert_eq!(find(None, json!({"tags": "vip"}), None), ["client/brandt"]);
    assert_eq!(find(None, json!({"terms": 30}), None), ["client/nord"]);
    assert_eq!(find(None, json!({"terms": null}), None), ["invoice/2041"]);
    assert_eq!(find(None, json!({}), Some("BRANDT open")), ["invoice/2041"]);
}

#[test]
fn a_likely_pair_is_proposed_once_and_never_after_a_no_or_a_split() {
    let store = Store::new();
    let memory = store.memory();
    let learn = |change: &EntityChange| memory.learn(&[Learned::Entity(change.clone())]);
    learn(&set("1", "client/a", json!({"name": "Brandt GmbH", "email": "ap@brandt.example"})));
    learn(&EntityChange { at: day(2), ..set("2", "client/b", json!({"name": "Brandt", "website": "brandt.example"})) });
    learn(&set("3", "client/far", json!({"name": "Nordlicht"})));
    let candidates = memory.resolve(Some("client"), &json!({"email": "AP+x@brandt.example"})).unwrap();
    assert!(candidates[0].is_sure() && candidates[0].entity == id("client/a"), "{candidates:?}");
    assert!(!candidates[1].is_sure() && candidates[1].likeness.reasons == ["domain brandt.example"]);
    let propose = || {
        let entity = memory.entity(&id("client/b"), &AsOf::Now).unwrap().unwrap();
        memory.propose_merges(&entity, &person("jo"), day(3)).unwrap()
    };
    let [Learned::Proposal(proposal)] = &propose()[..] else { panic!("one proposal: {:?}", propose()) };
    let Proposed::Entity(EntityChange { entity, change: Change::Merged { into }, .. }) = &proposal.proposed else {
        panic!("a merge")
    };
    assert_eq!((entity, into), (&id("client/b"), &id("client/a")), "the younger becomes the older");
    memory.learn(&[Learned::Proposal(proposal.clone())]);
    assert_eq!(propose(), [], "asked already");

    // merged and split by hand: told apart for good
    let store = Store::new();
    record(&store, &store.machine, &set("1", "client/a", json!({"email": "ap@brandt.example"})));
    record(&store, &store.machine, &set("2", "client/b", json!({"email": "ap@brandt.example"})));
    let merge = change("m", "client/b", Change::Merged { into: id("client/a") });
    record(&store, &store.machine, &merge);
    record(&store, &store.machine, &change("s", "client/b", Change::Split { merge: merge.id.clone() }));
    let memory = store.memory();
    let entity = memory.entity(&id("client/b"), &AsOf::Now).unwrap().unwrap();
    assert_eq!(memory.propose_merges(&entity, &person("jo"), day(3)).unwrap(), []);
}

#[test]
fn a_timeline_holds_what_every_layer_knows_under_every_name() {
    let store = Store::new();
    let memory = store.memory();
    let of_run = Source::Run {
        run: cairn_store_layout::RunId::new("01kaxw00000000000000000001").unwrap(),
        step: cairn_store_layout::StepId::new("save").unwrap(),
        iteration: None,
    };
    let call = |text: &str, at: Timestamp, entities: Vec<EntityId>| Episode {
        id: Episode::derive_id("call", at, &entities, text),
        at,
        recorded_at: day(9),
        kind: "call".to_owned(),
        text: text.to_owned(),
        entities,
        source: person("jo"),
        refs: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    let passage = cairn_store_layout::passage::Passage {
        entity: Some("client/b".to_owned()),
        recorded_at: day(3),
        ..note("p1", "pays late")
    };
    memory.learn(&[
        Learned::Entity(EntityChange { source: of_run, ..set("1", "client/a", json!({"terms": 14})) }),
        Learned::Entity(EntityChange {
            at: day(2),
            ..change("m", "client/b", Change::Merged { into: id("client/a") })
        }),
        Learned::Passage(passage),
        Learned::Episode(call("asked for more time", day(4), vec![id("client/b")])),
        Learned::Episode(call("somebody else", day(4), vec![id("client/c")])),
    ]);
    // the same episode from a file counts once
    let episode = Learned::Episode(call("asked for more time", day(4), vec![id("client/b")]));
    store.append(&episode.path(&store.machine), &(episode.line() + "\n"));
    let kinds = |range| {
        let lines = memory.timeline(&id("client/a"), range).unwrap();
        lines.into_iter().map(|line| line.kind).collect::<Vec<_>>()
    };
    let mut first = kinds(Range::default());
    first[..2].sort_unstable();
    assert_eq!(first, ["change", "run", "change", "passage", "call"]);
    assert_eq!(kinds(Range { since: Some(day(3)), until: Some(day(3)) }), ["passage"]);
    assert_eq!(memory.episodes(&[], Range::default()).unwrap().len(), 2);
}
