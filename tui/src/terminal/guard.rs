//! The terminal's modes: entered once, left on every way out.

use std::{
    io, panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{cursor, event, style, terminal};

use super::screen::Tty;

/// Whether the terminal is in our hands just now. Global, as the terminal is.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Holds the terminal in raw mode on its other screen; leaving restores it, and so does a panic.
pub(super) struct Guard(());

impl Guard {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // the report must stand on the operator's own screen
                leave();
                before(info);
            }));
        });
        let guard = Self(());
        guard.take()?;
        Ok(guard)
    }

    /// Gives the terminal to another program.
    pub(super) fn lend(&self) {
        leave();
    }

    /// Takes it back, or takes it anew after somebody else changed it.
    pub(super) fn take(&self) -> io::Result<()> {
        if OURS.swap(true, Ordering::SeqCst) {
            // crossterm believes the mode is still raw and would do nothing, but a shell may have changed it
            terminal::disable_raw_mode()?;
        }
        terminal::enable_raw_mode()?;
        let mut tty = Tty::default();
        crossterm::execute!(tty, terminal::EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    if !OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    // the terminal may be gone; then there is nothing to restore
    let mut tty = Tty::default();
    let _ = crossterm::execute!(
        tty,
        style::ResetColor,
        event::DisableBracketedPaste,
        terminal::LeaveAlternateScreen,
        cursor::Show
    );
    let _ = terminal::disable_raw_mode();
}
