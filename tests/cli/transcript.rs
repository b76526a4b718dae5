//! What an operator sees, word for word: the first hour with the demo, as one transcript.
//!
//! Ids, digests, times and folders differ from run to run and are replaced by their kind. Everything
//! else is frozen: a changed word is a visible act.

use std::fmt::Write as _;

use regex::Regex;

use crate::lab::{Answer, Lab};

/// Replaces what differs from run to run.
struct Mask(Vec<(Regex, &'static str)>);

impl Mask {
    fn new() -> Self {
        let rules = [
            (r"/[^\s]*?/shop", "STORE"),
            (r"\b01[0-9a-hjkmnp-tv-z]{24}\b", "RUN"),
            (r"\b[0-9a-f]{64}\b", "DIGEST"),
            (r"\b[0-9a-f]{40}\b", "COMMIT"),
            (r"--digest [0-9a-f]{12}\b", "--digest DIGEST"),
            (r"\b20\d\d-\d\d-\d\dT[0-9:.]+Z", "TIME"),
            (r"\b20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?( UTC)?", "TIME"),
            (r"\brun [0-9a-hjkmnp-tv-z]{6}\b", "run SHORT"),
            (r"(?m)^[0-9a-hjkmnp-tv-z]{6}\t", "SHORT\t"),
            (r"(show|history|cancel) [0-9a-hjkmnp-tv-z]{6}\b", "$1 SHORT"),
            (r#""machine": "m[a-z0-9]{9}""#, r#""machine": "MACHINE""#),
            (r", 20\d\d-\d\d-\d\d, from", ", DAY, from"),
            (r"process \d+", "process PID"),
            // a note of each group of commits is among them, and how commits gather is a matter of time
            (r"\d+ journal entries", "N journal entries"),
            (r"outbox/20\d\d-\d\d-\d\d-([a-z-]+)-[0-9a-f]{8}\.eml", "outbox/DAY-$1-KEY.eml"),
            (r"\b[0-9a-f]{26}\b", "PASSAGE"),
            (r"(?m)^[0-9a-f]{8} ", "PASSAGE "),
            (r"\b[0-9a-f]{12}\b", "REQUEST"),
        ];
        Self(rules.into_iter().map(|(rule, kind)| (Regex::new(rule).expect("a rule"), kind)).collect())
    }

    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (rule, kind)| rule.replace_all(&text, *kind).into_owned())
    }
}

/// A session: commands with what they printed and their exit codes.
struct Session {
    lab: Lab,
    mask: Mask,
    text: String,
    /// Four-character ids of requests, replaced by their place in the first list.
    requests: Vec<String>,
}

impl Session {
    fn run(&mut self, args: &[&str]) -> Answer {
        let answer = self.lab.cairn(args);
        let mut shown = format!("$ cairn {}\n{}", args.join(" "), answer.out);
        if !answer.err.is_empty() {
            let _ = write!(shown, "{}", answer.err.lines().map(|l| format!("| {l}\n")).collect::<String>());
        }
        if answer.code != 0 {
            let _ = writeln!(shown, "(exit {})", answer.code);
        }
        let mut shown = self.mask.apply(&shown);
        for (n, id) in self.requests.iter().enumerate() {
            shown =
                Regex::new(&format!(r"\b{id}\b")).expect("an id").replace_all(&shown, format!("R{n:03}")).into_owned();
        }
        self.text.push_str(&shown);
        self.text.push('\n');
        answer
    }
}

#[test]
fn the_first_hour() {
    let mut s = Session { lab: Lab::with_demo(), mask: Mask::new(), text: String::new(), requests: Vec::new() };
    s.run(&["status"]);
    s.run(&["inbox", "ls"]);
    s.run(&["run", "ls"]);
    s.run(&["workflow", "ls"]);
    s.run(&["workflow", "check"]);
    s.run(&["kernel", "status"]);

    // the list is taken apart before it is shown, so that requests have names in the transcript
    s.lab.cairn(&["run", "start", "invoice-chase", "--wait"]);
    let list = s.lab.cairn(&["inbox", "ls", "--json"]).json();
    let items = list["items"].as_array().expect("items").clone();
    let field = |n: usize, name: &str| items[n][name].as_str().expect("a text").to_owned();
    let brandt = (0..items.len()).find(|n| field(*n, "summary").contains("Brandt")).expect("a letter to Brandt");
    s.requests = items.iter().map(|i| i["id"].as_str().expect("an id")[..4].to_owned()).collect();
    s.requests.swap(0, brandt);
    let (id, digest) = (field(brandt, "id")[..4].to_owned(), field(brandt, "digest"));

    s.run(&["inbox", "show", &id]);
    s.run(&["inbox", "approve", &id]);
    s.run(&["inbox", "approve", &id, "--digest", &digest.replace(&digest[..8], "00000000")]);
    s.run(&["inbox", "approve", &id, "--digest", &digest, "--wait"]);
    s.run(&["inbox", "approve", &id, "--digest", &digest, "--wait"]);
    s.run(&["inbox", "show", "ffff"]);
    s.run(&["mem", "add", "Brandt GmbH pays on the 27th of each month", "--entity", "client/brandt-gmbh"]);
    s.run(&["mem", "search", "when does Brandt pay", "--entity", "client/brandt-gmbh", "--limit", "1"]);
    let run = field(0, "run");
    s.run(&["run", "cancel", &run, "-m", "enough for today", "--wait"]);
    s.run(&["run", "ls"]);
    s.run(&["run", "start", "invoice-chas"]);
    s.run(&["run", "start", "invoice-chase", "--input", "as_of=soon"]);
    s.run(&["status", "--json"]);
    s.run(&["verify"]);
    insta::assert_snapshot!(s.text);
}
