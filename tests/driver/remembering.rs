//! What the demo's letters know: measured with memory and knowledge, and without either.
//!
//! A *fact* is a text that was told about one client, by a passage, a preference or an earlier mail. Right: it stands
//! in a letter to that client. Wrong: it stands in a letter to another one, or in any letter of a store that was
//! never told it. What is not known must be declared at the gate.

use cairn_store_layout::{
    command::{NewPassage, Verb},
    view::InboxItem,
};
use serde_json::{Value, json};

use crate::support::Bench;

/// Client as the summary names it, entity, what is told, and the words that a letter must cite.
const TOLD: [(&str, &str, &str, &str); 6] = [
    ("Brandt GmbH", "client/brandt-gmbh", "Payment terms: 45 days from the invoice", "45 days from the invoice"),
    ("Brandt GmbH", "client/brandt-gmbh", "Form of address: Frau Brandt", "Guten Tag Frau Brandt,"),
    ("Hansen Marine", "client/hansen-marine", "Payment terms: 30 days, half in winter", "30 days, half in winter"),
    ("Nordlys Studio", "client/nordlys-studio", "Payment terms: 14 days after delivery", "14 days after delivery"),
    ("Tanaka Ceramics", "client/tanaka-ceramics", "Form of address: Tanaka-san", "Dear Tanaka-san,"),
    // not chased: may stand in no letter
    ("Moreau Films", "client/moreau-films", "Payment terms: 10 days, no discount", "10 days, no discount"),
];
/// What an earlier mail promised, whose file is gone.
const PROMISE: (&str, &str) = ("Atelier Fontaine", "paid on 2026-11-06");
/// Five of what is told, and the promise: to the sixth nothing is written.
const CITEABLE: usize = 6;

struct Letter {
    client: String,
    text: String,
    why: String,
    evidence: Value,
}

fn letter(item: &InboxItem) -> Letter {
    let client = item.summary.split(" to ").nth(1).and_then(|rest| rest.split(", EUR").next()).expect("names a client");
    Letter {
        client: client.to_owned(),
        // lines are folded for a screen; facts are not
        text: item.text().split_whitespace().collect::<Vec<_>>().join(" "),
        why: item.why.clone().unwrap_or_default(),
        evidence: item.evidence.clone().unwrap_or_default(),
    }
}

fn letters(bench: &Bench) -> Vec<Letter> {
    let run = bench.start("invoice-chase", json!({}));
    bench.serve();
    let open = bench.open(&run);
    assert_eq!(open.len(), 10, "{:?}", bench.view(&run).message);
    open.iter().map(letter).collect()
}

fn tell(bench: &Bench, entity: &str, text: &str) {
    bench.submit(Verb::MemoryAdd(NewPassage {
        text: text.to_owned(),
        kind: "fact".to_owned(),
        entity: Some(entity.to_owned()),
        ..NewPassage::default()
    }));
}

/// A client to whom a fact was written, and the fact.
type Cited = (String, String);

/// Facts in letters: to the client they are about, and to others.
fn cited(letters: &[Letter]) -> (Vec<Cited>, Vec<Cited>) {
    let told = TOLD.map(|(client, _, _, words)| (client, words)).into_iter().chain([PROMISE]);
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for (client, words) in told {
        for letter in letters.iter().filter(|letter| letter.text.contains(words)) {
            let list = if letter.client == client { &mut right } else { &mut wrong };
            list.push((letter.client.clone(), words.to_owned()));
        }
    }
    // two letters may go to one client
    right.sort();
    right.dedup();
    (right, wrong)
}

#[test]
fn with_memory_the_letters_cite_what_is_known_of_their_client_and_of_no_other() {
    let bench = Bench::demo();
    // a first run reads the mails; one of them is gone later, and with it the promise
    letters(&bench);
    std::fs::remove_file(bench.path("files/mail/2026-10-29-atelier-fontaine.eml")).expect("the mail");
    for (_, entity, text, _) in TOLD {
        tell(&bench, entity, text);
    }
    let letters = letters(&bench);
    let (right, wrong) = cited(&letters);
    assert_eq!(wrong, [], "facts of other clients");
    assert_eq!(right.len(), CITEABLE, "{right:#?}");
    for letter in &letters {
        let knows = |need: &str| letter.evidence["facts"].get(need).is_some();
        for need in ["payment terms", "form of address"] {
            let declared = letter.why.contains("Not known: ") && letter.why.contains(need);
            assert_eq!(declared, !knows(need), "{}: {need}: {}", letter.client, letter.why);
        }
        let rules: Vec<&str> =
            letter.evidence["rules"].as_array().expect("rules").iter().filter_map(|r| r["id"].as_str()).collect();
        assert_eq!(rules, ["rules/late-fees", "rules/no-discounts"], "{}", letter.client);
        let of_others = letter.evidence["hits"].as_array().expect("hits").iter().any(|hit| {
            hit["entity"].as_str().is_some_and(|entity| entity != format!("client/{}", slug(&letter.client)))
        });
        assert!(!of_others, "{}: {}", letter.client, letter.evidence["hits"]);
    }
}

