//! The interface, opened from the command line; without a terminal, `cairn status` instead.
//!
//! The interface knows no store. What it shows comes from [`feed`], what it asks for goes through
//! [`host`]; the two meet only in files.

mod feed;
mod host;

use cairn_tui::{App, Charset, Config, Theme, terminal};
use jiff::tz::TimeZone;

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit},
    screen::Color,
    status,
};
use crate::store::identity;

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
        let failure = Failure::usage("the interface needs a terminal for input and output");
        return Err(failure.fix("cairn status, cairn inbox ls"));
    }
    if is_plain() {
        let failure = Failure::usage("this terminal can not be drawn on (TERM is unset or `dumb`)");
        return Err(failure.fix("cairn status, cairn inbox ls"));
    }
    let store = context.store()?;
    let drafts = identity::state_home()?.join("drafts");
    let mut app = App::new(config(context.common.color));
    let mut host = host::StoreHost::new(store, context.by());
    let ended = terminal::run(&mut app, &mut host, &terminal::Options::new(drafts));
    let ended = ended.map_err(|e| {
        Failure::failed("terminal", format!("the terminal can not be used: {e}")).fix("cairn status, cairn inbox ls")
    })?;
    Ok(ended.code())
}

fn config(color: Color) -> Config {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let term = var("TERM");
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().map(|n| var(n)).find(|v| !v.is_empty()).unwrap_or_default();
    let theme = match color {
        Color::Auto => Theme::detect(!var("NO_COLOR").is_empty(), &term),
        Color::Always => Theme::Ansi,
        Color::Never => Theme::Mono,
    };
    Config { zone: TimeZone::system(), charset: Charset::detect(&locale, &term), theme }
}

fn is_plain() -> bool {
    std::env::var("TERM").map_or(true, |t| t.is_empty() || t == "dumb")
}
