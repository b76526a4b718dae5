//! What every verb is given: the flags, the screen, and the store once it asks for it.

use cairn_store_layout::MachineId;

use super::{args::Common, failure::Failure, screen::Screen};
use crate::store::{Store, identity, reader::Reader};

/// What every verb is given.
#[derive(Debug)]
pub struct Context {
    /// The flags that every verb takes.
    pub common: Common,
    /// Where results go.
    pub screen: Screen,
}

/// The result of a verb: its exit code.
pub type Outcome = Result<u8, Failure>;

impl Context {
    /// Finds and opens the store.
    ///
    /// # Errors
    /// When there is none, or it can not be opened.
    pub fn store(&self) -> Result<Store, Failure> {
        Ok(Store::find(self.common.dir.as_deref())?)
    }

    /// A reader of the store that has read its lists.
    ///
    /// # Errors
    /// When there is no store, or it can not be read.
    pub fn reader(&self) -> Result<Reader, Failure> {
        let mut reader = Reader::new(self.store()?);
        reader.refresh()?;
        for why in reader.unreadable() {
            self.screen.note(format!("warning: a history can not be read: {why}\n  see: cairn verify"));
        }
        Ok(reader)
    }

    /// This machine's id in `store`, made on first use.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn machine(&self, store: &Store) -> Result<MachineId, Failure> {
        Ok(identity::ensure(store)?)
    }

    /// Who gives the orders: a name for the record, no proof.
    #[must_use]
    pub fn by(&self) -> String {
        let name = ["CAIRN_BY", "USER", "LOGNAME"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
        name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
    }

    /// Tells whether a question can be asked.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.screen.is_interactive() && !self.common.no_input
    }

    /// The command line that names the same store, for hints: `cairn -C DIR` when a flag named it.
    #[must_use]
    pub fn cairn(&self) -> String {
        match &self.common.dir {
            Some(dir) => format!("cairn -C {}", dir.display()),
            None => "cairn".to_owned(),
        }
    }
}

/// Reads a text from a file, or from standard input when it is called `-`.
///
/// # Errors
/// When it can not be read or is no text.
pub(super) fn read_text(file: &std::path::Path) -> Result<String, Failure> {
    use std::io::Read as _;
    if file.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        return read.map(|_| text).map_err(|e| Failure::failed("no_input", format!("cannot read standard input: {e}")));
    }
    std::fs::read_to_string(file).map_err(|e| {
        let exit = if e.kind() == std::io::ErrorKind::NotFound { super::exit::NOT_FOUND } else { super::exit::FAILED };
        Failure::new("no_input", exit, format!("cannot read {}: {e}", file.display()))
    })
}
