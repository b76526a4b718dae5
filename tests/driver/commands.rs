//! Commands: each is taken once and leaves the inbox, whatever its file looks like.

use cairn_store_layout::{
    command::{COMMAND_BYTES_MAX, NewPassage, Verb},
    ids::ulid_from,
    passage::Passage,
    view::RunStatus,
};
use serde_json::json;

use crate::support::Bench;

const ASKS: &str = "[[step]]\nid = \"ask\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n";

fn cancel(run: &cairn_store_layout::RunId) -> Verb {
    Verb::RunCancel { run: run.clone(), reason: Some("enough".to_owned()), undo: false }
}

#[test]
fn a_run_is_canceled_once_and_its_request_goes_with_it() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    bench.submit(cancel(&run));
    bench.serve();
    let view = bench.view(&run);
    assert_eq!((view.status(), view.message.as_deref()), (RunStatus::Canceled, Some("canceled by test: enough")));
    assert!(bench.open(&run).is_empty());
    assert!(bench.git(&["log", "-1", "--format=%s"]).starts_with("w: canceled"));

    bench.submit(cancel(&run));
    bench.serve();
    assert!(bench.log().contains("\"code\":\"run_over\""), "{}", bench.log());
    assert_eq!(bench.inbox(), [""; 0]);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_passage_that_a_person_adds_is_kept_once_and_committed() {
    let bench = Bench::with(ASKS);
    let add = Verb::MemoryAdd(NewPassage {
        text: "Brandt pays late.".to_owned(),
        kind: "note".to_owned(),
        ..NewPassage::default()
    });
    bench.submit(add.clone());
    bench.serve();
    bench.submit(add);
    bench.serve();
    let passages = bench.git(&["grep", "-h", "pays late", "HEAD", "--", "memory/passages"]);
    assert_eq!(passages.lines().count(), 1, "{passages}");
    assert_eq!(bench.log().matches("passage.added").count(), 1);
    assert_eq!((bench.inbox(), bench.git(&["status", "--porcelain"])), (vec![], String::new()));
}

#[test]
fn a_refused_command_leaves_a_record_and_disappears() {
    let bench = Bench::with(ASKS);
    bench.start("nothing", json!({}));
    bench.put("01kaxw00000000000000000000.json", b"{ not json");
    bench.serve();
    let log = bench.log();
    assert!(log.contains("\"code\":\"no_such_workflow\"") && log.contains("\"code\":\"bad_command\""), "{log}");
    assert_eq!(bench.inbox(), [""; 0]);
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
    let kept = std::fs::read_dir(bench.path(".cairn/quarantine")).expect("a quarantine").count();
    assert_eq!(kept, 1, "nobody's words are lost");
}

/// A file that makes the kernel stop would make it stop at every start.
#[test]
fn no_file_in_the_inbox_stops_the_kernel() {
    let bench = Bench::with(ASKS);
    let id = |n: u64| ulid_from(1_763_800_000_000 + n, 7);
    // exactly as large as a command may be: `LONG` stands for what is missing
    let command = |n: u64, more: &str| {
        let id = id(n);
        let text = format!("{{\"schema\":\"cairn.command/1\",\"id\":\"{id}\",\"at\":\"2026-11-22T08:00:00Z\",{more}}}");
        let text = text.replace("LONG", &"x".repeat(COMMAND_BYTES_MAX - text.len() + 4));
        bench.put(&format!("{id}.json"), text.as_bytes());
    };
    let deep = format!("{}1{}", "[".repeat(110), "]".repeat(110));
    command(1, "\"by\":\"LONG\",\"verb\":\"run.start\",\"workflow\":\"none\"");
    command(2, "\"by\":\"x\",\"verb\":\"LONG\"");
    command(3, "\"by\":\"x\",\"verb\":\"run.start\",\"workflow\":\"LONG\"");
    command(4, "\"by\":\"x\",\"verb\":\"memory.add\",\"text\":\"t\",\"kind\":\"LONG\"");
    command(5, &format!("\"by\":\"x\",\"verb\":\"run.start\",\"workflow\":\"w\",\"input\":{{\"a\":{deep}}}"));
    command(6, "\"by\":\"x\",\"verb\":\"run.start\",\"workflow\":\"w\",\"input\":\"LONG\"");
    bench.put(&format!("{}.json", id(7)), "y".repeat(3 << 20).as_bytes());
    bench.put("a name\nwith a break.json", b"{}");
    bench.put("half.json.tmp", b"{");
    std::os::unix::fs::symlink(
        "/etc/hostname",
        bench.path("inbox").join(bench.machine.as_str()).join(format!("{}.json", id(8))),
    )
    .expect("a link");

    let run = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Waiting);
    let log = bench.log();
    assert_eq!(log.matches("command.refused").count(), 7, "{}", log.chars().take(4_000).collect::<String>());
    assert!(log.len() < 30_000, "{} bytes of log", log.len());
    let mut left = bench.inbox();
    left.sort();
    assert_eq!(
        left,
        [format!("{}.json", id(8)), "a name\nwith a break.json".to_owned(), "half.json.tmp".to_owned()],
        "not ours to take"
    );

    bench.submit(cancel(&run));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Canceled);
    assert_eq!(bench.log().matches("command.refused").count(), 7, "what was refused is not refused again");
}

