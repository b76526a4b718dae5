//! The page of keys is printed from the table that the interface obeys.

/// The page in the repository.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/keys.md");

#[test]
fn the_page_of_keys_is_the_table_of_keys() {
    let printed = cairn_tui::keys_markdown();
    if std::env::var_os("CAIRN_UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &printed).expect("the page can be written");
    }
    let page = std::fs::read_to_string(PAGE).expect("the page");
    assert!(page == printed, "docs/reference/keys.md is behind; write it anew: CAIRN_UPDATE_DOCS=1 just walls");
}
