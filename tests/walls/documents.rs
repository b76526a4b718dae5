//! Documents: links lead somewhere, and the layout names every kind of record.

use std::collections::BTreeSet;

use cairn_store_layout::event::Body;

use crate::{files, root, text};

/// Targets of `[text](target)` outside code, those that leave the repository left out.
fn links(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // inline code alternates with prose
        for prose in line.split('`').step_by(2) {
            for rest in prose.split("](").skip(1) {
                if let Some((target, _)) = rest.split_once(')')
                    && !target.contains("://")
                    && !target.starts_with("mailto:")
                {
                    found.push(target.to_owned());
                }
            }
        }
    }
    found
}

/// The anchors that the headings of a document make.
fn anchors(markdown: &str) -> BTreeSet<String> {
    markdown
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>()
        })
        .map(|title| title.replace(' ', "-"))
        .collect()
}

/// Why a link of `document` leads nowhere, if so.
fn broken(document: &str, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let folder = root().join(document).parent().expect("a folder").to_path_buf();
    let target = if path.is_empty() { root().join(document) } else { folder.join(path) };
    if !target.exists() {
        return Some(format!("{document} points to {link}, which does not exist"));
    }
    let anchor = anchor?;
    let text = std::fs::read_to_string(&target).expect("a readable document");
    (!anchors(&text).contains(anchor)).then(|| format!("{document} points to {link}; there is no such heading"))
}

#[test]
fn links_lead_somewhere() {
    let mut documents = files("", ".md");
    documents.push("fixtures/demo.md".to_owned());
    assert!(documents.iter().any(|d| d == "README.md") && documents.iter().any(|d| d == "docs/ARCHITECTURE.md"));
    let mut seen = 0;
    let mut wrong = Vec::new();
    for document in &documents {
        for link in links(&text(document)) {
            seen += 1;
            wrong.extend(broken(document, &link));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 10, "only {seen} links seen");
}

#[test]
fn a_broken_link_is_found() {
    let sample = "see [a](docs/none.md), `[not](this.md)` and [web](https://example.org)\n```\n[nor](that.md)\n```\n";
    assert_eq!(links(sample), ["docs/none.md"]);
    assert!(broken("README.md", "docs/none.md").is_some());
    assert!(broken("README.md", "docs/ARCHITECTURE.md#no-such-heading").is_some());
    assert!(broken("README.md", "docs/ARCHITECTURE.md").is_none());
}

#[test]
fn the_layout_names_every_kind_of_record() {
    let layout = text("store-layout/LAYOUT.md");
    let missing: Vec<_> = Body::KINDS.iter().filter(|(kind, v)| !describes(&layout, kind, *v)).collect();
    assert!(missing.is_empty(), "LAYOUT.md has no row for {missing:?}");
    assert!(!describes(&layout, "run.imagined", 1), "the control");
}

/// Tells whether a table of `layout` has the row of this kind in this version.
fn describes(layout: &str, kind: &str, v: u32) -> bool {
    layout.lines().any(|line| line.starts_with(&format!("| `{kind}` | {v} |")))
}

/// The schema for editors, as published.
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/workflow.schema.json");

#[test]
fn the_published_schema_is_that_of_the_types() {
    let made = format!("{:#}\n", cairn_store_layout::definition::workflow_schema());
    if std::env::var_os("CAIRN_UPDATE_DOCS").is_some() {
        std::fs::write(SCHEMA, &made).expect("the schema can be written");
    }
    let kept = std::fs::read_to_string(SCHEMA).expect("the schema");
    assert!(
        kept == made,
        "docs/reference/workflow.schema.json is behind; write it anew: CAIRN_UPDATE_DOCS=1 just walls"
    );
}
