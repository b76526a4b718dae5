//! More at once than the watcher's queue can hold: nothing is lost, nothing is done twice.

use std::{collections::BTreeMap, time::Instant};

use cairn_store_layout::{
    CommandId, RunId,
    command::{Command, SCHEMA, Verb},
    ids::ulid_from,
    paths,
};

use crate::lab::Lab;

/// The queue of the system holds 16,384 changes unless somebody raised it.
const FILES: u64 = 20_000;

#[test]
fn twenty_thousand_commands_at_once_are_each_answered_once() {
    let lab = Lab::new();
    let folder = lab.root.join(paths::inbox(&lab.machine()));
    let kernel = lab.kernel(lab.command(&["kernel", "run"]));
    lab.until("a kernel", || lab.root.join(paths::JOURNAL).join("00000001.jsonl").exists());
    let begun = Instant::now();
    for n in 0..FILES {
        let id = CommandId::new(ulid_from(1_790_000_000_000 + n, u128::from(n))).expect("an id");
        let run = RunId::new(ulid_from(1_780_000_000_000, u128::from(n))).expect("an id");
        let verb = Verb::RunCancel { run, reason: None, undo: false };
        let command = Command {
            schema: SCHEMA.to_owned(),
            id: id.clone(),
            at: jiff::Timestamp::now(),
            by: "jo".to_owned(),
            verb,
        };
        let half = folder.join(format!(".{n}"));
        std::fs::write(&half, serde_json::to_vec(&command).expect("a command")).expect("written");
        std::fs::rename(&half, folder.join(format!("{id}.json"))).expect("renamed");
    }
    println!("{FILES} files in {:?}", begun.elapsed());
    lab.until("an empty inbox", || std::fs::read_dir(&folder).expect("an inbox").next().is_none());
    println!("answered after {:?}", begun.elapsed());
    assert!(kernel.stop(), "{}", lab.said());
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for line in lab.log().lines().filter(|line| line.contains("command.refused")) {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        *answers.entry(record["command"].to_string()).or_default() += 1;
    }
    assert_eq!(answers.len() as u64, FILES);
    assert!(answers.values().all(|times| *times == 1));
    lab.is_sound();
}
