//! Payloads named by the hash of their bytes: `artifacts/<ab>/<hash>`.
//!
//! A payload never changes once it is there. One whose bytes do not match its name is never handed
//! out, and is replaced when the right bytes come along again.

use std::path::Path;

use cairn_store_layout::{Digest, paths};

use super::fsutil::{self, FsResult};

/// How safe a payload must be before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Survives a power cut: something durable will name it.
    Durable,
    /// Can be made again if it is lost.
    Derived,
}

/// Stores `bytes` in the store at `root` and answers their name. Writes nothing when they are there, intact.
///
/// # Errors
/// When the file system refuses.
pub fn put(root: &Path, bytes: &[u8], keep: Keep) -> FsResult<Digest> {
    let digest = Digest::of(bytes);
    let path = root.join(paths::artifact(&digest));
    if fsutil::read(&path)?.is_some_and(|there| there == bytes) {
        return Ok(digest);
    }
    match keep {
        Keep::Durable => fsutil::write(&path, bytes)?,
        Keep::Derived => fsutil::write_derived(&path, bytes)?,
    }
    Ok(digest)
}

/// The bytes called `digest`; `None` when they are missing or do not match their name.
///
/// # Errors
/// When the file system refuses.
pub fn get(root: &Path, digest: &Digest) -> FsResult<Option<Vec<u8>>> {
    Ok(fsutil::read(&root.join(paths::artifact(digest)))?.filter(|bytes| Digest::of(bytes) == *digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_got_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let digest = put(root, b"a letter", Keep::Durable).unwrap();
        assert_eq!(get(root, &digest).unwrap().as_deref(), Some(&b"a letter"[..]));

        let path = root.join(paths::artifact(&digest));
        let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = modified();
        put(root, b"a letter", Keep::Durable).unwrap();
        assert_eq!(modified(), before, "an intact payload is not written again");

        std::fs::write(&path, b"a lettex").unwrap();
        assert_eq!(get(root, &digest).unwrap(), None);
        put(root, b"a letter", Keep::Derived).unwrap();
        assert_eq!(get(root, &digest).unwrap().as_deref(), Some(&b"a letter"[..]), "damage is healed");
        assert_eq!(get(root, &Digest::of(b"never")).unwrap(), None);
    }
}
