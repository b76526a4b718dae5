//! Making a store: a folder, a git repository, and a first commit that a person can read.
//!
//! Only a folder that does not exist or is empty becomes a store. A folder with anything in it is
//! refused, an existing git repository too: taking over somebody's files or history is not ours to
//! decide. When something goes wrong half way, what was made is removed again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_store_layout::{
    MachineId, StoreId,
    ids::ulid_from,
    paths,
    store::{Defaults, FORMAT, StoreCard},
};
use include_dir::{Dir, include_dir};
use jiff::Timestamp;

use super::{
    Store, disk,
    error::{Result, StoreError},
    fsutil::{self, At as _},
    git::{Change, CommitPlan, Content, Identity, InitOptions, Repo},
    identity, lock, random,
};

/// Three workflows with their agents, prompts, schemas and sample input.
static DEMO: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/demo");

/// What belongs to one machine alone, whatever the tracked `.gitignore` says.
const LOCAL: &[&str] = &["/.cairn/"];

/// A store that was just made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The store.
    pub store: Store,
    /// This machine's id in it.
    pub machine: MachineId,
    /// The workflows it begins with, by name.
    pub workflows: Vec<String>,
}

/// Makes a store in `dir`, with the demo in it if `demo` says so.
///
/// # Errors
/// When `dir` is a store already or holds anything else, lies on a network file system, or the
/// system refuses.
pub fn init(dir: &Path, demo: bool) -> Result<Made> {
    init_at(&identity::state_home()?, dir, demo, Timestamp::now())
}

/// Like [`init`], with the identities of machines in `home` and at a moment of the caller's.
///
/// # Errors
/// As [`init`].
pub fn init_at(home: &Path, dir: &Path, demo: bool, now: Timestamp) -> Result<Made> {
    if dir.join(paths::STORE_TOML).exists() {
        return Err(StoreError::AlreadyAStore { root: dir.canonicalize().at("resolve", dir)? });
    }
    let existed = dir.exists();
    if let Some(entry) = if existed { fsutil::list(dir)?.into_iter().next() } else { None } {
        let found = entry.file_name().to_string_lossy().into_owned();
        return Err(StoreError::NotEmpty { root: dir.canonicalize().at("resolve", dir)?, found });
    }
    fsutil::create_dirs(dir)?;
    let root = dir.canonicalize().at("resolve", dir)?;
    let made = make(home, &root, demo, now);
    if made.is_err() {
        // The first error is the one worth reporting. All that is in the folder is ours.
        let _ = clear(&root, existed);
    }
    made
}

/// The files of the demo, by path from the store's root.
#[must_use]
pub fn demo_files() -> Vec<(&'static str, &'static [u8])> {
    let mut files = Vec::new();
    collect(&DEMO, &mut files);
    files.sort_unstable_by_key(|(path, _)| *path);
    files
}

fn make(home: &Path, root: &Path, demo: bool, now: Timestamp) -> Result<Made> {
    if let Some(kind) = lock::network_disk(root)? {
        return Err(StoreError::NetworkDisk { root: root.to_owned(), kind });
    }
    let repo = Repo::init(root, &InitOptions { ignore: LOCAL })?;
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let card = StoreCard {
        format: FORMAT,
        id: StoreId::new(ulid_from(millis, random())).expect("a ulid is a store id"),
        created: now,
        defaults: Defaults::default(),
    };
    let text = toml::to_string(&card).expect("a card holds only text and numbers");
    let text = format!("# Names this store for ever. `format` and `id` are not for editing.\n{text}");
    fsutil::write(&root.join(paths::STORE_TOML), text.as_bytes())?;
    let store = Store::open(root)?;
    let machine = identity::ensure_at(home, &store)?;
    identity::write_card(&store, &machine, now)?;
    fsutil::write(&root.join(".gitignore"), gitignore().as_bytes())?;
    fsutil::write(&root.join(".gitattributes"), gitattributes().as_bytes())?;
    fsutil::write(&root.join("README.md"), README.as_bytes())?;
    for folder in paths::DEFINITION_DIRS.iter().chain(&[paths::FILES, paths::RUNS, &paths::inbox(&machine)]) {
        fsutil::create_dirs(&root.join(folder))?;
    }

    let machine_card = paths::machine(&machine);
    let mut files: Vec<String> =
        [paths::STORE_TOML, ".gitignore", ".gitattributes", "README.md", &machine_card].map(str::to_owned).to_vec();
    let mut plans = vec![plan("cairn: new store", &machine, now, &files)];
    let mut workflows = Vec::new();
    if demo {
        let demo = demo_files();
        for (path, bytes) in &demo {
            fsutil::write_derived(&root.join(path), bytes)?;
            workflows.extend(path.strip_prefix("workflows/").and_then(|p| p.strip_suffix("/workflow.toml")));
        }
        // one sync for all of them: they are committed from the work tree in a moment
        disk::sync_fs(root).at("sync", root)?;
        let paths: Vec<String> = demo.iter().map(|(path, _)| (*path).to_owned()).collect();
        plans.push(plan(&format!("demo: {}", workflows.join(", ")), &machine, now, &paths));
        files.extend(paths);
    }
    let who = repo.operator().unwrap_or_else(|| Identity::of_machine(machine.as_str()));
    repo.commit_group(&who, None, &plans)?;
    repo.refresh_index(files.iter().map(String::as_str))?;
    Ok(Made { store, machine, workflows: workflows.into_iter().map(str::to_owned).collect() })
}

