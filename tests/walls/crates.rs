//! Crate edges (ARCHITECTURE.md, "Direction"): what is declared, and what is reached through others.
//!
//! Declared edges come from the manifests, the rest from `Cargo.lock`. Neither needs a network or a
//! package that is not there; the lock file lists more than one build uses, so it errs to the strict side.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{root, text};

/// Packages that run while others are built and are no part of a program: the lock file does not tell them apart.
const BUILD_TOOLS: [&str; 1] = ["cc"];

/// Declared dependencies by workspace crate, those of tests and build scripts left out.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo describes the workspace");
    metadata
        .packages
        .iter()
        .map(|package| {
            let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
            (package.name.to_string(), normal.map(|d| d.name.clone()).collect())
        })
        .collect()
}

/// Everything that `name` reaches: its declared dependencies, and theirs by the lock file.
fn reached(name: &str) -> BTreeSet<String> {
    let declared = declared();
    let locked = locked(&text("Cargo.lock"));
    let mut reached = BTreeSet::new();
    let mut next: Vec<String> = declared[name].iter().cloned().collect();
    while let Some(name) = next.pop() {
        if reached.insert(name.clone()) && !BUILD_TOOLS.contains(&name.as_str()) {
            // for crates of the workspace the lock file mixes in what only their tests use
            next.extend(declared.get(&name).or_else(|| locked.get(&name)).into_iter().flatten().cloned());
        }
    }
    reached
}

/// Package names with the names they depend on. Versions are merged: a wall holds for all of them.
fn locked(lock: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in lock.lines() {
        if let Some(name) = line.strip_prefix("name = ") {
            current = name.trim_matches('"').to_owned();
            packages.entry(current.clone()).or_default();
        } else if let Some(dependency) = line.strip_prefix(" \"") {
            let name = dependency.split([' ', '"']).next().unwrap_or_default();
            packages.entry(current.clone()).or_default().insert(name.to_owned());
        }
    }
    packages
}

fn ours(name: &str) -> Vec<String> {
    declared()[name].iter().filter(|d| d.starts_with("cairn")).cloned().collect()
}

fn is_vector_crate(name: &str) -> bool {
    ["lance", "arrow"].iter().any(|family| name == *family || name.starts_with(&format!("{family}-")))
}

#[test]
fn crates_of_the_workspace_point_one_way() {
    assert_eq!(ours("cairn-store-layout"), Vec::<String>::new());
    for name in ["cairn-kernel", "cairn-tui", "cairn-memory"] {
        assert_eq!(ours(name), ["cairn-store-layout"], "{name} may know store-layout and nothing else of ours");
    }
    // the control: the program at the top knows them all
    assert_eq!(ours("cairn"), ["cairn-kernel", "cairn-memory", "cairn-store-layout", "cairn-tui"]);
    // measures from outside, with the program's own commits; nothing knows it, as the lines above say
    assert_eq!(ours("cairn-bench-memory"), ["cairn", "cairn-memory", "cairn-store-layout"]);
    assert_eq!(declared().len(), 6, "a new crate needs its line in this test");
}

#[test]
fn lance_and_arrow_stay_in_memory() {
    for (name, dependencies) in declared() {
        let vector: Vec<&String> = dependencies.iter().filter(|d| is_vector_crate(d)).collect();
        if name == "cairn-memory" {
            assert!(!vector.is_empty(), "the control: memory is where Lance is");
        } else {
            assert!(vector.is_empty(), "{name} declares {vector:?}");
        }
    }
    for name in ["cairn-store-layout", "cairn-kernel", "cairn-tui"] {
        let vector: Vec<String> = reached(name).into_iter().filter(|d| is_vector_crate(d)).collect();
        assert!(vector.is_empty(), "{name} reaches {vector:?}");
    }
    assert!(reached("cairn-memory").contains("lance-core"), "the control: what Lance needs is found through the lock");
}

