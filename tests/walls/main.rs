//! The repository's own rules, checked: which crate may know which, what no source may name, that
//! documents point to what exists and that the demo's definitions are sound.
//!
//! It builds and runs nothing of the program, so it needs no Lance. Each rule comes with a positive
//! control: a case that must be found, so that a rule which finds nothing for a wrong reason fails.

mod crates;
mod demo;
mod documents;
mod keys;
mod sources;

use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
fn text(path: &str) -> String {
    let full = root().join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|e| panic!("{}: {e}", full.display()))
}

/// All files of the repository below `folder` whose name ends with `suffix`, relative to the root, sorted.
///
/// Build output, hidden folders and the frozen inputs under `fixtures/` are left out, unless `folder` lies there.
fn files(folder: &str, suffix: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root().join(folder), suffix, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, suffix: &str, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path: PathBuf = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "fixtures"].contains(&relative.as_str()) {
                walk(&path, suffix, found);
            }
        } else if name.ends_with(suffix) {
            found.push(relative);
        }
    }
}
