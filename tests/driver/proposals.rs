//! What a step proposes to learn: accepted by a rule, or by a person, and never asked about twice.

use cairn::store::reader::Reader;
use cairn_memory::{AsOf, Memory};
use cairn_store_layout::{EntityId, command::Verb, view::InboxItem};
use serde_json::json;

use crate::support::Bench;

const STEPS: &str = r#"
[[step]]
id = "read"
call = "memory.propose"

[step.with]
why = "their mail of Monday"
items = [
    { fact = { entity = "client/brandt", set = { phone = "+49 30 1" } } },
    { fact = { entity = "client/brandt", set = { iban = "DE00" } } },
    { passage = { text = "Brandt wants letters in German.", entity = "client/brandt" } },
    { knowledge = { path = "rules/german.md", text = "+++\norigin = \"jo, 2026-11-22\"\napplies = { entity = \"client/brandt\" }\n+++\nWrite in German." } },
]
"#;

const RULE: &str = "[[accept]]\nname = \"phones\"\nproposes = [\"entity\"]\nfields = [\"phone\"]\n";

fn bench() -> Bench {
    let bench = Bench::with(STEPS);
    bench.write("policies/memory.toml", RULE);
    bench
}

fn states(bench: &Bench) -> Vec<String> {
    let run = bench.start("w", json!({}));
    bench.serve();
    let view = bench.view(&run);
    let step = view.steps.iter().find(|step| step.id.as_str() == "read").expect("the step");
    let output = step.slots[0].output.clone().unwrap_or_default();
    let items = output["items"].as_array().unwrap_or_else(|| panic!("{:?}", view.message)).iter();
    items.map(|item| item["state"].as_str().expect("a state").to_owned()).collect()
}

fn waiting(bench: &Bench) -> Vec<InboxItem> {
    let mut reader = Reader::new(bench.store.clone());
    reader.refresh().expect("a store that can be read");
    reader.inbox(0)
}

#[test]
fn a_rule_accepts_what_it_is_about_and_the_rest_waits_for_a_person() {
    let bench = bench();
    assert_eq!(states(&bench), ["accepted", "waiting", "waiting", "waiting"]);
    let memory = Memory::open(bench.root(), &bench.machine).unwrap();
    let brandt = EntityId::new("client/brandt").unwrap();
    assert_eq!(memory.entity(&brandt, &AsOf::Now).unwrap().unwrap().values(), json!({"phone": "+49 30 1"}));
    let open = waiting(&bench);
    assert_eq!(open.iter().map(|item| item.kind.word()).collect::<Vec<_>>(), ["LEARN", "LEARN", "LEARN"]);
    assert!(open.iter().all(|item| item.run.is_none()));

    for item in open {
        let (proposal, digest) = (item.id, item.digest);
        bench.submit(match item.summary.as_str() {
            "client/brandt: iban" => Verb::ProposalReject { proposal, digest, reason: Some("not theirs".to_owned()) },
            _ => Verb::ProposalAccept { proposal, digest, reason: None },
        });
    }
    bench.serve();
    assert!(waiting(&bench).is_empty());
    assert_eq!(memory.entity(&brandt, &AsOf::Now).unwrap().unwrap().values(), json!({"phone": "+49 30 1"}));
    assert_eq!(memory.list(Some("client/brandt"), 9).unwrap()[0].text, "Brandt wants letters in German.");
    let rule = std::fs::read_to_string(bench.root().join("knowledge/rules/german.md")).unwrap();
    assert!(rule.ends_with("Write in German."), "{rule}");

    assert_eq!(states(&bench), ["known", "rejected", "known", "known"], "nobody is asked twice");
    assert_eq!((bench.verified(), bench.git(&["status", "--porcelain"])), (vec![], String::new()));
}

#[test]
fn a_decision_names_what_was_shown_and_the_first_one_counts() {
    let bench = bench();
    states(&bench);
    let item = waiting(&bench).into_iter().find(|item| item.summary.ends_with("iban")).expect("the iban");
    let other = waiting(&bench).into_iter().find(|other| other.id != item.id).expect("another");
    let accept = |digest| Verb::ProposalAccept { proposal: item.id.clone(), digest, reason: None };
    bench.submit(accept(other.digest));
    bench.submit(accept(item.digest.clone()));
    bench.submit(accept(item.digest.clone()));
    bench.submit(Verb::ProposalReject { proposal: item.id.clone(), digest: item.digest.clone(), reason: None });
    bench.serve();
    let log = bench.log();
    assert_eq!(log.matches("\"code\":\"stale_digest\"").count(), 1, "{log}");
    assert_eq!(log.matches("\"code\":\"already_decided\"").count(), 1, "{log}");
    assert_eq!(log.matches("proposal.decided").count(), 1, "{log}");
}

#[test]
fn without_policies_that_can_be_read_nothing_is_learned() {
    let bench = Bench::with(STEPS);
    bench.write("policies/memory.toml", "[[accpet]]\n");
    let run = bench.start("w", json!({}));
    bench.serve();
    let message = bench.view(&run).message.unwrap_or_default();
    assert!(message.contains("policies/memory.toml:1:3: unknown key `accpet`"), "{message}");
    assert!(waiting(&bench).is_empty());
}