#[test]
fn the_pure_crates_reach_no_runtime_and_no_machine() {
    let effects = [
        "tokio",
        "gix",
        "reqwest",
        "hyper",
        "notify",
        "ratatui",
        "crossterm",
        "rustix",
        "tempfile",
        "getrandom",
        "rand",
        "mio",
        "socket2",
    ];
    for name in ["cairn-store-layout", "cairn-kernel"] {
        let reached = reached(name);
        for effect in effects {
            assert!(!reached.contains(effect), "{name} reaches {effect}");
        }
        assert!(reached.contains("serde_core"), "the control: {name} reaches serde's core through serde");
    }
    assert!(reached("cairn-tui").contains("ratatui"), "the control: the interface draws with ratatui");
    assert!(reached("cairn-memory").contains("tokio"), "the control: memory runs on tokio");
}

/// SQLite is a peer to be measured beside, not a part of the program.
#[test]
fn no_database_is_in_the_program() {
    let is_sqlite = |name: &String| name.contains("sqlite");
    let found: Vec<String> = reached("cairn").into_iter().filter(is_sqlite).collect();
    assert_eq!(found, Vec::<String>::new());
    assert!(reached("cairn-bench-memory").iter().any(is_sqlite), "the control: the benchmark reaches SQLite");
}

#[test]
fn the_interface_can_not_reach_the_store() {
    let reached = reached("cairn-tui");
    for effect in ["gix", "reqwest", "notify", "tokio", "lettre", "tempfile"] {
        assert!(!reached.contains(effect), "cairn-tui reaches {effect}");
    }
    assert!(reached.contains("crossterm"), "the control: it reaches the terminal");
}

/// Digests, approvals and replays depend on how a value is written, and the features of a package are those that
/// any package of the build asks for.
#[test]
fn what_writes_values_has_the_features_that_are_asked_for_here_and_no_others() {
    let asked = ["adjacent_loop_items", "builtins", "fuel", "json", "macros", "multi_template", "serde"];
    let minijinja = features("minijinja");
    assert_eq!(minijinja, asked.map(str::to_owned).into(), "another package changes how templates write values");
    let serde_json = features("serde_json");
    for changes in ["preserve_order", "arbitrary_precision"] {
        assert!(!serde_json.contains(changes), "another package switches on serde_json's `{changes}`");
    }
    assert!(serde_json.contains("float_roundtrip"), "the control: what we ask for ourselves is found");
}

/// The features of a package in the program with everything switched on, as cargo puts them together.
fn features(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = std::process::Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--offline", "--workspace", "--edges", "normal", "--depth", "0", "--format", "{f}"])
        .args(["--prefix", "none", "--invert", package])
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "cargo lists no features; `cargo fetch` may help: {told}");
    String::from_utf8_lossy(&out.stdout).trim().split(',').map(str::to_owned).collect()
}

#[test]
fn every_pinned_package_says_what_it_is_for() {
    let silent = unexplained(&text("Cargo.toml"));
    assert!(silent.is_empty(), "[workspace.dependencies] without a comment or a group header: {silent:?}");
    let sample = "[workspace.dependencies]\n# known\na = \"1\"\n\nb = \"1\"\nc = \"1\" # why\n\n[profile.dev]\nd = 1\n";
    assert_eq!(unexplained(sample), ["b"], "the control");
}

/// Lines of `[workspace.dependencies]` with neither a comment of their own nor a header above their group.
fn unexplained(manifest: &str) -> Vec<String> {
    let mut silent = Vec::new();
    let (mut inside, mut header) = (false, false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if line.is_empty() {
            header = false;
        } else if line.starts_with('#') {
            header = true;
        } else if inside
            && !header
            && !line.contains(" # ")
            && !line.contains("path = ")
            && let Some((name, _)) = line.split_once(" = ")
        {
            silent.push(name.to_owned());
        }
    }
    silent
}
