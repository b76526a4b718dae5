//! What sources may name, and how each begins.
//!
//! A scan of text is blunt: it sees words, not meaning. It backs up the lints (`disallowed-methods` of
//! the pure crates, `unsafe_code = "forbid"`), which a new crate could forget to inherit.

use crate::{files, text};

/// Words by which a pure crate could reach a clock, a file, a thread, the network or an order that varies.
const IMPURE: [&str; 14] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
    "tokio",
];

/// The code of a source: comments and the unit tests at its end left out.
fn code(source: &str) -> String {
    let code: Vec<&str> = source
        .lines()
        .take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
}

/// Tells whether `code` holds `word`, not as part of a longer name.
fn names(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next()))
}

fn impure(source: &str) -> Vec<&'static str> {
    let code = code(source);
    IMPURE.into_iter().filter(|word| names(&code, word)).collect()
}

#[test]
fn the_pure_crates_name_no_effect() {
    let mut seen = 0;
    for folder in ["store-layout/src", "src/kernel/src"] {
        for file in files(folder, ".rs") {
            seen += 1;
            assert_eq!(impure(&text(&file)), Vec::<&str>::new(), "{file}");
        }
    }
    assert!(seen > 20, "only {seen} sources seen");
    let control = "//! HashMap here is prose\nuse std::collections::HashMap;\nlet InstantNoodle = 1;\n#[cfg(test)]\nmod tests { use std::fs; }\n";
    assert_eq!(impure(control), ["HashMap"], "the control");
}

/// Ways to change a file, or to wait, past the one door where both can be seen and refused.
const PAST_THE_DOOR: [&str; 12] = [
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::hard_link",
    "File::create",
    "OpenOptions",
    "thread::sleep",
];

#[test]
fn the_kernel_changes_files_through_one_door() {
    let past = |source: &str| {
        let code = code(source);
        PAST_THE_DOOR.into_iter().filter(|word| names(&code, word)).collect::<Vec<_>>()
    };
    let (mut seen, mut doors) = (0, 0);
    for file in files("src/store", ".rs").into_iter().chain(files("src/driver", ".rs")) {
        seen += 1;
        if file.starts_with("src/store/disk/") {
            doors += past(&text(&file)).len();
            continue;
        }
        // making a store is no business of a kernel: nothing has been acknowledged yet
        let makes = ["src/store/init.rs", "src/store/git/init.rs"].contains(&file.as_str());
        let tests = file.contains("/tests") || file.ends_with("/testing.rs");
        if !makes && !tests {
            assert_eq!(past(&text(&file)), Vec::<&str>::new(), "{file}");
        }
    }
    assert!(seen > 40 && doors > 0, "{seen} sources, {doors} words at the door");
}

#[test]
fn nothing_steps_outside_the_safe_language() {
    let word = concat!("un", "safe");
    for file in all() {
        assert!(!names(&code(&text(&file)), word), "{file} holds `{word}`");
    }
    assert!(names(&format!("{word} {{ }}"), word) && !names(&format!("{word}_code"), word), "the control");
}

#[test]
fn every_source_begins_by_saying_what_it_is_for() {
    let silent: Vec<String> = all().into_iter().filter(|file| !text(file).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "sources without a `//!` on their first line: {silent:?}");
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let manifests = files("", "Cargo.toml");
    assert_eq!(manifests.len(), 6, "{manifests:?}");
    for file in manifests {
        assert!(text(&file).contains("[lints]\nworkspace = true\n"), "{file} does not inherit the workspace's lints");
    }
}

fn all() -> Vec<String> {
    let all = files("", ".rs");
    assert!(all.len() > 30, "only {} sources seen", all.len());
    all
}
