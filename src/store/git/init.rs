//! Makes the repository of a new store.
//!
//! Refuses to touch a folder that already holds a repository. Writes no first commit: the caller
//! writes the store's first files and commits them like any others.

use std::path::Path;

use super::{GitError, Repo, Result, error::During as _, options};
use crate::store::disk;

/// What a new repository must know from the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct InitOptions<'a> {
    /// Patterns, in the syntax of `.gitignore`, of what belongs to this machine alone. They hold
    /// even if the tracked `.gitignore` is lost.
    pub ignore: &'a [&'a str],
}

/// Settings for people who use the `git` program on the store. Packing is the kernel's business
/// (an automatic gc beside it would fight for locks), a commit made by hand is made as durable as
/// ours, and objects from other machines are checked before they are kept.
const CONFIG: [(&str, &str); 9] = [
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("core.autocrlf", "false"),
    ("core.fsync", "committed,reference"),
    ("core.fsmonitor", "false"),
    ("fetch.fsckObjects", "true"),
    ("receive.fsckObjects", "true"),
    ("receive.denyNonFastForwards", "true"),
    ("receive.denyDeletes", "true"),
];

/// Bytes in the repository are the bytes on disk: no line-end conversion, no filter, no keyword.
/// Here rather than in a tracked `.gitattributes`, because what a remote sends must not change it.
const ATTRIBUTES: &str = "\
# Written by `cairn init`: files are stored byte for byte.
* -text -ident -filter -working-tree-encoding
/memory/vectors/** binary
";

impl Repo {
    /// Makes an empty repository at `root` (created if needed) with the branch `main`.
    ///
    /// # Errors
    /// When `root` already holds a `.git`, or when files cannot be written. A repository that was
    /// half made is removed again.
    pub fn init(root: &Path, init: &InitOptions<'_>) -> Result<Self> {
        let dot_git = root.join(".git");
        if std::fs::symlink_metadata(&dot_git).is_ok() {
            return Err(GitError::AlreadyARepository { root: root.to_owned() });
        }
        let made = make(root, &dot_git, init);
        if made.is_err() {
            // The folder did not exist a moment ago, so all that is in it is ours. The first error
            // is the one worth reporting.
            let _ = std::fs::remove_dir_all(&dot_git);
        }
        made?;
        Self::open(root)
    }
}

fn make(root: &Path, dot_git: &Path, init: &InitOptions<'_>) -> Result<()> {
    let create = gix::create::Options { destination_must_be_empty: Some(false), ..Default::default() };
    gix::ThreadSafeRepository::init_opts(root, gix::create::Kind::WithWorktree, create, options())
        .during("create the repository", root)?;
    configure(&dot_git.join("config"))?;
    let info = dot_git.join("info");
    write(&info.join("attributes"), ATTRIBUTES)?;
    let ignored: String = init.ignore.iter().map(|pattern| format!("{pattern}\n")).collect();
    write(&info.join("exclude"), &format!("# Written by `cairn init`: local to this machine.\n{ignored}"))?;
    sync_all(dot_git)?;
    disk::sync_dir(root).during("sync", root)
}

fn configure(path: &Path) -> Result<()> {
    let mut config =
        gix::config::File::from_path_no_includes(path.to_owned(), gix::config::Source::Local).during("read", path)?;
    for (key, value) in CONFIG {
        config.set_raw_value(key, value).during("set a value", path)?;
    }
    write(path, &config.to_bstring().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).during("write", path)
}

fn sync_all(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir).during("list", dir)? {
        let entry = entry.during("list", dir)?;
        let kind = entry.file_type().during("read", &entry.path())?;
        if kind.is_dir() {
            sync_all(&entry.path())?;
        } else if kind.is_file() && !entry.path().components().any(|part| part.as_os_str() == "hooks") {
            // Sample hooks are nobody's data; a dozen syncs are spared.
            disk::sync_file(&entry.path()).during("sync", &entry.path())?;
        }
    }
    disk::sync_dir(dir).during("sync", dir)
}