#[test]
fn without_memory_the_letters_invent_nothing_and_say_what_is_missing() {
    let bench = Bench::demo();
    for gone in ["knowledge", "policies", "files/mail"] {
        std::fs::remove_dir_all(bench.path(gone)).expect("it is there");
    }
    std::fs::create_dir(bench.path("files/mail")).expect("an empty folder");
    let run = bench.start("invoice-chase", json!({}));
    bench.serve();
    let letters: Vec<Letter> = bench.open(&run).iter().map(letter).collect();
    assert!(letters.len() >= 10, "{}: {:?}", letters.len(), bench.view(&run).message);
    let (right, wrong) = cited(&letters);
    assert_eq!((right, wrong), (Vec::new(), Vec::new()));
    for letter in &letters {
        assert!(letter.why.ends_with("Not known: payment terms, form of address."), "{}", letter.why);
        assert!(letter.text.contains(" Dear "), "{}", letter.text);
        assert!(!letter.text.contains("agreed on") && !letter.text.contains("You had told us"), "{}", letter.text);
    }
}

#[test]
fn a_client_who_writes_again_is_known_and_what_was_used_is_counted() {
    let bench = Bench::demo();
    let welcomed = |expected: &str| {
        let run = bench.start("client-onboarding", json!({}));
        bench.serve();
        let terms = json!({ "package": "series", "start_date": "2027-01-11", "price": 1500 });
        bench.answer(&bench.open_of(&run), terms);
        bench.serve();
        let gate = bench.open_of(&run);
        assert!(gate.why.as_deref().is_some_and(|why| why.ends_with(expected)), "{:?}", gate.why);
        bench.approve(&gate);
        bench.serve();
        (gate.text(), run)
    };
    let (first, _) = welcomed("Not known: earlier work.");
    assert!(!first.contains("hear from you again"), "{first}");
    let (second, run) = welcomed("A known client.");
    assert!(second.contains("it is good to hear from you again after our work of 20"), "{second}");
    let history = bench.kinds(&run);
    assert!(history.iter().any(|kind| kind == "memory.used"), "{history:?}");
    let usage = cairn_memory::Usage::read(bench.root()).expect("lines");
    assert_eq!(usage.knowledge("rules/first-letter").map(|u| u.count), Some(2));
    assert_eq!(usage.knowledge("rules/late-fees"), None, "of another workflow");
    assert_eq!(bench.verified(), Vec::<String>::new());
}

#[test]
fn tidying_is_one_commit_that_says_how_much_by_which_rule() {
    let bench = Bench::demo();
    let policy = "[[forget]]\nname = \"few\"\nkind = \"fact\"\nkeep = 2\n";
    bench.write("policies/memory.toml", policy);
    for text in ["one", "two", "three", "four"] {
        tell(&bench, "client/a", text);
    }
    bench.submit(Verb::MemoryAdd(NewPassage {
        text: "held".to_owned(),
        kind: "fact".to_owned(),
        entity: Some("client/a".to_owned()),
        labels: [("keep".to_owned(), "true".to_owned())].into(),
        ..NewPassage::default()
    }));
    bench.serve();
    bench.submit(Verb::MemoryTidy {});
    bench.serve();
    assert_eq!(bench.git(&["log", "-1", "--format=%s"]).trim(), "memory: few forgets 2");
    let log = bench.log();
    let forgotten: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .filter(|record: &Value| record["kind"] == "passage.forgotten")
        .collect();
    assert_eq!(forgotten.len(), 2, "{log}");
    assert!(forgotten.iter().all(|record| record["forgotten"]["policy"] == "few"), "{forgotten:?}");
    // nothing is left to do: no commit, no event
    let commits = bench.git(&["rev-list", "--count", "HEAD"]);
    bench.submit(Verb::MemoryTidy {});
    bench.serve();
    assert_eq!(bench.log().matches("passage.forgotten").count(), 2);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    assert!(commits.trim().parse::<u32>().is_ok());
    assert_eq!(bench.verified(), Vec::<String>::new());
}

#[test]
fn without_a_policy_tidying_is_refused_and_changes_nothing() {
    let bench = Bench::demo();
    std::fs::remove_dir_all(bench.path("policies")).expect("it is there");
    bench.submit(Verb::MemoryTidy {});
    bench.serve();
    let log = bench.log();
    assert!(log.contains("\"code\":\"no_policy\"") && !log.contains("passage.forgotten"), "{log}");
}

fn slug(name: &str) -> String {
    let plain = name.to_lowercase().replace('é', "e");
    plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// The control of what is measured: a fact in a letter to somebody else counts as wrong.
#[test]
fn a_fact_in_the_wrong_letter_is_seen() {
    let wrong = Letter {
        client: "Nordlys Studio".to_owned(),
        text: "Guten Tag Frau Brandt, the payment terms that we agreed on: 14 days after delivery.".to_owned(),
        why: String::new(),
        evidence: Value::Null,
    };
    let (right, wrong) = cited(&[wrong]);
    assert_eq!((right.len(), wrong.len()), (1, 1));
}
