//! Running again: what a rerun takes over, what a fork recalls, a move that outlives a restart, and a
//! history that this build would have taken elsewhere.

use cairn::driver::StopFlag;
use cairn_store_layout::{
    RunId, StepId,
    command::{Again, NewPassage, Verb},
    event::Body,
    paths,
    view::{RunStatus, RunView},
};
use serde_json::{Value, json};

use crate::support::Bench;

const CHAIN: &str = r#"
[[step]]
id = "write"
call = "file.write"
with = { path = "out/a.txt", text = "hello" }
[[step]]
id = "note"
needs = ["write"]
call = "memory.remember"
with = { text = "the file says hello" }
[[step]]
id = "read"
needs = ["note"]
call = "file.read"
with = { path = "in/later.txt" }
"#;

const ASKS: &str = r#"
[[step]]
id = "write"
call = "file.write"
with = { path = "out/a.txt", text = "hello" }
[[step]]
id = "ask"
needs = ["write"]
ask = "Go on?"
form = [{ name = "ok" }]
"#;

fn step(id: &str) -> StepId {
    id.parse().expect("a step id")
}

fn rerun(bench: &Bench, run: &RunId, again: Again) -> RunId {
    bench.submit(Verb::RunRerun { run: run.clone(), again, reuse: true })
}

/// The kinds of a history with their steps, the start left out.
fn told(bench: &Bench, run: &RunId) -> String {
    let reader = cairn::store::reader::Reader::new(bench.store.clone());
    let history = reader.history(run).expect("readable").unwrap_or_else(|| panic!("no history; {}", bench.log()));
    let line = |event: &cairn_store_layout::event::Event| {
        format!("{}:{}", event.step.as_ref().map_or("", |s| s.as_str()), event.body.kind().0)
    };
    history.records[1..].iter().map(|r| line(&r.event)).collect::<Vec<_>>().join(" ")
}

fn verified(bench: &Bench) {
    let report = cairn::store::verify::verify(&bench.store);
    assert_eq!(report.findings, []);
}

#[test]
fn a_rerun_takes_over_what_was_done_and_nothing_is_done_twice() {
    let bench = Bench::with(CHAIN);
    let first = bench.start("w", json!({}));
    bench.serve();
    assert_eq!(bench.status(&first), RunStatus::Failed);
    std::fs::remove_file(bench.path("files/out/a.txt")).expect("it was written");
    bench.write("files/in/later.txt", "now it is there");
    let again = rerun(&bench, &first, Again::default());
    bench.serve();
    assert_eq!(bench.status(&again), RunStatus::Succeeded);
    assert_eq!(
        told(&bench, &again),
        "write:attempt.reused note:attempt.reused read:attempt.started read:attempt.succeeded :run.succeeded"
    );
    assert!(!bench.path("files/out/a.txt").exists(), "it was not written again");
    let view: RunView = bench.view(&again);
    assert_eq!(view.origin.map(|origin| (origin.run, origin.from)), Some((first.clone(), None)));

    // from a step on, everything anew; without results, everything
    let from = rerun(&bench, &first, Again { from: Some(step("note")), ..Again::default() });
    let anew = bench.submit(Verb::RunRerun { run: again, again: Again::default(), reuse: false });
    let none = rerun(&bench, &first, Again { from: Some(step("nothing")), ..Again::default() });
    bench.serve();
    assert!(told(&bench, &from).starts_with("write:attempt.reused note:attempt.started"), "{}", told(&bench, &from));
    assert!(told(&bench, &anew).starts_with("write:attempt.started"), "{}", told(&bench, &anew));
    assert!(bench.path("files/out/a.txt").exists());
    assert!(!bench.path(&paths::run(&none)).exists());
    assert!(bench.log().contains("\"code\":\"no_such_step\""), "{}", bench.log());
    verified(&bench);
}

#[test]
fn a_rerun_that_waits_finds_the_same_results_after_a_restart() {
    let waits = CHAIN.replace("[[step]]\nid = \"note\"", "[[step]]\nid = \"hold\"\nneeds = [\"write\"]\nask = \"?\"\nform = [{ name = \"ok\" }]\n[[step]]\nid = \"note\"")
        .replace("needs = [\"write\"]\ncall = \"memory", "needs = [\"hold\"]\ncall = \"memory");
    let bench = Bench::with(&waits);
    bench.write("files/in/later.txt", "there");
    let first = bench.start("w", json!({}));
    bench.serve();
    bench.answer(&bench.open_of(&first), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&first), RunStatus::Succeeded);
    let again = rerun(&bench, &first, Again::default());
    bench.serve();
    assert_eq!(told(&bench, &again), "write:attempt.reused hold:ask.opened", "a person is asked again");
    // another kernel, which knows the run from its history alone
    bench.answer(&bench.open_of(&again), json!({"ok": "yes"}));
    bench.serve();
    assert!(
        told(&bench, &again).ends_with("note:attempt.reused read:attempt.reused :run.succeeded"),
        "{}",
        told(&bench, &again)
    );
    verified(&bench);
}

