//! Entities as steps and people change them: one version, one winner, and every line backed by an event.

use cairn_memory::{AsOf, Memory, Range};
use cairn_store_layout::{
    EntityId, RunId, StepId,
    command::{Again, NewChange, NewEpisode, Verb},
    entity::Entity,
    view::RunStatus,
};
use serde_json::{Value, json};

use crate::support::Bench;

fn change(entity: &str, set: Value, expected_version: Option<u64>) -> Verb {
    let Value::Object(set) = set else { panic!("an object") };
    Verb::EntitySet(NewChange {
        entity: EntityId::new(entity).expect("an id"),
        set,
        add: Default::default(),
        remove: Default::default(),
        expected_version,
        reason: Some("told on the phone".to_owned()),
    })
}

fn entity(bench: &Bench, id: &str) -> Option<Entity> {
    let memory = Memory::open(bench.root(), &bench.machine).expect("a memory");
    memory.entity(&EntityId::new(id).expect("an id"), &AsOf::Now).expect("readable files")
}

fn values(bench: &Bench, id: &str) -> Value {
    entity(bench, id).map_or(Value::Null, |entity| entity.values())
}

const GET: &str = "[[step]]\nid = \"look\"\ncall = \"entity.get\"\nwith = { entity = \"client/brandt\" }\n";
const SET: &str = "[[step]]\nid = \"note\"\nneeds = [\"hold\"]\ncall = \"entity.set\"\nwith = { entity = \"client/brandt\", set = { terms = \"{{ input.terms }}\" }, expected_version = \"{{ steps.look.output.version }}\" }\n";

#[test]
fn of_two_steps_that_read_one_version_one_wins_and_the_other_is_told_who_did() {
    let input = "output = \"{{ steps.note.output.version }}\"\n[[input]]\nname = \"terms\"\ntype = \"number\"\n";
    let hold =
        "[[step]]\nid = \"hold\"\nneeds = [\"look\"]\nask = \"go on?\"\nform = [{ name = \"ok\", type = \"bool\" }]\n";
    let bench = Bench::with(&format!("{input}{GET}{hold}{SET}"));
    bench.submit(change("client/brandt", json!({"name": "Brandt"}), Some(0)));
    let runs = [14, 30].map(|terms| bench.start("w", json!({ "terms": terms })));
    bench.serve();
    for run in &runs {
        bench.answer(&bench.open_of(run), json!({"ok": true}));
    }
    bench.serve();
    let won: Vec<&RunId> = runs.iter().filter(|run| bench.status(run) == RunStatus::Succeeded).collect();
    let [won] = won[..] else { panic!("one wins: {:?}", runs.map(|run| bench.status(&run))) };
    assert_eq!(bench.view(won).output, Some(json!(2)));
    let lost = runs.iter().find(|run| *run != won).unwrap();
    let asked = bench.open_of(lost);
    let told = format!("{asked:?}");
    assert!(told.contains("is at version 2, not at 1"), "{told}");
    assert!(told.contains(&format!("run {} note set `terms`", won.short())), "{told}");
    let history = std::fs::read_to_string(bench.path(&cairn_store_layout::paths::run(lost))).unwrap();
    assert!(
        history.contains("\"code\":\"version_conflict\"") && history.contains("\"class\":\"business\""),
        "{history}"
    );
    let brandt = entity(&bench, "client/brandt").unwrap();
    assert_eq!(brandt.version, 2);
    // the change is a line of this machine's file, in the commit of the run that made it
    let path = format!("entities/client/brandt/{}.jsonl", bench.machine);
    assert_eq!(bench.git(&["log", "--format=%s", "--", &path]).lines().count(), 2);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    assert_eq!(bench.verified(), [""; 0]);
}

