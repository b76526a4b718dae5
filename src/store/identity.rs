//! Which machine this is, for one store.
//!
//! The identity lives outside the store, in `$XDG_STATE_HOME/cairn/machines/<store>/`, bound to the
//! store's path. A copied or cloned store must not write under the identity of the first, or two
//! writers would append to the same files. So:
//!
//! - the path is known: this machine's id for it;
//! - the path is new, the work tree says whose it was (`.cairn/machine`), and the path that id is
//!   bound to no longer holds this store: the store was moved, the id comes along;
//! - otherwise (a copy, a clone, a restored backup elsewhere): a new id.
//!
//! An id can be retired: what it owned is known to be incomplete, so it is never written under again
//! ([`retire`]). The store's own past at the same path is told by the [`super::mark`].

use std::path::{Path, PathBuf};

use cairn_store_layout::{MachineId, StoreId, paths, store::MachineCard};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store, disk,
    error::{Result, StoreError},
    fsutil::{self, At as _},
    random,
};

/// Returns this machine's id for `store`, and makes one on first use.
///
/// # Errors
/// When there is no place for it, or it can not be read or written.
pub fn ensure(store: &Store) -> Result<MachineId> {
    ensure_at(&state_home()?, store)
}

/// Like [`ensure`], with the identities of machines in `home`.
///
/// # Errors
/// When they can not be read or written.
pub fn ensure_at(home: &Path, store: &Store) -> Result<MachineId> {
    ensure_in(home, store.root(), store.id())
}

/// Returns this machine's id for `store` if it has one; writes nothing.
///
/// # Errors
/// When it can not be read.
pub fn known(store: &Store) -> Result<Option<MachineId>> {
    Ok(Bindings::read(&state_home()?, store.id())?.resolve(store.root(), store.id())?.map(|found| found.machine))
}

/// Writes `machines/<machine>.toml` unless it is there; `true` when it was written.
///
/// # Errors
/// When the file system refuses.
pub fn write_card(store: &Store, machine: &MachineId, joined: Timestamp) -> Result<bool> {
    let path = store.path(&paths::machine(machine));
    if path.exists() {
        return Ok(false);
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = Some(name.trim().to_owned()).filter(|n| !n.is_empty()).unwrap_or_else(|| "unnamed".to_owned());
    let card = MachineCard { id: machine.clone(), name, joined };
    let text = toml::to_string(&card).expect("a card holds only text");
    Ok(fsutil::write_new(&path, text.as_bytes())?)
}

/// The folder for what belongs to this machine and to no store: `$XDG_STATE_HOME/cairn`.
///
/// # Errors
/// When the environment names no home.
pub fn state_home() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => Ok(state.join("cairn")),
        (None, Some(home)) => Ok(home.join(".local/state/cairn")),
        (None, None) => Err(StoreError::NoStateHome),
    }
}

/// An id that this machine had here and gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// The id.
    pub machine: MachineId,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, for a person.
    pub why: String,
}

/// The ids that this machine gave up for `store`, oldest first. Its runs wait until they are adopted.
///
/// # Errors
/// When they can not be read.
pub fn retired(home: &Path, store: &Store) -> Result<Vec<Retired>> {
    let bindings = Bindings::read(home, store.id())?;
    let here = bindings.all.into_iter().find(|(_, b)| b.path == store.root());
    Ok(here.map(|(_, binding)| binding.retired).unwrap_or_default())
}

/// The machine that takes commands for the runs of `owner`: this one, if it has retired that id.
///
/// # Errors
/// When identities can not be read.
pub fn addressee(store: &Store, owner: &MachineId) -> Result<MachineId> {
    let home = state_home()?;
    if retired(&home, store)?.iter().any(|r| r.machine == *owner) {
        return ensure_in(&home, store.root(), store.id());
    }
    Ok(owner.clone())
}

