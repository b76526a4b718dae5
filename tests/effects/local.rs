//! Local agents and the memory connector, through the same door as everything else.

use cairn_store_layout::{
    command::Verb,
    definition::{Agent, Connector, ConnectorKind},
    event::FailureClass,
    learned::Learned,
    payload::EffectClass,
};
use serde_json::json;

use crate::support::{Bench, ask, call, failed, names, set_schema, with_files};

fn writer() -> Agent {
    Agent::parse("agents/writer.toml", "kind = \"template\"").unwrap()
}

#[tokio::test]
async fn a_template_becomes_a_letter() {
    let bench = Bench::new();
    let template = "to: {{ to }}\nsubject: Invoice {{ invoice }}, {{ amount|money }}\n\nDear {{ name }},\n";
    let input = json!({ "to": "a@b.example", "invoice": "INV-2", "amount": "1240.5", "name": "Ann" });
    let job = with_files(ask(writer(), input), &[("templates/t.txt", template)]);
    let want = json!({ "to": "a@b.example", "subject": "Invoice INV-2, 1,240.50", "body": "Dear Ann,\n" });
    assert_eq!(bench.perform(&job).await.unwrap().output, want);
}

#[tokio::test]
async fn a_template_says_what_it_lacks() {
    let bench = Bench::new();
    let job = with_files(ask(writer(), json!({})), &[("templates/t.txt", "Dear {{ name }}")]);
    let missing = failed(bench.perform(&job).await);
    assert_eq!((missing.class, missing.code.as_str()), (FailureClass::Hard, "template"));
    assert!(missing.message.starts_with("templates/t.txt: line 1"), "{}", missing.message);
    let none = failed(bench.perform(&ask(writer(), json!({}))).await);
    assert_eq!(none.code, "no_file");

    let template = [("templates/t.txt", "subject: {{ s }}\n\nHi")];
    let job = with_files(ask(writer(), json!({ "s": "x\nto: evil@x.example" })), &template);
    let smuggled = failed(bench.perform(&job).await);
    assert!(smuggled.message.contains("`to: ...`"), "{}", smuggled.message);
}

