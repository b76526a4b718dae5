//! Which definitions may start runs by themselves on this machine, and what their triggers have seen.
//!
//! One folder a store and machine, `$XDG_STATE_HOME/cairn/machines/<store>/<machine>.triggers/`, with
//! two small files a workflow: `<name>.trust.json` says which version is trusted and who said so,
//! `<name>.seen.json` is the kernel's own. No trust file: the triggers of that workflow are off.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cairn_store_layout::{MachineId, paths};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Seen;
use crate::store::{
    Store,
    error::{Result, StoreError},
    fsutil, identity,
};

/// A version whose triggers may start runs here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Git tree id of `workflows/<name>`.
    pub definition: String,
    /// Who trusted it.
    pub by: String,
    /// When.
    #[serde(with = "cairn_store_layout::time::at")]
    pub at: Timestamp,
}

/// Where this machine keeps what it knows of triggers.
#[derive(Debug, Clone)]
pub struct Desk {
    dir: PathBuf,
}

impl Desk {
    /// The one of `machine` for `store`, with the identities of machines in `home`.
    #[must_use]
    pub fn at(home: &Path, store: &Store, machine: &MachineId) -> Self {
        let dir = home.join("machines").join(store.id().as_str()).join(format!("{machine}.triggers"));
        Self { dir }
    }

    /// The one of this machine, as the environment says.
    ///
    /// # Errors
    /// When the environment names no home.
    pub fn here(store: &Store, machine: &MachineId) -> Result<Self> {
        Ok(Self::at(&identity::state_home()?, store, machine))
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is trusted of a workflow, if anything.
    ///
    /// # Errors
    /// When the file can not be read; its triggers are off then.
    pub fn trusted(&self, workflow: &str) -> Result<Option<Trusted>> {
        self.read(&self.trust_file(workflow))
    }

    /// Trusts a version of a workflow, and no other.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn trust(&self, workflow: &str, trusted: &Trusted) -> Result<()> {
        self.write(&self.trust_file(workflow), trusted)
    }

    /// Trusts no version of a workflow any more, and forgets what its triggers saw; `false` when none was
    /// trusted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn untrust(&self, workflow: &str) -> Result<bool> {
        let was = fsutil::remove(&self.trust_file(workflow))?;
        self.forget(workflow)?;
        Ok(was)
    }

    /// What the triggers of a workflow have seen, by the trigger's name.
    ///
    /// # Errors
    /// When the file can not be read.
    pub fn seen(&self, workflow: &str) -> Result<BTreeMap<String, Seen>> {
        Ok(self.read(&self.seen_file(workflow))?.unwrap_or_default())
    }

    /// Keeps what the triggers of a workflow have seen.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, workflow: &str, seen: &BTreeMap<String, Seen>) -> Result<()> {
        self.write(&self.seen_file(workflow), seen)
    }

    /// Forgets what the triggers of a workflow have seen: they count anew from when they are trusted.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn forget(&self, workflow: &str) -> Result<bool> {
        Ok(fsutil::remove(&self.seen_file(workflow))?)
    }

    fn trust_file(&self, workflow: &str) -> PathBuf {
        self.file(workflow, "trust")
    }

    fn seen_file(&self, workflow: &str) -> PathBuf {
        self.file(workflow, "seen")
    }

    /// Names of workflows come from folders that anybody may have made.
    fn file(&self, workflow: &str, what: &str) -> PathBuf {
        let name = if paths::is_definition_name(workflow) { workflow } else { "_" };
        self.dir.join(format!("{name}.{what}.json"))
    }

    fn read<T: DeserializeOwned>(&self, file: &Path) -> Result<Option<T>> {
        let Some(bytes) = fsutil::read(file)? else { return Ok(None) };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|e| StoreError::BadTrust { file: file.to_owned(), why: e.to_string() })
    }

    fn write<T: Serialize>(&self, file: &Path, value: &T) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).expect("text, numbers and moments are JSON");
        text.push('\n');
        Ok(fsutil::write(file, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::bare_store;

    #[test]
    fn what_is_trusted_stays_until_it_is_not() {
        let (dir, store) = bare_store();
        let machine = MachineId::new("m000000000").unwrap();
        let desk = Desk::at(&dir.path().join("home"), &store, &machine);
        assert_eq!(desk.trusted("chase").unwrap(), None);
        let trusted = Trusted {
            definition: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
            by: "jo".to_owned(),
            at: "2026-11-22T08:00:00Z".parse().unwrap(),
        };
        desk.trust("chase", &trusted).unwrap();
        desk.keep("chase", &BTreeMap::new()).unwrap();
        assert_eq!(desk.trusted("chase").unwrap(), Some(trusted));
        let other = Desk::at(&dir.path().join("home"), &store, &MachineId::new("m000000001").unwrap());
        assert_eq!(other.trusted("chase").unwrap(), None, "trust is a machine's own");
        assert!(desk.untrust("chase").unwrap());
        assert!(!desk.untrust("chase").unwrap());
        assert_eq!(std::fs::read_dir(desk.dir()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_file_trusts_nothing_and_says_so() {
        let (dir, store) = bare_store();
        let desk = Desk::at(&dir.path().join("home"), &store, &MachineId::new("m000000000").unwrap());
        std::fs::create_dir_all(desk.dir()).unwrap();
        std::fs::write(desk.dir().join("chase.trust.json"), "{").unwrap();
        assert!(desk.trusted("chase").unwrap_err().to_string().contains("chase.trust.json"));
    }
}
