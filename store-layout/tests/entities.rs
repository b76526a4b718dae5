//! Entities folded from changes: the same on every machine, whatever came when, and every merge can be taken back.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

use cairn_store_layout::{
    EntityId, MachineId,
    entity::{Change, Entity, EntityChange, Facts, Line},
    passage::Source,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const MACHINES: [&str; 3] = ["m000000001", "m000000002", "m000000003"];

fn id(text: &str) -> EntityId {
    EntityId::new(text).unwrap()
}

fn at(second: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn change(name: &str, of: &str, second: i64, change: Change) -> EntityChange {
    EntityChange {
        id: name.to_owned(),
        entity: id(of),
        at: at(second),
        source: Source::Person { person: "jo".to_owned() },
        change,
        reason: None,
        expected_version: None,
    }
}

fn fields(set: Value, add: Value, remove: Value) -> Change {
    let map = |value: Value| serde_json::from_value(value).unwrap();
    let Value::Object(set) = set else { panic!("an object") };
    Change::Fields { set, add: map(add), remove: map(remove) }
}

fn set(value: Value) -> Change {
    fields(value, json!({}), json!({}))
}

fn facts(changes: &[EntityChange]) -> Facts {
    let mut facts = Facts::default();
    for (place, change) in (0..).zip(changes) {
        facts.insert(MachineId::new(MACHINES[0]).unwrap(), place, change.clone().into());
    }
    facts
}

fn all(facts: &Facts) -> Vec<Entity> {
    facts.standing(|_| true).entities(None).collect()
}

fn values(facts: &Facts, of: &str) -> Value {
    facts.standing(|_| true).entity(&id(of)).unwrap().values()
}

#[test]
fn the_later_value_wins_and_a_set_keeps_what_both_added() {
    let facts = facts(&[
        change("1", "client/a", 1, set(json!({"name": "Brandt", "terms": 14}))),
        change("2", "client/a", 5, fields(json!({"terms": 30}), json!({"tags": ["vip"]}), json!({}))),
        change("3", "client/a", 3, fields(json!({"terms": 20, "name": null}), json!({"tags": ["late"]}), json!({}))),
        change("4", "client/a", 6, fields(json!({}), json!({"tags": ["late", "new"]}), json!({"tags": ["vip"]}))),
    ]);
    assert_eq!(values(&facts, "client/a"), json!({"terms": 30, "tags": ["late", "new"]}));
    let entity = facts.standing(|_| true).entity(&id("client/a")).unwrap();
    assert_eq!((entity.version, entity.created, entity.updated), (4, at(1), at(6)));
    assert_eq!((entity.fields["terms"].change.as_str(), entity.fields["terms"].since), ("2", at(5)));
    assert_eq!(entity.fields["tags"].elements, ["3", "4"]);
}

#[test]
fn a_merge_fills_what_lacks_unites_sets_and_is_taken_back_whole() {
    let before = [
        change("1", "client/a", 1, fields(json!({"name": "Brandt"}), json!({"aliases": ["Brandt KG"]}), json!({}))),
        change("2", "client/b", 2, fields(json!({"name": "Brandt GmbH", "phone": "1"}), json!({}), json!({}))),
        change("3", "client/b", 3, fields(json!({"aliases": ["BG"]}), json!({}), json!({}))),
        change("4", "client/c", 3, set(json!({"vat": "DE1"}))),
    ];
    let apart = all(&facts(&before));
    let mut changes = before.to_vec();
    changes.push(change("m1", "client/b", 4, Change::Merged { into: id("client/a") }));
    changes.push(change("m2", "client/a", 5, Change::Merged { into: id("client/c") }));
    let merged = facts(&changes);
    assert_eq!(all(&merged).len(), 1, "a chain is followed");
    let together = json!({"name": "Brandt", "phone": "1", "vat": "DE1", "aliases": ["Brandt KG", "BG"]});
    for name in ["client/a", "client/b", "client/c"] {
        assert_eq!(values(&merged, name), together);
        assert_eq!(merged.standing(|_| true).root(&id(name)), id("client/c"));
    }
    // what is taken away since the merge stays away, also when it came with the other
    changes.push(change("5", "client/c", 6, fields(json!({"phone": null}), json!({}), json!({"aliases": ["BG"]}))));
    let without = json!({"name": "Brandt", "vat": "DE1", "aliases": ["Brandt KG"]});
    assert_eq!(values(&facts(&changes), "client/b"), without);
    changes.push(change("s1", "client/b", 7, Change::Split { merge: "m1".into() }));
    changes.push(change("s2", "client/a", 7, Change::Split { merge: "m2".into() }));
    let again = facts(&changes);
    for entity in &apart {
        assert_eq!(values(&again, entity.id.as_str()), entity.values());
    }
}

#[test]
fn a_circle_of_two_machines_ends_at_the_smallest_name() {
    let changes = [
        change("1", "client/a", 1, set(json!({"x": 1}))),
        change("2", "client/b", 1, set(json!({"x": 2}))),
        change("3", "client/c", 1, set(json!({"y": 3}))),
        change("m1", "client/b", 2, Change::Merged { into: id("client/a") }),
        change("m2", "client/a", 2, Change::Merged { into: id("client/b") }),
        change("m3", "client/c", 2, Change::Merged { into: id("client/b") }),
    ];
    let facts = facts(&changes);
    assert_eq!(all(&facts).len(), 1);
    let entity = facts.standing(|_| true).entity(&id("client/c")).unwrap();
    assert_eq!((entity.id.as_str(), entity.values()), ("client/a", json!({"x": 1, "y": 3})));
}

#[test]
fn what_this_build_does_not_know_counts_and_is_shown() {
    let text =
        br#"{"id":"9","entity":"client/a","at":"2026-11-22T09:00:00Z","source":{"person":"jo"},"change":"sealed"}"#;
    let mut facts = facts(&[change("1", "client/a", 1, set(json!({"x": 1})))]);
    facts.insert(MachineId::new(MACHINES[1]).unwrap(), 0, Line::read(text).unwrap());
    let standing = facts.standing(|_| true);
    assert_eq!(standing.entity(&id("client/a")).unwrap().version, 2);
    assert_eq!(standing.history(&id("client/a"))[1].line.more["change"], "sealed");
    assert_eq!(standing.ahead(&id("client/a"), at(0)).len(), 0, "an hour is no surprise");
    assert_eq!(standing.ahead(&id("client/a"), at(-60)).len(), 1);
}

#[test]
fn as_of_a_moment_later_changes_and_merges_do_not_exist() {
    let facts = facts(&[
        change("1", "client/a", 1, set(json!({"x": 1}))),
        change("2", "client/b", 2, set(json!({"y": 2}))),
        change("3", "client/a", 3, set(json!({"x": 3}))),
        change("m", "client/a", 4, Change::Merged { into: id("client/b") }),
    ]);
    let then = |second| facts.standing(move |entry| entry.line.at <= at(second)).entity(&id("client/a"));
    assert_eq!(then(0), None);
    assert_eq!(then(2).unwrap().values(), json!({"x": 1}));
    assert_eq!(then(3).unwrap().values(), json!({"x": 3}));
    assert_eq!(then(4).unwrap().id.as_str(), "client/b");
}

/// Any change that a machine may write, of few names and values so that they meet.
fn any_change() -> impl Strategy<Value = (usize, EntityChange)> {
    let name = || prop::sample::select(vec!["client/a", "client/b", "client/c", "client/d"]);
    let value = || prop::sample::select(vec![json!("u"), json!("v"), json!(["u", "w"]), json!(null)]);
    let field = || prop::sample::select(vec!["f", "g", "aliases"]);
    let element = || prop::sample::select(vec![json!("u"), json!("v"), json!("w")]);
    let fields =
        (field(), value(), field(), element(), field(), element()).prop_map(|(f, v, g, a, h, r)| Change::Fields {
            set: Map::from_iter([(f.to_owned(), v)]),
            add: [(g.to_owned(), vec![a])].into(),
            remove: [(h.to_owned(), vec![r])].into(),
        });
    let merged = name().prop_map(|into| Change::Merged { into: id(into) });
    let split = (0..24u32).prop_map(|n| Change::Split { merge: n.to_string() });
    let kind = prop_oneof![4 => fields, 2 => merged, 1 => split];
    // ids repeat now and then, moments often
    (0..3usize, 0..24u32, name(), 0..8i64, kind)
        .prop_map(|(machine, n, of, second, kind)| (machine, change(&n.to_string(), of, second, kind)))
}

fn fold_in(order: &[(usize, u64, EntityChange)]) -> Vec<Entity> {
    let mut facts = Facts::default();
    for (machine, place, change) in order {
        facts.insert(MachineId::new(MACHINES[*machine]).unwrap(), *place, change.clone().into());
    }
    all(&facts)
}

proptest! {
    #[test]
    fn any_order_of_arrival_folds_to_the_same_entities(
        (changes, shuffled) in prop::collection::vec(any_change(), 0..24).prop_flat_map(|changes| {
            let placed: Vec<_> = (0..).zip(changes).map(|(place, (machine, change))| (machine, place, change)).collect();
            (Just(placed.clone()), Just(placed).prop_shuffle())
        })
    ) {
        let folded = fold_in(&changes);
        prop_assert_eq!(&fold_in(&shuffled), &folded);
        // two machines whose files were read one after the other, either first
        let mut by_machine = changes.clone();
        by_machine.sort_by_key(|(machine, ..)| std::cmp::Reverse(*machine));
        prop_assert_eq!(&fold_in(&by_machine), &folded);
        // every name means exactly one entity, and each that stays is its own root
        let mut facts = Facts::default();
        for (machine, place, change) in &changes {
            facts.insert(MachineId::new(MACHINES[*machine]).unwrap(), *place, change.clone().into());
        }
        let standing = facts.standing(|_| true);
        for name in facts.names() {
            let root = standing.root(name);
            prop_assert_eq!(standing.root(&root), root.clone());
            prop_assert_eq!(folded.iter().filter(|e| e.names().any(|n| n == name)).count(), 1, "{}", name);
        }
    }

    #[test]
    fn a_merge_that_is_split_leaves_no_trace_in_what_holds(
        changes in prop::collection::vec(any_change(), 0..16),
        from in prop::sample::select(vec!["client/a", "client/b", "client/c", "client/d"]),
        into in prop::sample::select(vec!["client/a", "client/b", "client/c", "client/d"]),
    ) {
        let mut placed: Vec<_> = (0..).zip(changes).map(|(place, (machine, change))| (machine, place, change)).collect();
        let names = |entities: &[Entity]| -> Vec<_> {
            entities.iter().map(|e| (e.id.clone(), e.merged.clone(), e.values())).collect()
        };
        let before = names(&fold_in(&placed));
        placed.push((0, 100, change("merge", from, 9, Change::Merged { into: id(into) })));
        placed.push((0, 101, change("split", from, 10, Change::Split { merge: "merge".to_owned() })));
        let mut after = names(&fold_in(&placed));
        // a name that was never heard of before is one that nothing is said of now
        after.retain(|known| before.contains(known) || known.2 != json!({}));
        prop_assert_eq!(after, before);
    }
}
