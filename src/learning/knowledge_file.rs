//! Writing an accepted proposal as a file of `knowledge/`.

use std::path::Path;

use cairn_store_layout::{paths, proposal::FILE_BYTES_MAX};

use crate::store::fsutil;

/// The folders of derived knowledge.
const FOLDERS: [&str; 4] = ["rules", "templates", "preferences", "examples"];

/// Writes `text` as `knowledge/<path>` below `root`. It is committed as any edit of a definition is. A file that is
/// there with the same text stays.
///
/// # Errors
/// In words, when the path is none of the four folders', when the file says something else already, or when the
/// system refuses. Nothing is changed then.
pub(crate) fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    check(path, text)?;
    let relative = format!("knowledge/{path}");
    let full = root.join(&relative);
    for folder in [root.join("knowledge"), full.parent().unwrap_or(root).to_owned()] {
        if std::fs::symlink_metadata(&folder).is_ok_and(|meta| !meta.is_dir()) {
            return Err(format!("{} is no folder; nothing was written", folder.display()));
        }
    }
    let found = fsutil::read(&full).map_err(|e| e.to_string())?;
    match found {
        Some(bytes) if bytes == text.as_bytes() => Ok(()),
        Some(_) => Err(format!("{relative} is there already and says something else; nothing was written")),
        None => fsutil::write_new(&full, text.as_bytes()).map(drop).map_err(|e| e.to_string()),
    }
}

/// Tells why a file of knowledge can not have this path and text.
///
/// # Errors
/// In words.
pub(crate) fn check(path: &str, text: &str) -> Result<(), String> {
    let named = path.split_once('/').and_then(|(folder, file)| Some((folder, file.strip_suffix(".md")?)));
    if !named.is_some_and(|(folder, name)| FOLDERS.contains(&folder) && paths::is_definition_name(name)) {
        let folders = FOLDERS.join("|");
        return Err(format!(
            "`{path}` is no file of knowledge: it is named ({folders})/<name>.md, a name of a-z 0-9 - _"
        ));
    }
    if text.len() > FILE_BYTES_MAX {
        return Err(format!("the text has {} bytes; a file of knowledge has at most {FILE_BYTES_MAX}", text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_four_folders_are_written_and_never_over_others() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "rules/late-fees.md", "No fees.").unwrap();
        write(dir.path(), "rules/late-fees.md", "No fees.").unwrap();
        assert!(write(dir.path(), "rules/late-fees.md", "Fees!").unwrap_err().contains("says something else"));
        for bad in
            ["rules/../../x.md", "rules/a/b.md", "../x.md", "kinds/client.md", "rules/.md", "rules/a.txt", "a.md"]
        {
            assert!(write(dir.path(), bad, "x").is_err(), "{bad}");
        }
        std::os::unix::fs::symlink("/", dir.path().join("knowledge/examples")).unwrap();
        assert!(write(dir.path(), "examples/a.md", "x").unwrap_err().contains("is no folder"));
        assert_eq!(std::fs::read_to_string(dir.path().join("knowledge/rules/late-fees.md")).unwrap(), "No fees.");
    }
}