/// The kernel was killed between the commit and the removal of the command's file.
#[test]
fn a_command_whose_file_outlived_its_commit_is_done_once_and_goes() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    let file = format!("{run}.json");
    let text = std::fs::read(bench.path("inbox").join(bench.machine.as_str()).join(&file)).expect("the command");
    bench.serve();
    let history = bench.kinds(&run);
    bench.put(&file, &text);
    bench.serve();
    assert_eq!(bench.kinds(&run), history);
    assert_eq!(bench.inbox(), [""; 0], "it does not wait for the run's next commit");
    assert_eq!(bench.log(), "");
}

/// The kernel was killed after it said no; meanwhile the answer would be yes.
#[test]
fn what_was_refused_stays_refused() {
    let bench = Bench::with(ASKS);
    let run = bench.start("later", json!({}));
    let file = format!("{run}.json");
    let text = std::fs::read(bench.path("inbox").join(bench.machine.as_str()).join(&file)).expect("the command");
    bench.serve();
    assert!(bench.log().contains("no_such_workflow"));
    bench.put(&file, &text);
    bench.write("workflows/later/workflow.toml", ASKS);
    bench.serve();
    assert!(!bench.path(&cairn_store_layout::paths::run(&run)).exists(), "the operator was told that it did not start");
    assert_eq!((bench.log().lines().count(), bench.inbox().len()), (1, 0));
}

#[test]
fn a_passage_is_forgotten_once_and_what_replaces_it_must_exist() {
    let bench = Bench::with(ASKS);
    let note = |text: &str| NewPassage { text: text.to_owned(), kind: "note".to_owned(), ..NewPassage::default() };
    let id = Passage::derive_id("note", None, "Brandt pays late.");
    bench.submit(Verb::MemoryAdd(note("Brandt pays late.")));
    bench.submit(Verb::MemoryAdd(NewPassage { supersedes: vec![id.clone()], ..note("Brandt pays in time.") }));
    bench.submit(Verb::MemoryAdd(NewPassage { supersedes: vec!["00".to_owned()], ..note("It rains.") }));
    bench.submit(Verb::MemoryForget { passage: id.clone(), reason: "wrong".to_owned() });
    bench.submit(Verb::MemoryForget { passage: "00".to_owned(), reason: "wrong".to_owned() });
    bench.serve();
    let lines = bench.git(&["grep", "-h", "", "HEAD", "--", "memory/passages"]);
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.contains(&format!("\"supersedes\":[\"{id}\"]")), "{lines}");
    assert!(lines.contains(&format!("{{\"forgets\":\"{id}\"")), "{lines}");
    assert_eq!(bench.log().matches("no_such_passage").count(), 2);
    assert_eq!((bench.inbox(), bench.verified()), (vec![], vec![]));
}
