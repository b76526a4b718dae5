//! Frames: drawn only when something changed, and then in exactly one `write`.

use std::io::{self, Write};

use crossterm::{cursor, queue, style, terminal};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::Buffer,
    layout::Rect,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use crate::{App, draw, draw_cursor};

/// What was sent to the terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that differed from the one before.
    pub frames: u64,
    /// Calls of `write(2)` for them.
    pub writes: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Standard output as a file descriptor: no buffer, no lock, every call counted.
#[derive(Debug, Default)]
pub(super) struct Tty {
    pub(super) writes: u64,
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        loop {
            self.writes += 1;
            match rustix::io::write(&stdout, bytes) {
                Ok(n) => return Ok(n),
                Err(Errno::INTR) => {}
                // somebody made the terminal non-blocking: wait until it takes more
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the terminal shows.
pub(super) struct Screen<W> {
    pub(super) out: W,
    shown: Buffer,
    cursor: Option<(u16, u16)>,
    whole: bool,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W) -> Self {
        // with NO_COLOR crossterm would send a reset that wipes bold and reverse; our theme knows no
        // colours then, so nothing is lost by telling it to send what it is given
        style::force_color_output(true);
        Self { out, shown: Buffer::empty(Rect::ZERO), cursor: None, whole: true, frames: 0, bytes: 0 }
    }

    /// The next frame draws every cell.
    pub(super) fn forget(&mut self) {
        self.whole = true;
    }

    /// Draws what changed since the last frame. Returns whether anything had to be sent.
    pub(super) fn frame(&mut self, app: &App, columns: u16, rows: u16) -> io::Result<bool> {
        let area = Rect::new(0, 0, columns, rows);
        let mut next = Buffer::empty(area);
        draw(app, area, &mut next);
        let cursor = draw_cursor(app);
        let whole = self.whole || self.shown.area != area;
        if whole {
            self.shown = Buffer::empty(area);
        }
        let changes = self.shown.diff(&next);
        if !whole && changes.is_empty() && cursor == self.cursor {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(changes.len() * 2 + 64);
        queue!(bytes, terminal::BeginSynchronizedUpdate)?;
        if whole {
            queue!(bytes, style::ResetColor, terminal::Clear(terminal::ClearType::All))?;
        }
        if self.cursor.is_some() && cursor.is_none() || whole {
            queue!(bytes, cursor::Hide)?;
        }
        if !changes.is_empty() {
            CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
        }
        if let Some((x, y)) = cursor {
            queue!(bytes, cursor::MoveTo(x, y))?;
            if self.cursor.is_none() || whole {
                queue!(bytes, cursor::Show)?;
            }
        }
        queue!(bytes, terminal::EndSynchronizedUpdate)?;
        self.out.write_all(&bytes)?;
        self.frames += 1;
        self.bytes += bytes.len() as u64;
        self.shown = next;
        self.cursor = cursor;
        self.whole = false;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Key, Millis, Msg, samples};

    /// Counts calls; takes all bytes of each.
    #[derive(Default)]
    struct Counted {
        writes: Vec<usize>,
    }

    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            panic!("a frame is one write; nothing may be flushed apart")
        }
    }

    #[test]
    fn a_frame_is_one_write_and_no_change_is_none() {
        let mut app = App::new(Config::default());
        app.update(Msg::Resize(80, 24));
        let mut screen = Screen::new(Counted::default());
        assert!(screen.frame(&app, 80, 24).expect("drawn"));
        assert!(!screen.frame(&app, 80, 24).expect("drawn"));
        app.update(Msg::Views(Box::new(samples::snapshot())));
        assert!(screen.frame(&app, 80, 24).expect("drawn"));
        for n in 0..4 {
            app.update(Msg::Keys(vec![Key::Char('j')], Millis(1000 * n)));
            screen.frame(&app, 80, 24).expect("drawn");
        }
        // the same views again change nothing on the screen
        app.update(Msg::Views(Box::new(samples::snapshot())));
        assert!(!screen.frame(&app, 80, 24).expect("drawn"));
        assert_eq!(screen.out.writes.len() as u64, screen.frames);
        assert_eq!(screen.out.writes.iter().sum::<usize>() as u64, screen.bytes);
    }

    #[test]
    fn the_first_frame_and_a_key_stay_within_their_bytes() {
        for (columns, rows, first, key) in [(80, 24, 4000, 1500), (120, 40, 9000, 2400)] {
            let mut app = App::new(Config::default());
            app.update(Msg::Resize(columns, rows));
            app.update(Msg::Views(Box::new(samples::snapshot())));
            let mut screen = Screen::new(Counted::default());
            screen.frame(&app, columns, rows).expect("drawn");
            app.update(Msg::Keys(vec![Key::Char('j')], Millis(1000)));
            screen.frame(&app, columns, rows).expect("drawn");
            let w = &screen.out.writes;
            assert!(w[0] <= first && w[1] <= key, "{columns}x{rows}: {w:?}");
        }
    }
}
