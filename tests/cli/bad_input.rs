//! Bad input: each kind is answered with what happened and what to do, and loses nothing.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::lab::{Answer, Lab};

/// Replaces the definition of a workflow of its own and checks it.
#[track_caller]
fn check_definition(text: &str, files: &[(&str, &str)], expected: &[&str]) {
    let lab = Lab::with_demo();
    let dir = lab.store.join("workflows/bad");
    fs::create_dir_all(&dir).expect("a folder");
    fs::write(dir.join("workflow.toml"), text).expect("written");
    for (name, text) in files {
        fs::write(dir.join(name), text).expect("written");
    }
    let answer = lab.cairn(&["workflow", "check", "bad"]);
    assert_eq!(answer.code, 1, "{}{}", answer.out, answer.err);
    expect(&answer, expected);
    // it is not used either
    let start = lab.cairn(&["run", "start", "bad", "--wait"]);
    assert_ne!(start.code, 0, "{}", start.out);
}

#[track_caller]
fn expect(answer: &Answer, expected: &[&str]) {
    let told = format!("{}{}", answer.out, answer.err);
    for part in expected {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
}

#[test]
fn broken_toml() {
    check_definition("[[step]]\nid = \"a\nset = 1\n", &[], &["workflows/bad/workflow.toml:2:"]);
}

#[test]
fn an_unknown_key() {
    let text = "[[step]]\nid = \"a\"\nset = 1\naprove = \"always\"\n";
    check_definition(
        text,
        &[],
        &["workflows/bad/workflow.toml:4:1", "unknown key `aprove`", "did you mean `approve`?"],
    );
}

#[test]
fn a_cycle() {
    let text = "[[step]]\nid = \"a\"\nneeds = [\"b\"]\nset = 1\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = 1\n";
    check_definition(text, &[], &["workflow.toml:3:", "the steps wait for each other: a -> b -> a"]);
}

#[test]
fn a_name_without_a_value_in_a_template() {
    let text = "[[step]]\nid = \"a\"\nagent = \"writer\"\ntemplate = \"t.txt\"\nwith = { client = \"x\" }\n";
    let expected = ["workflows/bad/t.txt:2:1", "`clinet` has no value", "did you mean `client`?"];
    check_definition(text, &[("t.txt", "Dear\n{{ clinet }}\n")], &expected);
}

/// The run failed.
const FAILED: i32 = 1;
/// Whoever wrote the data has to say what is to be done: the operator is asked.
const ASKS: i32 = 10;

/// Runs a workflow that is valid but meets bad data; the run ends as `code` says, with `expected`, and can be read.
#[track_caller]
fn check_run(code: i32, text: &str, files: &[(&str, &[u8])], expected: &[&str]) {
    let lab = Lab::with_demo();
    let dir = lab.store.join("workflows/odd");
    fs::create_dir_all(&dir).expect("a folder");
    fs::write(dir.join("workflow.toml"), text).expect("written");
    for (name, bytes) in files {
        fs::write(lab.store.join(name), bytes).expect("written");
    }
    let answer = lab.cairn(&["run", "start", "odd", "--wait", "--json"]);
    assert_eq!(answer.code, code, "{}{}", answer.out, answer.err);
    let run = answer.json()["run"].as_str().expect("an id").to_owned();
    expect(&lab.cairn(&["run", "history", &run]), expected);
    let verified = lab.cairn(&["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
}

#[test]
fn an_agent_whose_answer_does_not_fit_the_schema() {
    let text = "[[step]]\nid = \"a\"\nagent = \"writer\"\ntemplate = \"t.txt\"\noutput = \"s.json\"\n";
    let schema = br#"{"type": "object", "required": ["subject"]}"#;
    let files: [(&str, &[u8]); 2] =
        [("workflows/odd/t.txt", b"only a body\n"), ("workflows/odd/s.json", schema.as_slice())];
    check_run(FAILED, text, &files, &["attempt.failed", "schema", "subject"]);
}

#[test]
fn a_table_with_other_columns() {
    let text = "[[step]]\nid = \"a\"\ncall = \"file.read_csv\"\nwith = { path = \"l.csv\", columns = [\"invoice\", \"due\"] }\n";
    check_run(ASKS, text, &[("files/l.csv", b"invoice,date\n1,2026-01-01\n")], &["l.csv", "due"]);
    check_run(
        ASKS,
        text,
        &[("files/l.csv", b"invoice,due\n1\n")],
        &["files/l.csv:2", "1 fields, but the header names 2"],
    );
    check_run(ASKS, text, &[("files/l.csv", b"invoice,due\n\xff\xfe,1\n")], &["l.csv", "UTF-8"]);
}

#[test]
fn a_mail_that_is_none() {
    let text = "[[step]]\nid = \"a\"\ncall = \"file.read_mail\"\nwith = { path = \"m.eml\" }\n";
    check_run(ASKS, text, &[("files/m.eml", &[0x89, b'P', b'N', b'G', 0, 1, 2, 3])], &["m.eml"]);
    check_run(ASKS, text, &[("files/m.eml", b"")], &["m.eml"]);
}

#[test]
fn a_path_that_leads_out_of_the_store() {
    let text = "[[step]]\nid = \"a\"\ncall = \"file.read\"\nwith = { path = \"../store.toml\" }\n";
    check_run(FAILED, text, &[], &["../store.toml"]);
}

#[test]
fn a_folder_that_is_no_repository() {
    let lab = Lab::with_demo();
    fs::rename(lab.store.join(".git"), lab.store.join("git-was-here")).expect("renamed");
    let answer = lab.cairn(&["status"]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    expect(&answer, &["not a git repository", "fix:"]);
    fs::rename(lab.store.join("git-was-here"), lab.store.join(".git")).expect("renamed");
}

#[test]
fn a_second_kernel() {
    let lab = Lab::with_demo();
    assert_eq!(lab.cairn(&["kernel", "start"]).code, 0);
    let second = lab.cairn(&["kernel", "run"]);
    assert_eq!(second.code, 1, "{}", second.err);
    expect(&second, &["kernel", "process", "fix:"]);
    // the first one is not disturbed
    assert_eq!(lab.cairn(&["kernel", "status"]).code, 0);
}

/// A disk of 12 MiB: too small for the segments of the journal and a run. Needs the right to mount.
#[test]
fn a_full_disk() {
    let disk = tempfile::tempdir().expect("a folder");
    let mount = |size: &str| {
        let args = ["-t", "tmpfs", "-o", size, "tmpfs"];
        Command::new("mount").args(args).arg(disk.path()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if !mount("size=12m") {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let _unmount = Unmount(disk.path().to_owned());
    let store = disk.path().join("store");
    let store = store.to_str().expect("a path");
    let lab = Lab::with_demo();
    let made = lab.program(&["init", store, "--demo"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let first = lab.program(&["-C", store, "run", "start", "invoice-chase", "--wait", "--json"]);
    assert_eq!(first.code, 10, "{}", first.err);

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    let full = lab.program(&["-C", store, "run", "start", "invoice-chase", "--wait"]);
    assert_eq!(full.code, 1, "{}{}", full.out, full.err);
    expect(&full, &["No space left", "fix:"]);

    fs::remove_file(&ballast).expect("removed");
    let again = lab.program(&["-C", store, "run", "start", "content-production", "--wait", "--json"]);
    assert_eq!(again.code, 10, "it goes on once there is space: {}", again.err);
    let verified = lab.program(&["-C", store, "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
}

/// Writes until nothing more fits.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("a file");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
