//! Proof that the checks can fail: a disk that reports a sync and does none must be found out, for
//! each sync that a promise rests on. A kernel that left the sync out would look the same.

use crate::{
    images::finds_out,
    shared::change::Change,
    workloads::{SMALL, Workload},
};

/// The same workload on an honest disk breaks no promise (`images`), so whatever is found is the lie.
fn check(name: &str, lies: fn(&Change) -> bool) {
    let workload = SMALL.iter().find(|w| w.name == name).copied();
    let workload: Workload = workload.expect("a workload of this name");
    let why = finds_out(workload, lies);
    let why = why.unwrap_or_else(|| panic!("{name}: nothing noticed"));
    println!("{name}: {why}");
}

fn syncs(change: &Change, part: &str) -> bool {
    matches!(change, Change::Sync { path } if path.contains(part))
}

fn syncs_dir(change: &Change, name: &str) -> bool {
    matches!(change, Change::SyncDir { path } if path == name)
}

#[test]
fn entries_of_the_journal_that_were_not_synced() {
    check("approve", |c| syncs(c, "/.cairn/journal/"));
}

#[test]
fn a_segment_whose_name_was_not_synced() {
    check("rotate-and-forget", |c| syncs_dir(c, "store/.cairn/journal"));
}

#[test]
fn a_pack_that_was_not_synced() {
    check("start", |c| syncs(c, "/.git/cairn-tmp/"));
}

#[test]
fn a_pack_whose_name_was_not_synced() {
    check("start", |c| syncs_dir(c, "store/.git/objects/pack"));
}

#[test]
fn a_ref_that_was_not_synced() {
    check("start", |c| syncs(c, "/refs/heads/main.lock"));
}

#[test]
fn a_ref_whose_name_was_not_synced() {
    check("start", |c| syncs_dir(c, "store/.git/refs/heads"));
}

#[test]
fn a_command_that_was_not_synced() {
    check("start", |c| syncs(c, "/inbox/"));
}

#[test]
fn a_command_whose_name_was_not_synced() {
    check("start", |c| matches!(c, Change::SyncDir { path } if path.starts_with("store/inbox/")));
}

#[test]
fn a_payload_that_was_not_synced() {
    check("spill", |c| syncs(c, "/artifacts/"));
}

#[test]
fn a_journal_that_was_forgotten_before_its_commits_were_synced() {
    let lies = |c: &Change| {
        *c == Change::SyncFs || syncs(c, "/.git/") || matches!(c, Change::SyncDir { path } if path.contains("/.git/"))
    };
    check("rotate-and-forget", lies);
}
