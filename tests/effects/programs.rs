//! `run` steps and `command` agents: confined, bounded, and gone when their time is over.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use cairn::effects::{Doer, Job};
use cairn_store_layout::{
    definition::Agent,
    event::FailureClass,
    payload::{EffectClass, Request},
};
use serde_json::json;

use crate::support::{Bench, ask, failed, job, unknown, with_files};

fn run(argv: &[&str], stdin: Option<&str>) -> Job {
    let argv = argv.iter().map(|a| (*a).to_owned()).collect();
    let request = Request::Run { argv, stdin: stdin.map(str::to_owned), schema: None };
    job(Doer::Program, request, EffectClass::Idempotent)
}

/// Waits until a process is gone or only its entry waits to be collected.
fn is_gone(pid: &str) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return true,
            Ok(stat) if stat.rsplit(") ").next().is_some_and(|s| s.starts_with('Z')) => return true,
            Ok(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    false
}

fn wait_for_line(path: &Path) -> String {
    let start = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ if start.elapsed() > Duration::from_secs(5) => panic!("{} never came", path.display()),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[tokio::test]
async fn output_exit_code_and_json_come_back() {
    let bench = Bench::new();
    let done = bench.perform(&run(&["cat"], Some("{\"score\": 7}"))).await.unwrap();
    assert_eq!(done.output, json!({ "code": 0, "stdout": "{\"score\": 7}", "stderr": "", "json": { "score": 7 } }));
    let done = bench.perform(&run(&["printf", "%s", "$HOME; rm -rf"], None)).await.unwrap();
    assert_eq!(done.output["stdout"], "$HOME; rm -rf", "no shell sees an argument");
    assert!(done.output.get("json").is_none());

    let exit = failed(bench.perform(&run(&["sh", "-c", "echo so far; echo why >&2; exit 3"], None)).await);
    assert_eq!((exit.class, exit.code.as_str()), (FailureClass::Hard, "exit_3"));
    assert!(exit.message.ends_with("why"), "{}", exit.message);
    assert_eq!(exit.artifacts.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["stdout", "stderr"]);

    let mute = failed(bench.perform(&run(&["false"], None)).await);
    assert_eq!(mute.message, "`false` failed, exit code 1");

    let missing = failed(bench.perform(&run(&["no-such-program-here"], None)).await);
    assert_eq!((missing.class, missing.code.as_str()), (FailureClass::Hard, "exit_127"));
    assert!(missing.message.contains("`no-such-program-here` can not be started"), "{}", missing.message);
}

#[tokio::test]
async fn a_program_sees_the_definition_and_little_else() {
    let bench = Bench::new();
    let script = "env | cut -d= -f1 | sort; pwd; cat data/words.txt; [ \"$HOME\" = \"$PWD\" ] && echo home; ulimit -c";
    let job = with_files(run(&["sh", "-c", script], None), &[("data/words.txt", "from the definition\n")]);
    let output = bench.perform(&job).await.unwrap().output;
    let lines: Vec<&str> = output["stdout"].as_str().unwrap().lines().collect();
    assert_eq!(lines[..5], ["HOME", "LANG", "PATH", "PWD", "TMPDIR"]);
    assert_eq!(lines[6..], ["from the definition", "home", "0"]);
    assert!(!Path::new(lines[5]).starts_with(&bench.world.root));
    assert!(!Path::new(lines[5]).exists(), "its folder is gone");

    let mut inside = Bench::new();
    inside.world.launcher.scratch = inside.files();
    assert_eq!(failed(inside.perform(&run(&["true"], None)).await).code, "scratch");
}

#[tokio::test]
async fn a_timeout_kills_the_program_and_its_children() {
    let bench = Bench::new();
    let note = bench.dir.path().join("pids");
    let script = "sleep 300 & echo $$ $! > \"$0.new\"; mv \"$0.new\" \"$0\"; wait";
    let mut job = run(&["sh", "-c", script, note.to_str().unwrap()], None);
    job.timeout = Duration::from_millis(700);
    let start = Instant::now();
    let late = failed(bench.perform(&job).await);
    assert_eq!((late.class, late.code.as_str()), (FailureClass::Soft, "timeout"));
    assert!(start.elapsed() < Duration::from_secs(3));
    let pids = wait_for_line(&note);
    assert_eq!(pids.split(' ').count(), 2);
    for pid in pids.split(' ') {
        assert!(is_gone(pid), "{pid} lives on");
    }

    job.effect.class = EffectClass::Once;
    let message = unknown(bench.perform(&job).await);
    assert!(message.contains("may have taken effect"), "{message}");
}

#[tokio::test]
async fn what_a_program_leaves_running_is_killed_when_it_ends() {
    let bench = Bench::new();
    let start = Instant::now();
    let done = bench.perform(&run(&["sh", "-c", "sleep 300 & echo $!"], None)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "the pipe that the child keeps open holds nobody up");
    assert!(is_gone(done.output["stdout"].as_str().unwrap().trim()));
}

#[tokio::test]
async fn a_flood_is_cut_and_big_input_does_not_jam() {
    let bench = Bench::new();
    let flood = failed(bench.perform(&run(&["yes"], None)).await);
    assert_eq!((flood.class, flood.code.as_str()), (FailureClass::Hard, "too_large"));
    let input = "x".repeat(500_000);
    let done = bench.perform(&run(&["cat"], Some(&input))).await.unwrap();
    assert_eq!(done.output["stdout"], input);
    let done = bench.perform(&run(&["true"], Some(&input))).await.unwrap();
    assert_eq!(done.output["code"], 0, "input that nobody reads is no failure");
}

#[tokio::test]
async fn a_child_dies_with_the_process_that_started_it() {
    let bench = Bench::new();
    let note = bench.dir.path().join("pid");
    // a parent of our own, to be killed without a chance to clean up
    let script = "\"$0\" __child $$ -- sleep 300 & echo $! > \"$1\"; wait";
    let mut parent = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_cairn"), note.to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = wait_for_line(&note);
    let start = Instant::now();
    while !std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with("sleep") {
        assert!(start.elapsed() < Duration::from_secs(5), "the child never became the program");
        std::thread::sleep(Duration::from_millis(10));
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(is_gone(&pid));
}

#[test]
fn a_child_whose_parent_is_gone_does_not_begin() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(["__child", "1", "--", "echo", "began"])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(126), b"".as_slice()));
}

#[tokio::test]
async fn a_command_agent_reads_and_writes_json() {
    let bench = Bench::new();
    let agent = |argv: &str| Agent::parse("agents/score.toml", &format!("kind = \"command\"\nargv = {argv}")).unwrap();
    let files = [("prompts/p.md", "the prompt"), ("templates/t.txt", "the template")];
    let echo = with_files(ask(agent(r#"["cat"]"#), json!({ "n": 1 })), &files);
    assert_eq!(
        bench.perform(&echo).await.unwrap().output,
        json!({ "input": { "n": 1 }, "prompt": "the prompt", "template": "the template" })
    );
    let prose = with_files(ask(agent(r#"["echo", "not json"]"#), json!({})), &files);
    let failed = failed(bench.perform(&prose).await);
    assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, "not_json"));
    assert_eq!(failed.artifacts[0].bytes, b"not json\n");
}
