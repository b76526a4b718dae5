//! Commands for a kernel: files in `inbox/<machine>/`, written once.
//!
//! Whoever can write a file there can speak to the kernel; this is how our own verbs do it. Nothing
//! here judges a command: only the kernel does, when it takes the file.

use std::{fs::File, io::Read as _, path::Path};

use cairn_store_layout::{
    CommandId, MachineId, canonical,
    command::{COMMAND_BYTES_MAX, Command, NewPassage, SCHEMA, Verb},
    ids::ulid_from,
    paths,
};
use jiff::Timestamp;

use super::{
    Store, disk,
    error::Result,
    fsutil::{self, At as _},
    identity, random,
};

/// The longest name in a command: of a person, a workflow, a kind, an entity.
const NAME_BYTES_MAX: usize = 200;
/// The longest reason.
const REASON_BYTES_MAX: usize = 16 * 1024;

/// Puts a command for `machine` into the inbox, durably, and answers its id. A machine id that was
/// retired here reads nothing any more: what is for it goes to the one that took its place.
///
/// # Errors
/// When the file system refuses; nothing was asked then.
pub fn submit(store: &Store, machine: &MachineId, verb: Verb, by: &str) -> Result<CommandId> {
    submit_at(store, &identity::addressee(store, machine)?, verb, by, Timestamp::now())
}

/// Like [`submit`], at a moment of the caller's.
///
/// # Errors
/// As [`submit`].
pub fn submit_at(store: &Store, machine: &MachineId, verb: Verb, by: &str, at: Timestamp) -> Result<CommandId> {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    let id = CommandId::new(ulid_from(millis, random())).expect("a ulid is a command id");
    let command = Command { schema: SCHEMA.to_owned(), id: id.clone(), at, by: by.to_owned(), verb };
    put(store.root(), machine, &command)?;
    Ok(id)
}

/// Puts a command into the inbox of `machine` below `root`, durably, under the id that it has.
///
/// # Errors
/// As [`submit`].
pub fn put(root: &Path, machine: &MachineId, command: &Command) -> std::result::Result<(), fsutil::FsError> {
    let mut text = serde_json::to_string_pretty(command).expect("a command holds only JSON types");
    text.push('\n');
    fsutil::write(&root.join(paths::command(machine, &command.id)), text.as_bytes())
}

/// A file of the inbox as found.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its path from the store's root.
    pub path: String,
    /// The command, or why the file is none.
    pub command: std::result::Result<Command, String>,
}

/// All files of the inbox, of every machine, by machine and then in the order they were written.
///
/// # Errors
/// When the file system refuses.
pub fn pending(store: &Store) -> Result<Vec<Pending>> {
    let mut all = Vec::new();
    for machine in fsutil::list(&store.path(paths::INBOX))? {
        if !machine.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        for entry in fsutil::list(&machine.path())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !name.ends_with(".json") {
                continue;
            }
            let path = format!("{}/{}/{name}", paths::INBOX, machine.file_name().to_string_lossy());
            let command = if !entry.file_type().is_ok_and(|t| t.is_file()) {
                Err("it is not a plain file".to_owned())
            } else {
                // taken by a kernel between listing and reading: no longer pending
                let Some(bytes) = bytes(&entry.path())? else { continue };
                read(&name, &bytes)
            };
            all.push(Pending { path, command });
        }
    }
    Ok(all)
}

/// Tells whether a file of this name is a command: `[a-z0-9._-]`, at most 100, ending in `.json`. What
/// others leave beside the commands, such as half-written files under another name, is left alone.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    name.len() <= 100 && !name.starts_with('.') && name.ends_with(".json") && name.bytes().all(plain)
}

/// The bytes of a file of an inbox, at most one more than a command may have; `None` when it is gone or a link.
///
/// # Errors
/// When the file system refuses.
pub fn bytes(path: &Path) -> std::result::Result<Option<Vec<u8>>, fsutil::FsError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(errno).at("open", path),
    };
    let mut bytes = Vec::new();
    let read = || file.take(COMMAND_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    disk::read_with(path, read).at("read", path)?;
    Ok(Some(bytes))
}