/// Gives up this machine's id for `store`, for good, and answers the new one. `why` is for a person.
///
/// # Errors
/// When there is no id yet, or it can not be written.
pub fn retire(home: &Path, store: &Store, why: &str) -> Result<MachineId> {
    let bindings = Bindings::read(home, store.id())?;
    let here = bindings.all.into_iter().find(|(_, b)| b.path == store.root());
    let Some((file, mut binding)) = here else { return ensure_in(home, store.root(), store.id()) };
    let machine = std::mem::replace(&mut binding.machine, fresh());
    binding.retired.push(Retired { machine, at: Timestamp::now(), why: why.to_owned() });
    fsutil::write(&file, text(&file, &binding)?.as_bytes())?;
    mark(store.root(), &binding.machine)?;
    Ok(binding.machine)
}

/// The file of this machine's high-water mark for `store`, see [`super::mark`].
#[must_use]
pub fn mark_file(home: &Path, store: &StoreId, machine: &MachineId) -> PathBuf {
    home.join("machines").join(store.as_str()).join(format!("{machine}.mark"))
}

fn text(file: &Path, binding: &Binding) -> Result<String> {
    toml::to_string(binding).map_err(|e| StoreError::BadIdentity { file: file.to_owned(), why: e.to_string() })
}

/// One file: an id and the path it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    machine: MachineId,
    /// The store's canonical path; lossy for names that are not UTF-8, which then never match and
    /// cost a new id.
    path: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<Retired>,
}

struct Bindings {
    dir: PathBuf,
    all: Vec<(PathBuf, Binding)>,
}

struct Found {
    machine: MachineId,
    retired: Vec<Retired>,
    /// The file to be replaced, when the store was moved.
    moved: Option<PathBuf>,
}

impl Bindings {
    fn read(home: &Path, store: &StoreId) -> Result<Self> {
        let dir = home.join("machines").join(store.as_str());
        let mut all = Vec::new();
        for entry in fsutil::list(&dir)? {
            let file = entry.path();
            if file.extension().is_none_or(|e| e != "toml") {
                continue;
            }
            let Some(bytes) = fsutil::read(&file)? else { continue };
            let binding = toml::from_slice(&bytes)
                .map_err(|e| StoreError::BadIdentity { file: file.clone(), why: e.to_string() })?;
            all.push((file, binding));
        }
        Ok(Self { dir, all })
    }

    fn resolve(&self, root: &Path, id: &StoreId) -> Result<Option<Found>> {
        if let Some((_, here)) = self.all.iter().find(|(_, b)| b.path == root) {
            return Ok(Some(Found { machine: here.machine.clone(), retired: Vec::new(), moved: None }));
        }
        let Some(before) = fsutil::read(&root.join(paths::MACHINE))? else { return Ok(None) };
        let before = String::from_utf8_lossy(&before).trim().to_owned();
        let moved = self.all.iter().find(|(_, b)| b.machine.as_str() == before && !holds(&b.path, id));
        Ok(moved.map(|(file, b)| Found {
            machine: b.machine.clone(),
            retired: b.retired.clone(),
            moved: Some(file.clone()),
        }))
    }
}

fn ensure_in(home: &Path, root: &Path, id: &StoreId) -> Result<MachineId> {
    let bindings = Bindings::read(home, id)?;
    let found = bindings.resolve(root, id)?;
    let (machine, retired, old) = match found {
        Some(Found { machine, moved: None, .. }) => {
            mark(root, &machine)?;
            return Ok(machine);
        }
        Some(Found { machine, retired, moved }) => (machine, retired, moved),
        None => (fresh(), Vec::new(), None),
    };
    let name = cairn_store_layout::Digest::of(root.as_os_str().as_encoded_bytes());
    let file = bindings.dir.join(format!("{}.toml", &name.as_str()[..16]));
    let binding = Binding { machine: machine.clone(), path: root.to_owned(), retired };
    if !fsutil::write_new(&file, text(&file, &binding)?.as_bytes())? {
        // somebody else was first by a moment; there is one file a path, so theirs is ours
        let bytes = disk::read(&file).at("read", &file)?;
        let theirs: Binding =
            toml::from_slice(&bytes).map_err(|e| StoreError::BadIdentity { file: file.clone(), why: e.to_string() })?;
        mark(root, &theirs.machine)?;
        return Ok(theirs.machine);
    }
    mark(root, &machine)?;
    if let Some(old) = old {
        fsutil::remove(&old)?;
    }
    Ok(machine)
}

