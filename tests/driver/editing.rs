//! Editing definitions while a kernel runs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use cairn::{
    driver::{self, ServeOptions, StopFlag, Until},
    store::lock::KernelLock,
};

use crate::support::Bench;

/// Files that appear and vanish between two looks, as under `sed -i`, never stop the kernel, and
/// what they leave behind is adopted.
#[test]
fn files_that_come_and_go_under_an_editor_do_not_stop_the_kernel() {
    let bench = Bench::demo();
    let stop = StopFlag::new();
    let kernel = {
        let (store, stop) = (bench.store.clone(), stop.clone());
        let lock = KernelLock::take(bench.root()).expect("the lock");
        thread::spawn(move || driver::serve(&store, lock, &ServeOptions { until: Until::Stopped }, &stop))
    };
    let folder = bench.path("workflows/invoice-chase");
    let workflow = folder.join("workflow.toml");
    let text = fs::read_to_string(&workflow).expect("the definition");
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < Duration::from_secs(2) {
        n += 1;
        let passing = folder.join(format!("sed{n}"));
        fs::write(&passing, format!("{text}\n# edit {n}\n")).expect("written");
        fs::rename(&passing, &workflow).expect("renamed");
        let brief = folder.join(format!("tmp{n}"));
        fs::write(&brief, "x").expect("written");
        fs::remove_file(&brief).expect("removed");
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(160));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bench.git(&["status", "--porcelain", "workflows"]).is_empty() {
        assert!(Instant::now() < deadline, "the last edit was not adopted");
        thread::sleep(Duration::from_millis(50));
    }
    stop.request();
    kernel.join().expect("no panic").expect("the kernel served to its clean stop");
    let last = bench.git(&["show", "HEAD:workflows/invoice-chase/workflow.toml"]);
    assert!(last.ends_with(&format!("# edit {n}\n")));
}