/// Reads the file `name` of an inbox.
///
/// # Errors
/// A sentence saying why it is no command.
pub fn read(name: &str, bytes: &[u8]) -> std::result::Result<Command, String> {
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(format!("it has {} bytes; at most {COMMAND_BYTES_MAX} are allowed", bytes.len()));
    }
    let command: Command = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if command.schema != SCHEMA {
        return Err(format!("its schema is `{}`, not `{SCHEMA}`", command.schema));
    }
    let (names, reason): (Vec<&String>, _) = match &command.verb {
        Verb::MemoryAdd(NewPassage { kind, entity, labels, supersedes, .. }) => {
            let labels = labels.iter().flat_map(|(name, value)| [name, value]);
            (std::iter::once(kind).chain(entity).chain(labels).chain(supersedes).collect(), None)
        }
        Verb::RunStart { workflow, .. } => (vec![workflow], None),
        Verb::EventEmit { name, .. } => (vec![name], None),
        Verb::TriggerFire { workflow, trigger, .. } => (vec![workflow, trigger], None),
        Verb::RunCancel { reason, .. }
        | Verb::GateApprove { reason, .. }
        | Verb::GateDeny { reason, .. }
        | Verb::GateEdit { reason, .. }
        | Verb::ProposalAccept { reason, .. }
        | Verb::ProposalReject { reason, .. } => (Vec::new(), reason.as_ref()),
        Verb::EntitySet(change) => (Vec::new(), change.reason.as_ref()),
        Verb::EntityMerge { reason, .. } => (Vec::new(), reason.as_ref()),
        Verb::EntitySplit { merge, reason, .. } => (vec![merge], reason.as_ref()),
        Verb::EpisodeAdd(episode) => (vec![&episode.kind], None),
        Verb::MemoryForget { passage, reason } => (vec![passage], Some(reason)),
        Verb::RunRetry { iteration, .. } => (iteration.iter().collect(), None),
        Verb::RunMigrate { to, .. } => (to.iter().collect(), None),
        Verb::AskAnswer { .. }
        | Verb::MemoryTidy {}
        | Verb::RunAdopt { .. }
        | Verb::RunResume { .. }
        | Verb::RunRerun { .. }
        | Verb::RunFork { .. } => (Vec::new(), None),
    };
    // all of these go into one line of a history
    if names.into_iter().chain([&command.by]).any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(format!("a name in it has more than {NAME_BYTES_MAX} bytes"));
    }
    if reason.is_some_and(|text| text.len() > REASON_BYTES_MAX) {
        return Err(format!("its reason has more than {REASON_BYTES_MAX} bytes"));
    }
    if values(&command.verb).into_iter().any(canonical::is_too_deep) {
        return Err(format!("a value in it is nested too deeply: at most {} levels", canonical::DEPTH_MAX));
    }
    if name.strip_suffix(".json") != Some(command.id.as_str()) {
        return Err(format!("it names itself {}", command.id));
    }
    Ok(command)
}

/// The free values of a command.
fn values(verb: &Verb) -> Vec<&serde_json::Value> {
    match verb {
        Verb::RunStart { input, .. } | Verb::GateEdit { input, .. } => vec![input],
        Verb::RunRerun { again, .. } | Verb::RunFork { again, .. } => again.input.values().collect(),
        Verb::AskAnswer { answer, .. } => vec![answer],
        Verb::EventEmit { data, .. } => vec![data],
        Verb::TriggerFire { data, .. } => vec![data],
        Verb::EntitySet(change) => {
            let elements = change.add.values().chain(change.remove.values()).flatten();
            change.set.values().chain(elements).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::bare_store;

    #[test]
    fn a_submitted_command_is_pending_and_strangers_are_told() {
        let (_dir, store) = bare_store();
        let machine = MachineId::new("m000000000").unwrap();
        assert_eq!(pending(&store).unwrap(), []);
        let verb = Verb::RunStart { workflow: "chase".to_owned(), input: serde_json::json!({"as_of": "2026-11-22"}) };
        let id = submit(&store, &machine, verb.clone(), "jo").unwrap();
        let dir = store.path(&paths::inbox(&machine));
        std::fs::write(dir.join("x.json"), "{").unwrap();
        std::fs::write(dir.join(".half.json"), "{").unwrap();

        let all = pending(&store).unwrap();
        assert_eq!(all.len(), 2);
        let first = all[0].command.as_ref().unwrap();
        assert_eq!((&first.id, &first.verb, first.by.as_str()), (&id, &verb, "jo"));
        assert!(all[1].command.is_err());
        let renamed = std::fs::read(store.path(&all[0].path)).unwrap();
        assert!(read("other.json", &renamed).unwrap_err().contains("names itself"));
    }
}