/// Notes in the work tree whose it is.
fn mark(root: &Path, machine: &MachineId) -> Result<()> {
    let path = root.join(paths::MACHINE);
    let text = format!("{machine}\n");
    if fsutil::read(&path)?.is_none_or(|b| b != text.as_bytes()) {
        fsutil::write(&path, text.as_bytes())?;
    }
    Ok(())
}

fn holds(path: &Path, id: &StoreId) -> bool {
    Store::open(path).is_ok_and(|store| store.id() == id)
}

fn fresh() -> MachineId {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut number = random();
    let mut text = String::from("m");
    for _ in 0..9 {
        text.push(char::from(LETTERS[(number % 36) as usize]));
        number /= 36;
    }
    MachineId::new(text).expect("`m` and nine of a-z, 0-9")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        dir: tempfile::TempDir,
        id: StoreId,
    }

    impl Lab {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), id: StoreId::new("01kan000000000000000000000").unwrap() }
        }

        fn store(&self, name: &str) -> PathBuf {
            let root = self.dir.path().canonicalize().unwrap().join(name);
            std::fs::create_dir_all(root.join(".git")).unwrap();
            let card = format!("format = 2\nid = \"{}\"\ncreated = \"2026-11-22T10:00:00Z\"\n", self.id);
            std::fs::write(root.join("store.toml"), card).unwrap();
            root
        }

        fn machine(&self, root: &Path) -> MachineId {
            ensure_in(&self.dir.path().join("state"), root, &self.id).unwrap()
        }
    }

    #[test]
    fn an_id_stays() {
        let lab = Lab::new();
        let a = lab.store("a");
        assert_eq!(lab.machine(&a), lab.machine(&a));
    }

    #[test]
    fn a_copy_and_a_clone_get_ids_of_their_own() {
        let lab = Lab::new();
        let a = lab.store("a");
        let first = lab.machine(&a);
        let copy = lab.store("copy");
        std::fs::create_dir_all(copy.join(".cairn")).unwrap();
        std::fs::copy(a.join(paths::MACHINE), copy.join(paths::MACHINE)).unwrap();
        let second = lab.machine(&copy);
        assert_ne!(first, second, "the first store is still there");
        assert_eq!(lab.machine(&a), first);

        let clone = lab.store("clone");
        std::fs::remove_dir_all(&a).unwrap();
        let third = lab.machine(&clone);
        assert!(third != first && third != second, "a clone has no local mark, so it is nobody's move");
    }

    #[test]
    fn a_retired_id_is_remembered_also_when_the_store_moves() {
        let lab = Lab::new();
        let (home, root) = (lab.dir.path().join("state"), lab.store("a"));
        let first = lab.machine(&root);
        let store = Store::open(&root).unwrap();
        let second = retire(&home, &store, "it was restored").unwrap();
        assert_ne!(first, second);
        assert_eq!(lab.machine(&root), second);
        let moved = root.with_file_name("b");
        std::fs::rename(&root, &moved).unwrap();
        assert_eq!(lab.machine(&moved), second);
        let retired = retired(&home, &Store::open(&moved).unwrap()).unwrap();
        assert_eq!(
            retired.iter().map(|r| (&r.machine, r.why.as_str())).collect::<Vec<_>>(),
            [(&first, "it was restored")]
        );
    }

    #[test]
    fn a_moved_store_keeps_its_id() {
        let lab = Lab::new();
        let a = lab.store("a");
        let first = lab.machine(&a);
        let b = a.with_file_name("b");
        std::fs::rename(&a, &b).unwrap();
        assert_eq!(lab.machine(&b), first);
        // a new store at the old place is not the first one's
        let again = lab.store("a");
        assert_ne!(lab.machine(&again), first);
    }
}
