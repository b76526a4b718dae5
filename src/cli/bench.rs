//! `cairn bench`: how fast is Cairn here?

use std::{path::PathBuf, process::Command};

use clap::Args;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
};
use crate::bench::{self, Options, Part, child::Errand};

const HEAD: [&str; 6] = ["PART", "FIGURE", "VALUE", "UNIT", "TARGET", ""];

/// Measure Cairn on this machine and this disk, in a throw-away store.
///
/// Beside the figures stands what the disk itself can do, measured in the same run. On a machine
/// that does other work meanwhile, compare CPU times and ratios.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cairn bench --quick               everything in a minute, to see that it works
  cairn bench steps --repeat 3      medians of three
  cairn bench --json > bench.json")]
pub struct Bench {
    /// What to measure; everything when nothing is said
    parts: Vec<Part>,
    /// Short and small: shows that everything works, no figures to quote
    #[arg(long)]
    quick: bool,
    /// Where the throw-away store is made; the folder you are in decides the disk
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Measure so often and tell the medians
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: usize,
    /// The folder that another process made for this one
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
    /// Be a kernel in the store `--inside` that is killed, or that goes on after one
    #[arg(long, hide = true, requires = "inside")]
    leave: Option<usize>,
}

impl Bench {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        match (&self.inside, self.leave) {
            (Some(dir), None) => self.measure(dir, context),
            (Some(dir), Some(leave)) => {
                Errand { store: dir.clone(), leave }.carry_out().map(|()| exit::OK).map_err(|e| broke_off(&e))
            }
            (None, _) => self.apart(context),
        }
    }

    /// Measures in a process of its own: what a machine remembers of its stores must go into the
    /// throw-away folder too, and the environment that says where is read at the start.
    fn apart(&self, context: &Context) -> Outcome {
        let failed = |what: &str, e: std::io::Error| Failure::failed("no_bench", format!("cannot {what}: {e}"));
        let dir = self.dir.clone().unwrap_or_else(|| PathBuf::from("."));
        let made = tempfile::Builder::new().prefix(".cairn-bench-").tempdir_in(&dir);
        let made = made.map_err(|e| {
            failed(&format!("make a folder in {}", dir.display()), e).fix("name another one: cairn bench --dir DIR")
        })?;
        let home = made.path().canonicalize().map_err(|e| failed("resolve the folder", e))?;
        // an interrupt ends the measuring process; this one stays to remove the folder
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let flag = std::sync::Arc::default();
            signal_hook::flag::register(signal, flag).map_err(|e| failed("wait for an interrupt", e))?;
        }
        let program = std::env::current_exe().map_err(|e| failed("find our own program", e))?;
        let mut child = Command::new(program);
        child.args(std::env::args_os().skip(1)).arg("--inside").arg(&home);
        child.env("XDG_STATE_HOME", home.join("state")).env_remove("CAIRN_STORE");
        let status = child.status().map_err(|e| failed("start the measuring process", e))?;
        made.close().map_err(|e| failed(&format!("remove {}", home.display()), e))?;
        context.screen.note("the throw-away store is removed");
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILED))
    }

    fn measure(&self, dir: &std::path::Path, context: &mut Context) -> Outcome {
        let all = self.parts.is_empty() || self.parts.contains(&Part::All);
        let parts = if all { Part::ALL.to_vec() } else { self.parts.clone() };
        let options = Options { parts, quick: self.quick, repeat: self.repeat };
        let say = |text: &str| context.screen.note(text);
        let figures = bench::run(dir, &options, &say).map_err(|e| broke_off(&e))?;
        let items: Vec<Value> = figures.iter().map(bench::figure::Figure::document).collect();
        context.screen.document(&json!({
            "schema": "cairn.bench/1", "version": env!("CARGO_PKG_VERSION"), "quick": self.quick,
            "repeat": self.repeat, "optimised": !cfg!(debug_assertions), "items": items,
        }));
        let rows: Vec<Vec<String>> = figures.iter().map(bench::figure::Figure::row).collect();
        context.screen.table(&HEAD, &rows);
        if cfg!(debug_assertions) {
            context.screen.note("this is an everyday build: build with --release before you quote a figure");
        }
        Ok(exit::OK)
    }
}

fn broke_off(error: &bench::Error) -> Failure {
    Failure::failed("no_bench", format!("the measuring broke off: {error}"))
        .fix("only the throw-away store was touched; try again, or measure single parts")
}
