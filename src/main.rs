//! The program `cairn`; everything is in the library, so that tests can reach it.

use std::process::ExitCode;

use cairn::{cli, effects::child};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // programs of steps are started through ourselves, so that they die with the kernel
    if args.next().is_some_and(|first| first == child::WORD) {
        return child::main(args);
    }
    cli::main()
}