#[test]
fn a_rerun_on_the_latest_definition_does_what_was_edited() {
    let bench = Bench::with(&CHAIN.replace("in/later.txt", "in/never.txt"));
    let first = bench.start("w", json!({}));
    bench.serve();
    bench.write("files/in/later.txt", "there");
    bench.write("workflows/w/workflow.toml", CHAIN);
    let pinned = rerun(&bench, &first, Again::default());
    let latest = rerun(&bench, &first, Again { latest: true, ..Again::default() });
    bench.serve();
    assert_eq!((bench.status(&pinned), bench.status(&latest)), (RunStatus::Failed, RunStatus::Succeeded));
    assert!(told(&bench, &latest).starts_with("write:attempt.reused note:attempt.reused read:attempt.started"));
}

#[test]
fn a_fork_recalls_what_was_known_then() {
    let bench =
        Bench::with("[[step]]\nid = \"recall\"\ncall = \"memory.recall\"\nwith = { query = \"invoice late\" }\n");
    let add = |text: &str| {
        bench.submit(Verb::MemoryAdd(NewPassage {
            text: text.to_owned(),
            kind: "note".to_owned(),
            ..NewPassage::default()
        }))
    };
    add("the invoice was late in spring");
    bench.serve();
    let first = bench.start("w", json!({}));
    bench.serve();
    add("the invoice is late again");
    bench.serve();
    let fork = bench
        .submit(Verb::RunFork { run: first.clone(), again: Again { from: Some(step("recall")), ..Again::default() } });
    let rerun = rerun(&bench, &first, Again { from: Some(step("recall")), ..Again::default() });
    bench.serve();
    let hits = |run: &RunId| {
        let view = bench.view(run);
        let output: &Value = view.steps[0].slots[0].output.as_ref().expect("an output");
        output["hits"].as_array().expect("hits").len()
    };
    assert_eq!((hits(&first), hits(&fork), hits(&rerun)), (1, 1, 2));
}

#[test]
fn a_move_keeps_what_was_done_and_outlives_a_restart() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    let before = bench.open_of(&run);
    bench.submit(Verb::RunMigrate { run: run.clone(), to: None });
    bench.serve();
    assert!(bench.log().contains("\"code\":\"same_definition\""), "{}", bench.log());

    let more = format!(
        "{ASKS}[[step]]\nid = \"after\"\nneeds = [\"ask\"]\ncall = \"file.write\"\nwith = {{ path = \"out/b.txt\", text = \"{{{{ steps.ask.output.ok }}}}\" }}\n"
    );
    bench.write("workflows/w/workflow.toml", &more);
    bench.submit(Verb::RunMigrate { run: run.clone(), to: None });
    bench.serve();
    assert_eq!(
        told(&bench, &run),
        "write:attempt.started write:attempt.succeeded ask:ask.opened ask:request.withdrawn :run.migrated \
         write:attempt.reused ask:ask.opened"
    );
    let open = bench.open(&run);
    assert_eq!(open.len(), 1);
    assert_ne!(open[0].id, before.id);
    // the old question is closed, the new one counts, for a kernel that starts from the history
    bench.answer(&before, json!({"ok": "old"}));
    bench.answer(&open[0], json!({"ok": "new"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
    assert_eq!(std::fs::read_to_string(bench.path("files/out/b.txt")).expect("written"), "new");
    assert_eq!(bench.view(&run).steps.len(), 3);
    verified(&bench);
}

/// Changes committed bytes of a history, as a build with another mind could have written them.
fn tamper(bench: &Bench, run: &RunId, from: &str, to: &str) -> String {
    let path = bench.path(&paths::run(run));
    let text = std::fs::read_to_string(&path).expect("a history");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).expect("written");
    bench.git(&["commit", "-qam", "another mind"]);
    forget(bench);
    text
}

/// Leaves a store that knows its commits alone.
fn forget(bench: &Bench) {
    let journal = bench.path(".cairn/journal");
    if journal.exists() {
        std::fs::remove_dir_all(journal).expect("removed");
    }
}

#[test]
fn a_history_that_this_build_would_not_have_written_parks_its_run() {
    let bench = Bench::with(ASKS);
    let (bad, good) = (bench.start("w", json!({})), bench.start("w", json!({})));
    bench.serve();
    let text = tamper(&bench, &bad, "\"prompt\":\"Go on?\"", "\"prompt\":\"Come in?\"");
    bench.answer(&bench.open_of(&good), json!({"ok": "yes"}));
    bench.answer(&bench.open_of(&bad), json!({"ok": "yes"}));
    let served = bench.serve();
    assert_eq!(bench.status(&good), RunStatus::Succeeded);
    assert_eq!(bench.status(&bad), RunStatus::Waiting, "nothing is guessed");
    assert_eq!(served.parked.len(), 1);
    assert!(served.parked[0].contains("nondeterministic: record 3 is `ask.opened`"), "{served:?}");

    // still so when it is read again; followed once the history is what this build would write
    bench.submit(Verb::RunResume { run: bad.clone() });
    bench.serve();
    assert_eq!(bench.log().matches("\"code\":\"run_parked\"").count(), 2, "{}", bench.log());
    std::fs::write(bench.path(&paths::run(&bad)), text).expect("written");
    bench.git(&["commit", "-qam", "as it was"]);
    forget(&bench);
    bench.answer(&bench.open_of(&bad), json!({"ok": "yes"}));
    assert_eq!(bench.serve().parked, [""; 0]);
    assert_eq!(bench.status(&bad), RunStatus::Succeeded);
}

/// A failed test does not leave its kernel running.
struct Stops<'a>(&'a StopFlag);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Commits what was edited while a kernel commits too: whoever is second tries again.
fn commit_beside(bench: &Bench) {
    for _ in 0..100 {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(bench.root()).args(["-c", "user.name=test", "-c", "user.email=test@x.example"]);
        if git.args(["commit", "-qam", "as it was"]).output().expect("git runs").status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("git could not commit beside the kernel");
}

#[test]
fn a_running_kernel_reads_a_parked_run_again_when_it_is_asked_to() {
    let bench = Bench::with(ASKS);
    let run = bench.start("w", json!({}));
    bench.serve();
    let text = tamper(&bench, &run, "Go on?", "Come in?");
    let stop = StopFlag::new();
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let kernel = scope.spawn(|| bench.try_serve(cairn::driver::Until::Stopped, &stop));
        let until = |what: &str| {
            let begun = std::time::Instant::now();
            while !bench.log().contains(what) {
                assert!(begun.elapsed().as_secs() < 20, "no {what} in {}", bench.log());
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        };
        until("\"kind\":\"run.parked\"");
        std::fs::write(bench.path(&paths::run(&run)), &text).expect("written");
        commit_beside(&bench);
        bench.submit(Verb::RunResume { run: run.clone() });
        until("\"kind\":\"run.followed\"");
        stop.request();
        kernel.join().expect("no panic").expect("a clean stop");
    });
    bench.answer(&bench.open_of(&run), json!({"ok": "yes"}));
    bench.serve();
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
}

