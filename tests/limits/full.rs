//! A disk that is really full: a small file system in memory, filled up under a running kernel.

use std::{path::PathBuf, process::Command, time::Duration};

use cairn::store::lock;
use cairn_store_layout::{paths, view::RunStatus};
use serde_json::json;

use crate::lab::Lab;

/// Sixty steps, one after the other, each with an intent of 60 KB; then it is over.
fn workflow() -> String {
    let mut text = "[[input]]\nname = \"t\"\n".to_owned();
    for n in 0..60 {
        let needs = if n == 0 { String::new() } else { format!("needs = [\"s{}\"]\n", n - 1) };
        text.push_str(&format!(
            "[[step]]\nid = \"s{n}\"\n{needs}run = [\"true\"]\nstdin = \"{n} {{{{ input.t }}}}\"\n"
        ));
    }
    text
}

/// A file system of its own, gone with the value.
struct Disk(PathBuf);

impl Disk {
    /// `None` where nobody may mount one; the reason is printed.
    fn of(at: PathBuf, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a folder");
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(&at).output();
        match out {
            Ok(out) if out.status.success() => Some(Self(at)),
            Ok(out) => {
                println!("skipped: no small disk: {}", String::from_utf8_lossy(&out.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no small disk: {error}");
                None
            }
        }
    }

    /// Takes up all but `kib` of what is free.
    fn fill_but(&self, kib: u64) {
        let stat = rustix::fs::statvfs(&self.0).expect("a file system");
        let free = stat.f_bavail * stat.f_frsize;
        let len = usize::try_from(free.saturating_sub(kib << 10)).expect("a length");
        std::fs::write(self.0.join("filler"), vec![1; len]).expect("filled");
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A run on a disk that fills up in the middle of it. `low`: the mark below which nothing new is begun.
fn filled_up(mib: u32, left_kib: u64, low: Option<&str>) -> Option<bool> {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = Disk::of(dir.path().join("disk"), mib)?;
    let lab = Lab::at(dir, disk.0.join("store"));
    lab.write("workflows/w/workflow.toml", &workflow());
    let mut command = lab.command(&["kernel", "run"]);
    command.envs(low.map(|low| ("CAIRN_SPACE_LOW", low)));
    let mut kernel = lab.kernel(command);
    let ready = lab.root.join(paths::JOURNAL).join("00000001.jsonl");
    lab.until("a kernel", || ready.exists() && lab.root.join(paths::BALLAST).exists());
    disk.fill_but(left_kib);
    let run = lab.start("w", json!({"t": "x".repeat(60_000)}));
    let mut paused = false;
    lab.until("a pause or the end", || {
        assert!(kernel.is_up(), "it must not end: {}", lab.said());
        paused = lock::paused(&lab.root).is_some();
        paused || lab.status(&run) == Some(RunStatus::Succeeded)
    });
    // without a mark the ballast may be enough for all of it, at once
    if paused && low.is_none() {
        let status = lab.cairn(&["status"]);
        assert!(String::from_utf8_lossy(&status.stdout).contains("nothing new is begun"), "{status:?}");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(lab.status(&run), Some(RunStatus::Running), "nothing is begun while it has paused");
    }
    disk.empty();
    lab.until("the end", || lab.status(&run) == Some(RunStatus::Succeeded));
    lab.until("its commit", || {
        let log = lab.git(&["log", "-1", "--format=%(trailers:key=Status,valueonly)"]);
        String::from_utf8_lossy(&log.stdout).trim() == "succeeded"
    });
    assert_eq!(lock::paused(&lab.root), None);
    let history = std::fs::read_to_string(lab.root.join(paths::run(&run))).expect("a history");
    assert_eq!(history.matches("\"kind\":\"attempt.started\"").count(), 60, "each step once: {}", lab.said());
    assert!(kernel.stop(), "{}", lab.said());
    lab.is_sound();
    Some(paused)
}

/// How many sizes of each kind: all fifty with `CAIRN_LIMITS=long`.
fn sizes() -> impl Iterator<Item = u32> {
    let step = if std::env::var("CAIRN_LIMITS").is_ok_and(|v| v == "long") { 1 } else { 7 };
    (0..25).step_by(step)
}

#[test]
fn a_disk_that_fills_up_pauses_the_kernel_before_a_write_fails() {
    let mut paused = 0;
    for n in sizes() {
        let Some(yes) = filled_up(64 + n, u64::from(8_500 + 200 * n), None) else { return };
        paused += u32::from(yes);
    }
    assert!(paused > 0, "no disk was full at the right time");
}

#[test]
fn a_write_that_finds_no_room_loses_nothing_and_the_kernel_goes_on_by_itself() {
    let mut paused = 0;
    for n in sizes() {
        let Some(yes) = filled_up(64 + n, u64::from(300 + 150 * n), Some("0")) else { return };
        paused += u32::from(yes);
    }
    assert!(paused > 0, "no disk was full at the right time");
}

#[test]
fn a_kernel_of_a_moment_says_that_there_is_no_room_and_begins_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::of(dir.path().join("disk"), 32) else { return };
    let lab = Lab::at(dir, disk.0.join("store"));
    lab.write("workflows/w/workflow.toml", "[[step]]\nid = \"a\"\nrun = [\"true\"]\n");
    disk.fill_but(2_000);
    let out = lab.cairn(&["run", "start", "w", "--wait"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("nearly full") && said.contains("[disk_full]"), "{said}");
    disk.empty();
    assert!(lab.cairn(&["kernel", "start"]).status.success());
    lab.until("the run", || lab.cairn(&["run", "ls"]).stdout.windows(9).any(|w| w == b"succeeded"));
    assert!(lab.cairn(&["kernel", "stop"]).status.success());
    lab.is_sound();
}
