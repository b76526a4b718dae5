//! The interface, opened from the command line; without a terminal, `cairn status` instead.

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
    status,
};

/// What `cairn` alone does: the interface on a terminal, else the status.
pub(super) fn or_status(context: &mut Context) -> Outcome {
    if context.may_ask() && !is_plain() {
        return open(context);
    }
    status::show(context)?;
    Ok(exit::OK)
}

/// `cairn tui`.
pub(super) fn open(context: &mut Context) -> Outcome {
    if !context.screen.is_interactive() {
        return Err(
            Failure::usage("the interface needs a terminal for input and output").fix("cairn status, cairn inbox ls")
        );
    }
    if is_plain() {
        return Err(Failure::usage("this terminal can not be drawn on (TERM is unset or `dumb`)")
            .fix("cairn status, cairn inbox ls"));
    }
    Err(Failure::failed("no_interface", "this build has no interface").fix("cairn status, cairn inbox ls"))
}

fn is_plain() -> bool {
    std::env::var("TERM").map_or(true, |t| t.is_empty() || t == "dumb")
}
