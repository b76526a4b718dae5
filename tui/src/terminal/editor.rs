//! The operator's editor on a draft that only they can read and that survives us.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
};

use cairn_store_layout::{Digest, GateId};

/// The largest text that is taken from an editor.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// The editor's command line as the operator set it: `$VISUAL`, else `$EDITOR`, else `vi`.
#[must_use]
pub fn editor_command() -> String {
    let set = |name| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned())
}

/// One text on its way through the editor.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    /// Set when it held an unfinished text already.
    pub(super) resumed: bool,
}

impl Draft {
    /// Opens the draft of this request and digest in `folder`; begins it with `text` if there is none.
    pub(super) fn open(folder: &Path, gate: &GateId, digest: &Digest, text: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = path(folder, gate, digest);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                Ok(Self { path, resumed: false })
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Self { path, resumed: true }),
            Err(e) => Err(e),
        }
    }

    /// Starts the editor. The command is split at blanks and never seen by a shell.
    pub(super) fn start(&self, command: &str) -> io::Result<Child> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or_else(|| io::Error::other("the editor's command is empty"))?;
        Command::new(program)
            .args(words)
            .arg(&self.path)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("`{program}` cannot be started: {e}; set $EDITOR")))
    }

    /// Reads what the editor left.
    pub(super) fn finish(&self, status: ExitStatus) -> io::Result<String> {
        if !status.success() {
            return Err(io::Error::other(format!("the editor ended with {status}; the draft is kept: e resumes")));
        }
        let at = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", self.path.display()));
        if fs::metadata(&self.path).map_err(at)?.len() > TEXT_BYTES_MAX {
            return Err(io::Error::other(format!("{} is larger than 1 MiB", self.path.display())));
        }
        fs::read_to_string(&self.path).map_err(at)
    }
}

/// Removes the draft of a request, if there is one.
pub(super) fn drop_draft(folder: &Path, gate: &GateId, digest: &Digest) {
    // a draft that stays is offered again; nothing is lost by failing here
    let _ = fs::remove_file(path(folder, gate, digest));
}

/// Ids are hex digits, so they are safe as the name of a file.
fn path(folder: &Path, gate: &GateId, digest: &Digest) -> PathBuf {
    folder.join(format!("{gate}-{}.txt", &digest.as_str()[..12]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ids() -> (GateId, Digest) {
        (GateId::new("a3f20b9c77d0").expect("an id"), Digest::of(b"x"))
    }

    #[test]
    fn a_draft_is_private_kept_and_resumed() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("drafts");
        let (gate, digest) = ids();
        let draft = Draft::open(&folder, &gate, &digest, "to: a\n\nhello\n").expect("opened");
        assert!(!draft.resumed);
        let mode = fs::metadata(path(&folder, &gate, &digest)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut child = draft.start("sed -i s/hello/good-day/").expect("started");
        let status = child.wait().expect("ended");
        assert_eq!(draft.finish(status).expect("read"), "to: a\n\ngood-day\n");

        let again = Draft::open(&folder, &gate, &digest, "other").expect("opened");
        assert!(again.resumed);
        let mut child = again.start("false").expect("started");
        let why = again.finish(child.wait().expect("ended")).expect_err("it failed").to_string();
        assert!(why.contains("draft is kept"), "{why}");
        drop_draft(&folder, &gate, &digest);
        assert!(!path(&folder, &gate, &digest).exists());
    }

    #[test]
    fn a_missing_editor_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (gate, digest) = ids();
        let draft = Draft::open(folder.path(), &gate, &digest, "x").expect("opened");
        let why = draft.start("no-such-editor-here -w").expect_err("it is missing").to_string();
        assert!(why.contains("`no-such-editor-here`") && why.contains("$EDITOR"), "{why}");
    }
}