#[tokio::test]
async fn an_output_that_does_not_fit_the_step_schema_fails() {
    let bench = Bench::new();
    let files =
        [("templates/t.txt", "Hi"), ("schemas/s.json", r#"{"required": ["subject"]}"#), ("schemas/bad.json", "{")];
    let mut job = with_files(ask(writer(), json!({})), &files);
    set_schema(&mut job, "schemas/s.json");
    let failed_schema = failed(bench.perform(&job).await);
    assert_eq!((failed_schema.class, failed_schema.code.as_str()), (FailureClass::Hard, "schema"));
    assert!(failed_schema.message.contains("\"subject\" is a required property"), "{}", failed_schema.message);
    set_schema(&mut job, "schemas/bad.json");
    let bad = failed(bench.perform(&job).await);
    assert!(bad.code == "bad_schema" && bad.message.starts_with("schemas/bad.json:1:"), "{}", bad.message);
}

#[tokio::test]
async fn a_schema_can_not_reach_out_of_its_file() {
    let bench = Bench::new();
    for reference in ["http://127.0.0.1:1/s.json", "file:///etc/passwd"] {
        let schema = format!(r#"{{"$ref": "{reference}"}}"#);
        let mut job = with_files(ask(writer(), json!({})), &[("templates/t.txt", "Hi"), ("schemas/s.json", &schema)]);
        set_schema(&mut job, "schemas/s.json");
        assert_eq!(failed(bench.perform(&job).await).code, "bad_schema", "{reference}");
    }
}

#[tokio::test]
async fn text_agents_need_a_text() {
    let bench = Bench::new();
    let agent =
        Agent::parse("a.toml", "kind = \"classify\"\notherwise = \"other\"\nclasses = { paid = [\"paid\"] }").unwrap();
    let got = bench.perform(&ask(agent.clone(), json!({ "text": "It is PAID." }))).await.unwrap().output;
    assert_eq!(got, json!({ "class": "paid", "scores": { "paid": 1 }, "matched": ["paid"] }));
    assert_eq!(failed(bench.perform(&ask(agent, json!({ "body": "x" }))).await).code, "bad_input");
}

fn memory() -> Connector {
    Connector { description: String::new(), kind: ConnectorKind::Memory }
}

#[tokio::test]
async fn a_passage_is_the_same_however_often_it_is_remembered() {
    let bench = Bench::new();
    let input = json!({ "text": " Brandt pays late. ", "entity": "client/brandt", "labels": { "topic": "pay" } });
    let job = call(memory(), "remember", input, EffectClass::Idempotent);
    let first = bench.perform(&job).await.unwrap();
    assert_eq!(first, bench.perform(&job).await.unwrap());
    let Learned::Passage(passage) = &first.learned[0] else { panic!("a passage") };
    assert_eq!((passage.text.as_str(), passage.kind.as_str()), ("Brandt pays late.", "note"));
    assert_eq!((passage.entity.as_deref(), passage.recorded_at), (Some("client/brandt"), job.at));
    assert_eq!(first.output, json!({ "passage": passage.id }));
    let empty = call(memory(), "remember", json!({ "text": " " }), EffectClass::Idempotent);
    assert_eq!(failed(bench.perform(&empty).await).code, "bad_input");
}

#[tokio::test]
async fn recall_passes_the_question_on() {
    let bench = Bench::new();
    let ask = |query: &str, limit: usize| {
        call(
            memory(),
            "recall",
            json!({ "query": query, "entity": "client/brandt", "limit": limit }),
            EffectClass::Read,
        )
    };
    let hits = bench.perform(&ask("payment", 3)).await.unwrap().output;
    assert_eq!(hits["hits"][0]["why"], "words: payment");
    assert_eq!(hits["hits"][0]["entity"], "client/brandt");
    let broken = failed(bench.perform(&ask("broken", 3)).await);
    assert_eq!((broken.class, broken.message.as_str()), (FailureClass::Soft, "the index is being rebuilt"));
    assert_eq!(failed(bench.perform(&ask("payment", 0)).await).code, "bad_input");
    let panic = failed(bench.perform(&ask("panic", 3)).await);
    assert_eq!((panic.class, panic.code.as_str()), (FailureClass::Hard, "panic"));
    assert!(panic.message.contains("as the test wants it"), "{}", panic.message);
}

#[tokio::test]
async fn an_event_is_a_command_whose_id_follows_from_the_effect() {
    let bench = Bench::new();
    let connector = || Connector { description: String::new(), kind: ConnectorKind::Event };
    let job = call(connector(), "emit", json!({ "name": "paid", "data": { "no": 7 } }), EffectClass::Idempotent);
    let first = bench.perform(&job).await.unwrap().output;
    assert_eq!(bench.perform(&job).await.unwrap().output, first, "a repeat is the same event");
    let inbox = bench.world.root.join("inbox/mabcdefghi");
    let names = names(&inbox);
    assert_eq!(names, [format!("{}.json", first["event"].as_str().unwrap())]);
    let command = cairn::store::inbox::read(&names[0], &std::fs::read(inbox.join(&names[0])).unwrap()).unwrap();
    let Verb::EventEmit { name, data, run } = command.verb else { panic!("an event") };
    assert_eq!((name.as_str(), data, run), ("paid", json!({ "no": 7 }), None));
    assert!(command.by.starts_with("run ") && command.by.ends_with(" step do_it"), "{}", command.by);

    for (operation, input, code) in [
        ("emit", json!({ "name": "Paid!" }), "bad_input"),
        ("emit", json!({ "data": 1 }), "bad_input"),
        ("emit", json!({ "name": "paid", "data": "x".repeat(600_000) }), "too_large"),
        ("listen", json!({}), "no_operation"),
    ] {
        let failed = failed(bench.perform(&call(connector(), operation, input, EffectClass::Idempotent)).await);
        assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, code), "{}", failed.message);
    }
}
