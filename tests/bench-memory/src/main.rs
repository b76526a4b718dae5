//! `cairn-bench-memory`: how well and how fast does memory recall here?

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use cairn::bench::figure::Figure;
use cairn_bench_memory::{
    broken::{Broken, During as _, Result},
    child::Errand,
    plan::{self, Options, Part},
};
use clap::Parser;
use serde_json::{Value, json};

const HEAD: [&str; 6] = ["PART", "FIGURE", "VALUE", "UNIT", "TARGET", ""];

/// Measure memory on this machine and this disk, beside SQLite and a plain scan, in throw-away stores.
///
/// On a machine that does other work meanwhile, compare ratios and counts, not times.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  just bench-memory                                   everything, in about ten minutes
  just bench-memory --only quality                    recall@5 on the corpus, in seconds
  just bench-memory --only speed --sizes 1000,10000
  just bench-memory --json > memory.json")]
struct Args {
    /// Measure only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Sizes of the stores, in passages
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// How many runs grow a store in the part `growth`
    #[arg(long, default_value_t = 1_000)]
    runs: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Where the throw-away stores are made; the folder you are in decides the disk
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The folder that another process made for this one
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
    /// Be a contestant
    #[arg(long, hide = true)]
    errand: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (&args.errand, &args.inside) {
        (Some(errand), _) => contestant(errand),
        (None, Some(dir)) => measure(&args, dir),
        (None, None) => apart(&args),
    };
    done.unwrap_or_else(|broken| {
        eprintln!("error: {broken}");
        eprintln!("  safe: only the throw-away folder was touched");
        eprintln!("  hint: try again, or measure single parts with --only");
        ExitCode::FAILURE
    })
}

fn contestant(errand: &str) -> Result<ExitCode> {
    let errand: Errand = serde_json::from_str(errand).during("read an errand")?;
    println!("{}", serde_json::to_string(&errand.carry_out()?).during("write what was measured")?);
    Ok(ExitCode::SUCCESS)
}

/// Measures in a process of its own, so that an interrupt ends that one and this one removes the folder.
fn apart(args: &Args) -> Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let made = tempfile::Builder::new().prefix(".cairn-bench-memory-").tempdir_in(&dir);
    let made = made.map_err(|why| Broken::new(format!("make a folder in {}", dir.display()), why))?;
    let home = made.path().canonicalize().during("resolve the folder")?;
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::default()).during("wait for an interrupt")?;
    }
    let mut child = Command::new(std::env::current_exe().during("find our own program")?);
    child.args(std::env::args_os().skip(1)).arg("--inside").arg(&home);
    // what a machine remembers of its stores goes into the throw-away folder too
    child.env("XDG_STATE_HOME", home.join("state")).env_remove("CAIRN_STORE");
    let status = child.status().during("start the measuring process")?;
    made.close().map_err(|why| Broken::new(format!("remove {}", home.display()), why))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(args: &Args, dir: &Path) -> Result<ExitCode> {
    let parts = if args.only.is_empty() { Part::ALL.to_vec() } else { args.only.clone() };
    let options = Options { parts, sizes: args.sizes.clone(), runs: args.runs };
    let figures = plan::run(dir, &options, &|text| eprintln!("{text}"))?;
    if args.json {
        let items: Vec<Value> = figures.iter().map(Figure::document).collect();
        let document = json!({
            "schema": "cairn.bench-memory/1", "version": env!("CARGO_PKG_VERSION"),
            "lance": cfg!(feature = "lance"), "optimised": !cfg!(debug_assertions), "items": items,
        });
        println!("{}", serde_json::to_string_pretty(&document).during("write the document")?);
    } else {
        let rows: Vec<Vec<String>> =
            std::iter::once(HEAD.map(str::to_owned).to_vec()).chain(figures.iter().map(Figure::row)).collect();
        print!("{}", table(&rows));
    }
    if !cfg!(feature = "lance") {
        eprintln!("this build has no Lance: everything is scanned, and no vector table is written");
    }
    if cfg!(debug_assertions) {
        eprintln!("this is an everyday build: build with --release before you quote a figure");
    }
    Ok(ExitCode::SUCCESS)
}

/// Columns side by side, as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
