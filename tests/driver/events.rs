//! Events: emitted by anyone, recorded once, taken by the runs that wait for them.

use cairn_store_layout::{RunId, command::Verb, view::RunStatus};
use serde_json::json;

use crate::support::Bench;

const WAITS: &str = "output = \"{{ steps.paid.output.invoice }}\"\n[[input]]\nname = \"no\"\n\
                     [[step]]\nid = \"paid\"\nwait = { event = \"payment.received\", where = \"{{ event.invoice == input.no }}\" }\n";

fn emit(bench: &Bench, name: &str, invoice: &str, run: Option<&RunId>) -> RunId {
    bench.submit(Verb::EventEmit { name: name.to_owned(), data: json!({ "invoice": invoice }), run: run.cloned() })
}

#[test]
fn an_event_reaches_every_run_that_waits_for_it_and_is_recorded_once() {
    let bench = Bench::with(WAITS);
    let runs = [bench.start("w", json!({"no": "7"})), bench.start("w", json!({"no": "8"}))];
    bench.serve();
    let file = emit(&bench, "payment.received", "7", None);
    let path = bench.path(&format!("inbox/{}/{file}.json", bench.machine));
    let text = std::fs::read(&path).unwrap();
    bench.serve();
    assert_eq!(bench.view(&runs[0]).output, Some(json!("7")));
    assert_eq!(bench.status(&runs[1]), RunStatus::Waiting);
    // the file comes again, as after a crash or from an effect that is repeated
    std::fs::write(&path, text).unwrap();
    bench.serve();
    assert_eq!(bench.log().matches("\"kind\":\"event.received\"").count(), 1, "{}", bench.log());
    assert_eq!(bench.kinds(&runs[1]).iter().filter(|k| *k == "signal.received").count(), 1);
    assert!(!path.exists(), "it was taken");
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn an_event_for_one_run_reaches_that_one_and_a_wrong_name_nobody() {
    let bench = Bench::with(WAITS);
    let runs = [bench.start("w", json!({"no": "7"})), bench.start("w", json!({"no": "7"}))];
    bench.serve();
    emit(&bench, "payment.received", "7", Some(&runs[1]));
    emit(&bench, "Payment Received", "7", None);
    bench.serve();
    assert_eq!((bench.status(&runs[0]), bench.status(&runs[1])), (RunStatus::Waiting, RunStatus::Succeeded));
    assert!(bench.log().contains("\"code\":\"bad_event\""), "{}", bench.log());
    emit(&bench, "payment.received", "7", Some(&runs[1]));
    bench.serve();
    assert!(bench.log().contains("\"code\":\"no_such_run\""), "{}", bench.log());
}

#[test]
fn a_step_emits_an_event_that_another_run_waits_for() {
    let bench = Bench::with(WAITS);
    bench.write(
        "workflows/pays/workflow.toml",
        "[[step]]\nid = \"tell\"\ncall = \"event.emit\"\nwith = { name = \"payment.received\", data = { invoice = \"7\" } }\n",
    );
    let waits = bench.start("w", json!({"no": "7"}));
    bench.serve();
    let pays = bench.start("pays", json!({}));
    bench.serve();
    bench.serve();
    assert_eq!((bench.status(&pays), bench.status(&waits)), (RunStatus::Succeeded, RunStatus::Succeeded));
    assert!(bench.log().contains(&format!("\"by\":\"run {pays} step tell\"")), "{}", bench.log());
    assert_eq!(bench.inbox(), [""; 0]);
}
