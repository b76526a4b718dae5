//! The three workflows of the demo.

use cairn_store_layout::view::RunStatus;
use serde_json::json;

use crate::support::Bench;

#[test]
fn invoice_chase_asks_for_every_letter_and_sends_what_was_approved() {
    let bench = Bench::demo();
    let run = bench.start("invoice-chase", json!({}));
    bench.serve();
    let view = bench.view(&run);
    assert_eq!(view.status(), RunStatus::Waiting, "{:?}", view.message);
    let open = bench.open(&run);
    assert!(open.len() >= 8, "{} letters", open.len());
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    let log = bench.git(&["log", "-1", "--format=%s%n%(trailers)"]);
    assert!(log.starts_with("invoice-chase: waiting ("), "{log}");
    assert!(log.contains(&format!("Run: {run}")), "{log}");

    let (letter, rest) = open.split_first().expect("a letter");
    let text = letter.text();
    bench.approve(letter);
    bench.serve();
    let outbox: Vec<_> = std::fs::read_dir(bench.path("files/outbox")).expect("an outbox").flatten().collect();
    assert_eq!(outbox.len(), 1);
    let sent = std::fs::read_to_string(outbox[0].path()).expect("a letter");
    let body_line = text.lines().find(|l| l.starts_with("Hello") || l.starts_with("Dear")).expect("a salutation");
    assert!(sent.contains(body_line), "{sent}");
    assert!(bench.git(&["show", "--stat", "HEAD"]).contains("files/outbox/"));

    for item in rest {
        bench.approve(item);
    }
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded, "{:?}", bench.view(&run).message);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    assert!(bench.git(&["log", "-1", "--format=%s"]).starts_with("invoice-chase: succeeded ("));
}
