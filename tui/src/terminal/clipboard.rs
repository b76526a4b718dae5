//! Copying: through tmux where it runs, else by asking the terminal (OSC 52).

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use crossterm::{clipboard::CopyToClipboard, execute};

/// What terminals take at most.
const OSC52_BYTES_MAX: usize = 74_000;

/// Copies `text`; the error says why it could not be done.
pub(super) fn copy(text: &str, out: &mut impl Write) -> io::Result<()> {
    if std::env::var_os("TMUX").is_some() {
        let mut child = Command::new("tmux")
            .args(["load-buffer", "-w", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        let status = child.wait()?;
        return if status.success() { Ok(()) } else { Err(io::Error::other(format!("tmux load-buffer: {status}"))) };
    }
    if text.len() > OSC52_BYTES_MAX {
        return Err(io::Error::other("the text is too long for the terminal's clipboard (74 kB)"));
    }
    execute!(out, CopyToClipboard::to_clipboard_from(text))
}
