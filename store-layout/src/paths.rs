//! Every path of the store, relative to its root, with `/` between parts.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{CommandId, Digest, EntityId, MachineId, RunId};

/// Names the store's format, id and defaults.
pub const STORE_TOML: &str = "store.toml";
/// Folders that people edit and the kernel watches.
pub const DEFINITION_DIRS: [&str; 5] = ["workflows", "agents", "connectors", "policies", "knowledge"];
/// The operator's working files, which the `file` and `mail` connectors read and write.
pub const FILES: &str = "files";
/// Where commands are put.
pub const INBOX: &str = "inbox";
/// Everything local to this machine; ignored by git.
pub const LOCAL: &str = ".cairn";
/// Held (flock) by the kernel that owns the store.
pub const LOCK: &str = ".cairn/kernel.lock";
/// Holds space for the moment when the disk is full.
pub const BALLAST: &str = ".cairn/ballast";
/// Held (flock) by whoever maintains the repository.
pub const UPKEEP_LOCK: &str = ".cairn/upkeep.lock";
/// The machine whose work tree this is, so that a moved store is told from a cloned one.
pub const MACHINE: &str = ".cairn/machine";
/// What a kernel in the background says.
pub const KERNEL_LOG: &str = ".cairn/kernel.log";
/// Segments of the journal.
pub const JOURNAL: &str = ".cairn/journal";
/// A journal that is about to take the place of a damaged one.
pub const JOURNAL_NEW: &str = ".cairn/journal.new";
/// Folded views, may be deleted.
pub const VIEWS: &str = ".cairn/views";
/// Bytes that could not be trusted, set aside with a note.
pub const QUARANTINE: &str = ".cairn/quarantine";
/// What rates have given out; made again from the histories when it is missing.
pub const RATES: &str = ".cairn/rates.jsonl";
/// When this machine tidied memory last; may be deleted.
pub const TIDIED: &str = ".cairn/tidied";
/// Answers that spare asking again; may be deleted.
pub const CACHE: &str = ".cairn/cache";
/// Full-text and vector indices over all passages; may be deleted.
pub const INDEX: &str = ".cairn/index";
/// Passages, one folder a machine.
pub const PASSAGES: &str = "memory/passages";
/// What happened with whom, one folder a machine.
pub const EPISODES: &str = "memory/episodes";
/// What is proposed to be learned, one folder a machine.
pub const PROPOSALS: &str = "memory/proposals";
/// Which memories steps were given, one folder a machine.
pub const USAGE: &str = "memory/usage";
/// Facts about customers, invoices, contracts: a folder a kind, a folder an entity.
pub const ENTITIES: &str = "entities";
/// Vector tables, one folder a machine.
pub const VECTORS: &str = "memory/vectors";
/// Histories of runs.
pub const RUNS: &str = "runs";
/// Payloads named by hash.
pub const ARTIFACTS: &str = "artifacts";

fn date(millis: u64) -> Date {
    let at = Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}

fn month(at: Timestamp) -> String {
    let d = at.to_zoned(TimeZone::UTC).date();
    format!("{:04}-{:02}", d.year(), d.month())
}

/// The history of a run. Its folder is the UTC hour that the run's id names: a commit writes the
/// listing of every folder above what it changes, and a day's would be long.
#[must_use]
pub fn run(run: &RunId) -> String {
    let (d, hour) = (date(run.millis()), run.millis() / 3_600_000 % 24);
    format!("{RUNS}/{:04}/{:02}/{:02}/{hour:02}/{run}.jsonl", d.year(), d.month(), d.day())
}

/// A payload of more than [`crate::record::INLINE_BYTES_MAX`] bytes.
#[must_use]
pub fn artifact(digest: &Digest) -> String {
    format!("{ARTIFACTS}/{}/{digest}", &digest.as_str()[..2])
}

/// The card of one machine.
#[must_use]
pub fn machine(machine: &MachineId) -> String {
    format!("machines/{machine}.toml")
}

/// What a machine did that no run owns: commands taken and refused, edits adopted, repairs.
#[must_use]
pub fn log(machine: &MachineId, at: Timestamp) -> String {
    format!("log/{machine}/{}.jsonl", month(at))
}

/// The folder of [`log`], with its `/`.
#[must_use]
pub fn log_dir(machine: &MachineId) -> String {
    format!("log/{machine}/")
}

/// The first file of one machine's month in a folder below `memory/`. When that is full the month goes on in
/// [`memory_part`].
#[must_use]
pub fn memory(folder: &str, machine: &MachineId, at: Timestamp) -> String {
    format!("{folder}/{machine}/{}.jsonl", month(at))
}

/// The `part`th file of a month, from 0: `2026-11.jsonl`, `2026-11.001.jsonl` ... `first` is the first one's path.
#[must_use]
pub fn memory_part(first: &str, part: u32) -> String {
    match part {
        0 => first.to_owned(),
        part => format!("{}.{part:03}.jsonl", first.trim_end_matches(".jsonl")),
    }
}

/// The changes of an entity that one machine made.
#[must_use]
pub fn entity(entity: &EntityId, machine: &MachineId) -> String {
    format!("{ENTITIES}/{entity}/{machine}.jsonl")
}

/// The vector table of one machine.
#[must_use]
pub fn vectors(machine: &MachineId) -> String {
    format!("{VECTORS}/{machine}.lance")
}

/// The commands for one machine.
#[must_use]
pub fn inbox(machine: &MachineId) -> String {
    format!("{INBOX}/{machine}")
}

/// One command for one machine.
#[must_use]
pub fn command(machine: &MachineId, id: &CommandId) -> String {
    format!("{INBOX}/{machine}/{id}.json")
}

/// The folder of a workflow's definition.
#[must_use]
pub fn workflow_dir(name: &str) -> String {
    format!("workflows/{name}")
}

/// One segment of the journal.
#[must_use]
pub fn segment(number: u64) -> String {
    format!("{JOURNAL}/{number:08}.jsonl")
}

/// Tells whether `name` may name a workflow, an agent or a connector: a letter, then up to 63 of
/// `a-z 0-9 - _`.
#[must_use]
pub fn is_definition_name(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Tells whether `path` stays inside the folder it is joined to: relative, no `..`, no empty or
/// hidden part, no backslash, no control character.
#[must_use]
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 512
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.len() <= 200)
        && !path.chars().any(|c| c == '\\' || c.is_control())
}
