//! Triggers: what they start for what they see, and what is wrong with them.

use cairn_store_layout::definition::Problem;
use serde_json::{Value, json};

use super::compile_with;
use crate::{Saw, Wanted};

/// What the one trigger with these keys starts for `saw`, in a workflow with the inputs `day` and `n`.
fn wants(keys: &str, saw: &Saw) -> Result<Option<Wanted>, String> {
    let plan = compile_with(&workflow(keys), &[]).unwrap_or_else(|p| panic!("{keys}: {}", p[0]));
    plan.triggers()[0].wants(saw)
}

fn workflow(keys: &str) -> String {
    format!(
        "[[input]]\nname = \"day\"\ntype = \"text\"\noptional = true\n[[input]]\nname = \"n\"\ntype = \"json\"\noptional = true\n\
         [[trigger]]\n{keys}\n[[step]]\nid = \"a\"\nset = 1\n"
    )
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "a literal at every call")]
fn gives(keys: &str, saw: &Saw, input: Value) {
    let wanted = wants(keys, saw).expect("it has a value").expect("it starts a run");
    assert_eq!(wanted.input, input, "{keys}");
}

fn file(path: &str) -> Saw {
    Saw::File { path: path.to_owned(), bytes: 12 }
}

#[test]
fn the_input_is_made_of_what_was_seen() {
    let due = Saw::Due("2026-11-22T08:00:00+01:00".to_owned());
    gives("cron = \"0 8 * * *\"\ninput = { day = \"{{ add_days(due, -1) }}\" }", &due, json!({"day": "2026-11-21"}));
    let event = Saw::Event(json!({"sum": "12.50", "invoice": 2043}));
    gives("event = \"paid\"\ninput = { n = \"{{ event.invoice }}\" }", &event, json!({"n": 2043}));
    gives(
        "file = \"mails/*.eml\"\ninput = { day = \"{{ file.name }}\", n = \"{{ file.bytes }}\" }",
        &file("mails/a.eml"),
        json!({"day": "a.eml", "n": 12}),
    );
    let run = Saw::Run {
        id: "01kaxw00000000000000000000".to_owned(),
        workflow: "other".to_owned(),
        status: "failed".to_owned(),
        output: Value::Null,
        failure: Some("no".to_owned()),
    };
    let keys = "run_finished = \"other\"\ninput = { day = \"{{ run.failure }}\", n = \"{{ run.output }}\" }";
    gives(keys, &run, json!({"day": "no", "n": null}));
    gives("every = \"1h\"", &due, json!({}));
    // a slice mentions its name in a way of its own
    gives("every = \"1h\"\ninput = { day = \"{{ due[:10] }}\" }", &due, json!({"day": "2026-11-22"}));
}

#[test]
fn where_and_dedupe_key_see_the_same() {
    let keys = "event = \"paid\"\nwhere = \"{{ event.sum > 10 }}\"\ndedupe_key = \"{{ event.invoice }}\"";
    assert_eq!(wants(keys, &Saw::Event(json!({"sum": 3, "invoice": 1}))), Ok(None));
    let wanted = wants(keys, &Saw::Event(json!({"sum": 30, "invoice": 1}))).expect("a value").expect("a run");
    assert_eq!(wanted.dedupe.as_deref(), Some("1"));
    let why = wants(keys, &Saw::Event(json!({"invoice": 1}))).expect_err("`sum` is not there");
    assert!(why.contains("no value") || why.contains("undefined"), "{why}");
    let long = wants(keys, &Saw::Event(json!({"sum": 30, "invoice": "x".repeat(300)}))).expect("a value");
    assert_eq!(long.and_then(|w| w.dedupe).map(|d| d.len()), Some(64), "a long text is kept as its digest");
}

#[test]
fn files_are_told_by_their_path() {
    let plan = compile_with(&workflow("file = \"mails/**/*.{eml,txt}\""), &[]).expect("it compiles");
    let trigger = &plan.triggers()[0];
    for (path, fits) in
        [("mails/a.eml", true), ("mails/2026/11/b.txt", true), ("mails/a.pdf", false), ("other/a.eml", false)]
    {
        assert_eq!(trigger.looks_for(path), fits, "{path}");
    }
    let plan = compile_with(&workflow("file = \"mails/*.eml\""), &[]).expect("it compiles");
    assert!(!plan.triggers()[0].looks_for("mails/2026/a.eml"), "a star stays inside its folder");
}

#[test]
fn what_is_wrong_is_told_with_its_trigger() {
    let check = |keys: &str, said: &str, hint: &str| {
        let problems: Vec<Problem> = compile_with(&workflow(keys), &[]).map(drop).expect_err(keys);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|p| p.contains(said) && p.contains(hint)), "{keys}: {told:#?}");
        assert!(problems.iter().all(|p| p.at.is_some()), "{told:#?}");
    };
    check("id = \"A b\"\nevery = \"1h\"", "can not name a trigger", "lower case");
    check("cron = \"0 8 * *\"", "trigger `cron`: `0 8 * *` is no cron text", "five fields");
    check("every = \"1h\"\ntimezone = \"Europe/Berln\"", "no time zone", "did you mean `Europe/Berlin`?");
    check("file = \"files/mails/*\"", "below files/ already", "write `mails/*`");
    check("file = \"../x\"", "names nothing below files/", "relative");
    check("file = \"mails/[a\"", "is no pattern", "");
    check("event = \"a b\"", "can not be the name of an event", "payment.received");
    check("run_finished = \"demo\"", "by its own end", "repeat");
    check("every = \"1h\"\ninput = { n = \"{{ event.x }}\" }", "the name `event` in `input` is unknown", "knows `due`");
    check("file = \"a\"\nwhere = \"{{ file.size > 1 }}\"", "`file.size` in `where` is unknown", "path, name, bytes");
    check("every = \"1h\"\ninput = { dat = \"{{ due }}\" }", "no input `dat`", "did you mean `day`?");
    check("every = \"1h\"\ninput = { m = 1 }", "the input does not fit", "m");
    check("every = \"1h\"\nwhere = \"{{ due\"", "trigger `every`", "");
}

#[test]
fn a_needed_input_must_be_given() {
    let text = "[[input]]\nname = \"client\"\n[[trigger]]\nevery = \"1h\"\n[[step]]\nid = \"a\"\nset = 1\n";
    let problems = compile_with(text, &[]).map(drop).expect_err("`client` is needed");
    assert!(problems[0].to_string().contains("client"), "{}", problems[0]);
}

#[test]
fn a_trigger_counts_on_while_what_it_goes_by_stays() {
    let digest = |keys: &str| compile_with(&workflow(keys), &[]).expect("it compiles").triggers()[0].digest();
    let plain = digest("cron = \"0 8 * * *\"");
    assert_eq!(digest("cron = \"0 8 * * *\"\ninput = { day = \"{{ due }}\" }\nmisfire = \"all\""), plain);
    assert_ne!(digest("cron = \"0 9 * * *\""), plain);
    assert_ne!(digest("cron = \"0 8 * * *\"\ntimezone = \"Europe/Berlin\""), plain);
}
