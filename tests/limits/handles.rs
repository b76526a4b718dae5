//! Few file handles: the kernel works with little, and says so when it is too little.

use cairn::store::lock;
use cairn_store_layout::view::{KernelHealth, RunStatus};
use serde_json::json;

use crate::lab::Lab;

const STEPS: &str = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(12) | list }}\", max_parallel = 12 }\n\
    run = [\"sleep\", \"0.05\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"true\"]\n";

#[test]
fn with_few_handles_a_run_ends_well_or_waits_and_nothing_is_lost() {
    let (mut done, mut held_back) = (0, 0);
    for limit in [256, 64, 48, 40, 34, 30, 26, 22, 18, 14] {
        let lab = Lab::new();
        lab.write("workflows/w/workflow.toml", STEPS);
        let run = lab.start("w", json!({}));
        // a shell sets the limit for the program that takes its place
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" -C \"$1\" kernel run")]);
        command.arg(env!("CARGO_BIN_EXE_cairn")).arg(&lab.root).env("XDG_STATE_HOME", lab.dir.path().join("state"));
        let mut kernel = lab.kernel(command);
        let (mut up, mut paused) = (true, None);
        lab.until("an end, a pause or a refusal", || {
            up = kernel.is_up();
            paused = lock::paused(&lab.root);
            !up || paused.is_some()
                || lab.status(&run).is_some_and(|s| s == RunStatus::Succeeded || s == RunStatus::Failed)
        });
        match (&paused, up) {
            (Some(why), _) => {
                held_back += 1;
                assert!(why.contains("handles") || why.contains("no room"), "{limit}: {why}");
            }
            (None, true) => done += 1,
            // too few to start at all
            (None, false) => assert!(!lab.said().is_empty(), "{limit}"),
        }
        drop(kernel);
        let kernel = lab.kernel(lab.command(&["kernel", "run"]));
        lab.until("a kernel", || lock::probe(&lab.root).is_ok_and(|k| k != KernelHealth::Down));
        lab.until("the end, with enough handles", || {
            lab.status(&run).is_some_and(|s| !matches!(s, RunStatus::Running))
        });
        assert!(kernel.stop(), "{limit}: {}", lab.said());
        lab.is_sound();
    }
    println!("{done} limits were enough, {held_back} paused the kernel");
    assert!(done > 0, "256 handles must be enough");
}
