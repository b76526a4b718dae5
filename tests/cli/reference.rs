//! The reference of `workflow.toml` is run, word for word: every definition in it is put into a fresh store,
//! every command is typed, and what the page says that it prints is looked for in what it prints.
//!
//! How the page is written: a fenced block whose first line is `# <path>` is that file of the store. A
//! `console` block holds commands after `$ `, each with the lines that it prints (`...` for what differs;
//! lines may be left out). `(exit N)` is a line too. A section with a definition and no commands means that a
//! run of it succeeds.

use std::{collections::BTreeSet, fmt::Write as _};

use cairn_store_layout::definition::workflow_schema;
use regex::Regex;
use serde_json::Value;

use crate::lab::{Answer, Lab};

const PAGE: &str = include_str!("../../docs/reference/workflow.md");

/// One section of the page.
struct Section {
    title: String,
    /// Path below the store, and text.
    files: Vec<(String, String)>,
    /// What is typed, and what it prints.
    commands: Vec<(String, Vec<String>)>,
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_owned();
            sections.push(Section { title, files: Vec::new(), commands: Vec::new() });
            continue;
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        let section = sections.last_mut().expect("a block stands under a heading");
        if kind == "console" {
            for line in block {
                match line.strip_prefix("$ ") {
                    Some(command) => section.commands.push((command.to_owned(), Vec::new())),
                    None => section.commands.last_mut().expect("a command first").1.push(line.to_owned()),
                }
            }
            continue;
        }
        let path = block.first().and_then(|l| l.strip_prefix("# ")).filter(|p| p.contains('/'));
        if let Some(path) = path {
            section.files.push((path.to_owned(), block[1..].join("\n") + "\n"));
        }
    }
    sections
}

/// Splits a command like a shell would, as far as the page needs it: blanks and single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words
}

/// What `RUN`, `REQUEST` and `DIGEST` in a command stand for: the newest run, the first open request.
fn fill(lab: &Lab, word: &str) -> String {
    let first = |list: &[&str], field: &str| {
        let items = lab.cairn(list).json();
        items["items"][0][field].as_str().unwrap_or_else(|| panic!("nothing there: {items}")).to_owned()
    };
    match word {
        "RUN" => first(&["run", "ls", "--json"], "run"),
        "REQUEST" => first(&["inbox", "ls", "--json"], "id"),
        "DIGEST" => first(&["inbox", "ls", "--json"], "digest"),
        word => word.to_owned(),
    }
}

fn prints(answer: &Answer, line: &str) -> bool {
    if let Some(code) = line.strip_prefix("(exit ").and_then(|l| l.strip_suffix(')')) {
        return answer.code.to_string() == code;
    }
    let spaces = Regex::new(r"\s+").expect("a pattern");
    let plain = |text: &str| spaces.replace_all(text.trim(), " ").into_owned();
    let pattern = plain(line).split("...").map(regex::escape).collect::<Vec<_>>().join(".*");
    let pattern = Regex::new(&pattern).expect("a pattern");
    answer.out.lines().chain(answer.err.lines()).any(|l| pattern.is_match(&plain(l)))
}

fn try_section(section: &Section) -> Result<(), String> {
    let lab = Lab::empty();
    for (path, text) in &section.files {
        let path = lab.store.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let mut commands = section.commands.clone();
    if commands.is_empty() {
        let names =
            section.files.iter().filter_map(|(p, _)| p.strip_prefix("workflows/")?.strip_suffix("/workflow.toml"));
        commands.extend(names.map(|name| (format!("cairn run start {name} --wait"), Vec::new())));
    }
    let mut told = String::new();
    for (command, lines) in &commands {
        let words: Vec<String> = words(command).iter().map(|word| fill(&lab, word)).collect();
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(args[0], "cairn", "{command}");
        let answer = lab.cairn(&args[1..]);
        let _ = writeln!(told, "$ {command}\n{}{}(exit {})", answer.out, answer.err, answer.code);
        let wrong = lines.iter().find(|line| !line.trim().is_empty() && !prints(&answer, line));
        if let Some(line) = wrong {
            return Err(format!("{}: `{command}` does not print `{line}`:\n{told}", section.title));
        }
        if !lines.iter().any(|l| l.starts_with("(exit")) && answer.code != 0 {
            return Err(format!("{}: `{command}` fails:\n{told}", section.title));
        }
    }
    Ok(())
}

/// Every `part`-th section, so that the parts can run side by side.
fn run_part(part: usize) {
    let all: Vec<Section> = sections().into_iter().filter(|s| !s.files.is_empty()).collect();
    assert!(all.len() > 10, "the page has examples");
    let failed: Vec<String> =
        all.iter().skip(part).step_by(PARTS).filter_map(|section| try_section(section).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n----\n"));
}

const PARTS: usize = 4;

#[test]
fn the_examples_do_what_the_page_says_1() {
    run_part(0);
}

#[test]
fn the_examples_do_what_the_page_says_2() {
    run_part(1);
}

#[test]
fn the_examples_do_what_the_page_says_3() {
    run_part(2);
}

#[test]
fn the_examples_do_what_the_page_says_4() {
    run_part(3);
}

/// The names of all keys at any depth below `value`, dotted, with array positions left out.
fn keys(prefix: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                // `[[finally]]` holds steps
                let prefix = if prefix == "finally" { "step" } else { prefix };
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                found.insert(name.clone());
                keys(&name, value, found);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| keys(prefix, item, found)),
        _ => {}
    }
}

/// The names of all keys that the schema knows, in the same form.
fn known(prefix: &str, node: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(target) = node["$ref"].as_str() {
        return known(prefix, schema.pointer(&target[1..]).expect("a definition"), schema, found);
    }
    for form in ["anyOf", "oneOf", "allOf"] {
        node[form].as_array().into_iter().flatten().for_each(|node| known(prefix, node, schema, found));
    }
    if node["items"].is_object() {
        known(prefix, &node["items"], schema, found);
    }
    for (key, node) in node["properties"].as_object().into_iter().flatten() {
        let prefix = if prefix == "finally" { "step" } else { prefix };
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        found.insert(name.clone());
        known(&name, node, schema, found);
    }
}

#[test]
fn every_key_has_an_example() {
    let schema = workflow_schema();
    let (mut all, mut shown) = (BTreeSet::new(), BTreeSet::new());
    known("", &schema, &schema, &mut all);
    for (path, text) in sections().iter().flat_map(|s| &s.files) {
        if path.ends_with("/workflow.toml") {
            let table: toml::Table = toml::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
            keys("", &toml::Value::Table(table), &mut shown);
        }
    }
    assert!(
        all.contains("step.for_each.max_parallel") && all.contains("trigger.timezone"),
        "the schema is read: {all:?}"
    );
    let missing: Vec<&String> = all.difference(&shown).collect();
    assert!(missing.is_empty(), "docs/reference/workflow.md has no example of {missing:?}");
}
