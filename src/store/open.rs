//! Finding and opening a store.
//!
//! Opening reads `store.toml` alone: it takes no lock, writes nothing and starts nothing, so that
//! every reading verb works beside a running kernel. A store of a newer format is refused whole,
//! because an old writer would drop what it does not know.

use std::path::{Path, PathBuf};

use cairn_store_layout::{
    StoreId, paths,
    store::{FORMAT, StoreCard},
};

use super::{
    error::{Result, StoreError},
    fsutil::{self, At as _},
};

/// The environment variable that names the store when `-C` does not.
pub const STORE_ENV: &str = "CAIRN_STORE";

/// An open store: where it is and what its card says.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    card: StoreCard,
}

impl Store {
    /// Finds the store: `start` if given, else the folder that `CAIRN_STORE` names, else the working
    /// folder or the nearest one above it that has a `store.toml`.
    ///
    /// # Errors
    /// When there is none, or it can not be opened.
    pub fn find(start: Option<&Path>) -> Result<Self> {
        if let Some(dir) = start {
            return Self::open(dir);
        }
        if let Some(dir) = std::env::var_os(STORE_ENV).filter(|v| !v.is_empty()) {
            return Self::open(Path::new(&dir));
        }
        let here = std::env::current_dir().at("resolve", Path::new("."))?;
        match here.ancestors().find(|dir| dir.join(paths::STORE_TOML).is_file()) {
            Some(root) => Self::open(root),
            None => Err(StoreError::NotFound { start: here }),
        }
    }

    /// Opens the store at `root`.
    ///
    /// # Errors
    /// When `root` is not a store, not a git repository, or of a newer format.
    pub fn open(root: &Path) -> Result<Self> {
        let root = match root.canonicalize() {
            Ok(root) => root,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::NotAStore { root: root.to_owned(), why: "there is no such folder" });
            }
            Err(e) => return Err(e).at("open", root)?,
        };
        let file = root.join(paths::STORE_TOML);
        let Some(bytes) = fsutil::read(&file)? else {
            let why = if root.is_dir() { "it has no store.toml" } else { "it is not a folder" };
            return Err(StoreError::NotAStore { root, why });
        };
        let card = read_card(&file, &bytes)?;
        if !root.join(".git").exists() {
            return Err(StoreError::NotARepository { root });
        }
        Ok(Self { root, card })
    }

    /// The store's folder, canonical.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The store's id, the same in every clone.
    #[must_use]
    pub fn id(&self) -> &StoreId {
        &self.card.id
    }

    /// What `store.toml` says.
    #[must_use]
    pub fn card(&self) -> &StoreCard {
        &self.card
    }

    /// What people call the store: its folder's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "/".to_owned(), |n| n.to_string_lossy().into_owned())
    }

    /// The place of a path of `store_layout::paths`.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

fn read_card(file: &Path, bytes: &[u8]) -> Result<StoreCard> {
    let bad = |why: String| StoreError::BadCard { file: file.to_owned(), why };
    let text = std::str::from_utf8(bytes).map_err(|e| bad(e.to_string()))?;
    // The format comes first: a newer store may well have keys that the strict reading would
    // blame on the operator.
    let loose: toml::Table = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
    if let Some(found) = loose.get("format").and_then(toml::Value::as_integer)
        && found > i64::from(FORMAT)
    {
        return Err(StoreError::Newer { file: file.to_owned(), found, known: FORMAT });
    }
    let card: StoreCard = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
    if card.format < FORMAT {
        return Err(StoreError::Older { file: file.to_owned(), found: card.format, known: FORMAT });
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(text: &str) -> Result<StoreCard> {
        read_card(Path::new("/s/store.toml"), text.as_bytes())
    }

    const GOOD: &str = "format = 2\nid = \"01kan000000000000000000000\"\ncreated = \"2026-11-22T10:00:00Z\"\n";

    #[test]
    fn a_card_is_read_strictly_but_a_newer_format_is_named_first() {
        assert_eq!(card(GOOD).unwrap().format, FORMAT);
        assert!(matches!(card(&format!("{GOOD}extra = 1\n")), Err(StoreError::BadCard { .. })));
        let newer = GOOD.replace("format = 2", "format = 9") + "extra = 1\n";
        assert!(matches!(card(&newer), Err(StoreError::Newer { found: 9, known: FORMAT, .. })));
        let older = GOOD.replace("format = 2", "format = 1");
        assert!(matches!(card(&older), Err(StoreError::Older { found: 1, known: FORMAT, .. })));
    }

    #[test]
    fn what_is_not_a_store_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let open = |p: &Path| Store::open(p).unwrap_err();
        assert!(matches!(open(&dir.path().join("none")), StoreError::NotAStore { .. }));
        assert!(matches!(open(dir.path()), StoreError::NotAStore { why: "it has no store.toml", .. }));
        std::fs::write(dir.path().join("store.toml"), GOOD).unwrap();
        assert!(matches!(open(dir.path()), StoreError::NotARepository { .. }));
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().id().as_str(), "01kan000000000000000000000");
    }
}