fn plan(subject: &str, machine: &MachineId, at: Timestamp, files: &[String]) -> CommitPlan {
    CommitPlan {
        subject: subject.to_owned(),
        body: String::new(),
        trailers: vec![("Machine".to_owned(), machine.to_string())],
        at,
        changes: files.iter().map(|path| Change::Write { path: path.clone(), content: Content::WorkTree }).collect(),
        allow_empty: false,
    }
}

fn collect(dir: &'static Dir<'static>, files: &mut Vec<(&'static str, &'static [u8])>) {
    for file in dir.files() {
        // a hidden file holds an empty folder open in our own repository, it is not for the store
        let hidden = file.path().file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
        if let Some(path) = file.path().to_str().filter(|_| !hidden) {
            files.push((path, file.contents()));
        }
    }
    dir.dirs().for_each(|below| collect(below, files));
}

fn clear(root: &Path, keep_folder: bool) -> std::io::Result<()> {
    if !keep_folder {
        return fs::remove_dir_all(root);
    }
    for entry in fs::read_dir(root)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

fn gitignore() -> String {
    let mut text = String::from("# Local to one machine: lock, journal, views, indices.\n/.cairn/\n");
    text.push_str("# Files that were being written when a process died; they may be deleted.\n.*.tmp\n");
    text.push_str("# Parts of the vector tables that can be made again.\n");
    cairn_memory::GITIGNORE.iter().for_each(|line| text.push_str(&format!("/{line}\n")));
    text
}

fn gitattributes() -> String {
    let mut text = String::from("# Histories are shown line by line; vector tables are not text.\n");
    cairn_memory::GITATTRIBUTES.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

const README: &str = "\
# A Cairn store

Everything that happened here, and everything that should happen, as plain files in git.

| folder | what it holds | who writes it |
|---|---|---|
| `workflows/` | what should happen, one folder a workflow | you |
| `agents/`, `connectors/` | who does the work, and the ways out into the world | you |
| `policies/`, `knowledge/` | rules, templates, preferences | you |
| `files/` | working files that workflows read and write, such as the outbox | you and the kernel |
| `runs/` | the history of every run, one file a run, one event a line | the kernel |
| `artifacts/` | large values, named by the hash of their bytes | the kernel |
| `memory/` | what was learned, with its source | the kernel |
| `inbox/` | what is asked of the kernel | you, through `cairn` or any program |
| `machines/` | the machines that write here | the kernel |
| `.cairn/` | local to this machine, not in git; only the journal in it matters | the kernel |

Every run is a commit:

    git log --format='%h %s%n%(trailers)' -3
    git show

Edit what is yours with any editor; the kernel checks an edit, commits it, and uses it for the next
run. Leave `runs/`, `artifacts/` and `memory/` alone: they only ever grow. `cairn verify` tells
whether they did.

    cairn status              what runs, what waits for you
    cairn                     the interface
    cairn workflow ls         what can be started
    cairn run start NAME --wait
    cairn inbox ls            what waits for your approval
    cairn verify              is everything as it was written?
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_or_new_folder_becomes_a_store() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "mine").unwrap();
        let error = init(dir.path(), false).unwrap_err();
        assert!(matches!(&error, StoreError::NotEmpty { found, .. } if found == "letter.txt"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
    }

    #[test]
    fn a_half_made_store_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        clear(dir.path(), true).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        clear(dir.path(), false).unwrap();
        assert!(!dir.path().exists());
    }
}
