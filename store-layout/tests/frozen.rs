//! Frozen bytes: one literal line for every kind of event this build writes.
//!
//! A line that is on somebody's disk must read the same for ever. Changing one of these is changing
//! the format: give the kind a new version, keep the old line here, and say so in `LAYOUT.md`.

use std::collections::BTreeSet;

use cairn_store_layout::{event::Body, record::Record};

/// The lines, in the order in which a run could write them; then those of a machine's log.
const LINES: &str = include_str!("frozen.jsonl");

fn read(line: &str) -> Record {
    Record::decode(line, &mut |_| None).unwrap_or_else(|e| panic!("{e}\n{line}"))
}

#[test]
fn every_line_is_read_as_a_known_kind_and_written_as_the_same_bytes() {
    for (n, line) in LINES.lines().enumerate() {
        let record = read(line);
        assert!(!matches!(record.event.body, Body::Unknown { .. }), "no longer known: {line}");
        assert_eq!(record.n, n as u64);
        let (written, spilled) = record.encode().expect("it fits into its line");
        assert_eq!(written.trim_end(), line);
        assert_eq!(spilled, []);
    }
}

#[test]
fn every_kind_and_version_that_is_written_has_its_line() {
    let owned = |(kind, v): (&str, u32)| (kind.to_owned(), v);
    let frozen: BTreeSet<(String, u32)> = LINES.lines().map(|line| owned(read(line).event.body.kind())).collect();
    let written: BTreeSet<(String, u32)> = Body::KINDS.iter().copied().map(owned).collect();
    assert_eq!(frozen, written);
}

/// A field that was optional when a line was written stays optional.
#[test]
fn the_short_form_of_a_line_is_read_too() {
    let started = LINES.lines().next().expect("a first line");
    let Body::RunStarted(start) = read(started).event.body else { panic!("a history begins with its start") };
    assert_eq!((start.workflow.as_str(), start.steps.len()), ("invoice-chase", 2));
    let bare = "{\"n\":0,\"at\":\"2026-11-22T08:00:00Z\",\"kind\":\"attempt.succeeded\",\"v\":1,\"output\":null}";
    let Body::AttemptSucceeded(done) = read(bare).event.body else { panic!("a receipt") };
    assert!(done.files.is_empty() && done.artifacts.is_empty() && done.settled_by.is_none());
}
