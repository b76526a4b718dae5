//! Stores for tests.

use super::Store;

/// A folder that opens as a store: a card and a `.git` folder, no repository behind it.
pub(crate) fn bare_store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let card = "format = 2\nid = \"01kan000000000000000000000\"\ncreated = \"2026-11-22T10:00:00Z\"\n";
    std::fs::write(dir.path().join("store.toml"), card).expect("the card");
    std::fs::create_dir(dir.path().join(".git")).expect("the folder");
    let store = Store::open(dir.path()).expect("a store");
    (dir, store)
}
