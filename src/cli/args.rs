//! The command line as types: nouns, verbs and flags, with the help that people read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    bench, doctor, effect, entity, episode, event, inbox, init, kernel, mem, run, screen::Color, status, trigger,
    verify, workflow,
};

const EXAMPLES: &str = "\
Examples:
  cairn init shop --demo            make a store with three complete workflows
  cairn run start invoice-chase --wait
  cairn inbox ls                    what waits for you
  cairn inbox show a3f2             the exact letter, why, and what it was derived from
  cairn inbox approve a3f2          shows it, then asks
  cairn                             the interface (status, when there is no terminal)

Exit codes: 0 ok; 1 failed; 2 usage; 3 not found; 4 stale digest or already decided; 5 refused;
6 no kernel; 7 timed out; 8 some of several failed; 10 something waits for a person; 70 a bug.";

/// A workflow operating system for one operator.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cairn {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do; the interface when nothing is said.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags that every verb takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// The store; else CAIRN_STORE, else the folder you are in or one above it
    #[arg(short = 'C', long = "store", value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results only, no hints
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Color,
    /// Never ask; a missing answer is an error
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Show it and take yes for the answer; what holds hidden characters or changes a rule needs --confirm too
    #[arg(long, global = true)]
    pub yes: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a store
    Init(init::Init),
    /// What runs and what waits for you
    Status(status::Status),
    /// The process that carries out workflows
    #[command(subcommand)]
    Kernel(kernel::Kernel),
    /// Start, list and look at runs
    #[command(subcommand)]
    Run(run::Run),
    /// What waits for your decision
    #[command(subcommand)]
    Inbox(inbox::Inbox),
    /// Short for `inbox approve`
    Approve(inbox::approve::Approve),
    /// Short for `inbox deny`
    Deny(inbox::deny::Deny),
    /// Look at workflow definitions and check them
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    /// What was asked of the world, and what is known of it
    #[command(subcommand)]
    Effect(effect::Effect),
    /// Tell runs and triggers that something happened
    #[command(subcommand)]
    Event(event::Event),
    /// What starts runs by itself
    #[command(subcommand)]
    Trigger(trigger::Trigger),
    /// What was learned
    #[command(subcommand)]
    Mem(mem::Mem),
    /// What is known of clients, invoices, contracts, and how it came to be
    #[command(subcommand)]
    Entity(entity::Entity),
    /// What happened with whom
    #[command(subcommand)]
    Episode(episode::Episode),
    /// Check that everything is as it was written; offline, changes nothing
    Verify(verify::Verify),
    /// Check this machine
    Doctor(doctor::Doctor),
    /// Measure Cairn on this machine and this disk
    Bench(bench::Bench),
    /// Open the interface
    Tui,
}
