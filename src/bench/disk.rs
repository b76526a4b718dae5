//! How much of the disk a finished run takes, its history and its share of git.

use std::path::Path;

use super::{
    Error,
    figure::{Figure, Target},
    scratch::Scratch,
};
use crate::store::fsutil;

/// Measures the store as it stands, then once more after git's maintenance.
pub(super) fn measure(scratch: &Scratch, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let store = &scratch.store;
    let histories = bytes_below(&store.path("runs"))?;
    let files = files_below(&store.path("runs"))?.max(1);
    let each = |bytes: u64| bytes as f64 / files as f64 / 1024.0;
    let before = bytes_below(&store.path(".git"))?;
    let mut figures = vec![
        Figure::new("disk", "history of a run, bytes", each(histories), "KB"),
        Figure::new("disk", ".git a run, before maintenance", each(before), "KB").aim(Target::AtMost(2.5)),
    ];
    say(&format!("git repack of {files} runs"));
    if repack(store.root()) {
        let after = bytes_below(&store.path(".git"))?;
        figures.push(Figure::new("disk", ".git a run, after maintenance", each(after), "KB"));
        let all = Figure::new("disk", "history and .git a run, after maintenance", each(histories + after), "KB");
        figures.push(all.aim(Target::AtMost(4.0)));
    } else {
        say("  there is no git program here: nothing to say about the disk after maintenance");
    }
    Ok(figures)
}

/// Git's own word on a packed store. `false` when there is no git program.
fn repack(root: &Path) -> bool {
    let repack = ["repack", "-d", "--geometric=2", "--write-midx", "-q"];
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(root).args(repack).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.status().is_ok_and(|status| status.success())
}

/// Bytes of all files below `dir`, as their lengths say.
pub(super) fn bytes_below(dir: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    each_file(dir, &mut |_, len| bytes += len)?;
    Ok(bytes)
}

fn files_below(dir: &Path) -> Result<u64, Error> {
    let mut files = 0;
    each_file(dir, &mut |_, _| files += 1)?;
    Ok(files)
}

/// Calls `visit` with every file below `dir` and its length.
pub(super) fn each_file(dir: &Path, visit: &mut dyn FnMut(&Path, u64)) -> Result<(), Error> {
    for entry in fsutil::list(dir)? {
        let path = entry.path();
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => each_file(&path, visit)?,
            Ok(meta) => visit(&path, meta.len()),
            // a lock or a temporary file of a moment
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("look at", &path, e)),
        }
    }
    Ok(())
}