#[test]
fn a_run_that_is_parked_for_its_mind_can_be_ended_or_moved() {
    let bench = Bench::with(ASKS);
    let (one, other) = (bench.start("w", json!({})), bench.start("w", json!({})));
    bench.serve();
    for run in [&one, &other] {
        tamper(&bench, run, "Go on?", "Come in?");
    }
    bench.submit(Verb::RunCancel { run: one.clone(), reason: None, undo: false });
    bench.submit(Verb::RunMigrate { run: other.clone(), to: None });
    bench.serve();
    assert_eq!(bench.status(&one), RunStatus::Canceled);
    assert!(
        told(&bench, &other).ends_with(":run.migrated write:attempt.reused ask:ask.opened"),
        "{}",
        told(&bench, &other)
    );
    // what was moved on purpose is not held against it at the next start
    bench.answer(&bench.open_of(&other), json!({"ok": "yes"}));
    assert_eq!(bench.serve().parked, [""; 0]);
    assert_eq!(bench.status(&other), RunStatus::Succeeded);
}

#[test]
fn retry_and_resume_end_a_pause_and_say_so_in_the_history() {
    let text = CHAIN.replace(
        "id = \"read\"",
        "id = \"read\"\nretry = { attempts = 2, first = \"1h\", max = \"1h\", jitter = false }",
    );
    let bench = Bench::with(&text.replace(
        "call = \"file.read\"\nwith = { path = \"in/later.txt\" }",
        "agent = \"away\"\nprompt = \"p.md\"\nwith = {}",
    ));
    // nobody listens there: a soft failure, so it pauses for an hour
    bench.write("agents/away.toml", "kind = \"llm\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"none\"\n");
    bench.write("workflows/w/p.md", "say hello\n");
    let run = bench.start("w", json!({}));
    bench.serve();
    let begun = |bench: &Bench| told(bench, &run).matches("read:attempt.started").count();
    assert_eq!(begun(&bench), 1, "{}", bench.log());
    bench.submit(Verb::RunResume { run: run.clone() });
    bench.serve();
    assert_eq!(begun(&bench), 2, "{}", told(&bench, &run));
    assert_eq!(bench.status(&run), RunStatus::Failed);
    let history = cairn::store::reader::Reader::new(bench.store.clone()).history(&run).expect("readable").expect("one");
    let caused = history.records.iter().rfind(|r| matches!(r.event.body, Body::AttemptStarted(_)));
    assert!(caused.is_some_and(|record| record.event.cause.is_some()));
    bench.submit(Verb::RunRetry { run: run.clone(), step: None, iteration: None });
    bench.serve();
    assert!(bench.log().contains("\"code\":\"run_over\""), "{}", bench.log());
    verified(&bench);
}
