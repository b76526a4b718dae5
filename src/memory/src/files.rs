//! Small helpers for folders of derived files: list and remove. Nothing else in this crate deletes.

use std::{collections::BTreeMap, fs, path::Path};

use crate::error::{IoContext, Result};

/// The lengths of all files below `root/dir`, by path relative to `root`. Empty when there is none.
pub(crate) fn list(root: &Path, dir: &str) -> Result<BTreeMap<String, u64>> {
    let mut out = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let full = root.join(&dir);
        let listing = match fs::read_dir(&full) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.on("list", &full)?,
        };
        for item in listing {
            let item = item.on("list", &full)?;
            let meta = item.metadata().on("examine", &item.path())?;
            let path = format!("{dir}/{}", item.file_name().to_string_lossy());
            if meta.is_dir() {
                waiting.push(path);
            } else {
                out.insert(path, meta.len());
            }
        }
    }
    Ok(out)
}

/// Removes a folder with all it holds; it is fine if there is none.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.on("remove", dir),
    }
}