#[test]
fn what_the_kind_forbids_is_refused_to_a_person_and_fails_a_step_for_good() {
    let step = "[[step]]\nid = \"set\"\ncall = \"entity.set\"\nwith = { entity = \"client/brandt\", set = { payment_terms_days = \"soon\" } }\n";
    let bench = Bench::with(step);
    let kind = r#"{"properties": {"payment_terms_days": {"type": "integer"}}}"#;
    bench.write("knowledge/kinds/client.json", kind);
    bench.submit(change("client/brandt", json!({"payment_terms_days": "soon"}), None));
    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!((bench.status(&run), entity(&bench, "client/brandt")), (RunStatus::Failed, None));
    let log = bench.log();
    for said in ["\"code\":\"schema\"", "/payment_terms_days", "nothing was changed"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let history = std::fs::read_to_string(bench.path(&cairn_store_layout::paths::run(&run))).unwrap();
    assert!(history.contains("\"code\":\"schema\"") && history.contains("/payment_terms_days"), "{history}");
    assert!(!history.contains("entity.changed"), "{history}");
}

#[test]
fn a_person_changes_merges_and_splits_and_a_command_that_comes_again_counts_once() {
    let bench = Bench::with(GET);
    bench.submit(change("client/brandt", json!({"name": "Brandt GmbH", "email": "ap@brandt.example"}), None));
    let again = bench.submit(change("client/bm", json!({"name": "Brandt", "email": "AP@brandt.example"}), None));
    let path = bench.path(&format!("inbox/{}/{again}.json", bench.machine));
    let text = std::fs::read(&path).unwrap();
    bench.serve();
    std::fs::write(&path, &text).unwrap();
    bench.serve();
    assert_eq!(entity(&bench, "client/bm").unwrap().version, 1, "{}", bench.log());
    assert_eq!(bench.log().matches("\"kind\":\"proposal.made\"").count(), 1, "one e-mail, two clients");
    let (bm, brandt) = (EntityId::new("client/bm").unwrap(), EntityId::new("client/brandt").unwrap());
    bench.submit(Verb::EntityMerge { entity: bm.clone(), into: brandt.clone(), reason: None });
    bench.submit(Verb::EntityMerge { entity: bm.clone(), into: brandt, reason: None });
    bench.serve();
    assert!(bench.log().contains("are one entity already"), "{}", bench.log());
    let merged = entity(&bench, "client/bm").unwrap();
    assert_eq!((merged.id.as_str(), merged.merged.len()), ("client/brandt", 1));
    let memory = Memory::open(bench.root(), &bench.machine).unwrap();
    let merge = memory.merge_of(&bm).unwrap().unwrap().line.id;
    bench.submit(Verb::EntitySplit { entity: bm, merge, reason: Some("two firms".to_owned()) });
    bench.submit(Verb::EpisodeAdd(NewEpisode {
        kind: "call".to_owned(),
        text: "asked for more time".to_owned(),
        entities: vec![EntityId::new("client/bm").unwrap()],
        happened: Some("2026-11-20T10:00:00Z".parse().unwrap()),
        refs: Default::default(),
        labels: Default::default(),
    }));
    bench.serve();
    let happened = memory.episodes(&[EntityId::new("client/bm").unwrap()], Range::default()).unwrap();
    assert_eq!(happened[0].at.to_string(), "2026-11-20T10:00:00Z", "{}", bench.log());
    assert_eq!(values(&bench, "client/bm"), json!({"name": "Brandt", "email": "AP@brandt.example"}));
    // a line that somebody wrote by hand is backed by nothing
    let forged = bench.path(&format!("entities/client/bm/{}.jsonl", bench.machine));
    let text = std::fs::read_to_string(&forged).unwrap();
    let line = text.lines().next().unwrap();
    let id: Value = serde_json::from_str(line).unwrap();
    let line = line.replace(id["id"].as_str().unwrap(), &"0".repeat(26)).replace("Brandt", "Mallory");
    std::fs::write(&forged, format!("{text}{line}\n")).unwrap();
    assert!(
        bench.verified().iter().any(|f| f.contains("no history and no log tells of 000")),
        "{:?}",
        bench.verified()
    );
    std::fs::write(&forged, text).unwrap();
    let episodes = std::fs::read_dir(bench.path(&format!("memory/episodes/{}", bench.machine))).unwrap().count();
    assert_eq!((episodes, bench.git(&["status", "--porcelain"])), (1, String::new()));
    assert_eq!(bench.verified(), [""; 0]);
}

#[test]
fn steps_find_resolve_and_tell_what_happened() {
    let steps = r#"
output = { found = "{{ steps.find.output.entities[0].id }}", sure = "{{ steps.who.output.entity }}", calls = "{{ steps.calls.output.episodes | length }}", changes = "{{ steps.history.output.changes | length }}", again = "{{ steps.again.output.changed }}" }

[[step]]
id = "save"
call = "entity.set"
with = { entity = "client/{{ 'Brandt GmbH' | slug }}", set = { name = "Brandt GmbH", email = "ap@brandt.example" }, add = { tags = "vip" }, reason = "first contact" }

[[step]]
id = "again"
needs = ["save"]
call = "entity.set"
with = { entity = "client/brandt-gmbh", set = { name = "Brandt GmbH" } }

[[step]]
id = "tell"
needs = ["save"]
call = "episode.add"
with = { kind = "call", text = "They called.", entities = "{{ steps.save.output.id }}" }

[[step]]
id = "find"
needs = ["again"]
call = "entity.find"
with = { kind = "client", fields = { tags = "vip" } }

[[step]]
id = "who"
needs = ["again"]
call = "entity.resolve"
with = { kind = "client", fields = { email = "AP+7@brandt.example" } }

[[step]]
id = "history"
needs = ["again"]
call = "entity.history"
with = { entity = "client/brandt-gmbh" }

[[step]]
id = "calls"
needs = ["tell"]
call = "episode.list"
with = { entities = "client/brandt-gmbh", kind = "call" }
"#;
    let bench = Bench::with(steps);
    let run = bench.start("w", json!({}));
    bench.serve();
    let output =
        json!({"found": "client/brandt-gmbh", "sure": "client/brandt-gmbh", "calls": 1, "changes": 1, "again": false});
    assert_eq!(bench.view(&run).output, Some(output), "{:?}", bench.view(&run));
    assert_eq!(bench.verified(), [""; 0]);
}

#[test]
fn a_fork_reads_an_entity_as_it_was_when_its_step_began() {
    let bench = Bench::with(&format!("output = \"{{{{ steps.look.output.fields.terms }}}}\"\n{GET}"));
    bench.submit(change("client/brandt", json!({"terms": 14}), None));
    bench.serve();
    let run = bench.start("w", json!({}));
    bench.serve();
    bench.submit(change("client/brandt", json!({"terms": 30}), None));
    bench.serve();
    let again = Again { from: Some(StepId::new("look").unwrap()), ..Again::default() };
    let fork = bench.submit(Verb::RunFork { run: run.clone(), again: again.clone() });
    let rerun = bench.submit(Verb::RunRerun { run: run.clone(), again, reuse: true });
    bench.serve();
    let outputs = [run, fork, rerun].map(|run| bench.view(&run).output);
    assert_eq!(outputs, [Some(json!(14)), Some(json!(14)), Some(json!(30))]);
}
