//! The command line: one file a verb, and what they share.
//!
//! Verbs read views and write commands into the inbox; they decide nothing about a run. Results go
//! to stdout, errors and hints to stderr, and the exit code says which kind of outcome it was.

pub mod args;
mod asked;
pub mod bench;
pub mod context;
pub mod doctor;
pub mod effect;
pub mod entity;
pub mod episode;
pub mod event;
pub mod failure;
pub mod host;
pub mod inbox;
pub mod init;
pub mod kernel;
pub mod mem;
pub mod repair;
pub mod run;
pub mod screen;
pub mod status;
pub mod trigger;
pub mod tui;
pub mod verify;
mod when;
pub mod workflow;

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};

use self::{
    args::{Cairn, Verb},
    context::{Context, Outcome},
    failure::{Failure, exit},
    screen::{Look, Screen},
};

/// Reads the command line, does what it says, and answers with the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // a mistake of ours must not look like a failure of the command
    match std::panic::catch_unwind(run) {
        Ok(code) => ExitCode::from(code),
        Err(_) => {
            eprintln!(
                "error: Cairn made a mistake; nothing that was acknowledged is lost\n  fix: please report the lines above  [bug]"
            );
            ExitCode::from(exit::BUG)
        }
    }
}

fn run() -> u8 {
    let args = match Cairn::try_parse() {
        Ok(args) => args,
        Err(error) => return told(error),
    };
    let look = Look { json: args.common.json, quiet: args.common.quiet, color: args.common.color };
    let mut context = Context { common: args.common, screen: Screen::new(look) };
    let outcome = dispatch(args.verb, &mut context);
    // what was said before a failure still counts, except in JSON, where stdout stays empty
    if (outcome.is_ok() || !look.json)
        && let Err(error) = context.screen.flush()
    {
        eprintln!("error: cannot write to standard output: {error}");
        return exit::FAILED;
    }
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            let failure = failure.naming(&context.cairn());
            report(&failure, look.json);
            failure.exit
        }
    }
}

fn dispatch(verb: Option<Verb>, context: &mut Context) -> Outcome {
    match verb {
        None => tui::or_status(context),
        Some(Verb::Init(verb)) => verb.run(context),
        Some(Verb::Status(verb)) => verb.run(context),
        Some(Verb::Kernel(verb)) => verb.run(context),
        Some(Verb::Run(verb)) => verb.run(context),
        Some(Verb::Inbox(verb)) => verb.run(context),
        Some(Verb::Approve(verb)) => verb.run(context),
        Some(Verb::Deny(verb)) => verb.run(context),
        Some(Verb::Workflow(verb)) => verb.run(context),
        Some(Verb::Effect(verb)) => verb.run(context),
        Some(Verb::Event(verb)) => verb.run(context),
        Some(Verb::Trigger(verb)) => verb.run(context),
        Some(Verb::Mem(verb)) => verb.run(context),
        Some(Verb::Entity(verb)) => verb.run(context),
        Some(Verb::Episode(verb)) => verb.run(context),
        Some(Verb::Verify(verb)) => verb.run(context),
        Some(Verb::Doctor(verb)) => verb.run(context),
        Some(Verb::Bench(verb)) => verb.run(context),
        Some(Verb::Tui) => tui::open(context),
    }
}

/// A command line that could not be read, or that asked for help.
fn told(error: clap::Error) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return exit::OK;
    }
    if std::env::args_os().any(|a| a == "--json") {
        report(&Failure::from(error), true);
    } else {
        let _ = error.print();
    }
    exit::USAGE
}

fn report(failure: &Failure, json: bool) {
    let text = if json { format!("{}\n", failure.json()) } else { failure.text() };
    eprint!("{}", cairn_store_layout::text::DisplayText::new(&text));
}
